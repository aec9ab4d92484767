"""A data set on disk: built once from somebody's Parquet, then read by rows without loading it whole.

Belongs here: the `data` part of a spec, the `records` artefact and its reader. Does not belong here: what is refused at
the border (`intake`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import DataError
from umbrameter.intake import EXACT, Census, Intake, columns_of, filesystem, open_source
from umbrameter.store import Artefact, Draft, Recipe, Store, sha256
from umbrameter.tables import byte_column, vector_column, vectors
from umbrameter.typing import Array, Bools, Floats, Ints

OWN_COLUMNS = ("record_id", "label", "x")
"""Columns that every `records` artefact has; slices come after them."""

ROW_GROUP = 4096
"""Records of one row group: what is read when one record of it is wanted."""

KEPT_BYTES = 256 * 2**20
"""Features that one process keeps at hand, so that one model after another need not read them again."""


class ParquetData(BaseModel):
    """Records from a Parquet file or a folder of them.

    Examples
    --------
    >>> ParquetData(path="people.parquet", label="income", id="person").duplicates
    'error'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["parquet"] = Field("parquet", description="A Parquet file or a (hive-partitioned) folder.")
    path: str = Field(min_length=1, description="Where it is: a local path or a bucket's address.")
    label: str = Field(description="The column with the class: integers, booleans or text.")
    id: str | None = Field(None, description="A column that names each record; no feature, and checked to be unique.")
    features: tuple[str, ...] | None = Field(
        None, min_length=1, description="The columns to learn from; all that are not label, id, ignored or slices."
    )
    ignore: tuple[str, ...] = Field((), description="Columns that are neither features nor anything else.")
    slices: tuple[str, ...] = Field((), description="Columns to break results down by; features only if listed there.")
    precision: Literal["float32", "float64"] = Field(
        "float32", description="What features are kept and given to estimators as; float32 is the faster by far."
    )
    duplicates: Literal["error", "drop", "keep"] = Field(
        "error", description="Equal records would be member and non-member at once: stop, keep the first, or keep all."
    )
    note: str | None = Field(None, description="What a reader has to know of the records; printed with the warnings.")


class CatalogueData(BaseModel):
    """Records of a data set that umbrameter knows by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["catalogue"] = Field("catalogue", description="A data set known by name; see `umbrameter datasets`.")
    name: str = Field(description="Its name, such as adult.")


def records_recipe(source: ParquetData) -> Recipe:
    """Return what decides the records: the settings and the files' content, wherever they lie.

    Raises
    ------
    DataError
        When the path is missing or holds no Parquet.
    """
    fs, base = filesystem(source.path)
    files = {path.removeprefix(base).strip("/"): sha256(fs, path) for path in open_source(source.path).files}
    return Recipe("records", {"source": source.model_dump(mode="json", exclude={"path"}), "files": files})


def build(source: ParquetData, store: Store) -> Artefact:
    """Write a source as a `records` artefact, in streaming passes; or find it, when it was written before.

    Parameters
    ----------
    source
        What to read.
    store
        Where the artefact goes.

    Raises
    ------
    DataError
        When the source cannot be audited as it is.
    """
    recipe = records_recipe(source)
    found = store.find(recipe)
    if found is not None:
        return found
    cpu = time.thread_time()
    intake, census, dropped, warnings = _check(source)
    with store.write(recipe) as draft:
        _write(intake, census, dropped, draft)
        draft.meta |= _meta(intake, census, dropped) | {"warnings": warnings}
        draft.meta["cpu_seconds"] = time.thread_time() - cpu
    return store.open(recipe.path)


def _check(source: ParquetData) -> tuple[Intake, Census, Bools, list[str]]:
    """Walk over the source and return all that is known of it, the rows to drop, and what is odd."""
    dataset = open_source(source.path)
    columns = columns_of(dataset, source.label, source.id, source.features, source.ignore, source.slices)
    _refuse_types(dataset.schema, columns.id, columns.slices)
    intake = Intake(dataset, columns, source.precision)
    census = Census(intake)
    if source.id is not None:
        _refuse_repeated_ids(intake, source.id)
    repeats, pair = census.repeated()
    warnings = ([source.note] if source.note else []) + _oddities(census)
    if pair is not None:
        text = f"{int(repeats.sum())} of {census.n_rows} records repeat an earlier one in features and label"
        if source.duplicates == "error":
            raise DataError(
                f"{text}, first row {pair[1]} (equal to row {pair[0]}): the same record could be member and non-member "
                "at once; set data.duplicates to drop (keeps the first) or keep"
            )
        warnings.append(f"{text}; {'these were left out' if source.duplicates == 'drop' else 'these were kept'}")
    return intake, census, repeats & (source.duplicates == "drop"), warnings


def _refuse_types(schema: pa.Schema, ident: str | None, slices: Sequence[str]) -> None:
    """Refuse an id or slices that are no plain values, and slices named as a column of the artefact."""
    for setting, name in [*([("id", ident)] if ident else []), *(("slices", name) for name in slices)]:
        kind = schema.field(name).type
        if not _is_plain(kind):
            raise DataError(f"data.{setting}={name!r} is of type {kind}; expected numbers, text, dates or booleans")
    for name in slices:
        if name in OWN_COLUMNS:
            raise DataError(f"data.slices={name!r} has a name that umbrameter uses itself; rename the column")


def _is_plain(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(text or pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _refuse_repeated_ids(intake: Intake, name: str) -> None:
    alone = replace(intake, columns=replace(intake.columns, numbers=(), categories=(), vector=None, slices=()))
    ids = pa.chunked_array([_comparable(batch[name]) for _, batch in alone.batches()])
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    seen: dict[Any, int] = {}
    for row, value in enumerate(ids.to_pylist()):
        if seen.setdefault(value, row) != row:
            raise DataError(
                f"data.id={name!r} is not unique: row {row} repeats {value!r} of row {seen[value]}; remove repeated "
                "records, or name another column"
            )


def _comparable(column: pa.Array) -> pa.Array:
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_string()) if pa.types.is_string_view(plain.type) else plain


def _oddities(census: Census) -> list[str]:
    names = np.array(census.intake.feature_names)
    largest = np.maximum(np.abs(census.low), np.abs(census.high))
    constant, wide = (
        names[census.low == census.high],
        names[census.integral & (largest > EXACT) & (census.intake.precision == "float32")],
    )
    found = []
    if len(constant):
        found.append(f"{_some(constant)} the same in every record, which no model can learn from")
    if len(wide):
        found.append(f"{_some(wide)} beyond 2**24, where float32 rounds integers")
    return found


def _some(names: Array) -> str:
    shown = ", ".join(names[:5].tolist()) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column{'s' if len(names) > 1 else ''} {shown} {'are' if len(names) > 1 else 'is'}"


def _write(intake: Intake, census: Census, dropped: Bools, draft: Draft) -> None:
    """Write record_id, label, x and the slices, row group by row group."""
    bytewide = bool(census.integral.all() and census.low.min() >= 0 and census.high.max() <= 255)
    precision, n_features = pa.from_numpy_dtype(np.dtype(intake.precision)), len(intake.feature_names)
    x = pa.binary(n_features) if bytewide else pa.list_(precision, n_features)
    slices = intake.columns.slices
    fields = [("record_id", pa.int64()), ("label", pa.int32()), ("x", x), *((name, pa.string()) for name in slices)]
    schema, counts = pa.schema(fields), np.zeros(len(intake.codes.classes), dtype=np.int64)
    with draft.writer("records.parquet", schema) as writer:
        for start, batch in intake.batches():
            keep = ~dropped[start : start + batch.num_rows]
            X, y = intake.encode(batch, start)
            ids = np.arange(keep.sum()) + counts.sum()
            text = [batch[name].cast(pa.string()).filter(pa.array(keep)) for name in slices]
            kept = (byte_column if bytewide else vector_column)(X[keep])
            columns = [pa.array(ids), pa.array(y[keep]), kept, *text]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema), row_group_size=ROW_GROUP)
            counts += np.bincount(y[keep], minlength=len(counts))
    draft.meta["label_counts"] = counts.tolist()


def _meta(intake: Intake, census: Census, dropped: Bools) -> dict[str, Any]:
    codes, categorical = intake.codes, intake.categorical
    others = np.delete(np.arange(len(intake.feature_names)), categorical)
    return {
        "n_records": census.n_rows - int(dropped.sum()),
        "n_features": len(intake.feature_names),
        "classes": list(codes.classes),
        "feature_names": intake.feature_names,
        "precision": intake.precision,
        "categorical": categorical,
        "categories": {name: list(values) for name, values in codes.categories.items()},
        "binary": bool((census.integral & (census.low >= 0) & (census.high <= 1))[others].all()),
    }


@dataclass(frozen=True)
class Records:
    """The records of a finished artefact, read by row."""

    artefact: Artefact

    @classmethod
    def open(cls, store: Store, path: str) -> "Records":
        """Open the records at a path under the store's root."""
        return _open(store.root, path)

    @property
    def n_records(self) -> int:
        """Number of records."""
        return int(self.artefact.meta["n_records"])

    @property
    def n_features(self) -> int:
        """Number of columns of the feature matrix."""
        return int(self.artefact.meta["n_features"])

    @property
    def classes(self) -> list[Any]:
        """What the labels 0 .. n_classes - 1 stand for."""
        return list(self.artefact.meta["classes"])

    @property
    def feature_names(self) -> list[str]:
        """The columns' names; those of a vector are `x[0]`, `x[1]`, ..."""
        return list(self.artefact.meta["feature_names"])

    @property
    def categorical(self) -> tuple[int, ...]:
        """Which columns hold codes of categories."""
        return tuple(self.artefact.meta["categorical"])

    @property
    def precision(self) -> str:
        """What features are given as: float32 or float64."""
        return str(self.artefact.meta["precision"])

    @property
    def binary(self) -> bool:
        """Whether all other columns hold only 0 and 1."""
        return bool(self.artefact.meta["binary"])

    @cached_property
    def _labels(self) -> Ints:
        return np.asarray(self.artefact.table("records.parquet", ["label"])["label"]).astype(np.int64)

    @cached_property
    def _small(self) -> Array | None:
        """All features, when they are few enough to keep."""
        with self.artefact.parquet("records.parquet") as source:
            kind = source.schema_arrow.field("x").type
            is_bytes = pa.types.is_fixed_size_binary(kind)
            width = kind.byte_width if is_bytes else kind.list_size * kind.value_type.byte_width
            if self.n_records * width > KEPT_BYTES:
                return None
            return vectors(source.read(columns=["x"], use_threads=False)["x"])

    def labels(self) -> Ints:
        """Return every record's label, 0 .. n_classes - 1, shape (n_records,)."""
        return self._labels

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns that results are broken down by."""
        with self.artefact.parquet("records.parquet") as source:
            return tuple(name for name in source.schema_arrow.names if name not in OWN_COLUMNS)

    def slice_values(self, name: str) -> Array:
        """Return every record's value of a slice column, as text, shape (n_records,)."""
        return np.asarray(self.artefact.table("records.parquet", [name])[name].to_numpy(zero_copy_only=False))

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return some records, in the order asked for.

        Parameters
        ----------
        rows
            Record ids, shape (n_rows,).

        Returns
        -------
        X
            In the records' precision, shape (n_rows, n_features).
        y
            int64, shape (n_rows,).
        """
        chosen = np.asarray(rows, dtype=np.int64)
        X = self._read(chosen) if self._small is None else self._small[chosen].astype(self.precision)
        return X, self._labels[chosen]

    def _read(self, rows: Ints) -> Floats:
        """Read only the row groups that hold some of the rows, one at a time."""
        X = np.empty((len(rows), self.n_features), dtype=self.precision)
        with self.artefact.parquet("records.parquet") as source:
            sizes = [source.metadata.row_group(i).num_rows for i in range(source.num_row_groups)]
            starts = np.concatenate([[0], np.cumsum(sizes)])
            group_of = np.searchsorted(starts, rows, side="right") - 1
            for group in np.unique(group_of):
                here = group_of == group
                part = vectors(source.read_row_group(int(group), columns=["x"], use_threads=False)["x"])
                X[here] = part[rows[here] - starts[group]]
        return X


@lru_cache(maxsize=2)
def _open(root: str, path: str) -> Records:
    return Records(Store(root).open(path))
