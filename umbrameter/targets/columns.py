"""Records as an external target expects them, and its answers and messages: compared, and masked.

A target trained elsewhere is asked about records as their source has them: a table of pyarrow. Records that were made,
such as changed copies, are a matrix with codes for text, and become such a table here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from umbrameter.records.own import as_days, is_vector, matrix_schema, own_table
from umbrameter.records.reader import RecordReader
from umbrameter.store.arrow import vectors
from umbrameter.typing import Array, Floats

Rows: TypeAlias = Array | pa.Table
"""Records for a target trained elsewhere: a matrix with codes for text, or the source's own columns."""


@dataclass(frozen=True)
class Columns:
    """The columns of a feature matrix as an external target knows them.

    Parameters
    ----------
    names
        The name of every column, in order.
    categories
        The texts that the codes 0, 1, ... of each categorical column stand for, by the column's name.
    integral
        Whether each column holds integers.
    schema
        The columns as the source has them, or the one column of vectors; if None, text, integers, and numbers of the
        matrix's type.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    integral: tuple[bool, ...]
    schema: pa.Schema | None = None

    @classmethod
    def of(cls, records: RecordReader) -> "Columns":
        """Return the columns of some records."""
        schema, names = records.schema, records.metadata.feature_names
        kinds = [schema.field(0).type.value_type] * len(names) if is_vector(schema) else matrix_schema(schema).types
        is_integral = tuple(pa.types.is_integer(kind) for kind in kinds)
        return cls(names, records.metadata.categories, is_integral, schema)

    @cached_property
    def is_vector(self) -> bool:
        """Whether the source has all of them in one column of vectors."""
        return self.schema is not None and is_vector(self.schema)

    def table(self, X: Rows) -> pa.Table:
        """Return records as columns of the source's types."""
        if isinstance(X, pa.Table):
            return X
        return own_table(X, self._schema(X.dtype), self.categories)

    def _schema(self, dtype: Any) -> pa.Schema:
        if self.schema is not None:
            return self.schema
        plain = [pa.int64() if is_integral else pa.from_numpy_dtype(dtype) for is_integral in self.integral]
        return pa.schema(
            [(n, pa.string() if n in self.categories else kind) for n, kind in zip(self.names, plain, strict=True)]
        )


def frame(X: Rows, columns: Columns) -> Any:
    """Return records as a pandas data frame, with the types that pandas reads the source's columns as."""
    import pandas as pd

    table = columns.table(X)
    if columns.is_vector:
        return pd.DataFrame(vectors(table.column(0)), columns=list(columns.names))
    return table.to_pandas()


def matrix(X: Rows, columns: Columns) -> Array:
    """Return records without text as an array: of the source's type, or of the one that holds all of its types."""
    if isinstance(X, np.ndarray) and columns.schema is None:
        return X
    table = columns.table(X)
    if columns.is_vector:  # torch warns of arrays that cannot be written to
        return np.require(vectors(table.column(0)), requirements="W")
    return np.column_stack([_numbers(column) for column in table.columns])


def _numbers(column: pa.ChunkedArray) -> Array:
    if pa.types.is_temporal(column.type):
        return np.asarray(as_days(column).to_numpy())
    is_converted = pa.types.is_decimal(column.type) or pa.types.is_null(column.type) or column.null_count
    return np.asarray((column.cast(pa.float64(), safe=False) if is_converted else column).to_numpy())


def given(X: Rows, columns: Columns, names: Sequence[Any] | None, as_frame: bool = False) -> Any:
    """Return records in the form that a model expects.

    Parameters
    ----------
    X, columns
        The records and their columns.
    names
        The columns that the model reads, in order; None if it was fitted without names.
    as_frame
        Whether to give a data frame, though neither names nor text require one.

    Returns
    -------
    A data frame for models that know names, and for data with text; otherwise an array. A frame has the columns `names`
    where the data have all of them, else the data's own.
    """
    if not columns.categories and names is None and not as_frame:
        return matrix(X, columns)
    table = frame(X, columns)
    return table if names is None or not {*names} <= {*table.columns} else table[[*names]]


def values(X: Rows, columns: Columns) -> list[list[Any]]:
    """Return the different values in records, column by column; see `masked`."""
    return [column.unique().tolist() for _, column in frame(X, columns).items()]


def same(a: Floats, b: Floats) -> bool:
    """Return whether two sets of answers come from one model: equal labels, and numbers within 1e-4 for rounding.

    Examples
    --------
    >>> same(np.array([[0.4, 0.6]]), np.array([[0.40001, 0.59999]]))
    True
    """
    return a.shape == b.shape and bool((np.abs(a - b) <= 1e-4).all() and (a.argmax(axis=1) == b.argmax(axis=1)).all())


def masked(text: str, rows: Iterable[Iterable[Any]]) -> str:
    """Return a text with the values of some records replaced by #, since a model's message may repeat them.

    All numbers with a fraction are replaced, because a message may round them.

    Examples
    --------
    >>> masked('age 37 is not in 18 .. 30, pay 0.25, "engineer"', [[37, 0.2500001, "engineer"]])
    'age # is not in 18 .. 30, pay #, "#"'
    """
    values = {value for row in rows for value in row}
    words = {form for value in values if isinstance(value, str) for form in (value, json.dumps(value)[1:-1]) if form}
    numbers = {value for value in values if not isinstance(value, str)}
    if words:
        # Longest first, or a word that begins a longer one would leave the rest of it in the text.
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        text = re.sub(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", "#", text)
    text = re.sub(r"-?\d*\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+", "#", text)
    return re.sub(r"(?<!\w)-?\d+(?!\w)", lambda match: "#" if int(match[0]) in numbers else match[0], text)
