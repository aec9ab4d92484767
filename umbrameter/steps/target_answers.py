"""The target's answers: on the audited records, on the pool, on changed copies; and stored answers.

Belongs here: steps that query the target. Does not belong here: how a model is queried (`umbrameter.targets.querying`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from umbrameter.errors import StoreError
from umbrameter.mitigations import PostHoc, answered
from umbrameter.persistence import load_model
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, rows_of
from umbrameter.records.reader import RecordReader, Records
from umbrameter.seeds import generator
from umbrameter.steps.split import SplitMetadata
from umbrameter.steps.target import TargetMetadata, model_file
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import target_predictions
from umbrameter.store.steps import key_of
from umbrameter.targets.columns import Columns
from umbrameter.targets.connection import Connection
from umbrameter.targets.querying import BATCH, ask, robustness_to_noise
from umbrameter.targets.source_models import OnSource
from umbrameter.typing import Answering, Bools, Floats, Ints

MOST_POPULATION = 20_000
"""Most records of the pool to ask a target about, for attacks that need answers on non-members."""

PREDICTIONS = "predictions.parquet"
"""The file of a model's answers."""


class QueryMetadata(Metadata):
    """The number of records that a step asked the target about, 0 for a step that does not ask; and which target.

    `training_id` is that of the target, where its noise is secret; see `steps.target.TargetMetadata`.
    """

    queries: int = 0
    training_id: str | None = None


class NoisyMetadata(QueryMetadata):
    """The noise that records were changed by, and the number of queries."""

    noise: Noise


@dataclass(frozen=True)
class QueryStep(ABC):
    """A step that queries the target.

    Parameters
    ----------
    target
        Path of the `targets` artefact.
    records
        Path of the `records` artefact.
    connection
        The connection to a target trained elsewhere; None for one that the audit trained.
    """

    purpose: ClassVar[str]
    """The purpose that an endpoint's ledger records for the queries."""

    target: str
    records: str
    # Not compared: the artefacts are the same, whichever connection the answers come through.
    connection: Connection | None = field(default=None, compare=False, kw_only=True)

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """Everything that determines the answers."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.target, self.records

    @abstractmethod
    def make(self, store: Store, draft: Draft) -> None:
        """Write the answers, or what is made from them."""

    @abstractmethod
    def n_queries(self, store: Store) -> int:
        """Return the largest number of records that the target is asked about."""

    def most_calls(self, store: Store, n: int) -> int:
        """Return the largest number of calls in which the target is asked about `n` records."""
        return -(-n // max(1, BATCH // Records.open(store, self.records).n_features))

    def reader(self, store: Store) -> RecordReader:
        """Return the records as the target's model reads them: as the source has them, or as a matrix."""
        records = Records.open(store, self.records)
        if self.connection is not None:
            return records.as_source if getattr(self.connection.model, "reads_source", False) else records
        is_matrix = TargetMetadata.read(store.open(self.target)).form == "matrix"
        return records if is_matrix else records.as_source

    def model(self, store: Store) -> Answering:
        """Return the target's model, or its stored answers."""
        # A target trained elsewhere has no model in its artefact.
        if self.connection is not None:
            external: Answering = self.connection.model
            return external
        artefact = store.open(self.target)
        fitted: Answering = load_model(model_file(artefact))
        meta = TargetMetadata.read(artefact)
        if meta.form == "matrix":
            return fitted
        return OnSource(fitted, Columns.of(Records.open(store, self.records)), meta.form, meta.columns)


def check_target(store: Store, target: str, answers: str) -> None:
    """Check that a target is still the one that gave some answers.

    Parameters
    ----------
    store
        The store of the artefacts.
    target, answers
        Paths of the `targets` and of the `target_predictions` artefact.

    Raises
    ------
    StoreError
        When the target was deleted and trained again with other secret noise.
    """
    asked = QueryMetadata.read(store.open(answers)).training_id
    if asked is not None and asked != TargetMetadata.read(store.open(target)).training_id:
        raise StoreError(
            f"{store.root}/{target} was trained again, with other secret noise, after {store.root}/{answers} was made "
            f"from the former one's answers, which all figures would describe: delete {store.root}/store, or give "
            "another --root, and run the audit again"
        )


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
        """The facts that queries have in common: the target, and the records it can be asked about."""
        return {"target": key_of(self.target), "records": key_of(self.records), "split": key_of(self.split)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.target, self.records, self.split

    def n_audited(self, store: Store) -> int:
        """Return the number of members and non-members."""
        return SplitMetadata.read(store.open(self.split)).n_audited

    def answer(self, store: Store, draft: Draft, rows: Ints, is_member: Bools) -> None:
        """Ask the target about some rows and write its prediction vectors.

        Parameters
        ----------
        store
            The store of the artefacts.
        draft
            The artefact to write.
        rows, is_member
            Row numbers, and which of them are members, shape (n_rows,).
        """
        predictions, labels = ask(self.model(store), self.reader(store), rows)
        write_answers(draft, rows, labels, is_member, predictions)
        is_external = self.connection is not None
        training_id = None if is_external else TargetMetadata.read(store.open(self.target)).training_id
        QueryMetadata(queries=len(rows), training_id=training_id).write(draft)

    def audited(self, store: Store) -> tuple[Ints, Bools]:
        """Return the rows of members and then of non-members, and which of them are members."""
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
        """Everything that determines the answers."""
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
        """Everything that determines the answers."""
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
        Seed of the choice among them.
    """

    purpose = "records of the pool"
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return min(MOST_POPULATION, SplitMetadata.read(store.open(self.split)).n_pool)

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the answers."""
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
        How much to change them, and the seed of the changes.
    """

    purpose = "changed copies"
    noise: Noise
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about."""
        return self.n_audited(store) * (1 + self.noise.copies)

    def most_calls(self, store: Store, n: int) -> int:
        """Return the largest number of calls in which the target is asked about `n` records, each copy apart."""
        copies = 1 + self.noise.copies
        return super().most_calls(store, n // copies) * copies

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the answers."""
        return Recipe("noisy_answers", self.facts | {"noise": self.noise.model_dump(mode="json"), "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write each record's share of copies that keep its label."""
        rows = audited_rows(store.open(self.split))
        robustness = robustness_to_noise(self.model(store), self.reader(store), rows, self.noise, self.seed)
        draft.table("robustness.parquet", pa.table({"record_id": rows, "robustness": robustness}))
        # Each record is asked about unchanged, too.
        NoisyMetadata(queries=len(rows) * (1 + self.noise.copies), noise=self.noise).write(draft)


def write_answers(draft: Draft, rows: Ints, labels: Ints, is_member: Bools, predictions: Floats) -> None:
    """Write a target's prediction vectors with their records' rows, labels and membership.

    Parameters
    ----------
    draft
        The artefact to write.
    rows, labels, is_member
        Row number, label and membership of each record, shape (n_records,).
    predictions
        Prediction vectors, shape (n_records, n_classes).
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
        Membership and row number of each record, shape (n_records,).
    """

    vectors: Vectors
    is_member: Bools
    rows: Ints


def read_answers(artefact: Artefact, mitigations: Sequence[PostHoc] = ()) -> Answers:
    """Return a target's answers after they passed through mitigations.

    Parameters
    ----------
    artefact
        `target_predictions` or `population_predictions`, or one of these passed through a learned mitigation.
    mitigations
        The mitigations, in order.
    """
    table = artefact.table(PREDICTIONS)
    predictions = answered(vectors(table["prediction"]), mitigations)
    labels = np.asarray(table["label"]).astype(np.int64)
    return Answers(Vectors(predictions, labels), np.asarray(table["is_member"]), np.asarray(table["record_id"]))


def read_robustness(artefact: Artefact) -> Floats:
    """Return each record's share of copies that keep its label, shape (n_records,); see `NoisyQuery`."""
    return np.asarray(artefact.table("robustness.parquet")["robustness"])
