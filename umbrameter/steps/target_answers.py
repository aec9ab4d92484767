"""The target's answers: on the audited records, on others, on changed copies; and stored answers looked up.

Belongs here: steps that ask the target. Does not belong here: how a model is asked (`umbrameter.targets.querying`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from umbrameter.mitigations import PostHoc, answered
from umbrameter.persistence import load_model
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.steps.split import SplitMetadata
from umbrameter.steps.target import model_file
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import target_predictions
from umbrameter.store.steps import key_of
from umbrameter.targets.connection import Connection
from umbrameter.targets.querying import BATCH, ask, robustness_to_noise
from umbrameter.typing import Answering, Bools, Floats, Ints

MOST_POPULATION = 20_000
"""Records of the pool that a target is asked about, at most, for attacks that need answers on non-members."""

PREDICTIONS = "predictions.parquet"
"""The file that holds a model's answers."""


class QueryMetadata(Metadata):
    """How many records a step asked the target about; 0 for a step that does not ask."""

    queries: int = 0


class NoisyMetadata(QueryMetadata):
    """How records were changed, and how many queries that took."""

    noise: Noise


@dataclass(frozen=True)
class QueryStep(ABC):
    """A step that asks the target.

    Parameters
    ----------
    target
        Path of the `targets` artefact.
    records
        Path of the `records` artefact.
    connection
        The target, where it was not trained here.
    """

    purpose: ClassVar[str]
    """What the answers are for, in words for the ledger of an endpoint."""

    target: str
    records: str
    connection: Connection | None = field(default=None, compare=False, kw_only=True)

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """What decides the answers."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.target, self.records

    @abstractmethod
    def make(self, store: Store, draft: Draft) -> None:
        """Write what is made of the answers."""

    @abstractmethod
    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about, at most."""

    def most_calls(self, store: Store, n: int) -> int:
        """Return in how many calls the target is asked about `n` records, at most."""
        return -(-n // max(1, BATCH // Records.open(store, self.records).n_features))

    def model(self, store: Store) -> Answering:
        """Return the target."""
        if self.connection is not None:
            external: Answering = self.connection.model
            return external
        fitted: Answering = load_model(model_file(store.open(self.target)))
        return fitted


@dataclass(frozen=True)
class _Query(QueryStep):
    """Ask the target about records of the split.

    Parameters
    ----------
    split
        Path of the `split` artefact.
    """

    split: str

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which target is asked, and about what it can be."""
        return {"target": key_of(self.target), "records": key_of(self.records), "split": key_of(self.split)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.target, self.records, self.split

    def n_audited(self, store: Store) -> int:
        """Return the number of members and non-members."""
        return SplitMetadata.read(store.open(self.split)).n_audited

    def answer(self, store: Store, draft: Draft, rows: Ints, is_member: Bools) -> None:
        """Ask about some rows and write the target's prediction vectors."""
        predictions, labels = ask(self.model(store), Records.open(store, self.records), rows)
        write_answers(draft, rows, labels, is_member, predictions)
        QueryMetadata(queries=len(rows)).write(draft)

    def audited(self, store: Store) -> tuple[Ints, Bools]:
        """Return the rows of members, then of non-members, and which are members."""
        split = store.open(self.split)
        meta = SplitMetadata.read(split)
        return audited_rows(split), np.repeat([True, False], [meta.n_members, meta.n_nonmembers])


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
        self.answer(store, draft, *self.audited(store))


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
        rows, is_member = self.audited(store)
        places, labels = records.places(), records.labels()[rows]
        if self.connection is None or places is None:
            raise ValueError("there are no stored answers to look up")
        write_answers(draft, rows, labels, is_member, self.connection.model.at(places[rows], labels))
        QueryMetadata(queries=0).write(draft)


@dataclass(frozen=True)
class PopulationQuery(_Query):
    """Ask the target about records of the pool, which are not members.

    Parameters
    ----------
    seed
        Of the choice among them.
    """

    purpose = "records of the pool"
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return min(MOST_POPULATION, SplitMetadata.read(store.open(self.split)).n_pool)

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
    """Ask the target for its labels of changed copies of the audited records.

    Parameters
    ----------
    noise, seed
        How they are changed, and the seed of the changes.
    """

    purpose = "changed copies"
    noise: Noise
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return self.n_audited(store) * (1 + self.noise.copies)

    def most_calls(self, store: Store, n: int) -> int:
        """Return in how many calls the target is asked about `n` records, at most: each copy is a call of its own."""
        copies = 1 + self.noise.copies
        return super().most_calls(store, n // copies) * copies

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("noisy_answers", self.facts | {"noise": self.noise.model_dump(mode="json"), "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the share of copies that keep the record's label, record by record."""
        rows = audited_rows(store.open(self.split))
        records = Records.open(store, self.records)
        robustness = robustness_to_noise(self.model(store), records, rows, self.noise, self.seed)
        draft.table("robustness.parquet", pa.table({"record_id": rows, "robustness": robustness}))
        NoisyMetadata(queries=len(rows) * (1 + self.noise.copies), noise=self.noise).write(draft)


def write_answers(draft: Draft, rows: Ints, labels: Ints, is_member: Bools, predictions: Floats) -> None:
    """Write a target's prediction vectors with the records that they are of.

    Parameters
    ----------
    draft
        The artefact.
    rows, labels, is_member
        Of each record, shape (n_records,).
    predictions
        Shape (n_records, n_classes).
    """
    columns = [rows, labels, is_member, vector_column(predictions)]
    draft.table(PREDICTIONS, pa.table(columns, schema=target_predictions(predictions.shape[1])))


@dataclass(frozen=True)
class Answers:
    """A target's answers on some records.

    Parameters
    ----------
    vectors
        Prediction vectors with labels.
    is_member, rows
        Of each record: whether it is a member, and its row; shape (n_records,).
    """

    vectors: Vectors
    is_member: Bools
    rows: Ints


def read_answers(artefact: Artefact, mitigations: Sequence[PostHoc] = ()) -> Answers:
    """Return a target's answers after they passed through mitigations.

    Parameters
    ----------
    artefact
        Of `target_predictions`, `population_predictions`, or these passed through a learned mitigation.
    mitigations
        In order.
    """
    table = artefact.table(PREDICTIONS)
    predictions = answered(vectors(table["prediction"]), mitigations)
    labels = np.asarray(table["label"]).astype(np.int64)
    return Answers(Vectors(predictions, labels), np.asarray(table["is_member"]), np.asarray(table["record_id"]))


def read_robustness(artefact: Artefact) -> Floats:
    """Return the shares that `NoisyQuery` wrote, shape (n_records,)."""
    return np.asarray(artefact.table("robustness.parquet")["robustness"])
