"""Convert between arrays and Arrow columns."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.typing import Array, Ints


def vectors(column: pa.ChunkedArray) -> Array:
    """Return a column of vectors as an array of shape (n_rows, width), without a copy where possible.

    Parameters
    ----------
    column
        Fixed-size lists, or fixed-size binary, which is read as uint8.
    """
    whole = column.combine_chunks()
    if pa.types.is_fixed_size_binary(column.type):
        width, start = column.type.byte_width, whole.offset
        # The buffer ignores the slice that a column may be, hence the offset.
        flat = np.frombuffer(whole.buffers()[1], np.uint8)
        return flat.reshape(-1, width)[start : start + len(whole)]
    return np.asarray(whole.flatten()).reshape(-1, column.type.list_size)


def places(ids: Ints, wanted: Ints) -> Ints:
    """Return the position in `ids`, which are distinct, of each of the ids `wanted`.

    Examples
    --------
    >>> places(np.array([7, 3, 5]), np.array([5, 7]))
    array([2, 0])
    """
    order = np.argsort(ids)
    return np.asarray(order[np.searchsorted(ids, wanted, sorter=order)])


def vector_column(array: Array) -> pa.FixedSizeListArray:
    """Return an array of shape (n_rows, width) as a fixed-size list column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).reshape(-1)), array.shape[1])


def byte_column(array: Array) -> pa.FixedSizeBinaryArray:
    """Return a uint8 array of shape (n_rows, width) as a fixed-size binary column, read ten times faster than lists."""
    content = pa.py_buffer(np.ascontiguousarray(array, dtype=np.uint8))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(array.shape[1]), len(array), [None, content])


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
