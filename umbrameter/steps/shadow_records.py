"""Draw the records of shadow models, if they do not come from the pool, and store them like any other records."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from umbrameter.records.metadata import RecordsMetadata
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import ROW_GROUP, Records
from umbrameter.shadow_data import AnyShadowData, Drawing, ModelBased
from umbrameter.shadow_data.model_based import Synthesised
from umbrameter.steps.target_answers import QueryMetadata, QueryStep
from umbrameter.store.arrow import byte_column, vector_column
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Cost
from umbrameter.store.steps import key_of, paths_of
from umbrameter.targets.querying import aligned_answers
from umbrameter.typing import Floats, Ints

SEARCHES = 1024
"""Approximate number of searches per step."""

RECORDS = "records.parquet"


class ClassSearches(BaseModel):
    """How the searches for one class ended.

    Parameters
    ----------
    label
        The class.
    n_found, n_failed
        Searches that ended with a record, and without one.
    queries
        Queries of all searches for the class, including failed ones.
    seconds
        Their share of the step's time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: int
    n_found: int
    n_failed: int
    queries: int
    seconds: float = 0.0


class SynthesisMetadata(QueryMetadata):
    """Facts about the outcome of searches."""

    n_found: int
    by_class: tuple[ClassSearches, ...]


class DrawnMetadata(RecordsMetadata, QueryMetadata):
    """Facts about drawn records.

    Parameters
    ----------
    n_wanted
        The number of records that should have been drawn.
    queries
        Queries of this step; those of searches are counted by the steps that searched.
    by_class
        How the searches ended, if there were any.
    """

    n_wanted: int
    by_class: tuple[ClassSearches, ...]


@dataclass(frozen=True)
class Synthesis(QueryStep):
    """Search for records of some classes by asking the target.

    Parameters
    ----------
    data
        The settings of the searches.
    n_records
        Number of searches for all classes together.
    labels
        The classes that this step searches for.
    seed
        The audit's seed.
    """

    purpose = "search for shadow records"
    data: ModelBased
    n_records: int
    labels: tuple[int, ...]
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return the largest number of records that the target is asked about."""
        n_classes = len(Records.open(store, self.records).classes)
        return self.data.most_queries(-(-self.n_records // n_classes) * len(self.labels))

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the records found, `side_by_side` too: it may change an answer's last bit."""
        how = self.data.model_dump(mode="json")
        facts = {"data": how, "target": key_of(self.target), "records": key_of(self.records), "seed": self.seed}
        return Recipe("synthesised", facts | {"n_records": self.n_records, "labels": list(self.labels)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the records found, and how the searches for each class ended."""
        records = Records.open(store, self.records)
        ask = aligned_answers(self.model(store), len(records.classes))
        drawing = Drawing(records, np.empty(0, dtype=np.int64), self.n_records, self.seed, ask)
        synthesised = self.data.synthesise(drawing, np.array(self.labels))
        schema = _schema(records)
        with draft.writer(RECORDS, schema) as writer:
            writer.write_table(_table(schema, synthesised.records, synthesised.labels))
        SynthesisMetadata(
            n_found=len(synthesised.labels),
            queries=int(synthesised.queries.sum()),
            by_class=tuple(_searches(synthesised, label) for label in self.labels),
        ).write(draft)

    def most_calls(self, store: Store, n: int) -> int:
        """Return the largest number of calls in which the target is asked about `n` records.

        All running searches ask in one call; a waiting search begins once another has ended.
        """
        most, n_searches = self.data.iter_max, n // self.data.iter_max
        return most + max(0, n_searches - 1) * most // self.data.side_by_side


@dataclass(frozen=True)
class ShadowRecords(QueryStep):
    """Draw the records of all shadow models.

    Parameters
    ----------
    data
        How the records are drawn.
    split
        Path of the `split` artefact, whose pool may be used.
    n_records
        Most records to draw.
    seed
        The audit's seed.
    parts
        Paths of the `synthesised` artefacts, if the records were searched for.
    file
        Digest of the file that the records are made from, if there is one.
    """

    purpose = "labels of shadow records"
    data: AnyShadowData
    split: str
    n_records: int
    seed: int
    parts: tuple[str, ...] = ()
    file: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        target = (self.target,) if self.data.asks else ()
        return (self.records, self.split, *target, *self.parts)

    def n_queries(self, store: Store) -> int:
        """Return the largest number of records that the target is asked about; 0 after searches, which asked before."""
        return 0 if self.parts else self.data.most_queries(self.n_records)

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the records."""
        if self.parts:
            return Recipe("shadow_records", {"parts": [key_of(part) for part in self.parts]})
        # The file's digest counts, not its path.
        how = self.data.model_dump(mode="json", exclude={"file"})
        facts = {"data": how, "file": self.file, "records": key_of(self.records), "split": key_of(self.split)}
        asked = {"target": key_of(self.target)} if self.data.asks else {}
        return Recipe("shadow_records", facts | asked | {"n_records": self.n_records, "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the records, one block at a time, numbered from 0."""
        records = Records.open(store, self.records)
        counts, start = np.zeros(len(records.classes), dtype=np.int64), 0
        schema = _schema(records)
        with draft.writer(RECORDS, schema) as writer:
            for table in self._tables(store, records, schema):
                labels = np.asarray(table["label"])
                ids = pa.array(start + np.arange(len(labels)))
                writer.write_table(table.set_column(0, "record_id", ids), row_group_size=ROW_GROUP)
                counts += np.bincount(labels, minlength=len(counts))
                start += len(labels)
        # Drawn records have the real ones' columns and classes.
        DrawnMetadata(
            **records.metadata.model_dump() | {"n_records": start, "label_counts": counts.tolist()},
            n_wanted=self.n_records,
            queries=start if self.data.asks and not self.parts else 0,  # the parts count their own
            by_class=tuple(entry for path in self.parts for entry in _with_seconds(store.open(path))),
        ).write(draft)

    def most_calls(self, store: Store, n: int) -> int:
        """Return the largest number of calls in which the target is asked about `n` records."""
        drawing = Drawing(Records.open(store, self.records), np.empty(0, dtype=np.int64), n, self.seed)
        return -(-n // drawing.block)

    def _tables(self, store: Store, records: Records, schema: pa.Schema) -> Iterator[pa.Table]:
        for part in map(store.open, self.parts):
            with part.parquet(RECORDS) as file:
                yield from (pa.Table.from_batches([batch]) for batch in file.iter_batches(ROW_GROUP, use_threads=False))
        if self.parts:
            return
        ask = aligned_answers(self.model(store), len(records.classes)) if self.data.asks else None
        pool = rows_of(store.open(self.split), "pool")
        for X, y in self.data.draw(Drawing(records, pool, self.n_records, self.seed, ask)):
            yield _table(schema, X, y)


def drawing_steps(
    data: AnyShadowData, target: str, records: str, split: str, n_records: int, n_classes: int, seed: int, apart: bool
) -> tuple[tuple[Synthesis, ...], ShadowRecords]:
    """Return the steps that draw records: searches, if the data need any, and the step that writes all records.

    Parameters
    ----------
    data
        How records are drawn; not `Real`.
    target, records, split
        Paths of the `targets`, `records` and `split` artefacts.
    n_records, n_classes, seed
        The number of records to draw and of classes, and the audit's seed.
    apart
        Whether searches for different classes may run on different workers.
    """
    searches: tuple[Synthesis, ...] = ()
    if isinstance(data, ModelBased):  # what it finds for one class does not depend on the others
        n_parts = max(1, min(n_classes, n_records // SEARCHES)) if apart else 1
        classes = [tuple(part.tolist()) for part in np.array_split(np.arange(n_classes), n_parts)]
        searches = tuple(Synthesis(target, records, data, n_records, part, seed) for part in classes)
    return searches, ShadowRecords(target, records, data, split, n_records, seed, paths_of(searches), data.digest())


def _searches(synthesised: Synthesised, label: int) -> ClassSearches:
    """Return how the searches for one class ended."""
    of_class = synthesised.classes == label
    n_found = int(synthesised.is_found[of_class].sum())
    return ClassSearches(
        label=label,
        n_found=n_found,
        n_failed=int(of_class.sum()) - n_found,
        queries=int(synthesised.queries[of_class].sum()),
    )


def _with_seconds(part: Artefact) -> list[ClassSearches]:
    """Return how the searches for each class ended; each class's share of the time is that of its queries."""
    meta, seconds = SynthesisMetadata.read(part), Cost.read(part).seconds
    per_query = seconds / max(1, meta.queries)
    return [entry.model_copy(update={"seconds": per_query * entry.queries}) for entry in meta.by_class]


def _schema(records: Records) -> pa.Schema:
    with records.artefact.parquet(RECORDS) as file:
        kind = file.schema_arrow.field("x").type
    return pa.schema([("record_id", pa.int64()), ("label", pa.int32()), ("x", kind)])


def _table(schema: pa.Schema, X: Floats, y: Ints) -> pa.Table:
    column = byte_column if pa.types.is_fixed_size_binary(schema.field("x").type) else vector_column
    return pa.table([pa.array(np.arange(len(y))), pa.array(y.astype(np.int32)), column(X)], schema=schema)
