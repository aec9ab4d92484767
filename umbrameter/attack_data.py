"""Merge shadow models' answers into labelled IN/OUT vectors, one file a class, checked; and read them back.

Shokri et al. (2017), section V-D: the attack's training set, partitioned by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from umbrameter.attacks import Vectors
from umbrameter.errors import StoreError
from umbrameter.mitigations import PostHoc
from umbrameter.store import Artefact, Draft, Recipe, Store
from umbrameter.tables import shadow_predictions, vectors
from umbrameter.work import key_of

CHUNK_BYTES = 256 * 2**20
"""Vectors that one merge reads and writes, at most; decides how the classes are chunked."""

THRESHOLD_ROWS = 200_000
"""Shadow vectors from which a global threshold is chosen, at most: more would move it by less than it matters."""


@dataclass(frozen=True)
class AttackData:
    """Merge some classes' vectors of all shadow models.

    Parameters
    ----------
    shadows
        Paths of the `shadow_predictions` artefacts, by model number.
    labels
        The classes to merge.
    n_classes
        The length of a prediction vector.
    """

    shadows: tuple[str, ...]
    labels: tuple[int, ...]
    n_classes: int

    @property
    def recipe(self) -> Recipe:
        """What decides the merged vectors."""
        return Recipe("attack_data", {"shadows": [key_of(s) for s in self.shadows], "labels": list(self.labels)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write one file a class, one row group a shadow model, and the counts of IN and OUT."""
        schema = shadow_predictions(self.n_classes)
        sources = [store.open(path) for path in self.shadows]
        counts: dict[str, dict[str, int]] = {}
        for label in self.labels:
            with draft.writer(_name(label), schema) as writer:
                counts[str(label)] = _merge_class(sources, label, writer, schema)
        draft.meta["counts"] = counts


def class_chunks(n_classes: int, n_models: int, records_a_model: int) -> list[tuple[int, ...]]:
    """Return the classes in chunks whose vectors stay below `CHUNK_BYTES`; independent of the number of workers."""
    total = 4 * n_classes * n_models * records_a_model
    n_chunks = min(n_classes, -(-total // CHUNK_BYTES))
    return [tuple(part.tolist()) for part in np.array_split(np.arange(n_classes), n_chunks)]


def read_class(data: Artefact, label: int, mitigation: PostHoc | None = None, limit: int | None = None) -> Vectors:
    """Return one class's shadow vectors, mitigated alike.

    Parameters
    ----------
    data
        The `attack_data` artefact that holds the class.
    label
        The class.
    mitigation
        What the answers pass through before the attacker sees them.
    limit
        Rows after which no further shadow model is read.
    """
    with data.parquet(_name(label)) as source:
        rows = np.cumsum([0, *(source.metadata.row_group(i).num_rows for i in range(source.num_row_groups))])
        n_groups = source.num_row_groups if limit is None else max(1, int(np.searchsorted(rows, limit)))
        groups = range(min(n_groups, source.num_row_groups))
        table = source.read_row_groups(list(groups), columns=["label", "is_in", "prediction"], use_threads=False)
    predictions = vectors(table["prediction"])
    if mitigation is not None:
        predictions = mitigation.transform(predictions)
    return Vectors(predictions, np.asarray(table["label"]).astype(np.int64), np.asarray(table["is_in"]))


def read_some(data: Sequence[Artefact], mitigation: PostHoc | None = None) -> Vectors:
    """Return shadow vectors of all classes, enough to choose a global threshold from."""
    classes = [(part, int(label)) for part in data for label in part.meta["counts"]]
    parts = [read_class(part, label, mitigation, THRESHOLD_ROWS // len(classes)) for part, label in classes]
    return Vectors(
        np.concatenate([p.predictions for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.is_in for p in parts if p.is_in is not None]),
    )


def _name(label: int) -> str:
    return f"label={label}.parquet"


def _merge_class(sources: list[Artefact], label: int, writer: pq.ParquetWriter, schema: pa.Schema) -> dict[str, int]:
    n_in = n_out = 0
    seen: set[int] = set()
    for source in sources:
        table = _rows_of_class(source, label, schema)
        if table.num_rows == 0:
            continue
        _check(table, source, label, seen)
        n_in += (n_here := pc.sum(table["is_in"]).as_py())
        n_out += table.num_rows - n_here
        writer.write_table(table)
    return {"in": n_in, "out": n_out}


def _rows_of_class(source: Artefact, label: int, schema: pa.Schema) -> pa.Table:
    if label not in source.meta["labels"]:
        return schema.empty_table()
    with source.parquet("predictions.parquet") as file:
        if file.schema_arrow != schema:
            expected = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise StoreError(f"{source.path}: columns other than {expected}; remove that folder and run again")
        return file.read_row_group(source.meta["labels"].index(label), use_threads=False)


def _check(table: pa.Table, source: Artefact, label: int, seen: set[int]) -> None:
    """Refuse vectors of another class, of a model met before, or a record twice in one model."""
    models = set(pc.unique(table["model_id"]).to_pylist())
    twice = table.num_rows - pc.count_distinct(table["record_id"]).as_py()
    other = pc.any(pc.not_equal(table["label"], label)).as_py()
    if len(models) != 1 or models & seen or twice or other:
        raise StoreError(
            f"{source.path}: class {label} holds models {sorted(models)}, {twice} records twice; expected one new "
            "model with each record once; remove that folder and run again"
        )
    seen |= models
