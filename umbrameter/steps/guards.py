"""Guard answers: fit the guard on shadow models' answers, then pass a model's stored answers through it.

Guarded answers have the files of the answers that they come from, so that all that follows reads them alike.
"""

from dataclasses import dataclass

import pyarrow as pa

from umbrameter.mitigations.memguard import Guarded, MemGuard
from umbrameter.persistence import dump_model, load_model
from umbrameter.seeds import integer
from umbrameter.steps.attack_data import read_some
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.steps import key_of

COPIED = ("labels", "train_accuracy", "test_accuracy")
"""What is known of a model and stays true of its guarded answers, whose predicted classes are the same."""


@dataclass(frozen=True)
class GuardFit:
    """Fit a guard.

    Parameters
    ----------
    mitigation
        Which.
    data
        Paths of the `attack_data` artefacts: the shadow models' answers as they are.
    seed
        The audit's seed.
    """

    mitigation: MemGuard
    data: tuple[str, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the guard."""
        facts = {"mitigation": self.mitigation.model_dump(mode="json"), "data": [key_of(d) for d in self.data]}
        return Recipe("guards", facts | {"seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the guard's network as a skops file."""
        known = read_some([store.open(path) for path in self.data])
        draft.data("guard.skops", dump_model(self.mitigation.fit(known, guard_seed(self.seed)).network))


@dataclass(frozen=True)
class GuardedAnswers:
    """Pass stored answers through a guard.

    Parameters
    ----------
    guard
        Which.
    answers
        Path of the artefact with the answers: of `target_predictions`, `population_predictions` or
        `shadow_predictions`.
    """

    guard: GuardFit
    answers: str

    @property
    def recipe(self) -> Recipe:
        """What decides the guarded answers."""
        return Recipe("guarded_answers", {"guard": self.guard.recipe.key, "answers": key_of(self.answers)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write each table of answers again, row group by row group."""
        source, guarded = store.open(self.answers), read_guard(store, self.guard)
        for name in ("predictions.parquet", "compared.parquet"):
            if name not in source.files:
                continue
            with source.parquet(name) as file, draft.writer(name, file.schema_arrow) as writer:
                for group in range(file.num_row_groups):
                    writer.write_table(_guarded(file.read_row_group(group, use_threads=False), guarded))
        draft.meta |= {name: source.meta[name] for name in COPIED if name in source.meta}


def guard_seed(seed: int) -> int:
    """Return the seed of a guard's training and its coins, from the audit's."""
    return integer(seed, "guard")


def read_guard(store: Store, guard: GuardFit) -> Guarded:
    """Return a fitted guard."""
    network = load_model(store.open(guard.recipe.path).data("guard.skops"))
    return Guarded(guard.mitigation, network, guard_seed(guard.seed))


def _guarded(table: pa.Table, guarded: Guarded) -> pa.Table:
    predictions = vector_column(guarded.transform(vectors(table["prediction"])))
    place = table.schema.get_field_index("prediction")
    return table.set_column(place, table.schema.field(place), predictions)
