"""Stored predictions: read and check them in batches of rows.

They are a Parquet file or folder with the columns `prediction`, lists of one length (or `p_0`, `p_1`, ...; of two
classes also one number, the second's probability), `label` and `is_member`; optionally `record_id`, and `model_id` for
shadow models' answers, where `is_member` marks IN records. Other columns are slices. Folders below the path whose
names are such as `is_member=true` are columns.
"""

import re
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from umbrameter.errors import DataError, brief
from umbrameter.predictions.columns import (
    is_list,
    is_number,
    is_plain,
    is_whole,
    may_be_fraction,
    open_dataset,
    whole,
)
from umbrameter.predictions.probabilities import improbable, in_columns, listed
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.parquet import is_text, value_type
from umbrameter.statistics.paired import distortion
from umbrameter.typing import Array, Bools, Floats, Ints

ROLES = ("prediction", "label", "is_member", "record_id", "model_id")

BATCH = 2**22
"""Confidences read at once: 16 MiB as float32."""

YES, NO = ("true", "1"), ("false", "0")
"""How `is_member` may be written, in lower case."""

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
            self._data, keys = open_dataset(self.path)
            self.n_records = self._data.count_rows()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._error(f"cannot be read as Parquet ({brief(error)}); give a Parquet file or folder") from None
        self._numbered = {key for key, values in keys.items() if all(map(is_number, values))}
        self.columns = list(self._data.schema.names)
        missing = [column for column in ("label", "is_member") if column not in self.columns]
        self._p = sorted((c for c in self.columns if re.fullmatch(r"p_\d+", c)), key=lambda c: int(c[2:]))
        missing += [] if "prediction" in self.columns or self._p else ["prediction (or p_0, p_1, ...)"]
        if missing:
            raise self._error(f"has no column {', '.join(missing)}; it has {', '.join(self.columns)}")
        if self._p and "prediction" in self.columns and is_list(self._type("prediction")):
            raise self._error(f"has the answers twice, in prediction and in {', '.join(self._p)}; drop one of the two")
        self._check_files({*self.columns} - {*keys})
        if not self.n_records:
            raise self._error("has no rows; store at least one member and one non-member")
        self._n_stored = self._width()
        self.n_classes = max(2, self._n_stored)

    def _check_files(self, columns: set[str]) -> None:
        """Refuse files that have other columns than the first, which would be left out or filled up unseen."""
        for file in self._data.get_fragments():
            if odd := {*file.physical_schema.names} ^ columns:
                raise self._error(
                    f"has files of different columns: {', '.join(sorted(odd))} is not in both {file.path} and the "
                    "first file; write all files with the same columns"
                )

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
        return self._in_batches(columns, max(1, BATCH // self.n_classes))

    def _in_batches(self, columns: list[str] | None, size: int) -> Iterator[tuple[pa.Table, int]]:
        start = 0
        # Arrow reads ahead by default, which would hold many batches in memory
        one_by_one = {"batch_readahead": 0, "fragment_readahead": 0, "use_threads": False}
        options = ds.ParquetFragmentScanOptions(pre_buffer=False)
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

    @cached_property
    def classes(self) -> list[Any]:
        """The classes in the order of the confidences.

        Labels 0 .. n_classes - 1 are the confidences' numbers. Others, text or integers without 0, are sorted, if there
        are as many as confidences.

        Raises
        ------
        DataError
            When labels are text, and it is not clear which confidence is whose.
        """
        tables = self._tables(["label"])
        labels = sorted({label for part, start in tables for label in pc.unique(self._labels(part, start)).to_pylist()})
        is_text, are_as_many = isinstance(labels[0], str), len(labels) == self.n_classes
        if is_text and (not are_as_many or (all(map(is_number, labels)) and labels != sorted(labels, key=int))):
            raise self._error(
                f"has the labels {listed(labels)} as text and {self.n_classes} confidences per record, and it is not "
                f"clear whose is whose; store labels as integers 0 .. {self.n_classes - 1}, by the confidences' order"
            )
        are_numbers = not is_text and labels[0] >= 0 and labels[-1] < self.n_classes
        are_sorted = are_as_many and not are_numbers and 0 not in labels
        return labels if is_text or are_sorted else list(range(self.n_classes))

    def _labels(self, table: pa.Table, start: int) -> pa.Array:
        """Return the labels as they are stored, as text or integers."""
        if is_text(self._type("label")) and "label" not in self._numbered:
            return self._complete(table["label"].cast(pa.string()).combine_chunks(), "label", start)
        return pa.array(self._integers(table, "label", start))

    def _vectors(self, table: pa.Table, start: int) -> Vectors:
        stored = self._labels(table, start)
        codes = pc.index_in(stored, value_set=pa.array(self.classes, type=stored.type))
        expected = f"labels 0 .. {self.n_classes - 1}, by the order of the confidences"
        self._first_bad(np.asarray(codes.is_null()), start, np.asarray(stored), expected)
        return Vectors(self._predictions(table, start), np.asarray(codes).astype(np.int64))

    def _membership(self, table: pa.Table) -> Bools:
        column, kind = table["is_member"], self._type("is_member")
        texts = pc.utf8_lower(column.cast(pa.string())) if is_plain(kind) and not column.null_count else None
        if texts is None or not pc.all(pc.is_in(texts, value_set=pa.array([*YES, *NO]))).as_py():
            raise self._error(
                f"has is_member of type {kind}; expected booleans (or true and false as text, or 1 and 0), none of "
                "them null"
            )
        return np.asarray(pc.is_in(texts, value_set=pa.array(YES)))

    def _checked(self, table: pa.Table, start: int) -> Batch:
        is_member = self._membership(table)
        vectors = self._vectors(table, start)
        stored, labels = vectors.predictions, vectors.labels
        predictions = stored if self._transform is None else self._transform(stored)
        ids = self._integers(table, "record_id", start) if "record_id" in self.columns else None
        return Batch(
            Vectors(predictions, labels),
            is_member,
            np.arange(start, start + len(labels)) if ids is None else ids,
            self._integers(table, "model_id", start) if "model_id" in self.columns else None,
            {name: self._slice(table[name]) for name in self.slices},
            distortion(predictions, stored),
        )

    @property
    def slices(self) -> list[str]:
        """The columns without a role whose values make slices."""
        return [name for name in self._further if name not in self.no_slices]

    @cached_property
    def no_slices(self) -> dict[str, str]:
        """Why the other columns without a role make no slices, by column."""
        reasons = (
            {"prediction": f"{self._p[0]} ... are the answers"} if self._p and "prediction" in self.columns else {}
        )
        for name in self._further:
            kind = self._type(name)
            if re.fullmatch(r"__index_level_\d+__", name):
                reasons[name] = "an index of pandas"
            elif not is_plain(kind):
                reasons[name] = f"of type {kind}"
            elif may_be_fraction(kind) and not all(is_whole(part[name]) for part, _ in self._tables([name])):
                reasons[name] = "holds fractions"
        return reasons

    @property
    def _further(self) -> list[str]:
        return [column for column in self.columns if column not in ROLES and column not in self._p]

    def _slice(self, column: pa.ChunkedArray) -> Array:
        """Return values as text; whole numbers have no fraction, whatever their type."""
        plain = whole(column) if may_be_fraction(value_type(column.type)) else column
        return np.asarray(plain.cast(pa.string()).fill_null("missing"))

    def _type(self, name: str) -> pa.DataType:
        return value_type(self._data.schema.field(name).type)

    def _width(self) -> int:
        if self._p:
            expected = [f"p_{i}" for i in range(len(self._p))]
            if self._p != expected:
                raise self._error(
                    f"has columns {', '.join(self._p)}; expected p_0 to p_{len(self._p) - 1} without gaps"
                )
            if len(self._p) == 1:
                raise self._error("has p_0 alone; expected p_0 and p_1, or prediction, the second class's probability")
            return len(self._p)
        kind = self._type("prediction")
        if not is_list(kind) and not pa.types.is_floating(kind):
            raise self._error(f"has prediction of type {kind}; expected lists of numbers")
        # plain lists have no fixed length: the first row sets it, and every other row is compared with it
        first = self._data.head(1, columns=["prediction"])["prediction"][0]
        width = len(first) if is_list(kind) and first.is_valid else 1
        if width == 1:
            self._refuse_labels()
        return width

    def _refuse_labels(self) -> None:
        """Refuse one number per record if all are 0 or 1: labels, not probabilities."""
        columns = (part["prediction"] for part, _ in self._in_batches(["prediction"], BATCH))
        numbers = (pc.list_flatten(c) if is_list(c.type) else c for c in columns)
        if all(pc.all(pc.is_in(n.cast(pa.float64()), value_set=pa.array([0.0, 1.0]))).as_py() for n in numbers):
            raise self._error(
                f"has prediction of type {self._type('prediction')}, one number per record and all 0 or 1: labels; "
                "expected lists of numbers, or the probability of the second of two classes"
            )

    def _predictions(self, table: pa.Table, start: int) -> Floats:
        if self._p:
            columns = [np.asarray(table[name].cast(pa.float32()).fill_null(np.nan)) for name in self._p]
            predictions = np.column_stack(columns)
        else:
            column = table["prediction"].combine_chunks()
            flat = self._flat(column, start) if is_list(column.type) else column
            # In float32, 1 - p would round the first class's small probabilities to 0.
            kind = pa.float64() if self._n_stored == 1 else pa.float32()
            numbers = np.asarray(flat.cast(kind).fill_null(np.nan)).reshape(-1, self._n_stored)
            predictions = in_columns(numbers, self.n_classes).astype(np.float32, copy=False)
        infinite, outside, unsummed = improbable(predictions)
        self._first_bad(infinite, start, predictions, "finite confidences")
        self._first_bad(outside, start, predictions, "confidences in [0, 1]")
        if not self.rounded:
            take = "target.answers says" if self.name.startswith("target") else "--rounded takes"
            expected = f"confidences that sum to 1 within 0.001 ({take} rounded or cut-off ones)"
            self._first_bad(unsummed, start, predictions.sum(axis=1), expected)
        return predictions

    def _flat(self, column: pa.Array, start: int) -> pa.Array:
        lengths, width = np.asarray(pc.list_value_length(column).fill_null(0)), self._n_stored
        self._first_bad(np.asarray(lengths != width), start, lengths, f"{width} confidences, as in row 0")
        return column.flatten()

    def _integers(self, table: pa.Table, name: str, start: int) -> Ints:
        column, kind = table[name], self._type(name)
        is_integral = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or name in self._numbered
        if not is_integral and not may_be_fraction(kind):
            raise self._error(f"has {name} of type {kind}; expected integers")
        try:
            return np.asarray(self._complete(whole(column), name, start)).astype(np.int64)
        except pa.ArrowInvalid:
            raise self._error(f"has {name} of type {kind} with values that are not whole; expected integers") from None

    def _complete(self, column: Any, name: str, start: int) -> Any:
        if column.null_count:
            raise self._error(
                f"has {column.null_count} rows without {name} from row {start} on; fill them or drop them"
            )
        return column

    def _first_bad(self, bad: Bools, start: int, values: Array, expected: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            shown = np.array2string(np.asarray(values[row]), precision=4, threshold=8)
            raise self._error(f"has {shown} in row {start + row} ({int(bad.sum())} such rows); expected {expected}")

    def _error(self, text: str) -> DataError:
        return DataError(f"{self.name}={self.path!r} {text}")
