"""Measure one attack: its figures, class by class too, its ROC curve, and what the mitigated target is worth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from umbrameter.groups import Excess, excesses, numbered
from umbrameter.measured import Metric
from umbrameter.metrics import ClassMetrics, measure, measure_by_class, roc_curve
from umbrameter.mitigations import PostHoc
from umbrameter.records import Records
from umbrameter.sources import read_answers
from umbrameter.store import Artefact, Draft, Recipe, Store
from umbrameter.typing import Bools, Floats, Ints
from umbrameter.work import key_of


@dataclass(frozen=True)
class Evaluation:
    """Measure an attack's scores.

    Parameters
    ----------
    scores
        Path of the `scores` artefact.
    answers
        Path of the `target_predictions` artefact that was attacked.
    records
        Path of the `records` artefact, for the names of the classes.
    mitigation
        What the answers passed through.
    """

    scores: str
    answers: str
    records: str
    mitigation: PostHoc | None

    @property
    def recipe(self) -> Recipe:
        """What decides the figures."""
        return Recipe("evaluations", {"scores": key_of(self.scores)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write `evaluation.json` and the points of the ROC curve."""
        table = store.open(self.scores).table("scores.parquet")
        scores, is_member, labels = (np.asarray(table[name]) for name in ("score", "is_member", "label"))
        is_called = None if table["is_called"].null_count else np.asarray(table["is_called"])
        records = Records.open(store, self.records)
        classes = [str(c) for c in records.classes]
        rows = np.asarray(table["record_id"])
        slices = {name: records.slice_values(name)[rows].tolist() for name in records.slices}
        found = evaluated(scores, is_member, is_called, labels, classes, slices)
        content = found.model_dump(mode="json") | {"utility": utility(store.open(self.answers), self.mitigation)}
        draft.data("evaluation.json", json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
        fpr, tpr, _ = roc_curve(scores, is_member)
        draft.table("roc.parquet", pa.table({"fpr": fpr, "tpr": tpr}))


class Evaluated(BaseModel):
    """An attack's figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, Metric]
    by_class: list[ClassMetrics]
    worst_class: Excess | None
    by_slice: dict[str, list[ClassMetrics]] = {}
    worst_slice: dict[str, Excess] = {}


def evaluated(
    scores: Floats,
    is_member: Bools,
    is_called: Bools | None,
    labels: Ints,
    classes: Sequence[str],
    slices: Mapping[str, Sequence[str]] | None = None,
) -> Evaluated:
    """Return an attack's figures, of all records and of groups.

    Parameters
    ----------
    scores, is_member, is_called, labels, classes
        As of `measure_by_class`.
    slices
        Each record's value of each column that makes slices.
    """
    parts = {name: numbered(values) for name, values in (slices or {}).items()}
    return Evaluated(
        metrics=measure(scores, is_member, is_called),
        by_class=measure_by_class(scores, is_member, is_called, labels, classes),
        worst_class=excesses(scores, is_member, labels, classes)[0] if len(classes) > 1 else None,
        by_slice={k: measure_by_class(scores, is_member, is_called, of, names) for k, (of, names) in parts.items()},
        worst_slice={k: excesses(scores, is_member, of, names)[0] for k, (of, names) in parts.items()},
    )


def utility(answers: Artefact, mitigation: PostHoc | None) -> dict[str, float]:
    """Return the accuracy of a target's (mitigated) answers on members and on non-members, as fractions."""
    vectors, is_member = read_answers(answers.table("predictions.parquet"), mitigation)
    return accuracies(vectors.predictions.argmax(axis=1) == vectors.labels, is_member)


def accuracies(is_right: Bools, is_member: Bools) -> dict[str, float]:
    """Return the shares of members and of non-members that are answered right, as fractions."""
    return {"train_accuracy": is_right[is_member].mean().item(), "test_accuracy": is_right[~is_member].mean().item()}


def read_evaluation(artefact: Artefact) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    content: dict[str, Any] = json.loads(artefact.data("evaluation.json"))
    return content
