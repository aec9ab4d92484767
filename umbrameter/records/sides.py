"""Columns that say which records are members, however it is written."""

import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.records.parquet import value_type

MEMBER = ("true", "1", "1.0", "yes", "train", "member", "in")
NONMEMBER = ("false", "0", "0.0", "no", "test", "nonmember", "non-member", "non_member", "out")

WRITTEN = "true and false, 1 and 0, yes and no, train and test, member and nonmember, or in and out"
"""How a side may be written, for errors; upper and lower case are alike."""


def sides(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which records are members as booleans, null where a value says neither.

    Parameters
    ----------
    column
        Booleans, numbers or text, as `WRITTEN` lists them; shape (n_records,).

    Examples
    --------
    >>> sides(pa.chunked_array([["Train", "test", "val"]])).to_pylist()
    [True, False, None]
    """
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(_texts(column)))
    is_member = pc.is_in(texts, value_set=pa.array(MEMBER))
    is_known = pc.or_(is_member, pc.is_in(texts, value_set=pa.array(NONMEMBER)))
    return pc.if_else(is_known, is_member, pa.scalar(None, pa.bool_()))


def other_values(column: pa.ChunkedArray) -> list[str]:
    """Return the distinct values that say neither side, in order, as text; "null" stands for empty values."""
    texts = _texts(column)
    unknown = pc.unique(texts.filter(sides(column).is_null())).to_pylist()
    return sorted(value for value in unknown if value is not None) + (["null"] if None in unknown else [])


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as text, numbers of any type alike; null for NaN, and for values that have no text."""
    kind = value_type(column.type)
    plain = column.cast(kind)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = plain.cast(pa.float64())
        plain = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    try:
        return plain.cast(pa.string())
    except pa.ArrowNotImplementedError:  # lists and the like
        return pa.chunked_array([pa.nulls(len(plain), pa.string())])
