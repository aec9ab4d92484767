"""Compute an attack's figures from its scores."""

from dataclasses import dataclass

import pyarrow as pa
from pydantic import Field

from umbrameter.evaluation.attack import AttackFigures, auc_change, measure_attack
from umbrameter.records.reader import Records
from umbrameter.statistics.estimates import Metric
from umbrameter.statistics.metrics import roc_curve
from umbrameter.steps.scores import read_scores
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Floats


class EvaluationFigures(AttackFigures):
    """An attack's figures, and their change from the same attack on the unmitigated target."""

    change: dict[str, Metric] = Field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateAttack:
    """Compute an attack's figures from its scores.

    Parameters
    ----------
    scores
        Path of the `scores` artefact.
    unmitigated
        Path of the same attack's scores on the unmitigated target, for comparison; None if `scores` are these.
    records
        Path of the `records` artefact, for the names of the classes and the slices.
    in_groups
        Whether to compute figures for each class and slice, too.
    """

    scores: str
    unmitigated: str | None
    records: str
    in_groups: bool = True

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the figures."""
        unmitigated = self.unmitigated and key_of(self.unmitigated)
        # The names of facts are part of the key: renaming `base` would make every stored artefact stale.
        facts = {"scores": key_of(self.scores), "base": unmitigated, "in_groups": self.in_groups}
        return Recipe("evaluations", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        unmitigated = (self.unmitigated,) if self.unmitigated else ()
        return (self.scores, self.records, *unmitigated)

    def make(self, store: Store, draft: Draft) -> None:
        """Write `evaluation.json` and the points of the ROC curve."""
        scored, records = read_scores(store.open(self.scores)), Records.open(store, self.records)
        classes = [str(name) for name in records.classes] if self.in_groups else []
        names = records.slices if self.in_groups else ()
        slices = {name: records.slice_values(name)[scored.rows].tolist() for name in names}
        figures = measure_attack(
            scored.scores, scored.is_member, scored.is_predicted_member, scored.labels, classes, slices
        )
        change: dict[str, Metric] = {}
        if self.unmitigated is not None:
            before = read_scores(store.open(self.unmitigated)).scores
            change["auc"] = auc_change(before, scored.scores, scored.is_member)
        whole = EvaluationFigures(**dict(figures), change=change)
        draft.data("evaluation.json", whole.model_dump_json().encode())
        fpr, tpr, _ = roc_curve(scored.scores, scored.is_member)
        draft.table("roc.parquet", pa.table({"fpr": fpr, "tpr": tpr}))


def read_evaluation(artefact: Artefact) -> EvaluationFigures:
    """Return an attack's figures."""
    return EvaluationFigures.model_validate_json(artefact.data("evaluation.json"))


def read_roc(artefact: Artefact) -> tuple[Floats, Floats]:
    """Return the false- and true-positive rates of an attack's ROC curve, shape (n_points,) each."""
    table = artefact.table("roc.parquet")
    return table["fpr"].to_numpy(), table["tpr"].to_numpy()
