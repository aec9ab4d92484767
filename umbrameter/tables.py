"""The Arrow schema and the version of every kind of artefact: what is in it, never how it is made.

A kind's version is raised whenever the algorithm that makes it changes its numbers: no stale artefact is served.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from umbrameter.typing import Array

VERSIONS: Mapping[str, int] = {
    "records": 2,
    "split": 1,
    "targets": 1,
    "target_predictions": 1,
    "shadow_predictions": 1,
    "attack_data": 1,
    "attack_models": 2,
    "scores": 1,
    "evaluations": 1,
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
    """Return a fixed-size list column as an array of shape (n_rows, list_size), without a copy where possible."""
    width = column.type.list_size
    whole = column.combine_chunks()
    return np.asarray(whole.flatten()).reshape(-1, width)


def vector_column(array: Array) -> pa.FixedSizeListArray:
    """Return an array of shape (n_rows, width) as a fixed-size list column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).reshape(-1)), array.shape[1])
