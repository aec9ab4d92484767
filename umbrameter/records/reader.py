"""Read a data set on disk by rows, without loading it whole.

Belongs here: the reader of the `records` artefact. Does not belong here: how it is built (`build`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.records.metadata import RecordsMetadata
from umbrameter.records.own import as_numbers, own_table
from umbrameter.store.arrow import vectors
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.typing import Array, Bools, Floats, Ints

OWN_COLUMNS = ("record_id", "label", "x")
"""Columns that every `records` artefact has; slice columns follow them."""

FEATURES, OWN, PRINTS = "features.arrow", "own.parquet", "fingerprints.parquet"
"""The files of a `records` artefact besides `records.parquet`: the features' columns as the source has them, the values
of those that the matrix rounds (no file if there are none), and a digest of each record and its label."""

ROW_GROUP = 4096
"""Records in one row group: the least that is read to get one record."""

KEPT_BYTES = 256 * 2**20
"""Most bytes of features that one process keeps of a record set, so that successive models do not read them again."""

MOST_OPEN = 2
"""Record sets that one process keeps open, for the real and the drawn records: each up to `KEPT_BYTES`, and labels."""


@dataclass(frozen=True)
class Domain:
    """The values that features can have.

    Parameters
    ----------
    low, high
        The smallest and largest value of each feature, shape (n_features,); always 0 and 1 for bits.
    is_whole
        Whether each feature holds only whole numbers: bits, category codes, counts; shape (n_features,).
    is_bit
        Whether each feature holds only 0 and 1 and is not a category; shape (n_features,).
    """

    low: Floats
    high: Floats
    is_whole: Bools
    is_bit: Bools

    @property
    def span(self) -> Floats:
        """The number of whole numbers in each feature's range, or the width of the range; shape (n_features,)."""
        return np.asarray(self.high - self.low + self.is_whole)


class RecordReader(Protocol):
    """Records, as far as training and querying a model need them."""

    @property
    def metadata(self) -> RecordsMetadata:
        """Facts about the records; about the real ones, where drawn records follow them."""

    @property
    def schema(self) -> pa.Schema:
        """The features' columns as the source has them."""

    @property
    def as_source(self) -> "RecordReader":
        """The same records as the source has them, in tables."""

    def take(self, rows: Sequence[int] | Ints) -> tuple[Any, Ints]:
        """Return the given rows' records and labels, in that order; see `Records.take`."""

    def own(self, rows: Sequence[int] | Ints) -> pa.Table:
        """Return the given rows' features as the source has them; see `Records.own`."""

    def labels_of(self, rows: Ints) -> Ints:
        """Return the given rows' labels."""


@dataclass(frozen=True)
class Records:
    """The records of a finished artefact, read by row."""

    artefact: Artefact

    @classmethod
    def open(cls, store: Store, path: str) -> "Records":
        """Open the records at a path under the store's root."""
        return _open(store.root, path)

    @cached_property
    def metadata(self) -> RecordsMetadata:
        """Facts about the records."""
        return RecordsMetadata.read(self.artefact)

    @property
    def n_records(self) -> int:
        """Number of records."""
        return self.metadata.n_records

    @property
    def n_features(self) -> int:
        """Number of columns of the feature matrix."""
        return self.metadata.n_features

    @property
    def classes(self) -> list[Any]:
        """The data's values that the labels 0 .. n_classes - 1 stand for."""
        return list(self.metadata.classes)

    @property
    def feature_names(self) -> list[str]:
        """The columns' names; those of a vector are `x[0]`, `x[1]`, ..."""
        return list(self.metadata.feature_names)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Indices of the columns that hold category codes."""
        return self.metadata.categorical

    @property
    def precision(self) -> str:
        """The type of the features: float32 or float64."""
        return self.metadata.precision

    @cached_property
    def domain(self) -> Domain:
        """The values that the features can have."""
        # Rounded like the matrix, whose values they limit.
        low, high = (np.array(side).astype(self.precision) for side in (self.metadata.low, self.metadata.high))
        is_whole = np.array(self.metadata.integral)
        is_category = np.isin(np.arange(self.n_features), self.categorical)
        is_bit = is_whole & (low >= 0) & (high <= 1) & ~is_category
        return Domain(
            np.where(is_bit, 0.0, low).astype(float), np.where(is_bit, 1.0, high).astype(float), is_whole, is_bit
        )

    @cached_property
    def _labels(self) -> Ints:
        return np.asarray(self.artefact.table("records.parquet", ["label"])["label"]).astype(np.int64)

    @cached_property
    def _small(self) -> Array | None:
        """All features, if they fit into `KEPT_BYTES`; None otherwise."""
        with self.artefact.parquet("records.parquet") as source:
            kind = source.schema_arrow.field("x").type
            is_bytes = pa.types.is_fixed_size_binary(kind)
            width = kind.byte_width if is_bytes else kind.list_size * kind.value_type.byte_width
            if self.n_records * width > KEPT_BYTES:
                return None
            # One thread, since workers run side by side.
            return vectors(source.read(columns=["x"], use_threads=False)["x"])

    def known_parts(self) -> Ints | None:
        """Return each record's part as the source states it (0 member, 1 non-member, 2 pool), or None if unknown."""
        return self._known("part")

    def places(self) -> Ints | None:
        """Return each record's row in the membership table (-1 for none), or None without such a table."""
        return self._known("place")

    def _known(self, column: str) -> Ints | None:
        if "parts.parquet" not in self.artefact.files:
            return None
        table = self.artefact.table("parts.parquet")
        return np.asarray(table[column]).copy() if column in table.column_names else None

    def labels(self) -> Ints:
        """Return every record's label, 0 .. n_classes - 1, shape (n_records,)."""
        return self._labels

    def labels_of(self, rows: Ints) -> Ints:
        """Return the given rows' labels, shape (n_rows,)."""
        return self._labels[np.asarray(rows, dtype=np.int64)]

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns that results are broken down by."""
        with self.artefact.parquet("records.parquet") as source:
            return tuple(name for name in source.schema_arrow.names if name not in OWN_COLUMNS)

    def slice_values(self, name: str) -> Array:
        """Return every record's value of a slice column, as text, shape (n_records,)."""
        return np.asarray(self.artefact.table("records.parquet", [name])[name].to_numpy(zero_copy_only=False))

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return the given rows' records and labels, in that order.

        Parameters
        ----------
        rows
            Record ids, shape (n_rows,).

        Returns
        -------
        X
            Features in the records' precision, shape (n_rows, n_features).
        y
            Labels, int64, shape (n_rows,).
        """
        chosen = np.asarray(rows, dtype=np.int64)
        X = self._read(chosen) if self._small is None else self._small[chosen].astype(self.precision)
        return X, self._labels[chosen]

    def _read(self, rows: Ints) -> Floats:
        X = np.empty((len(rows), self.n_features), dtype=self.precision)
        with self.artefact.parquet("records.parquet") as source:
            for group, is_here, places in _groups(source, rows):
                X[is_here] = vectors(source.read_row_group(group, columns=["x"], use_threads=False)["x"])[places]
        return X

    @cached_property
    def schema(self) -> pa.Schema:
        """The features' columns as the source has them: types, order, and the values of dictionaries."""
        return pa.ipc.read_schema(pa.py_buffer(self.artefact.data(FEATURES)))

    def own(self, rows: Sequence[int] | Ints) -> pa.Table:
        """Return the given rows' features as the source has them: its values, types and order of columns.

        Parameters
        ----------
        rows
            Record ids, shape (n_rows,).
        """
        chosen = np.asarray(rows, dtype=np.int64)
        table = own_table(self.take(chosen)[0], self.schema, self.metadata.categories)
        for name, column in self._unfit(chosen).items():
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    def numbers(self, rows: Sequence[int] | Ints) -> Floats:
        """Return the given rows' features as float64, codes for text; shape (n_rows, n_features)."""
        return as_numbers(self.own(rows), self.metadata.categories).astype(np.float64)

    def fingerprints(self) -> Array:
        """Return 128 bits of each record and its label, equal where the source's own values are; shape (n_records,)."""
        return vectors(self.artefact.table(PRINTS)["fingerprint"]).view("V16")[:, 0]

    def _unfit(self, rows: Ints) -> dict[str, pa.ChunkedArray]:
        """Return the given rows' values of the columns that the matrix rounds, by name."""
        if OWN not in self.artefact.files or not len(rows):
            return {}
        tables, places = [], []
        with self.artefact.parquet(OWN) as source:
            for group, is_here, within in _groups(source, rows):
                tables.append(source.read_row_group(group, use_threads=False).take(within))
                places.append(np.flatnonzero(is_here))
        table = pa.concat_tables(tables).take(np.argsort(np.concatenate(places)))
        return dict(zip(table.column_names, table.columns, strict=True))

    @cached_property
    def as_source(self) -> "AsSource":
        """The same records for a model that reads them as the source has them."""
        return AsSource(self)


@dataclass(frozen=True)
class AsSource:
    """Records as their source has them.

    Parameters
    ----------
    records
        The records.
    """

    records: RecordReader

    @property
    def metadata(self) -> RecordsMetadata:
        """Facts about the records."""
        return self.records.metadata

    @property
    def schema(self) -> pa.Schema:
        """The features' columns as the source has them."""
        return self.records.schema

    @property
    def as_source(self) -> "AsSource":
        """These records."""
        return self

    def take(self, rows: Sequence[int] | Ints) -> tuple[pa.Table, Ints]:
        """Return the given rows' features as a table, and their labels; see `Records.own`."""
        chosen = np.asarray(rows, dtype=np.int64)
        return self.own(chosen), self.labels_of(chosen)

    def own(self, rows: Sequence[int] | Ints) -> pa.Table:
        """Return the given rows' features; see `Records.own`."""
        return self.records.own(rows)

    def labels_of(self, rows: Ints) -> Ints:
        """Return the given rows' labels."""
        return self.records.labels_of(rows)


def _groups(source: pq.ParquetFile, rows: Ints) -> Iterator[tuple[int, Bools, Ints]]:
    """Yield each row group that holds any of the rows, which rows these are, and their places in it."""
    sizes = [source.metadata.row_group(i).num_rows for i in range(source.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # The last group that starts at or before the row.
    group_of = np.searchsorted(starts, rows, side="right") - 1
    for group in np.unique(group_of).tolist():
        is_here = group_of == group
        yield group, is_here, rows[is_here] - starts[group]


@lru_cache(maxsize=MOST_OPEN)
def _open(root: str, path: str) -> Records:
    return Records(Store(root).open(path))


@dataclass(frozen=True)
class WithDrawn:
    """Real records, followed by the records drawn for shadow models, whose row numbers continue the real ones.

    Parameters
    ----------
    real, drawn
        Opened records of the same columns and classes.
    """

    real: Records
    drawn: Records

    @property
    def metadata(self) -> RecordsMetadata:
        """Facts about the real records; the drawn ones have the same columns and classes."""
        return self.real.metadata

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return the given rows' records and labels, in that order; see `Records.take`."""
        chosen, n_real = np.asarray(rows, dtype=np.int64), self.real.n_records
        is_real = chosen < n_real
        X = np.empty((len(chosen), self.real.n_features), dtype=self.real.precision)
        y = np.empty(len(chosen), dtype=np.int64)
        X[is_real], y[is_real] = self.real.take(chosen[is_real])
        X[~is_real], y[~is_real] = self.drawn.take(chosen[~is_real] - n_real)
        return X, y

    @property
    def schema(self) -> pa.Schema:
        """The features' columns as the source of the real records has them."""
        return self.real.schema

    @property
    def as_source(self) -> AsSource:
        """The same records as the source would have them, in tables."""
        return AsSource(self)

    def own(self, rows: Sequence[int] | Ints) -> pa.Table:
        """Return the given rows' features, the drawn ones too, as the source would have them; see `Records.own`."""
        chosen, n_real = np.asarray(rows, dtype=np.int64), self.real.n_records
        is_real = chosen < n_real
        made = own_table(self.drawn.take(chosen[~is_real] - n_real)[0], self.schema, self.metadata.categories)
        both = pa.concat_tables([self.real.own(chosen[is_real]), made], promote_options="permissive")
        return both.take(np.argsort(np.concatenate([np.flatnonzero(is_real), np.flatnonzero(~is_real)])))

    def labels_of(self, rows: Ints) -> Ints:
        """Return the given rows' labels, shape (n_rows,)."""
        return self.take(rows)[1]


def with_drawn(store: Store, records: str, drawn: str | None) -> RecordReader:
    """Return the records at a path, followed by the drawn records if there are any.

    Parameters
    ----------
    store
        The store of the artefacts.
    records
        Path of the `records` artefact.
    drawn
        Path of the `shadow_records` artefact, or None.
    """
    real = Records.open(store, records)
    return real if drawn is None else WithDrawn(real, Records.open(store, drawn))
