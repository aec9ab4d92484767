"""Fit learned mitigations on shadow models' answers, and pass stored answers through them.

An artefact of guarded answers has the same files as the original answers, so that later steps read both alike.
"""

from dataclasses import dataclass

import pyarrow as pa

from umbrameter.mitigations import FittedPostHoc, LearnedPostHoc
from umbrameter.persistence import dump_model, load_model
from umbrameter.seeds import integer
from umbrameter.steps.attack_data import read_sample
from umbrameter.steps.shadow_models import COMPARED, ShadowMetadata
from umbrameter.steps.target_answers import PREDICTIONS
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of

MODEL = "guard.skops"
"""The file with what a mitigation learned."""


@dataclass(frozen=True)
class GuardFit:
    """Fit a learned mitigation.

    Parameters
    ----------
    mitigation
        The mitigation to fit.
    data
        Paths of the `attack_data` artefacts: the shadow models' unmitigated answers.
    seed
        The audit's seed.
    """

    mitigation: LearnedPostHoc
    data: tuple[str, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the fitted mitigation."""
        facts = {"mitigation": self.mitigation.model_dump(mode="json"), "data": [key_of(path) for path in self.data]}
        return Recipe("guards", facts | {"seed": self.seed})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.data

    def make(self, store: Store, draft: Draft) -> None:
        """Write the fitted mitigation as a skops file."""
        shadow = read_sample([store.open(path) for path in self.data])
        draft.data(MODEL, dump_model(self.mitigation.fit(shadow, guard_seed(self.seed)).model))


@dataclass(frozen=True)
class GuardedAnswers:
    """Pass stored answers through a learned mitigation.

    Parameters
    ----------
    guard
        The step that fits the mitigation.
    answers
        Path of the artefact of answers: `target_predictions`, `population_predictions` or `shadow_predictions`.
    """

    guard: GuardFit
    answers: str

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the guarded answers."""
        return Recipe("guarded_answers", {"guard": self.guard.recipe.key, "answers": key_of(self.answers)})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.guard.recipe.path, self.answers

    def make(self, store: Store, draft: Draft) -> None:
        """Rewrite each table of answers, one row group at a time, since readers rely on the groups."""
        source, fitted = store.open(self.answers), read_guard(store, self.guard)
        for name in (PREDICTIONS, COMPARED):
            if name in source.files:
                with source.parquet(name) as file, draft.writer(name, file.schema_arrow) as writer:
                    for group in range(file.num_row_groups):
                        writer.write_table(_guarded(file.read_row_group(group, use_threads=False), fitted))
        # Readers of shadow models' answers also need the order of the classes.
        if source.kind == "shadow_predictions":
            ShadowMetadata.read(source).write(draft)


def guard_seed(seed: int) -> int:
    """Return a learned mitigation's seed, derived from the audit's."""
    return integer(seed, "guard")


def read_guard(store: Store, guard: GuardFit) -> FittedPostHoc:
    """Return a fitted mitigation.

    Parameters
    ----------
    store
        The store of the artefact.
    guard
        The step that fitted the mitigation.
    """
    model = load_model(guard_file(store.open(guard.recipe.path)))
    return guard.mitigation.restore(model, guard_seed(guard.seed))


def guard_file(artefact: Artefact) -> bytes:
    """Return the skops file with what a mitigation learned."""
    return artefact.data(MODEL)


def _guarded(table: pa.Table, fitted: FittedPostHoc) -> pa.Table:
    predictions = vector_column(fitted.transform(vectors(table["prediction"])))
    place = table.schema.get_field_index("prediction")
    return table.set_column(place, table.schema.field(place), predictions)
