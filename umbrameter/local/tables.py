"""Records and labels from Python as Parquet files: data frames, Arrow tables, arrays and sparse matrices.

Belongs here: from somebody's objects to one table for each side. Does not belong here: what the columns mean
(`umbrameter.records`).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import issparse

from umbrameter.errors import DataError
from umbrameter.store.arrow import vector_column

LABEL = "label"
"""The name of the column with the labels, unless a feature has it."""

VECTOR = "x"
"""The name of the column that holds the rows of an array."""

MOST_BYTES = 2**33
"""Largest size of a sparse matrix once its zeros are written out."""


def write_sides(sides: Mapping[str, Any], folder: Path) -> tuple[dict[str, str], str]:
    """Write each side's records with their labels into a Parquet file named by its content.

    Parameters
    ----------
    sides
        `members`, `nonmembers` and perhaps `pool`, each a pair of X and y: a data frame of pandas or polars, an Arrow
        table, an array or a sparse matrix of shape (n_records, n_features); and n_records labels.
    folder
        Where to write.

    Returns
    -------
    paths
        The path of each side's file.
    label
        The name of the column with the labels.

    Raises
    ------
    DataError
        When a side is not such a pair; all that is wrong is said at once.
    """
    tables, wrong = {}, []
    for name, side in sides.items():
        try:
            tables[name] = _features_and_labels(name, side)
        except DataError as error:
            wrong.append(str(error))
    if not wrong:
        wrong = _unlike({name: features.schema for name, (features, _) in tables.items()})
    if wrong:
        raise DataError("; ".join(wrong))
    label = next(
        n for n in (LABEL, *(f"{LABEL}_{i}" for i in range(1, 99))) if n not in tables["members"][0].schema.names
    )
    whole = {name: features.append_column(label, labels) for name, (features, labels) in tables.items()}
    # One type for a column in all sides: an integer column may have become fractions in a side that lacks values.
    schema = pa.unify_schemas([table.schema for table in whole.values()], promote_options="permissive")
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: _written(table.select(schema.names).cast(schema), folder, name) for name, table in whole.items()
    }, label


def _features_and_labels(name: str, side: Any) -> tuple[pa.Table, pa.ChunkedArray]:
    if not isinstance(side, tuple | list) or len(side) != 2:
        raise DataError(f"{name} is a {type(side).__name__}; give a pair of records and labels, such as {name}=(X, y)")
    features, labels = _features(name, side[0]), _labels(name, side[1])
    if len(labels) != features.num_rows:
        raise DataError(f"{name} has {features.num_rows:,} records and {len(labels):,} labels; give one label a record")
    if not len(labels):
        raise DataError(f"{name} has no records; give some")
    return features, labels


def _features(name: str, X: Any) -> pa.Table:
    """Return records as a table: named columns as they are, an array's rows as one column of vectors."""
    columns = getattr(X, "column_names", getattr(X, "columns", ()))  # of an Arrow table, of a data frame
    names = [str(column) for column in columns]
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise DataError(f"{name}: the columns {', '.join(twice)} are there twice; rename or drop one of each")
    table = _as_arrow(X)
    return _of_array(name, X) if table is None else table.rename_columns(names).replace_schema_metadata(None)


def _as_arrow(data: Any) -> pa.Table | None:
    """Return a data frame or a table as an Arrow table, None for anything else."""
    if isinstance(data, pa.Table):
        return data
    if callable(getattr(data, "to_arrow", None)):  # polars
        arrow = data.to_arrow()
        return arrow if isinstance(arrow, pa.Table) else None
    if type(data).__module__.partition(".")[0] == "pandas" and getattr(data, "ndim", 0) == 2:
        return pa.Table.from_pandas(data, preserve_index=False)
    return None


def _of_array(name: str, X: Any) -> pa.Table:
    if issparse(X):
        size = np.prod(X.shape, dtype=np.float64) * X.dtype.itemsize
        if size > MOST_BYTES:
            raise DataError(
                f"{name}: written out, the sparse matrix of shape {X.shape} would take {size / 2**30:,.0f} GiB; give "
                "fewer records or columns"
            )
        X = X.toarray()
    array = np.asarray(X)
    if array.ndim != 2:
        raise DataError(
            f"{name}: the records are an array of shape {array.shape}; expected (n_records, n_features), or a data "
            "frame"
        )
    if array.dtype.kind in "biuf":
        return pa.table({VECTOR: vector_column(array.astype(np.uint8) if array.dtype.kind == "b" else array)})
    return pa.table({f"x{i}": _column(name, array[:, i].tolist()) for i in range(array.shape[1])})


def _labels(name: str, y: Any) -> pa.ChunkedArray:
    if callable(getattr(y, "to_arrow", None)):  # a series of polars
        y = y.to_arrow()
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return y if isinstance(y, pa.ChunkedArray) else pa.chunked_array([y])
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.ravel()
    if array.ndim != 1:
        raise DataError(
            f"{name}: the labels are an array of shape {array.shape}; expected one label a record, such as "
            "y.argmax(axis=1) of one-hot vectors"
        )
    return pa.chunked_array([_column(name, array.tolist())])


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise DataError(
            f"{name}: values of different types stand in one column, such as {values[0]!r}; give each column one type"
        ) from None


def _unlike(schemas: Mapping[str, pa.Schema]) -> list[str]:
    """Return what sides with other columns than the members lack, or have beyond them."""
    names = {*schemas["members"].names}
    wrong = []
    for side, schema in schemas.items():
        missing, more = sorted(names - {*schema.names}), sorted({*schema.names} - names)
        wrong += [f"{side} lacks the columns {', '.join(missing)} of members"] if missing else []
        wrong += [f"{side} has the columns {', '.join(more)}, which members lack"] if more else []
    return wrong


def _written(table: pa.Table, folder: Path, name: str) -> str:
    """Write a table into a file of its own, and return the path."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue()
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    path.write_bytes(content)
    return str(path)
