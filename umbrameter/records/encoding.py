"""Turn the user's table into numbers.

Belongs here: the codes of categories and labels, what stands in for missing values, the census of the rows. Does not
belong here: the columns' roles (`columns`), what is refused and why (`faults`), or how records are stored and read back
(`build`, `reader`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError, brief
from umbrameter.records.columns import Columns
from umbrameter.records.faults import Survey, bin_names, label_faults
from umbrameter.records.lists import ListSource
from umbrameter.records.own import MISSING, as_numbers, is_vector, schema_of
from umbrameter.records.parquet import BATCH, Source, decoded
from umbrameter.records.sources import TableData
from umbrameter.seeds import generator
from umbrameter.typing import Array, Bools, Floats, Ints

EXACT = 2**24
"""float32 holds every integer up to this exactly."""

EXACT_DOUBLE = 2**53
"""float64 holds every integer below this exactly."""


MOST_KEPT = 2**24
"""Values that are kept for a median at once; or a column, if that is more."""


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

    source: Source | ListSource
    columns: Columns
    settings: TableData

    @property
    def precision(self) -> str:
        """The type of the features: float32 or float64."""
        return self.settings.precision

    @cached_property
    def feature_names(self) -> list[str]:
        """The features' names in the order of the matrix; or the vector's elements."""
        vector = self.columns.vector
        if vector is None:
            return [*self.columns.features]
        return [f"{vector}[{i}]" for i in range(self.source.schema.field(vector).type.list_size)]

    @property
    def categorical(self) -> list[int]:
        """The features that are category codes, by place."""
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
    def survey(self) -> Survey:
        """What one pass over the source says about its labels, texts and missing values."""
        labels: Counter[Any] = Counter()
        missing: dict[str, list[int]] = {}
        seen: dict[str, set[Any]] = {name: set() for name in self.columns.categories}
        levels: dict[str, dict[str, None]] = {}
        n_rows = 0
        for start, batch in self.batches():
            _note_missing(batch, start, missing)
            for entry in pc.value_counts(self.labels(batch)).to_pylist():
                labels[entry["values"]] += entry["counts"]
            for name, values in seen.items():
                values.update(pc.unique(decoded(batch[name])).to_pylist())
                if pa.types.is_dictionary(batch[name].type):
                    levels.setdefault(name, {}).update(dict.fromkeys(batch[name].dictionary.drop_null().to_pylist()))
            n_rows += batch.num_rows
        counts = Counter({value: n for value, n in labels.items() if value is not None and value == value})
        return Survey(n_rows, counts, missing, seen, {name: tuple(values) for name, values in levels.items()})

    def labels(self, batch: pa.RecordBatch) -> pa.Array:
        """Return a batch's labels: as the source has them, or as the bins that numbers are in."""
        plain = decoded(batch[self.columns.label])
        edges = self.settings.bins
        if not edges or not (pa.types.is_floating(plain.type) or pa.types.is_integer(plain.type)):
            return plain
        numbers = np.asarray(plain.cast(pa.float64()))
        names = pa.array(bin_names(edges)).take(pa.array(np.digitize(numbers, edges)))
        return pc.if_else(pa.array(np.isnan(numbers)), pa.scalar(None, pa.string()), names)

    @cached_property
    def codes(self) -> Codes:
        """The classes and categories; there are no classes where the labels are none."""
        survey = self.survey
        kept = [value for value, n in survey.labels.items() if n >= self.settings.smallest_class]
        classes = () if label_faults(survey, self.settings) else _classes(kept)
        categories = {}
        for name, values in survey.texts.items():
            lacking = {MISSING} if name in survey.missing else set()
            categories[name] = tuple(sorted(values - {None} | lacking))
        return Codes(classes, categories, survey.levels)

    @property
    def lacking(self) -> dict[str, int]:
        """The number of missing values of each numeric feature that lacks some."""
        return {
            name: self.survey.missing[name][1]
            for name in self.columns.features
            if name in self.survey.missing and name not in self.columns.categories and name != self.columns.vector
        }

    @cached_property
    def fills(self) -> dict[str, float]:
        """What stands in for missing numbers: the median of all records, as one of them has it."""
        survey = self.survey
        names = [name for name, n in self.lacking.items() if n < survey.n_rows]
        if self.settings.missing.numbers == "keep":
            return {}
        fills: dict[str, float] = {}
        step = max(1, MOST_KEPT // max(1, survey.n_rows))
        for group in (names[start : start + step] for start in range(0, len(names), step)):
            batches = [as_numbers(batch, {}) for batch in self.source.batches(group, BATCH // len(group))]
            # The lower of two in the middle, so that whole numbers stay whole.
            middle = np.nanquantile(np.concatenate(batches), 0.5, axis=0, method="lower")
            fills |= dict(zip(group, middle.tolist(), strict=True))
        return fills

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
        """
        numbers = as_numbers(self.features(batch), self.codes.categories)
        filled = numbers
        if self.fills:
            stand_ins = np.array([self.fills.get(name, np.nan) for name in self.feature_names])
            filled = np.where(np.isnan(numbers), stand_ins, numbers)
        with np.errstate(over="ignore"):  # values too large become infinite, and are refused
            X = filled.astype(self.precision)
        return X, numbers, _code(self.labels(batch), self.codes.classes)


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


def _classes(labels: Sequence[Any]) -> tuple[Any, ...]:
    has_fractions = any(isinstance(v, float) and not v.is_integer() for v in labels)
    # Adding 0.0 turns -0.0 into 0.0.
    return tuple(sorted((v + 0.0 if has_fractions else int(v)) if isinstance(v, float) else v for v in labels))


def _code(plain: pa.Array, values: Sequence[Any]) -> Ints:
    """Return each value's position among the sorted values; -1 for those that are not among them."""
    if not values:
        return np.full(len(plain), -1, dtype=np.int32)
    if pa.types.is_floating(plain.type):
        plain = pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)
        # -0.0 and 0.0 are one class.
        are_whole = not isinstance(values[0], float)
        plain = plain.cast(pa.int64()) if are_whole else pc.add(plain, pa.scalar(0.0, plain.type))
    codes: Ints = np.asarray(pc.index_in(plain, pa.array(values, plain.type)).fill_null(-1))
    return codes.astype(np.int32)


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
        self.infinite: dict[str, list[int]] = {}
        self.integral, self.fits = np.ones(width, dtype=bool), ~_decimals(self.intake.schema, width)
        prints, labels = [], []
        for start, batch in self.intake.batches():
            X, numbers, y = self.intake.encode(batch, start)
            self._note_infinite(X, start)
            if self.intake.lacking:  # NaN is no value: it has no range, and X gives none of them back
                is_nan = np.isnan(numbers)
                low, high = np.fmin.reduce(numbers, axis=0), np.fmax.reduce(numbers, axis=0)
                self.low, self.high = np.fmin(self.low, low), np.fmax(self.high, high)
                self.integral &= ((np.floor(numbers) == numbers) | is_nan).all(axis=0)
            else:
                self.low = np.minimum(self.low, numbers.min(axis=0))
                self.high = np.maximum(self.high, numbers.max(axis=0))
                self.integral &= (np.floor(numbers) == numbers).all(axis=0)
            self.fits &= (numbers == X).all(axis=0)
            prints.append(_fingerprints(_words(self.intake.features(batch), numbers), y))
            labels.append(y)
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        self.fits &= ~self.integral | (largest < EXACT_DOUBLE)
        self.fingerprints, self.labels = np.concatenate(prints), np.concatenate(labels)

    def _note_infinite(self, X: Floats, start: int) -> None:
        is_infinite = np.isinf(X)
        for i in np.flatnonzero(is_infinite.any(axis=0)).tolist():
            first = self.infinite.setdefault(self.intake.feature_names[i], [start + int(is_infinite[:, i].argmax()), 0])
            first[1] += int(is_infinite[:, i].sum())

    @property
    def is_constant(self) -> Bools:
        """Which features have the same value in every record, or none at all, shape (n_features,)."""
        lacking = np.isin(self.intake.feature_names, [*self.intake.lacking])
        return np.where(lacking, self.is_empty, self.low == self.high)

    @property
    def is_empty(self) -> Bools:
        """Which features have no value in any record, shape (n_features,)."""
        survey = self.intake.survey
        empty = [name for name, (_, n) in survey.missing.items() if n == survey.n_rows]
        return np.isin(self.intake.feature_names, empty)

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
    # Adding 0.0 turns -0.0 into 0.0, so that equal values have equal bits; there are many NaN, and one missing value.
    words = (np.where(np.isnan(numbers), np.nan, numbers.astype(np.float64)) + 0.0).view(np.uint64)
    if is_vector(features.schema):
        return words
    more = []
    for i, column in enumerate(features.columns):
        if pa.types.is_integer(column.type):  # of which a float would round large ones
            is_there = np.asarray(column.is_valid())
            words[is_there, i] = np.asarray(column.drop_null()).astype(np.int64).view(np.uint64)
        elif pa.types.is_decimal(column.type):
            whole = column if not column.null_count else column.fill_null(0)
            n_parts, content = whole.type.bit_width // 32, np.frombuffer(whole.buffers()[1], np.uint32)
            more.append(content.reshape(-1, n_parts)[whole.offset : whole.offset + len(whole)])
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
