"""Measure one attack: its figures, class by class too, its ROC curve, and how it differs from the unmitigated one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from umbrameter.records.reader import Records
from umbrameter.statistics.estimates import Interval, Metric
from umbrameter.statistics.metrics import ClassMetrics, measure, measure_by_class, roc_curve
from umbrameter.statistics.paired import auc_difference
from umbrameter.statistics.subgroups import Excess, excesses, numbered
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Bools, Floats, Ints


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
        Each record's value of each column that makes slices; no classes are measured where there are no names.
    """
    parts = {name: numbered(values) for name, values in (slices or {}).items()}
    return Evaluated(
        metrics=measure(scores, is_member, is_called),
        by_class=measure_by_class(scores, is_member, is_called, labels, classes) if classes else [],
        worst_class=excesses(scores, is_member, labels, classes)[0] if len(classes) > 1 else None,
        by_slice={k: measure_by_class(scores, is_member, is_called, of, names) for k, (of, names) in parts.items()},
        worst_slice={k: excesses(scores, is_member, of, names)[0] for k, (of, names) in parts.items()},
    )


def auc_change(before: Floats, scores: Floats, is_member: Bools) -> Interval:
    """Return how the AUC differs from that on the target as it is, on the same records."""
    return auc_difference(before[is_member], before[~is_member], scores[is_member], scores[~is_member])


def read_evaluation(artefact: Artefact) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    content: dict[str, Any] = json.loads(artefact.data("evaluation.json"))
    return content
