"""The paths of a finished run's artefacts: `artefacts.json` in the run's folder."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from umbrameter.steps.variants import Measurement, TrainedVariant
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import paths_of

FILE = "artefacts.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelPaths(_Part):
    """The paths of the target under one mitigation.

    Parameters
    ----------
    mitigation
        The mitigation's name in the report; None for the unmitigated target.
    target, guard
        The trained target, and the guard of a learned mitigation if there is one.
    """

    mitigation: str | None
    target: str
    guard: str | None


class MeasurementPaths(_Part):
    """The paths behind one result: one attack by one attacker on the target under one mitigation.

    Parameters
    ----------
    attack, mitigation, attacker
        Their names in the report.
    attack_models
        One path per chunk of classes; empty for an attack without attack models.
    scores, evaluation
        The attack's scores of the audited records, and its figures.
    """

    attack: str
    mitigation: str | None
    attacker: Literal["adaptive", "static"] | None
    attack_models: tuple[str, ...]
    scores: str
    evaluation: str


class RunArtefacts(_Part):
    """The paths of a run's artefacts by kind; those of the first repeat come first."""

    records: str
    split: str
    targets: tuple[str, ...]
    target_predictions: tuple[str, ...]
    models: tuple[ModelPaths, ...]
    shadow_records: tuple[str, ...]
    shadow_predictions: tuple[str, ...]
    guards: tuple[str, ...]
    attack_data: tuple[str, ...]
    references: tuple[str, ...]
    measurements: tuple[MeasurementPaths, ...]
    utility: tuple[str, ...]
    controls: tuple[str, ...]
    guarantees: tuple[str, ...]

    @classmethod
    def of(cls, variants: Sequence[TrainedVariant]) -> "RunArtefacts":
        """Return the paths of the artefacts of an audit's variants."""
        models: dict[str | None, ModelPaths] = {}
        for variant in variants:
            guard = None if variant.guard is None else variant.guard.recipe.path
            for entry in variant.entries:
                paths = ModelPaths(mitigation=entry.plan.label, target=variant.target.recipe.path, guard=guard)
                models.setdefault(entry.plan.label, paths)  # the report's results are the first repeat's
        return cls(
            records=variants[0].training.records,
            split=variants[0].training.split,
            targets=tuple(v.target.recipe.path for v in variants if v.has_own_models),
            target_predictions=tuple(v.query.recipe.path for v in variants),
            models=tuple(models.values()),
            shadow_records=tuple(dict.fromkeys(v.drawn.recipe.path for v in variants if v.drawn is not None)),
            shadow_predictions=tuple(path for v in variants for path in paths_of(v.shadows)),
            guards=tuple(v.guard.recipe.path for v in variants if v.guard is not None),
            attack_data=tuple(path for v in variants for path in paths_of(v.merges)),
            references=tuple(path for v in variants for path in paths_of(v.references)),
            measurements=tuple(_paths(measurement) for v in variants for measurement in v.measurements),
            utility=tuple(dict.fromkeys(entry.utility.recipe.path for v in variants for entry in v.entries)),
            controls=tuple(path for v in variants for path in paths_of(v.controls)),
            guarantees=tuple(path for v in variants for path in paths_of(v.guarantees)),
        )

    def without_mitigation(self) -> dict[str, MeasurementPaths]:
        """Return the paths of the attacks on the unmitigated target, by attack; those of the first repeat."""
        by_attack: dict[str, MeasurementPaths] = {}
        for paths in self.measurements:
            if paths.mitigation is None:
                by_attack.setdefault(paths.attack, paths)
        return by_attack


def read_run_artefacts(store: Store, folder: str) -> RunArtefacts:
    """Return the paths that a finished run's folder lists.

    Parameters
    ----------
    store
        The store that holds the run.
    folder
        The run's folder, relative to the root.
    """
    return RunArtefacts.model_validate_json(store.read(f"{folder}/{FILE}"))


def _paths(measurement: Measurement) -> MeasurementPaths:
    return MeasurementPaths(
        attack=measurement.attack.label,
        mitigation=measurement.mitigation,
        attacker=measurement.attacker,
        attack_models=paths_of(measurement.attack_models),
        scores=measurement.scoring.recipe.path,
        evaluation=measurement.evaluation.recipe.path,
    )
