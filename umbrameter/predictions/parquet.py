"""Stored predictions: read and check them in batches of rows.

They are a Parquet file or folder with the columns `prediction`, lists of one length (or `p_0`, `p_1`, ...), `label`
and `is_member`; optionally `record_id`, and `model_id` for shadow models' answers, where `is_member` marks IN records.
Other columns are slices.
"""

import re
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from umbrameter.errors import DataError, brief
from umbrameter.predictions.probabilities import improbable
from umbrameter.predictions.vectors import Vectors
from umbrameter.statistics.paired import distortion
from umbrameter.typing import Array, Bools, Floats, Ints

ROLES = ("prediction", "label", "is_member", "record_id", "model_id")

BATCH = 2**22
"""Confidences read at once: 16 MiB as float32."""

MOST_SLICES = 50
"""Largest number of distinct values with which a further column is taken as a slice."""


@dataclass(frozen=True)
class Batch:
    """Some rows of stored predictions."""

    vectors: Vectors
    is_member: Bools
    record_ids: Ints
    model_ids: Ints | None
    slices: dict[str, Array]
    distances: Floats
    """L1 distance of each answer from the stored one, shape (n_records,)."""


class StoredPredictions:
    """A file or folder of stored predictions.

    Parameters
    ----------
    path
        Path of the Parquet file or folder.
    name
        The user's name for it in error messages, such as the spec setting or the command-line argument.
    rounded
        Whether answers are rounded or cut off, and therefore need not sum to 1.

    Raises
    ------
    DataError
        When it cannot be read, or a column is missing or of the wrong type.
    """

    def __init__(self, path: str | Path, name: str = "PREDICTIONS", rounded: bool = False):
        self.path, self.name, self.rounded = str(path), name, rounded
        self._transform: Callable[[Floats], Floats] | None = None
        try:
            self._data = ds.dataset(self.path, format="parquet")
            self.n_records = self._data.count_rows()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._error(f"cannot be read as Parquet ({brief(error)}); give a Parquet file or folder") from None
        self.columns = list(self._data.schema.names)
        missing = [column for column in ("label", "is_member") if column not in self.columns]
        self._p = sorted((c for c in self.columns if re.fullmatch(r"p_\d+", c)), key=lambda c: int(c[2:]))
        missing += [] if "prediction" in self.columns or self._p else ["prediction (or p_0, p_1, ...)"]
        if missing:
            raise self._error(f"has no column {', '.join(missing)}; it has {', '.join(self.columns)}")
        if not self.n_records:
            raise self._error("has no rows; store at least one member and one non-member")
        self.n_classes = self._width()

    def through(self, transform: Callable[[Floats], Floats]) -> "StoredPredictions":
        """Return the same records with answers that pass through a mitigation."""
        changed = copy(self)  # shallow: the two share the dataset
        changed._transform = transform
        return changed

    def batches(self) -> Iterator[Batch]:
        """Yield all rows in order, checked.

        Raises
        ------
        DataError
            With the first bad row and what is wrong with it.
        """
        for part, start in self._tables(None):
            yield self._checked(part, start)

    def answers(self) -> Iterator[Vectors]:
        """Yield the answers and labels of all rows in order, checked; other columns are not read.

        Raises
        ------
        DataError
            With the first bad row and what is wrong with it.
        """
        for part, start in self._tables([*(self._p or ["prediction"]), "label"]):
            yield self._vectors(part, start)

    def _tables(self, columns: list[str] | None) -> Iterator[tuple[pa.Table, int]]:
        """Yield batches of rows, with the number of each batch's first row."""
        start = 0
        # Arrow reads ahead by default, which would hold many batches in memory
        one_by_one = {"batch_readahead": 0, "fragment_readahead": 0, "use_threads": False}
        options = ds.ParquetFragmentScanOptions(pre_buffer=False)
        size = max(1, BATCH // self.n_classes)
        for part in self._data.to_batches(
            columns=columns, batch_size=size, fragment_scan_options=options, **one_by_one
        ):
            if part.num_rows:
                yield pa.Table.from_batches([part]), start
                start += part.num_rows

    @property
    def has_ids(self) -> bool:
        """Whether there is a column `record_id`."""
        return "record_id" in self.columns

    def record_ids(self) -> Ints | None:
        """Return the records' ids in order, or None without a column of them.

        Raises
        ------
        DataError
            When an id is there twice.
        """
        if not self.has_ids:
            return None
        ids = self._integers(self._data.to_table(columns=["record_id"]), "record_id", 0)
        distinct, counts = np.unique(ids, return_counts=True)
        if len(distinct) < len(ids):
            raise self._error(f"has record_id {distinct[counts.argmax()]} {counts.max()} times; expected each once")
        return ids

    def _vectors(self, table: pa.Table, start: int) -> Vectors:
        labels = self._integers(table, "label", start)
        unknown = np.asarray((labels < 0) | (labels >= self.n_classes))
        self._first_bad(unknown, start, labels, f"labels 0 .. {self.n_classes - 1}")
        return Vectors(self._predictions(table, start), labels)

    def _checked(self, table: pa.Table, start: int) -> Batch:
        if not pa.types.is_boolean(table["is_member"].type) or table["is_member"].null_count:
            raise self._error(f"has is_member of type {table['is_member'].type}; expected booleans, none of them null")
        vectors = self._vectors(table, start)
        stored, labels = vectors.predictions, vectors.labels
        predictions = stored if self._transform is None else self._transform(stored)
        ids = self._integers(table, "record_id", start) if "record_id" in self.columns else None
        return Batch(
            Vectors(predictions, labels),
            np.asarray(table["is_member"]),
            np.arange(start, start + len(labels)) if ids is None else ids,
            self._integers(table, "model_id", start) if "model_id" in self.columns else None,
            {name: np.asarray(table[name].cast(pa.string()).fill_null("missing")) for name in self.slices},
            distortion(predictions, stored),
        )

    @property
    def slices(self) -> list[str]:
        """The columns without a role whose values make slices."""
        kinds = (pa.types.is_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_dictionary)
        names = [c for c in self.columns if c not in ROLES and c not in self._p]
        return [c for c in names if any(is_kind(self._data.schema.field(c).type) for is_kind in kinds)]

    def _width(self) -> int:
        if "prediction" not in self.columns:
            expected = [f"p_{i}" for i in range(len(self._p))]
            if self._p != expected:
                raise self._error(
                    f"has columns {', '.join(self._p)}; expected p_0 to p_{len(self._p) - 1} without gaps"
                )
            return len(self._p)
        kind = self._data.schema.field("prediction").type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise self._error(f"has prediction of type {kind}; expected lists of numbers")
        # plain lists have no fixed length: the first row sets it, and every other row is compared with it
        return len(self._data.head(1, columns=["prediction"])["prediction"][0])

    def _predictions(self, table: pa.Table, start: int) -> Floats:
        if self._p:
            columns = [np.asarray(table[name].cast(pa.float32()).fill_null(np.nan)) for name in self._p]
            predictions = np.column_stack(columns)
        else:
            column = table["prediction"].combine_chunks()
            lengths = np.asarray(pc.list_value_length(column).fill_null(0))
            self._first_bad(
                np.asarray(lengths != self.n_classes), start, lengths, f"{self.n_classes} confidences, as in row 0"
            )
            flat = column.flatten().cast(pa.float32()).fill_null(np.nan)
            predictions = np.asarray(flat).reshape(-1, self.n_classes)
        infinite, outside, unsummed = improbable(predictions)
        self._first_bad(infinite, start, predictions, "finite confidences")
        self._first_bad(outside, start, predictions, "confidences in [0, 1]")
        if not self.rounded:
            take = "target.answers says" if self.name.startswith("target") else "--rounded takes"
            expected = f"confidences that sum to 1 within 0.001 ({take} rounded or cut-off ones)"
            self._first_bad(unsummed, start, predictions.sum(axis=1), expected)
        return predictions

    def _integers(self, table: pa.Table, name: str, start: int) -> Ints:
        column = table[name]
        if not pa.types.is_integer(column.type):
            raise self._error(f"has {name} of type {column.type}; expected integers")
        if column.null_count:
            raise self._error(
                f"has {column.null_count} rows without {name} from row {start} on; fill them or drop them"
            )
        return np.asarray(column).astype(np.int64)

    def _first_bad(self, bad: Bools, start: int, values: Array, expected: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            shown = np.array2string(np.asarray(values[row]), precision=4, threshold=8)
            raise self._error(f"has {shown} in row {start + row} ({int(bad.sum())} such rows); expected {expected}")

    def _error(self, text: str) -> DataError:
        return DataError(f"{self.name}={self.path!r} {text}")
