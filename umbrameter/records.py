"""A data set on disk: built once from somebody's Parquet, then read by rows without loading it whole.

Belongs here: the `data` part of a spec, and the reader of the `records` artefact. Does not belong here: how it is built
(`ingest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from umbrameter.store import Artefact, Store
from umbrameter.tables import vectors
from umbrameter.typing import Array, Bools, Floats, Ints

OWN_COLUMNS = ("record_id", "label", "x")
"""Columns that every `records` artefact has; slices come after them."""

ROW_GROUP = 4096
"""Records of one row group: what is read when one record of it is wanted."""

KEPT_BYTES = 256 * 2**20
"""Features that one process keeps at hand, so that one model after another need not read them again."""


class TableData(BaseModel):
    """How somebody's Parquet is read, wherever it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class ParquetData(TableData):
    """Records from a Parquet file or a folder of them.

    Examples
    --------
    >>> ParquetData(path="people.parquet", label="income", id="person").duplicates
    'error'
    """

    kind: Literal["parquet"] = Field("parquet", description="A Parquet file or a (hive-partitioned) folder.")
    path: str = Field(min_length=1, description="Where it is: a local path or a bucket's address.")
    membership: str | None = Field(
        None,
        min_length=1,
        description="A Parquet table that says who is what, for a target that was trained elsewhere: a column named as "
        "`id`, and `is_member`; records that are not in it are the pool.",
    )

    @property
    def paths(self) -> dict[str, str]:
        """Where the records are, by setting."""
        return {"path": self.path}


class SidesData(TableData):
    """Members and non-members of a target that was trained elsewhere, each in Parquet of their own.

    Examples
    --------
    >>> SidesData(members="train.parquet", nonmembers="test.parquet", label="y").paths
    {'members': 'train.parquet', 'nonmembers': 'test.parquet'}
    """

    kind: Literal["sides"] = Field("sides", description="Members and non-members in Parquet of their own.")
    members: str = Field(min_length=1, description="Records that the target was trained on.")
    nonmembers: str = Field(min_length=1, description="Records that it was not trained on.")
    pool: str | None = Field(None, min_length=1, description="Other records, to train shadow models on.")
    duplicates: Literal["error", "drop", "keep"] = Field(
        "drop",
        description="Records that are there twice: keep the first (a member before a non-member), stop, keep all.",
    )

    @property
    def paths(self) -> dict[str, str]:
        """Where the records are, by setting: members, non-members, pool."""
        pool = {"pool": self.pool} if self.pool else {}
        return {"members": self.members, "nonmembers": self.nonmembers, **pool}


class CatalogueData(BaseModel):
    """Records of a data set that umbrameter knows by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["catalogue"] = Field("catalogue", description="A data set known by name; see `umbrameter datasets`.")
    name: str = Field(description="Its name, such as adult.")


class GeneratedData(BaseModel):
    """Records that are made up, as many as wanted: no person's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["generated"] = Field("generated", description="Made-up records, like those of a known data set.")
    like: Literal["purchase", "texas"] = Field("purchase", description="Which: purchases, or hospital stays.")
    records: int = Field(ge=2, description="How many records.")
    features: int | None = Field(None, ge=1, description="How many bits; as of the data set if unset.")
    classes: int | None = Field(None, ge=2, description="How many classes; as of the data set if unset.")
    density: float | None = Field(None, gt=0, lt=1, description="The share of ones.")
    distinctness: float | None = Field(None, ge=0, le=1, description="How much classes differ: 0 not at all.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the records; that of the audit decides other things.")

    @property
    def name(self) -> str:
        """What the records are called in reports."""
        return f"{self.like}-like, generated"


@dataclass(frozen=True)
class Domain:
    """What values features can have.

    Parameters
    ----------
    low, high
        The least and the largest of each feature, shape (n_features,); of bits always 0 and 1.
    is_whole
        Whether a feature has whole numbers alone: bits, codes of categories, counts; shape (n_features,).
    is_bit
        Whether it has only 0 and 1, and is no category; shape (n_features,).
    """

    low: Floats
    high: Floats
    is_whole: Bools
    is_bit: Bools

    @property
    def span(self) -> Floats:
        """How many whole numbers, or how wide a range, each feature has; shape (n_features,)."""
        return np.asarray(self.high - self.low + self.is_whole)


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
    def domain(self) -> Domain:
        """What values the features can have."""
        low, high, is_whole = (np.array(self.artefact.meta[name]) for name in ("low", "high", "integral"))
        is_category = np.isin(np.arange(self.n_features), self.categorical)
        is_bit = is_whole & (low >= 0) & (high <= 1) & ~is_category
        return Domain(np.where(is_bit, 0.0, low), np.where(is_bit, 1.0, high), is_whole, is_bit)

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

    def known_parts(self) -> Ints | None:
        """Return each record's part as the data's owner gives it (0 member, 1 non-member, 2 pool), or None."""
        return self._known("part")

    def places(self) -> Ints | None:
        """Return each record's row in the table that says who is member (-1 for none), or None."""
        return self._known("place")

    def _known(self, column: str) -> Ints | None:
        if "parts.parquet" not in self.artefact.files:
            return None
        table = self.artefact.table("parts.parquet")
        return np.asarray(table[column]).copy() if column in table.column_names else None

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


@dataclass(frozen=True)
class WithDrawn(Records):
    """Real records, and numbered after them those that were drawn for shadow models."""

    drawn: Records

    @property
    def n_records(self) -> int:
        """Number of all records."""
        return super().n_records + self.drawn.n_records

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return some records, as of `Records.take`."""
        chosen, n_real = np.asarray(rows, dtype=np.int64), int(self.artefact.meta["n_records"])
        is_real = chosen < n_real
        X = np.empty((len(chosen), self.n_features), dtype=self.precision)
        y = np.empty(len(chosen), dtype=np.int64)
        X[is_real], y[is_real] = super().take(chosen[is_real])
        X[~is_real], y[~is_real] = self.drawn.take(chosen[~is_real] - n_real)
        return X, y


def with_drawn(store: Store, records: str, drawn: str | None) -> Records:
    """Return records, and after them those that were drawn, if any were."""
    real = Records.open(store, records)
    return real if drawn is None else WithDrawn(real.artefact, Records.open(store, drawn))
