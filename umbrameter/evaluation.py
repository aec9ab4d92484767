"""Measure one attack: its figures, class by class too, its ROC curve, and what the mitigated target is worth."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.metrics import measure, measure_by_class, roc_curve
from umbrameter.mitigations import PostHoc
from umbrameter.records import Records
from umbrameter.scoring import read_answers
from umbrameter.store import Artefact, Draft, Recipe, Store
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
        classes = [str(c) for c in Records.open(store, self.records).classes]
        by_class = measure_by_class(scores, is_member, is_called, labels, classes)
        content = {
            "metrics": {k: m.model_dump(mode="json") for k, m in measure(scores, is_member, is_called).items()},
            "by_class": [c.model_dump(mode="json") for c in by_class],
            "utility": utility(store.open(self.answers), self.mitigation),
        }
        draft.data("evaluation.json", json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
        fpr, tpr, _ = roc_curve(scores, is_member)
        draft.table("roc.parquet", pa.table({"fpr": fpr, "tpr": tpr}))


def utility(answers: Artefact, mitigation: PostHoc | None) -> dict[str, float]:
    """Return the accuracy of a target's (mitigated) answers on members and on non-members, as fractions."""
    vectors, is_member = read_answers(answers.table("predictions.parquet"), mitigation)
    right = vectors.predictions.argmax(axis=1) == vectors.labels
    return {"train_accuracy": right[is_member].mean().item(), "test_accuracy": right[~is_member].mean().item()}


def read_evaluation(artefact: Artefact) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    content: dict[str, Any] = json.loads(artefact.data("evaluation.json"))
    return content
