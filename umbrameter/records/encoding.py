"""Turn the user's Parquet into numbers, and refuse values that cannot be.

Belongs here: which values are refused and why, the codes of categories and labels, the census of the rows. Does not
belong here: the columns' roles (`columns`), or how records are stored and read back (`build`, `reader`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError, brief
from umbrameter.records.columns import Columns
from umbrameter.records.own import as_numbers, is_vector, schema_of
from umbrameter.records.parquet import BATCH, Source, decoded
from umbrameter.seeds import generator
from umbrameter.typing import Array, Bools, Floats, Ints

MANY_CATEGORIES = 1000
"""A text column with more distinct values than this, and than half the rows, is taken for an identifier."""

EXACT = 2**24
"""float32 holds every integer up to this exactly."""

EXACT_DOUBLE = 2**53
"""float64 holds every integer below this exactly."""


@dataclass(frozen=True)
class Codes:
    """How values become numbers: a code is a position in the sorted classes, or in a column's sorted categories."""

    classes: tuple[Any, ...]
    categories: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, tuple[str, ...]]
    """The values of columns that are dictionaries, in the source's order, used or not."""


@dataclass(frozen=True)
class Intake:
    """A source with its columns' roles, read as batches in row order and encoded as numbers."""

    source: Source
    columns: Columns
    precision: str = "float32"

    @property
    def feature_names(self) -> list[str]:
        """The features' names in the order of the matrix; or the vector's elements."""
        c = self.columns
        return [f"{c.vector}[{i}]" for i in range(c.width)] if c.vector else [*c.features]

    @property
    def categorical(self) -> list[int]:
        """The matrix columns that hold category codes."""
        return [i for i, name in enumerate(self.feature_names) if name in self.columns.categories]

    @cached_property
    def schema(self) -> pa.Schema:
        """The features' columns as the source has them."""
        return schema_of([self.source.schema.field(name) for name in self.columns.features], self.codes.levels)

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the number of each batch's first row, and the batch."""
        start = 0
        try:
            for batch in self.source.batches(self.columns.used, max(1, BATCH // max(1, len(self.feature_names)))):
                if batch.num_rows:
                    yield start, batch
                    start += batch.num_rows
        except (OSError, pa.ArrowException) as error:  # damage within a file shows only when it is read
            raise DataError(
                "data.path: the Parquet file is damaged, or holds a null where a list should be "
                f"({brief(error, 160)}); write it again"
            ) from None

    @cached_property
    def codes(self) -> Codes:
        """The classes and categories, found in one pass over the source that also refuses missing values.

        Raises
        ------
        DataError
            When a value is missing, labels are neither integers nor text, there is only one class, or a text column
            looks like an identifier.
        """
        labels: set[Any] = set()
        missing: dict[str, list[int]] = {}
        seen: dict[str, set[str]] = {name: set() for name in self.columns.categories}
        levels: dict[str, dict[str, None]] = {}
        n_rows = 0
        for start, batch in self.batches():
            _note_missing(batch, start, missing)
            labels.update(pc.unique(decoded(batch[self.columns.label])).to_pylist())
            for name, values in seen.items():
                values.update(pc.unique(decoded(batch[name])).to_pylist())
                if pa.types.is_dictionary(batch[name].type):
                    levels.setdefault(name, {}).update(dict.fromkeys(batch[name].dictionary.drop_null().to_pylist()))
            n_rows += batch.num_rows
        _refuse_missing(missing)
        self._refuse_identifiers(seen, n_rows)
        classes = _classes(labels, self.columns.label)
        categories = {name: tuple(sorted(values)) for name, values in seen.items()}
        return Codes(classes, categories, {name: tuple(values) for name, values in levels.items()})

    def _refuse_identifiers(self, seen: Mapping[str, set[str]], n_rows: int) -> None:
        for name, values in seen.items():
            if len(values) > max(MANY_CATEGORIES, n_rows / 2):
                raise DataError(
                    f"column {name!r} has {len(values)} different values in {n_rows} rows, which looks like an "
                    f"identifier; set data.id={name}, or list it under data.ignore"
                )

    def features(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch's features, in order."""
        return batch.select(list(self.columns.features))

    def encode(self, batch: pa.RecordBatch, start: int) -> tuple[Floats, Array, Ints]:
        """Return a batch's features and labels as numbers.

        Parameters
        ----------
        batch, start
            The batch, and the number of its first row.

        Returns
        -------
        X
            Features in the precision that models train on, shape (n_rows, n_features).
        numbers
            The same as near to the source's values as can be; see `as_numbers`.
        y
            Labels as codes, shape (n_rows,).

        Raises
        ------
        DataError
            When a number is not finite.
        """
        numbers = as_numbers(self.features(batch), self.codes.categories)
        with np.errstate(over="ignore"):  # values too large become infinite, and are refused below
            X = numbers.astype(self.precision)
        _refuse_infinite(X, start, self.feature_names)
        return X, numbers, _code(batch[self.columns.label], self.codes.classes).astype(np.int32)


def _note_missing(batch: pa.RecordBatch, start: int, missing_by_column: dict[str, list[int]]) -> None:
    """Note each column's first row with a missing value, and count such rows."""
    for name in batch.schema.names:
        column = batch[name]
        missing: Bools = np.asarray(pc.is_null(column, nan_is_null=True))
        if pa.types.is_fixed_size_list(column.type) and not column.null_count:
            bad = np.asarray(pc.is_null(column.flatten(), nan_is_null=True))
            missing = np.any(bad.reshape(-1, column.type.list_size), axis=1)
        if missing.any():
            missing_by_column.setdefault(name, [start + int(missing.argmax()), 0])[1] += int(missing.sum())


def _refuse_missing(missing_by_column: Mapping[str, Sequence[int]]) -> None:
    for name, (first, count) in missing_by_column.items():
        raise DataError(
            f"column {name!r} has missing values (null or NaN), the first in row {first}, {count} in all; fill them "
            "in, drop the rows, or list the column under data.ignore"
        )


def _refuse_infinite(X: Floats, start: int, names: Sequence[str]) -> None:
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise DataError(
            f"column {names[column]!r} is infinite, or too large for {X.dtype}, in row {start + row}; correct the "
            "value, or list the column under data.ignore"
        )


def _classes(labels: set[Any], name: str) -> tuple[Any, ...]:
    for value in labels:
        if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**63):
            raise DataError(
                f"data.label={name!r} holds {value!r}; expected classes (integers or text), not measurements"
            )
    if len(labels) < 2:
        raise DataError(
            f"data.label={name!r} has only one class ({next(iter(labels))!r}); a classifier needs two or more"
        )
    return tuple(sorted(int(v) if isinstance(v, float) else v for v in labels))


def _code(column: pa.Array, values: Sequence[Any]) -> Ints:
    """Return each value's position among the sorted values."""
    plain = decoded(column)
    if pa.types.is_floating(plain.type):  # whole numbers, as checked; -0.0 and 0.0 are one class
        plain = plain.cast(pa.int64())
    codes: Ints = np.asarray(pc.index_in(plain, pa.array(values, plain.type)))
    return codes


@dataclass
class Census:
    """Facts from one pass over the source: ranges, whole columns, columns that fit the matrix, and fingerprints.

    All are of the source's own values. A column fits if the matrix, in its precision, gives every value back.
    """

    intake: Intake

    def __post_init__(self) -> None:
        """Scan the source once."""
        width = len(self.intake.feature_names)
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.integral, self.fits = np.ones(width, dtype=bool), ~_decimals(self.intake.schema, width)
        prints = []
        for start, batch in self.intake.batches():
            X, numbers, y = self.intake.encode(batch, start)
            self.low, self.high = np.minimum(self.low, numbers.min(axis=0)), np.maximum(self.high, numbers.max(axis=0))
            self.integral &= (np.floor(numbers) == numbers).all(axis=0)
            self.fits &= (numbers == X).all(axis=0)
            prints.append(_fingerprints(_words(self.intake.features(batch), numbers), y))
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        self.fits &= ~self.integral | (largest < EXACT_DOUBLE)
        self.fingerprints = np.concatenate(prints)

    @property
    def n_rows(self) -> int:
        """Number of rows of the source."""
        return len(self.fingerprints)

    def repeated(self, part: Ints | None = None) -> tuple[Bools, Ints]:
        """Return which rows repeat another one (features and label), and the first row that each row is equal to.

        Rows are equal if the source's own values are, however the matrix rounds them.
        Of several equal rows, the first is no repeat; with parts, the first of the lowest part. Rows are compared by
        128-bit fingerprints: among a billion rows, the probability that two different ones collide is below 1e-20.
        """
        keys = [*self.fingerprints.T] if part is None else [part, *self.fingerprints.T]
        order = np.lexsort(keys)  # stable: equal rows stay in their order
        ordered = self.fingerprints[order]
        is_new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
        if is_new.all():
            return np.zeros(self.n_rows, dtype=np.bool_), np.arange(self.n_rows)
        first = np.empty_like(order)
        first[order] = order[np.flatnonzero(is_new)[np.cumsum(is_new) - 1]]
        return first != np.arange(self.n_rows), first


def _decimals(schema: pa.Schema, width: int) -> Bools:
    """Return which features are decimal fractions, which binary ones seldom equal; shape (n_features,)."""
    if is_vector(schema):
        return np.full(width, pa.types.is_decimal(schema.field(0).type.value_type))
    return np.array([pa.types.is_decimal(field.type) for field in schema])


def _words(features: pa.RecordBatch, numbers: Array) -> Array:
    """Return records as unsigned integers of 64 bits that are equal where all values are; shape (n_rows, n_words)."""
    if numbers.dtype.kind in "iu":
        return numbers.astype(np.int64).view(np.uint64)
    # Adding 0.0 turns -0.0 into 0.0, so that equal values have equal bits.
    words = (numbers.astype(np.float64) + 0.0).view(np.uint64)
    if is_vector(features.schema):
        return words
    more = []
    for i, column in enumerate(features.columns):
        if pa.types.is_integer(column.type):  # of which a float would round large ones
            words[:, i] = np.asarray(column).astype(np.int64).view(np.uint64)
        elif pa.types.is_decimal(column.type):
            n_parts, content = column.type.bit_width // 32, np.frombuffer(column.buffers()[1], np.uint32)
            more.append(content.reshape(-1, n_parts)[column.offset : column.offset + len(column)])
    return np.column_stack([words, *more]).astype(np.uint64, copy=False) if more else words


def _fingerprints(words: Array, y: Ints) -> Array:
    """Return 128 bits of each record and its label, shape (n_rows, 2)."""
    bits = np.column_stack([words, y.astype(np.uint64)])
    # Odd weights, since multiplying by an odd number loses no bits modulo 2**64.
    weights = generator(0, "fingerprint").integers(0, 2**63, (bits.shape[1], 2), dtype=np.uint64) * 2 + 1
    return np.asarray(_mix(bits) @ weights)


def _mix(bits: Array) -> Array:
    """Scatter each value's bits by MurmurHash3's finaliser, so that weighted sums rarely collide; overwrite `bits`."""
    shifted = np.empty_like(bits)
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        bits ^= np.right_shift(bits, np.uint64(33), out=shifted)
        bits *= factor
    bits ^= np.right_shift(bits, np.uint64(33), out=shifted)
    return bits
