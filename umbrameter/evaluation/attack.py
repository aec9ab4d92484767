"""Measure one attack: its figures, class by class too, its ROC curve, and how it differs from the unmitigated one."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from umbrameter.statistics.estimates import Interval, Metric
from umbrameter.statistics.metrics import ClassMetrics, measure, measure_by_class
from umbrameter.statistics.paired import auc_difference
from umbrameter.statistics.subgroups import Excess, excesses, numbered
from umbrameter.typing import Bools, Floats, Ints


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
