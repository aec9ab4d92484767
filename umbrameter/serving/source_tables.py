"""Records that a served model gets, as tables like those it was trained on: the source's columns, types and order."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError, brief
from umbrameter.records.own import CONSTANT, LEVELS, Categories, is_left_out, is_vector, own_column
from umbrameter.records.parquet import is_text
from umbrameter.store.arrow import vector_column


def as_source(model_input: Any, schema: pa.Schema, categories: Categories) -> pa.Table:
    """Return records as columns of the source's types.

    Parameters
    ----------
    model_input
        A data frame; or, of a model that reads vectors, their elements in order, shape (n_records, n_features).
    schema, categories
        The features' columns, and the texts of the codes; see `records.own`. Columns that were the same in every record
        may be left out, and get that value; any other that is left out has no values.

    Raises
    ------
    DataError
        When a column holds values that are not of its type.
    """
    if is_vector(schema):
        kind = schema.field(0).type
        array = np.asarray(model_input, dtype=kind.value_type.to_pandas_dtype())
        if array.ndim != 2 or array.shape[1] != kind.list_size:
            raise DataError(f"records have shape {array.shape}; expected (n_records, {kind.list_size})")
        return pa.table({schema.names[0]: vector_column(array)})
    if not hasattr(model_input, "columns"):
        raise DataError(f"records are a {type(model_input).__name__}; expected a data frame with named columns")
    columns = []
    for field in schema:
        if field.name in model_input.columns:
            columns.append(_column(model_input[field.name], field))
        elif is_left_out(field):
            value = np.full(len(model_input), float(field.metadata[CONSTANT]))
            columns.append(own_column(value, field, categories.get(field.name)))
        else:
            columns.append(pa.nulls(len(model_input), field.type))
    return pa.table(columns, names=schema.names)


def _column(values: pd.Series, field: pa.Field) -> pa.Array:
    plain = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
    try:
        column = pa.array(plain, from_pandas=True)
        if not pa.types.is_dictionary(field.type):
            return column.cast(pa.string() if is_text(field.type) else field.type)
        levels = pa.array(json.loads(field.metadata[LEVELS]), pa.string())
        index = pc.index_in(column.cast(pa.string()), value_set=levels)
        return pa.DictionaryArray.from_arrays(index, levels, ordered=field.type.ordered)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise DataError(
            f"column {field.name!r} holds values that are not of type {field.type} ({brief(error, 120)}); give them as "
            "the training data had them"
        ) from None
