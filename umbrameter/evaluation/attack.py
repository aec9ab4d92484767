"""Measure one attack: overall, by class and by slice, and against the same attack on the unmitigated target."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from umbrameter.statistics.estimates import Interval, Metric
from umbrameter.statistics.metrics import ClassMetrics, measure, measure_by_class
from umbrameter.statistics.paired import auc_difference
from umbrameter.statistics.subgroups import Excess, excesses, numbered
from umbrameter.typing import Bools, Floats, Ints


class AttackFigures(BaseModel):
    """An attack's figures, over all records and over groups of them.

    Parameters
    ----------
    metrics
        Metrics over all records, by name.
    by_class, worst_class
        Per-class metrics, and the class that leaks most compared with all records.
    by_slice, worst_slice
        The same for each column that makes slices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, Metric]
    by_class: list[ClassMetrics] = []
    worst_class: Excess | None = None
    by_slice: dict[str, list[ClassMetrics]] = {}
    worst_slice: dict[str, Excess] = {}


def measure_attack(
    scores: Floats,
    is_member: Bools,
    is_predicted_member: Bools | None,
    labels: Ints,
    classes: Sequence[str],
    slices: Mapping[str, Sequence[str]] | None = None,
) -> AttackFigures:
    """Return an attack's figures, over all records and over groups of them.

    Parameters
    ----------
    scores, is_member, is_predicted_member, labels
        One value per record, shape (n_records,); see `statistics.metrics.measure_by_class`.
    classes
        Names of the classes; if empty, there are no per-class figures.
    slices
        Each record's value in each column that makes slices.
    """
    columns = {name: numbered(values) for name, values in (slices or {}).items()}
    decided = scores, is_member, is_predicted_member
    return AttackFigures(
        metrics=measure(*decided),
        by_class=measure_by_class(*decided, labels, classes) if classes else [],
        worst_class=excesses(scores, is_member, labels, classes)[0] if len(classes) > 1 else None,
        by_slice={name: measure_by_class(*decided, *column) for name, column in columns.items()},
        worst_slice={name: excesses(scores, is_member, *column)[0] for name, column in columns.items()},
    )


def auc_change(before: Floats, scores: Floats, is_member: Bools) -> Interval:
    """Return the paired difference between an attack's AUC and its AUC on the unmitigated target.

    Parameters
    ----------
    before
        The attack's scores on the unmitigated target, shape (n_records,).
    scores
        Its scores on the mitigated target, of the same records, shape (n_records,).
    is_member
        Shape (n_records,).
    """
    return auc_difference(before[is_member], before[~is_member], scores[is_member], scores[~is_member])
