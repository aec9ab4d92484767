"""Measure an attack's scores."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.evaluation.attack import auc_change, evaluated
from umbrameter.records.reader import Records
from umbrameter.statistics.metrics import roc_curve
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of


@dataclass(frozen=True)
class Evaluation:
    """Measure an attack's scores.

    Parameters
    ----------
    scores
        Path of the `scores` artefact.
    base
        Path of the one of the same attack on the target as it is, to compare with; None for that one itself.
    records
        Path of the `records` artefact, for the names of the classes.
    in_groups
        Whether to measure classes and slices, too.
    """

    scores: str
    base: str | None
    records: str
    in_groups: bool = True

    @property
    def recipe(self) -> Recipe:
        """What decides the figures."""
        base = self.base and key_of(self.base)
        facts = {"scores": key_of(self.scores), "base": base, "in_groups": self.in_groups}
        return Recipe("evaluations", facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write `evaluation.json` and the points of the ROC curve."""
        table = store.open(self.scores).table("scores.parquet")
        scores, is_member, labels = (np.asarray(table[name]) for name in ("score", "is_member", "label"))
        is_called = None if table["is_called"].null_count else np.asarray(table["is_called"])
        records = Records.open(store, self.records)
        classes = [str(c) for c in records.classes] if self.in_groups else []
        rows = np.asarray(table["record_id"])
        names = records.slices if self.in_groups else ()
        slices = {name: records.slice_values(name)[rows].tolist() for name in names}
        before = None if self.base is None else store.open(self.base).table("scores.parquet")
        found = evaluated(scores, is_member, is_called, labels, classes, slices)
        change = {} if before is None else {"auc": auc_change(np.asarray(before["score"]), scores, is_member)}
        content = found.model_dump(mode="json") | {"change": {k: m.model_dump(mode="json") for k, m in change.items()}}
        draft.data("evaluation.json", json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
        fpr, tpr, _ = roc_curve(scores, is_member)
        draft.table("roc.parquet", pa.table({"fpr": fpr, "tpr": tpr}))


def read_evaluation(artefact: Artefact) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    content: dict[str, Any] = json.loads(artefact.data("evaluation.json"))
    return content
