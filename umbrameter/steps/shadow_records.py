"""Draw the records of shadow models, where they are not those of the pool, as an artefact like any other records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.records.parts import rows_of
from umbrameter.records.reader import ROW_GROUP, Records
from umbrameter.shadow_data import AnyShadowData, Drawing, ModelBased
from umbrameter.shadow_data.model_based import Synthesised
from umbrameter.steps.target_answers import QueryStep
from umbrameter.store.arrow import byte_column, vector_column
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.targets.querying import aligned_answers
from umbrameter.typing import Floats, Ints

SEARCHES = 1024
"""Of one chunk of work, about."""

RECORDS = "records.parquet"

NOT_OF_DRAWN = ("warnings", "is_known", "seconds", "cpu_seconds", "peak_rss_mb")
"""What is known of real records and does not hold for those that were drawn."""


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
        records, model = Records.open(store, self.records), self.model(store)
        of = Drawing(records, np.empty(0, dtype=np.int64), self.n_records, self.seed, aligned_answers(model, records))
        found = self.data.synthesise(of, np.array(self.labels))
        schema = _schema(records)
        with draft.writer(RECORDS, schema) as writer:
            writer.write_table(_table(schema, found.records, found.labels))
        draft.meta |= {"n_found": len(found.labels), "queries": int(found.queries.sum())}
        draft.meta["by_class"] = [_ended(found, label) for label in self.labels]


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
        draft.meta |= {name: value for name, value in records.artefact.meta.items() if name not in NOT_OF_DRAWN}
        draft.meta |= {"n_records": start, "label_counts": counts.tolist(), "n_wanted": self.n_records}
        draft.meta["queries"] = start if self.data.asks and not self.parts else 0  # others are those of the parts
        draft.meta["by_class"] = [row for path in self.parts for row in _by_class(store.open(path).meta)]

    def _tables(self, store: Store, records: Records, schema: pa.Schema) -> Iterator[pa.Table]:
        for part in map(store.open, self.parts):
            with part.parquet(RECORDS) as file:
                yield from (pa.Table.from_batches([batch]) for batch in file.iter_batches(ROW_GROUP, use_threads=False))
        if self.parts:
            return
        ask = aligned_answers(self.model(store), records) if self.data.asks else None
        of = Drawing(records, rows_of(store.open(self.split), "pool"), self.n_records, self.seed, ask)
        for X, y in self.data.draw(of):
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
    if isinstance(data, ModelBased):
        n_parts = max(1, min(n_classes, n_records // SEARCHES)) if apart else 1
        classes = [tuple(part.tolist()) for part in np.array_split(np.arange(n_classes), n_parts)]
        searches = tuple(Synthesis(target, records, data, n_records, part, seed) for part in classes)
    parts = tuple(step.recipe.path for step in searches)
    return searches, ShadowRecords(target, records, data, split, n_records, seed, parts, data.digest())


def _ended(found: Synthesised, label: int) -> dict[str, int]:
    """Return how the searches for one class ended."""
    own = found.classes == label
    n_found = int(found.is_found[own].sum())
    return {
        "label": label,
        "n_found": n_found,
        "n_failed": int(own.sum()) - n_found,
        "queries": int(found.queries[own].sum()),
    }


def _by_class(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how the searches for each class ended, with its share of the time."""
    a_query = part["seconds"] / max(1, part["queries"])
    return [row | {"seconds": a_query * row["queries"]} for row in part["by_class"]]


def _schema(records: Records) -> pa.Schema:
    with records.artefact.parquet(RECORDS) as file:
        kind = file.schema_arrow.field("x").type
    return pa.schema([("record_id", pa.int64()), ("label", pa.int32()), ("x", kind)])


def _table(schema: pa.Schema, X: Floats, y: Ints) -> pa.Table:
    column = byte_column if pa.types.is_fixed_size_binary(schema.field("x").type) else vector_column
    return pa.table([pa.array(np.arange(len(y))), pa.array(y.astype(np.int32)), column(X)], schema=schema)
