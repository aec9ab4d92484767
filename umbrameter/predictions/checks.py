"""Columns of stored predictions as arrays, or what is wrong with them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.predictions.columns import is_list, is_whole, lists_in, may_be_fraction, whole
from umbrameter.records.parquet import is_text, value_type
from umbrameter.typing import Array, Bools, Floats, Ints

PREDICTIONS = "the predictions"
"""What an error about several faults says has to be corrected."""


class FaultError(DataError):
    """What is wrong with a column; whoever reads the file says which file it is."""


def first_bad(bad: Bools, start: int, values: Array, expected: str) -> None:
    """Refuse rows, naming the first and how many there are.

    Parameters
    ----------
    bad
        Which rows are bad, shape (n_records,).
    start
        The number of the first row.
    values
        What to show of each row.
    expected
        What was expected, and what to do.

    Raises
    ------
    FaultError
        When a row is bad.
    """
    if bad.any():
        row = int(bad.argmax())
        shown = np.array2string(np.asarray(values[row]), precision=4, threshold=8)
        raise FaultError(f"has {shown} in row {start + row} ({int(bad.sum())} such rows); expected {expected}")


def integers(table: pa.Table, name: str, start: int, expected: str = "integers") -> Ints:
    """Return a column of whole numbers as int64, shape (n_records,).

    Raises
    ------
    FaultError
        When values are missing, or are no whole numbers.
    """
    column, kind = table[name], value_type(table[name].type)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or may_be_fraction(kind)):
        raise FaultError(f"has {name} of type {kind}; expected {expected}")
    try:
        return np.asarray(_complete(whole(column), name, start)).astype(np.int64)
    except pa.ArrowInvalid:
        raise FaultError(f"has {name} of type {kind} with values that are not whole; expected {expected}") from None


def ids(table: pa.Table, name: str, start: int) -> Array:
    """Return a column of ids, shape (n_records,): whole numbers as int64, text and all else that has a text as text.

    Raises
    ------
    FaultError
        When ids are missing, or are fractions, lists or bytes.
    """
    column, kind = table[name], value_type(table[name].type)
    if isinstance(kind, pa.UuidType):
        texts = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    elif is_text(kind) or pa.types.is_temporal(kind) or pa.types.is_uint64(kind):  # of which int64 holds half
        texts = column.cast(kind).cast(pa.string()).combine_chunks()
    else:
        return integers(table, name, start, "whole numbers, text or UUIDs")
    return np.asarray(_complete(texts, name, start), dtype=object)


def places_among(known: Array, others: Array) -> Ints:
    """Return the place of each of some ids among known ones, which are distinct, or -1; numbers equal their texts.

    Examples
    --------
    >>> places_among(np.array([7, 3, 5]), np.array([5, 7, 8])), places_among(np.array([7, 3]), np.array(["3", "x"]))
    (array([ 2,  0, -1]), array([ 1, -1]))
    """
    wanted, values = pa.array(others), pa.array(known)
    if wanted.type != values.type:
        wanted, values = wanted.cast(pa.string()), values.cast(pa.string())
    return np.asarray(pc.index_in(wanted, value_set=values).fill_null(-1)).astype(np.int64)


def labels(table: pa.Table, start: int) -> pa.Array:
    """Return labels as they are stored: text, booleans, integers, or fractions as float64.

    Raises
    ------
    FaultError
        When labels are missing, or are infinite.
    """
    column, kind = table["label"], value_type(table["label"].type)
    if is_text(kind) or pa.types.is_boolean(kind):
        plain = column.cast(pa.string() if is_text(kind) else kind)
        return _complete(plain.combine_chunks(), "label", start)
    if not may_be_fraction(kind) or is_whole(column):
        return pa.array(integers(table, "label", start))
    # By way of text, so that 0.1 is one label, whatever the precision.
    numbers = np.asarray(column.cast(kind).cast(pa.string()).cast(pa.float64()))
    first_bad(np.isinf(numbers), start, numbers, "labels of classes")
    return _complete(pa.array(numbers, from_pandas=True), "label", start)


def numbers(table: pa.Table, columns: list[str], width: int, kind: pa.DataType, start: int) -> Floats:
    """Return stored answers as they are, shape (n_records, width); NaN where one is missing.

    Parameters
    ----------
    table, columns
        The rows, and the columns of answers: one of lists or numbers, or a column per class.
    width
        Number of answers per record.
    kind
        The floats to return.
    start
        The number of the first row.

    Raises
    ------
    FaultError
        When lists have other lengths, or are text that holds no numbers.
    """
    column = table[columns[0]]
    if len(columns) == 1 and (is_list(column.type) or is_text(column.type)):
        column = _lists(column, columns[0])
        lengths = np.asarray(pc.list_value_length(column).fill_null(0))
        first_bad(lengths != width, start, lengths, f"{width} confidences, as in row 0")
        return np.asarray(column.flatten().cast(kind).fill_null(np.nan)).reshape(-1, width)
    return np.column_stack([np.asarray(table[name].cast(kind).fill_null(np.nan)) for name in columns])


def n_answers(column: pa.ChunkedArray, name: str) -> int:
    """Return how many answers the first row of a column of lists or numbers has.

    Raises
    ------
    FaultError
        When it is text that holds no numbers.
    """
    if not (is_list(column.type) or is_text(column.type)):
        return 1
    first = _lists(column.slice(0, 1), name)[0]
    return len(first) if first.is_valid else 1


def _lists(column: pa.ChunkedArray, name: str) -> pa.Array:
    if is_list(column.type):
        return column.combine_chunks()
    try:
        return lists_in(column.combine_chunks())
    except pa.ArrowInvalid:
        raise FaultError(
            f"has {name} of type string, such as {column[0].as_py()!r}; expected lists of numbers, such as [0.25, 0.75]"
        ) from None


def _complete(column: pa.Array, name: str, start: int) -> pa.Array:
    if column.null_count:
        raise FaultError(f"has {column.null_count} rows without {name} from row {start} on; fill them or drop them")
    return column
