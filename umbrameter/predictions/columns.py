"""Columns of Parquet by what their values can be, whatever the library that wrote them.

Belongs here: types of Arrow, and folders whose names are columns. Does not belong here: which column has which role
(`parquet`).
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from umbrameter.records.parquet import is_text, value_type


def open_dataset(path: str) -> tuple[ds.Dataset, dict[str, set[str]]]:
    """Open a file or a folder, with KEY=VALUE in the names of folders below the path as columns of text.

    Parameters
    ----------
    path
        Path of the Parquet file or folder.

    Returns
    -------
    dataset
        The rows, read when asked for.
    keys
        The values of each key.
    """
    files = ds.dataset(path, format="parquet")
    base = path.partition("://")[2] or path
    values: dict[str, set[str]] = {}
    for part in {part for file in files.files for part in file.removeprefix(base).split("/")[:-1]}:
        key, equals, value = part.partition("=")
        if equals and key not in files.schema.names:
            values.setdefault(key, set()).add(value)
    if not values:
        return files, values
    # As text: a folder "01" is not 1, and a guessed type would depend on all folders.
    scheme = ds.partitioning(pa.schema([(key, pa.string()) for key in sorted(values)]), flavor="hive")
    return ds.dataset(path, format="parquet", partitioning=scheme, partition_base_dir=base), values


def is_list(kind: pa.DataType) -> bool:
    """Return whether each value is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def may_be_fraction(kind: pa.DataType) -> bool:
    """Return whether values may be fractions, or whole numbers stored like them."""
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_plain(kind: pa.DataType) -> bool:
    """Return whether values are text, or anything else that Arrow writes as text: numbers, booleans, dates, times."""
    is_scalar = pa.types.is_primitive(kind) or pa.types.is_decimal(kind)
    return is_text(kind) or bool(is_scalar and not pa.types.is_interval(kind))


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
