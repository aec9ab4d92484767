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
        The source's features, in the matrix's order; or the one column of vectors.
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
    columns = [own_column(X[:, i], field, categories.get(field.name)) for i, field in enumerate(schema)]
    return pa.table(columns, names=schema.names)


def own_column(values: Array, field: pa.Field, texts: Sequence[str] | None) -> pa.Array:
    """Return one column of a matrix as the source's field; see `own_table`."""
    if texts is None:
        column = pa.array(_typed(values, field.type))
        return column.cast(field.type, safe=False) if pa.types.is_decimal(field.type) else column
    codes = values.astype(np.int64)
    if not pa.types.is_dictionary(field.type):
        return pa.array(texts, pa.string()).take(pa.array(codes))
    levels = json.loads(field.metadata[LEVELS])
    places = np.array([levels.index(text) for text in texts], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places[codes]), pa.array(levels), ordered=field.type.ordered)


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
    columns = [_numbers(table[name], categories.get(name)) for name in table.schema.names]
    return np.column_stack(columns)


def _numbers(column: pa.Array | pa.ChunkedArray, texts: Sequence[str] | None) -> Array:
    if texts is None:
        return np.asarray(pc.cast(column, pa.float64(), safe=False))
    plain = column.cast(pa.string()) if is_text(column.type) else column
    return np.asarray(pc.index_in(plain, pa.array(texts, pa.string())), dtype=np.float64)


def unfit_fields(schema: pa.Schema, fits: Bools) -> pa.Schema:
    """Return those of a source's features that a matrix rounds, given which columns of the matrix do not."""
    if is_vector(schema):
        return pa.schema([] if fits.all() else schema)
    return pa.schema([field for field, is_exact in zip(schema, fits, strict=True) if not is_exact])


def schema_of(fields: Sequence[pa.Field], levels: Categories) -> pa.Schema:
    """Return a source's features, with the values of dictionaries in the source's order."""
    named = [
        field.with_metadata({LEVELS: json.dumps(levels[field.name])}) if field.name in levels else field
        for field in fields
    ]
    return pa.schema([field.with_nullable(True) for field in named])
