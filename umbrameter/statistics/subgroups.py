"""Whether some classes or slices leak more than all records together: differences of AUC, corrected for the search.

Belongs here: comparing groups of records with all records. Does not belong here: the figures of one group (`metrics`).
"""

from collections.abc import Sequence
from math import exp, hypot, log

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import brentq

from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.intervals import checked_scores, fraction_left
from umbrameter.statistics.metrics import checked_mask
from umbrameter.statistics.placements import FEWEST, Auc, auc_of
from umbrameter.typing import Bools, Floats, Ints

SMALLEST = 1e-15
"""The smallest p-value told apart from 0."""


class Excess(BaseModel):
    """How much more one group of records leaks than all of them together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(description="The class or the slice's value.")
    excess: Metric = Field(
        description="AUC within the group minus the AUC over all records; the intervals hold for all groups at once."
    )
    p_value: float | None = Field(
        default=None,
        description="p-value of no difference, after Holm's correction for the number of groups; null when "
        "the excess was not measured.",
    )


def excesses(
    scores: ArrayLike, is_member: ArrayLike, groups: ArrayLike, names: Sequence[str], confidence: float = 0.95
) -> list[Excess]:
    """Return how much more each group leaks than all records, the worst first.

    Each difference is bounded by MOVER from the interval of the group's AUC and that of the AUC over all records, both
    at the level that Bonferroni's correction leaves. They share records, which makes the true spread smaller: the
    intervals are conservative. A group whose members are told from its non-members without error has the exact bound
    of `intervals.auc`. A p-value is the smallest level at which the group's interval excludes 0, corrected by Holm;
    Holm's correction is milder than Bonferroni's for all groups but the most significant one, whose p-value is at most
    .05 just where its 95 % interval excludes 0. Groups of equal excess are ordered by their lower bound.

    Parameters
    ----------
    scores
        Shape (n_records,), higher for more likely a member.
    is_member
        Boolean, shape (n_records,).
    groups
        Each record's group, 0 .. len(names) - 1, shape (n_records,).
    names
        The groups' names; entry i names group i.
    confidence
        Probability with which all intervals hold together.

    Raises
    ------
    DataError
        When lengths differ, the mask is not boolean, or a score is NaN.

    References
    ----------
    Zou, Donner (2008), "Construction of confidence limits about effect measures", Statistics in Medicine 27 (MOVER);
    Holm (1979), "A simple sequentially rejective multiple test procedure".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> member, group = rng.random(2000) < 0.5, rng.integers(0, 4, 2000)
    >>> scores = rng.normal(member & (group == 2), 1)
    >>> worst = excesses(scores, member, group, ["a", "b", "c", "d"])[0]
    >>> worst.group, worst.p_value < 0.001
    ('c', True)
    """
    checked, group_of_record = checked_scores("scores", scores), np.asarray(groups)
    member = checked_mask("is_member", is_member, len(checked))
    if not member.any() or member.all():
        reason = NotMeasured(not_measured="there are no members or no non-members")
        return [Excess(group=name, excess=reason) for name in names]
    whole = auc_of(checked[member], checked[~member])
    measured = [_group_auc(checked, member, group_of_record == g) for g in range(len(names))]
    large = [i for i, group in enumerate(measured) if group is not None]
    alpha = fraction_left(confidence) / max(len(large), 1)
    p_values = holm([_p_value(group, whole) for group in measured if group is not None])
    p = dict(zip(large, p_values.tolist(), strict=True))
    entries = [_entry(name, measured[i], whole, p.get(i), alpha, confidence) for i, name in enumerate(names)]
    return sorted(entries, key=_worst_first)


def _group_auc(scores: Floats, is_member: Bools, in_group: Bools) -> Auc | None:
    """Return the AUC within a group; None if the group is too small."""
    members, nonmembers = scores[in_group & is_member], scores[in_group & ~is_member]
    return auc_of(members, nonmembers) if min(len(members), len(nonmembers)) >= FEWEST else None


def _entry(name: str, group: Auc | None, whole: Auc, p_value: float | None, alpha: float, confidence: float) -> Excess:
    if group is None:
        reason = f"the group has fewer than {FEWEST} members or non-members"
        return Excess(group=name, excess=NotMeasured(not_measured=reason))
    value, (below, above) = group.value - whole.value, _reach(group, whole, alpha)
    bounds = {"low": max(-1.0, value - below), "high": min(1.0, value + above)}
    interval = Interval(value=value, confidence=confidence, method="MOVER, Bonferroni over groups", **bounds)
    return Excess(group=name, excess=interval, p_value=p_value)


def _reach(group: Auc, whole: Auc, alpha: float) -> tuple[float, float]:
    """Return how far below and above its estimate the difference may lie."""
    (low, high, _), (whole_low, whole_high, _) = group.bounds(alpha), whole.bounds(alpha)
    return hypot(group.value - low, whole_high - whole.value), hypot(high - group.value, whole.value - whole_low)


def _p_value(group: Auc, whole: Auc) -> float:
    """Return the smallest alpha at which the difference's interval excludes 0."""
    value = group.value - whole.value
    side = 0 if value > 0 else 1

    def excluded_by(log_alpha: float) -> float:
        return abs(value) - _reach(group, whole, exp(log_alpha))[side]

    least, most = log(SMALLEST), log(1 - 1e-9)
    if excluded_by(most) <= 0:
        return 1.0
    return SMALLEST if excluded_by(least) > 0 else exp(brentq(excluded_by, least, most))


def _worst_first(entry: Excess) -> tuple[float, float]:
    excess = entry.excess
    return (-excess.value, -excess.low) if isinstance(excess, Interval) else (np.inf, np.inf)


def numbered(values: Sequence[str]) -> tuple[Ints, list[str]]:
    """Return each value's number and the distinct values in order.

    Examples
    --------
    >>> numbered(["b", "a", "b"])
    (array([1, 0, 1]), ['a', 'b'])
    """
    names, numbers = np.unique(np.asarray(values), return_inverse=True)
    return numbers, [str(name) for name in names]


def holm(p_values: ArrayLike) -> Floats:
    """Return Holm's adjusted p-values: the chance that any true null hypothesis falls below alpha is at most alpha.

    Parameters
    ----------
    p_values
        Shape (n_tests,).

    Returns
    -------
    Shape (n_tests,), at most 1.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure".

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
