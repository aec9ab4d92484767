"""Ask the target, wherever it is: about members and non-members, others, changed copies; and look up stored answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from umbrameter.persistence import load_model
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.schemas import target_predictions
from umbrameter.store.steps import key_of
from umbrameter.targets.predictions import StoredAnswers
from umbrameter.targets.querying import ask, holds
from umbrameter.typing import Answering, Bools, Floats, Ints

MOST_POPULATION = 20_000
"""Records of the pool that a target is asked about, at most, for attacks that need answers on non-members."""


@dataclass(frozen=True)
class QueryStep(ABC):
    """A step that asks the target.

    Parameters
    ----------
    target
        Path of the `targets` artefact.
    records
        Path of the `records` artefact.
    asked
        The target, where it was not trained here.
    """

    purpose: ClassVar[str]
    target: str
    records: str
    connection: Answering | StoredAnswers | None = field(default=None, compare=False, kw_only=True)

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """What decides the answers."""

    @abstractmethod
    def make(self, store: Store, draft: Draft) -> None:
        """Write what is made of the answers."""

    @abstractmethod
    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about, at most."""

    def model(self, store: Store) -> Answering:
        """Return the target."""
        if isinstance(self.connection, StoredAnswers):
            raise ValueError("stored answers cannot be asked")
        found: Answering = self.connection or load_model(store.open(self.target).data("model.skops"))
        return found


@dataclass(frozen=True)
class _Query(QueryStep):
    """Ask the target about some records."""

    split: str

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which target is asked, and about what it can be."""
        return {"target": key_of(self.target), "records": key_of(self.records), "split": key_of(self.split)}

    def n_audited(self, store: Store) -> int:
        """Return the number of members and non-members."""
        meta = store.open(self.split).meta
        return int(meta["n_member"] + meta["n_nonmember"])

    def answer(self, store: Store, draft: Draft, rows: Ints, is_member: Bools) -> None:
        """Write the target's prediction vectors."""
        predictions, labels = ask(self.model(store), Records.open(store, self.records), rows)
        self.write(draft, rows, labels, is_member, predictions)
        draft.meta["queries"] = len(rows)

    def audited(self, split: Artefact) -> tuple[Ints, Bools]:
        """Return the rows of members, then of non-members, and which are members."""
        return audited_rows(split), np.repeat([True, False], [split.meta["n_member"], split.meta["n_nonmember"]])

    @staticmethod
    def write(draft: Draft, rows: Ints, labels: Ints, is_member: Bools, predictions: Floats) -> None:
        """Write prediction vectors with what they are of."""
        columns = [rows, labels, is_member, vector_column(predictions)]
        draft.table("predictions.parquet", pa.table(columns, schema=target_predictions(predictions.shape[1])))


@dataclass(frozen=True)
class TargetQuery(_Query):
    """Ask the target about members and non-members."""

    purpose = "audited records"

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return self.n_audited(store)

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("target_predictions", self.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the target's prediction vectors, members first."""
        self.answer(store, draft, *self.audited(store.open(self.split)))


@dataclass(frozen=True)
class StoredQuery(_Query):
    """Look up the stored answers of a target on members and non-members."""

    purpose = "none"

    def n_queries(self, store: Store) -> int:
        """Return 0: the target is not asked."""
        return 0

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("target_predictions", self.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the stored prediction vectors, members first."""
        records = Records.open(store, self.records)
        rows, is_member = self.audited(store.open(self.split))
        places, labels = records.places(), records.labels()[rows]
        if not isinstance(self.connection, StoredAnswers) or places is None:
            raise ValueError("there are no stored answers to look up")
        self.write(draft, rows, labels, is_member, self.connection.at(places[rows], labels))
        draft.meta["queries"] = 0


@dataclass(frozen=True)
class PopulationQuery(_Query):
    """Ask the target about records of the pool, which are no members."""

    purpose = "records of the pool"
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return min(MOST_POPULATION, int(store.open(self.split).meta["n_pool"]))

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("population_predictions", self.facts | {"seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the target's prediction vectors."""
        pool = rows_of(store.open(self.split), "pool")
        rows = np.sort(generator(self.seed, "population").permutation(pool)[:MOST_POPULATION])
        self.answer(store, draft, rows, np.zeros(len(rows), dtype=np.bool_))


@dataclass(frozen=True)
class NoisyQuery(_Query):
    """Ask the target for its labels of changed copies of the audited records."""

    purpose = "changed copies"
    noise: Noise
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return self.n_audited(store) * (1 + self.noise.copies)

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("noisy_answers", self.facts | {"noise": self.noise.model_dump(mode="json"), "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the share of copies whose label holds, record by record."""
        rows = audited_rows(store.open(self.split))
        held = holds(self.model(store), Records.open(store, self.records), rows, self.noise, self.seed)
        draft.table("robustness.parquet", pa.table({"record_id": rows, "robustness": held}))
        draft.meta |= {"queries": len(rows) * (1 + self.noise.copies), "noise": self.noise.model_dump(mode="json")}
