"""The Arrow schema and the version of every kind of artefact: what is in it, never how it is made.

A kind's version is raised whenever the algorithm that makes it changes its numbers: no stale artefact is served.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.typing import Array, Ints

VERSIONS: Mapping[str, int] = {
    "records": 4,
    "split": 1,
    "meetings": 1,
    "synthesised": 1,
    "shadow_records": 1,
    "targets": 2,
    "query_batches": 1,
    "target_predictions": 2,
    "population_predictions": 1,
    "noisy_answers": 2,
    "shadow_predictions": 3,
    "attack_data": 1,
    "attack_models": 3,
    "references": 1,
    "guards": 1,
    "guarded_answers": 1,
    "scores": 2,
    "evaluations": 3,
    "costs": 2,
    "guarantees": 1,
    "controls": 2,
}

SPLIT = pa.schema([("record_id", pa.int64()), ("part", pa.string())])
"""Which part of the audit a record is in: `member`, `nonmember` or `pool`."""


def target_predictions(n_classes: int) -> pa.Schema:
    """Return the schema of a target's answers on members and non-members."""
    return pa.schema(
        [
            ("record_id", pa.int64()),
            ("label", pa.int32()),
            ("is_member", pa.bool_()),
            ("prediction", pa.list_(pa.float32(), n_classes)),
        ]
    )


def shadow_predictions(n_classes: int) -> pa.Schema:
    """Return the schema of shadow models' answers, one row a (model, record), marked IN or OUT."""
    return pa.schema(
        [
            ("model_id", pa.int32()),
            ("record_id", pa.int64()),
            ("label", pa.int32()),
            ("is_in", pa.bool_()),
            ("prediction", pa.list_(pa.float32(), n_classes)),
        ]
    )


SCORES = pa.schema(
    [
        ("record_id", pa.int64()),
        ("label", pa.int32()),
        ("is_member", pa.bool_()),
        ("score", pa.float64()),
        ("is_called", pa.bool_()),
    ]
)
"""An attack's score of each audited record, higher for more likely a member, and whether it calls the record one.

`is_called` is null throughout for an attack without a threshold."""


def vectors(column: pa.ChunkedArray) -> Array:
    """Return a column of vectors as an array of shape (n_rows, width), without a copy where possible.

    Parameters
    ----------
    column
        Fixed-size lists, or bytes of one size, which are uint8.
    """
    whole = column.combine_chunks()
    if pa.types.is_fixed_size_binary(column.type):
        width, start = column.type.byte_width, whole.offset
        flat = np.frombuffer(whole.buffers()[1], np.uint8)
        return flat.reshape(-1, width)[start : start + len(whole)]
    return np.asarray(whole.flatten()).reshape(-1, column.type.list_size)


def places(ids: Ints, wanted: Ints) -> Ints:
    """Return where each of some ids stands among others, which hold it once.

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
    """Return a uint8 array of shape (n_rows, width) as a column of bytes, which is read ten times faster than lists."""
    content = pa.py_buffer(np.ascontiguousarray(array, dtype=np.uint8))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(array.shape[1]), len(array), [None, content])


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
