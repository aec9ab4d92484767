"""Features as their source has them, and the same as numbers.

A matrix has codes for text, and one type for all columns; a source has a type for each. Belongs here: from one to the
other. Does not belong here: which of the two a model reads (`umbrameter.targets`).
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.records.parquet import is_text
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.typing import Array, Bools

CONSTANT = b"constant"
"""Where a field that the matrix leaves out keeps its one value: as a matrix would have it, in the field's metadata."""

MISSING = "(missing)"
"""The category of text that is missing, among the texts of a column that lacks some."""

DAY = 86_400_000_000
"""Microseconds of a day."""

LEVELS = b"levels"
"""Where a field keeps the values of a dictionary, in the source's order: JSON in the field's metadata."""

Categories = Mapping[str, Sequence[str]]
"""The texts that the codes 0, 1, ... of each text column stand for, by the column's name."""


def is_vector(schema: pa.Schema) -> bool:
    """Return whether all features are the elements of one column of vectors."""
    return bool(pa.types.is_fixed_size_list(schema.field(0).type))


def own_table(X: Array, schema: pa.Schema, categories: Categories) -> pa.Table:
    """Return features as columns of the source's types.

    Parameters
    ----------
    X
        The matrix, shape (n_records, n_features), with codes for text.
    schema
        The source's features, in the matrix's order, and those that it leaves out; or the one column of vectors.
    categories
        The texts of the codes.

    Returns
    -------
    A table of n_records rows. A whole type that cannot hold a column's values gives way to the matrix's.

    Examples
    --------
    >>> schema = pa.schema([("colour", pa.string()), ("old", pa.bool_()), ("pay", pa.int64())])
    >>> own_table(np.array([[1, 0, 7.0], [0, 1, 8.0]]), schema, {"colour": ("blue", "red")}).to_pylist()
    [{'colour': 'red', 'old': False, 'pay': 7}, {'colour': 'blue', 'old': True, 'pay': 8}]
    """
    if is_vector(schema):
        return pa.table({schema.names[0]: vector_column(_typed(X, schema.field(0).type.value_type))})
    values = iter(X.T)
    columns = [
        own_column(
            np.full(len(X), float(field.metadata[CONSTANT])) if is_left_out(field) else next(values),
            field,
            categories.get(field.name),
        )
        for field in schema
    ]
    marks = [{CONSTANT: field.metadata[CONSTANT]} if is_left_out(field) else None for field in schema]
    fields = [pa.field(n, c.type, metadata=mark) for n, c, mark in zip(schema.names, columns, marks, strict=True)]
    return pa.table(columns, schema=pa.schema(fields))


def is_left_out(field: pa.Field) -> bool:
    """Return whether a field of the source's is not in the matrix, since it has the same value in every record."""
    return CONSTANT in (field.metadata or {})


def matrix_schema(schema: pa.Schema) -> pa.Schema:
    """Return the source's features that are in the matrix."""
    return pa.schema([field for field in schema if not is_left_out(field)])


def own_column(values: Array, field: pa.Field, texts: Sequence[str] | None) -> pa.Array:
    """Return one column of a matrix as the source's field; see `own_table`."""
    is_missing = np.isnan(values)
    if is_missing.any():
        kept = own_column(values[~is_missing], field, texts)
        places = np.where(is_missing, -1, np.cumsum(~is_missing) - 1)
        return kept.take(pa.array(places, mask=is_missing))
    if texts is None:
        if pa.types.is_null(field.type):
            return pa.nulls(len(values))
        if pa.types.is_temporal(field.type):
            return _as_time(values, field.type)
        column = pa.array(_typed(values, field.type))
        return column.cast(field.type, safe=False) if pa.types.is_decimal(field.type) else column
    codes = values.astype(np.int64)
    # Of what is missing, the source has no value.
    own = pa.array([None if text == MISSING else text for text in texts], pa.string())
    if not pa.types.is_dictionary(field.type):
        return own.take(pa.array(codes))
    levels = json.loads(field.metadata[LEVELS])
    index = pa.array([None if text == MISSING else levels.index(text) for text in texts], pa.int32())
    return pa.DictionaryArray.from_arrays(index.take(pa.array(codes)), pa.array(levels), ordered=field.type.ordered)


def _as_time(days: Array, kind: pa.DataType) -> pa.Array:
    """Return days as dates, times or durations; see `as_days`."""
    whole = pa.array(np.rint(np.asarray(days, np.float64) * DAY).astype(np.int64))
    if pa.types.is_date(kind):
        return pa.array(np.floor(days).astype(np.int32)).cast(pa.date32()).cast(kind)
    if pa.types.is_time(kind):
        return pc.cast(whole.cast(pa.time64("us")), kind, safe=False)
    plain = pa.duration("us") if pa.types.is_duration(kind) else pa.timestamp("us", kind.tz)
    return pc.cast(whole.cast(plain), kind, safe=False)


def _typed(values: Array, kind: pa.DataType) -> Array:
    """Return numbers as an array of a type, or unchanged where the type is whole and they are not, or too large."""
    if pa.types.is_decimal(kind):
        return values
    dtype = np.dtype(kind.to_pandas_dtype())
    if dtype.kind == "f":
        return values.astype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # Below, not at, the upper end of 64 bits, which no float is.
    fits = (np.rint(values) == values) & (values >= low) & (values <= high) & (values < 2.0**64)
    fits &= (values < 2.0**63) | (dtype != np.int64)
    return values.astype(dtype) if fits.all() else values


def as_numbers(table: pa.Table | pa.RecordBatch, categories: Categories) -> Array:
    """Return features as numbers that are as near to the source's as float64 can be.

    Parameters
    ----------
    table
        The features' columns.
    categories
        The texts of the codes.

    Returns
    -------
    Shape (n_records, n_features), with codes for text: float64, or the type of the vectors.
    """
    if is_vector(table.schema):
        column = table[table.schema.names[0]]
        numbers = vectors(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))
        return numbers.astype(np.float64) if numbers.dtype.kind == "O" else numbers  # objects are decimal fractions
    columns = [_numbers(table[f.name], categories.get(f.name)) for f in table.schema if not is_left_out(f)]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))


def _numbers(column: pa.Array | pa.ChunkedArray, texts: Sequence[str] | None) -> Array:
    if texts is None:
        plain = as_days(column) if pa.types.is_temporal(column.type) else column
        return np.asarray(pc.cast(plain, pa.float64(), safe=False))
    plain = column.cast(pa.string()) if is_text(column.type) else column
    if plain.null_count and MISSING in texts:
        plain = plain.fill_null(MISSING)
    return np.asarray(pc.index_in(plain, pa.array(texts, pa.string())), dtype=np.float64)


def as_days(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return dates and times as days: since 1970-01-01 UTC, or since midnight for times of day; durations in days.

    Examples
    --------
    >>> import datetime
    >>> as_days(pa.array([datetime.datetime(1970, 1, 2, 12), None])).to_pylist()
    [1.5, None]
    """
    kind = column.type
    if pa.types.is_date(kind):
        return pc.cast(column.cast(pa.date32()).cast(pa.int32()), pa.float64())
    per_day = {"s": 86_400, "ms": 86_400_000, "us": DAY, "ns": 1000 * DAY}[kind.unit]
    storage = pa.int32() if kind in (pa.time32("s"), pa.time32("ms")) else pa.int64()
    return pc.divide(pc.cast(column.cast(storage), pa.float64(), safe=False), float(per_day))


def unfit_fields(schema: pa.Schema, fits: Bools) -> pa.Schema:
    """Return those of a source's features that a matrix rounds, given which columns of the matrix do not."""
    if is_vector(schema):
        return pa.schema([] if fits.all() else schema)
    inside = zip(matrix_schema(schema), fits, strict=True)
    return pa.schema([field for field, is_exact in inside if not is_exact])


def schema_of(fields: Sequence[pa.Field], levels: Categories) -> pa.Schema:
    """Return a source's features, with the values of dictionaries in the source's order."""
    named = [
        field.with_metadata({LEVELS: json.dumps(levels[field.name])}) if field.name in levels else field
        for field in fields
    ]
    return pa.schema([field.with_nullable(True) for field in named])
