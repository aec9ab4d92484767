"""Whether some classes or slices leak more than all records together: differences of AUC, corrected for the search.

Belongs here: comparing groups of records with all records. Does not belong here: the figures of one group (`metrics`).
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import norm

from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.intervals import FEWEST_FOR_DELONG, fraction_left, placements
from umbrameter.statistics.metrics import checked_mask
from umbrameter.typing import Bools, Floats, Ints


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

    The AUC within a group and the AUC over all records share records. The variance of their difference therefore comes
    from both influence functions, record by record, as DeLong's variance comes from one. Intervals are corrected by
    Bonferroni, p-values by Holm.

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
        When lengths differ or the mask is not boolean.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44; Holm (1979).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> member, group = rng.random(2000) < 0.5, rng.integers(0, 4, 2000)
    >>> scores = rng.normal(member & (group == 2), 1)
    >>> worst = excesses(scores, member, group, ["a", "b", "c", "d"])[0]
    >>> worst.group, worst.p_value < 0.001
    ('c', True)
    """
    values, group_of_record = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    member = checked_mask("is_member", is_member, len(values))
    if not member.any() or member.all():
        reason = NotMeasured(not_measured="there are no members or no non-members")
        return [Excess(group=name, excess=reason) for name in names]
    whole = _influence(values, member)
    differences = [_difference(values, member, group_of_record == g, whole) for g in range(len(names))]
    measured = [i for i, difference in enumerate(differences) if difference is not None]
    alpha = fraction_left(confidence) / max(len(measured), 1)
    p = dict(zip(measured, holm([2 * norm.sf(abs(d / s)) for d, s in filter(None, differences)]), strict=True))
    entries = [_entry(name, differences[i], p.get(i), alpha, confidence) for i, name in enumerate(names)]
    return sorted(entries, key=lambda e: -e.excess.value if isinstance(e.excess, Interval) else np.inf)


def _entry(
    name: str, measured: tuple[float, float] | None, p_value: float | None, alpha: float, confidence: float
) -> Excess:
    if measured is None:
        reason = f"the group has fewer than {FEWEST_FOR_DELONG} members or non-members, or their scores are all alike"
        return Excess(group=name, excess=NotMeasured(not_measured=reason))
    difference, error = measured
    reach = -norm.ppf(alpha / 2) * error
    bounds = {"low": max(-1.0, difference - reach), "high": min(1.0, difference + reach)}
    interval = Interval(value=difference, confidence=confidence, method="DeLong, Bonferroni over groups", **bounds)
    return Excess(group=name, excess=interval, p_value=float(p_value or 0.0))


def _difference(
    scores: Floats, is_member: Bools, in_group: Bools, whole: tuple[float, Floats]
) -> tuple[float, float] | None:
    """Return a group's AUC minus the overall AUC, and the standard error; None if the group is too small or tied."""
    sides = int((in_group & is_member).sum()), int((in_group & ~is_member).sum())
    if min(sides) < FEWEST_FOR_DELONG:
        return None
    auc, influence = _influence(scores[in_group], is_member[in_group])
    difference = -whole[1]
    difference[in_group] += influence  # these records move both AUCs
    variance = float((difference**2).sum())
    return None if variance <= 0 or not (influence != 0).any() else (auc - whole[0], sqrt(variance))


def _influence(scores: Floats, is_member: Bools) -> tuple[float, Floats]:
    """Return the AUC and each record's influence on it; the squares sum to nearly DeLong's variance."""
    wins, losses = placements(scores[is_member], scores[~is_member])
    m, n = len(wins), len(losses)
    auc = float(wins.sum() / (m * n))
    influence = np.empty(len(scores))
    influence[is_member] = (wins / n - auc) / m
    influence[~is_member] = (losses / m - auc) / n
    return auc, influence


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
