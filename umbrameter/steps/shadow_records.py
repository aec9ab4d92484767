"""Draw the records of shadow models, where they are not those of the pool, as an artefact like any other records."""

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
"""Of one step, about."""

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
        That they took together, failed ones too.
    seconds
        Their share of the time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: int
    n_found: int
    n_failed: int
    queries: int
    seconds: float = 0.0


class SynthesisMetadata(QueryMetadata):
    """What some searches found."""

    n_found: int
    by_class: tuple[ClassSearches, ...]


class DrawnMetadata(RecordsMetadata, QueryMetadata):
    """Facts about drawn records.

    Parameters
    ----------
    n_wanted
        How many were to be drawn.
    queries
        That drawing them took here; searches have queries of their own.
    by_class
        How the searches ended, where there were any.
    """

    n_wanted: int
    by_class: tuple[ClassSearches, ...]


@dataclass(frozen=True)
class Synthesis(QueryStep):
    """Search for records of some classes by asking the target.

    Parameters
    ----------
    data
        How.
    n_records
        Searches for all classes together.
    labels
        The classes to search for.
    seed
        The audit's seed.
    """

    purpose = "search for shadow records"
    data: ModelBased
    n_records: int
    labels: tuple[int, ...]
    seed: int

    def n_queries(self, store: Store) -> int:
        """Return how many records the target is asked about, at most."""
        n_classes = len(Records.open(store, self.records).classes)
        return self.data.most_queries(-(-self.n_records // n_classes) * len(self.labels))

    @property
    def recipe(self) -> Recipe:
        """What decides what is found; how many searches run at once may decide the last bit of answers."""
        how = self.data.model_dump(mode="json")
        facts = {"data": how, "target": key_of(self.target), "records": key_of(self.records), "seed": self.seed}
        return Recipe("synthesised", facts | {"n_records": self.n_records, "labels": list(self.labels)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the records found, and class by class how the searches ended."""
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
        """Return in how many calls the target is asked about `n` records, at most.

        A search that waits for a place begins once one of the others has ended.
        """
        most, n_searches = self.data.iter_max, n // self.data.iter_max
        return most + max(0, n_searches - 1) * most // self.data.side_by_side


@dataclass(frozen=True)
class ShadowRecords(QueryStep):
    """Draw the records of all shadow models.

    Parameters
    ----------
    data
        How.
    split
        Path of the `split` artefact, whose pool may be drawn from.
    n_records
        How many, at most.
    seed
        The audit's seed.
    parts
        Paths of the `synthesised` artefacts, where records were searched for.
    file
        The digest of the file that the data are made from, if there is one.
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
        """Return how many records the target is asked about here: where records are searched for, none."""
        return 0 if self.parts else self.data.most_queries(self.n_records)

    @property
    def recipe(self) -> Recipe:
        """What decides the records."""
        if self.parts:
            return Recipe("shadow_records", {"parts": [key_of(part) for part in self.parts]})
        how = self.data.model_dump(mode="json", exclude={"file"})
        facts = {"data": how, "file": self.file, "records": key_of(self.records), "split": key_of(self.split)}
        asked = {"target": key_of(self.target)} if self.data.asks else {}
        return Recipe("shadow_records", facts | asked | {"n_records": self.n_records, "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the records, as many at a time as are drawn at once."""
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
        DrawnMetadata(
            **records.metadata.model_dump() | {"n_records": start, "label_counts": counts.tolist()},
            n_wanted=self.n_records,
            queries=start if self.data.asks and not self.parts else 0,  # others are those of the parts
            by_class=tuple(entry for path in self.parts for entry in _with_seconds(store.open(path))),
        ).write(draft)

    def most_calls(self, store: Store, n: int) -> int:
        """Return in how many calls the target is asked about `n` records, at most."""
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
    """Return the steps that draw records: searches, where there are any, and what puts them together.

    Parameters
    ----------
    data
        How records are drawn; not `Real`.
    target, records, split
        Paths of the artefacts.
    n_records, n_classes, seed
        How many records of how many classes, and the audit's seed.
    apart
        Whether searches for some classes may run apart from those for others, on other workers.
    """
    searches: tuple[Synthesis, ...] = ()
    if isinstance(data, ModelBased):  # what it finds for some classes does not depend on the others
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
    """Return how the searches for each class ended, with its share of the time, by queries."""
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
