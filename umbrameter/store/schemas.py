"""The Arrow schemas and the versions of artefacts, by kind.

A kind's version is raised whenever the algorithm that makes it changes its numbers, so that no stale artefact is used.
"""

from collections.abc import Mapping

import pyarrow as pa

VERSIONS: Mapping[str, int] = {
    "records": 6,
    "split": 1,
    "identities": 1,
    "synthesised": 1,
    "shadow_records": 1,
    "targets": 4,
    "query_batches": 1,
    "target_predictions": 3,
    "population_predictions": 1,
    "noisy_answers": 2,
    "shadow_predictions": 4,
    "attack_data": 1,
    "attack_models": 3,
    "references": 1,
    "guards": 1,
    "guarded_answers": 1,
    "scores": 4,
    "evaluations": 6,
    "utility": 1,
    "guarantees": 2,
    "figures": 1,
    "controls": 5,
}

OUTSIDE = 0
"""The version of kinds made by steps of other packages, which keep their own version in their recipes' facts."""

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
    """Return the schema of shadow models' answers: one row per model and record, marked IN or OUT."""
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
        ("is_predicted_member", pa.bool_()),
    ]
)
"""An attack's score of each audited record, higher for more likely a member, and the attack's decision.

`is_predicted_member` is null in every row for an attack without a threshold."""
