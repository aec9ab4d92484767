"""Columns of Parquet by what their values can be, whatever the library that wrote them.

Belongs here: types of Arrow. Does not belong here: which column has which role (`roles`).
"""

import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.records.parquet import is_text, value_type
from umbrameter.typing import Array


def is_list(kind: pa.DataType) -> bool:
    """Return whether each value is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Return whether values are numbers of any type."""
    return bool(pa.types.is_integer(kind) or may_be_fraction(kind))


def lists_in(texts: pa.Array) -> pa.Array:
    """Return the lists of numbers that texts hold, as CSV files do.

    Raises
    ------
    pa.ArrowInvalid
        When a text is no such list.

    Examples
    --------
    >>> lists_in(pa.array(["[0.25, 0.75]", "[1 0]", "[np.float64(0.5), np.float64(0.5)]"])).to_pylist()
    [[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]
    """
    bare = pc.replace_substring_regex(texts.cast(pa.string()), r"[a-z]+(\.[a-z0-9]+)?\(|[\[\]()]", "")
    return pc.split_pattern_regex(pc.utf8_trim_whitespace(bare), r"[,;\s]+").cast(pa.list_(pa.float64()))


def may_be_fraction(kind: pa.DataType) -> bool:
    """Return whether values may be fractions, or whole numbers stored like them."""
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_plain(kind: pa.DataType) -> bool:
    """Return whether values are text, or anything else that Arrow writes as text: numbers, booleans, dates, times."""
    is_scalar = pa.types.is_primitive(kind) or pa.types.is_decimal(kind)
    return is_text(kind) or bool(is_scalar and not pa.types.is_interval(kind))


def no_slice(field: pa.Field, parts: Callable[[str], Iterable[pa.ChunkedArray]]) -> str | None:
    """Return why the values of a column make no slices, or None if they do.

    Parameters
    ----------
    field
        The column.
    parts
        Returns its values, part by part, by its name.
    """
    kind = value_type(field.type)
    if re.fullmatch(r"__index_level_\d+__", field.name):
        return "an index of pandas"
    if not is_plain(kind):
        return f"of type {kind}"
    if may_be_fraction(kind) and not all(map(is_whole, parts(field.name))):
        return "holds fractions"
    return None


def slice_of(column: pa.ChunkedArray) -> Array:
    """Return values as text; whole numbers have no fraction, whatever their type."""
    plain = whole(column) if may_be_fraction(value_type(column.type)) else column
    return np.asarray(plain.cast(pa.string()).fill_null("missing"))


def whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whole numbers as integers, and NaN as null.

    Raises
    ------
    pa.ArrowInvalid
        When a value is a fraction, or no number.
    """
    kind = value_type(column.type)
    plain = column.cast(kind)
    if pa.types.is_floating(kind):
        plain = pa.chunked_array([pa.array(np.asarray(plain.cast(pa.float64())), from_pandas=True)])
    return plain.cast(pa.int64())


def is_whole(column: pa.ChunkedArray) -> bool:
    """Return whether all values are whole numbers or missing."""
    try:
        whole(column)
    except pa.ArrowInvalid:
        return False
    return True


def is_number(text: str) -> bool:
    """Return whether a text is an integer as it is usually written.

    Examples
    --------
    >>> is_number("-12"), is_number("01"), is_number("1.0")
    (True, False, False)
    """
    return re.fullmatch(r"0|-?[1-9]\d*", text) is not None
