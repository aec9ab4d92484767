"""Agreement between repeats of an audit: the spread of each figure, and whether single records keep their rank.

Belongs here: comparing results of the same attack over repeats. Does not belong here: running repeats (`steps`).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtri
from scipy.stats import chi2, spearmanr

from umbrameter.statistics.estimates import Interval, LowerBound, Metric
from umbrameter.typing import Bools, Floats, Ints

EXPOSED = 0.01
"""The share of records that count as the most exposed."""

FEWEST = 100
"""Records that two repeats must have in common on each side before their ranks are compared."""


class Spread(BaseModel):
    """One figure over repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(description="The mean over repeats.")
    sd: float = Field(description="The standard deviation over repeats.")
    values: list[float] = Field(description="The figure of each repeat that measured it.")


class Repeated(BaseModel):
    """One attack, without or with a mitigation, over repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attack: str = Field(description="The attack's name.")
    mitigation: str | None = Field(default=None, description="The mitigation; null for none.")
    spread: dict[str, Spread] = Field(
        description="The spread by figure, for figures that two repeats or more measured."
    )
    rank_correlation: float | None = Field(
        default=None,
        description="Spearman's rank correlation of the scores of records that two repeats have on the same side; the "
        "mean over pairs of repeats; null when two repeats have too few records in common.",
    )
    exposed_overlap: float | None = Field(
        default=None,
        description="Of the one per cent of those records that score highest in one repeat, the share that also does "
        "in the other; the mean over pairs; null as for rank_correlation. Chance gives 0.01.",
    )


def spread(metrics: Sequence[Mapping[str, Metric]]) -> dict[str, Spread]:
    """Return the spread of each figure that two repeats or more measured.

    Parameters
    ----------
    metrics
        The figures of each repeat, by name.

    Examples
    --------
    >>> def auc(value):
    ...     return {"auc": Interval(value=value, low=0.4, high=0.9, confidence=0.95, method="DeLong")}
    >>> spread([auc(0.5), auc(0.75)])["auc"].mean
    0.625
    """
    values_by_name: dict[str, list[float]] = {}
    for metrics_of_repeat in metrics:
        for name, metric in metrics_of_repeat.items():
            if isinstance(metric, Interval | LowerBound):
                values_by_name.setdefault(name, []).append(metric.value)
    return {
        name: Spread(mean=float(np.mean(values)), sd=float(np.std(values, ddof=1)), values=values)
        for name, values in values_by_name.items()
        if len(values) > 1
    }


def instability(values: Sequence[float], interval: Interval, confidence: float = 0.95) -> Interval:
    """Return a figure's standard deviation over repeats as a multiple of the one that a single interval implies.

    About 1 if the choice of records explains the spread; then an interval of one run contains the mean over trainings
    as often as it should. The bounds are those of a normal sample's variance, by chi-squared.

    Parameters
    ----------
    values
        The figure of each repeat, two or more.
    interval
        The interval of one repeat, of a width above 0.
    confidence
        Confidence level of the bounds, between 0 and 1.

    Examples
    --------
    >>> one = Interval(value=0.6, low=0.58, high=0.62, confidence=0.95, method="DeLong")
    >>> found = instability([0.60, 0.64, 0.55, 0.58, 0.67], one)
    >>> round(found.low, 1), round(found.value, 1), round(found.high, 1)
    (2.8, 4.7, 13.4)
    """
    n, tail = len(values), (1 - confidence) / 2
    implied = (interval.high - interval.low) / (2 * ndtri((1 + interval.confidence) / 2))
    ratio = float(np.std(values, ddof=1) / implied)
    low, high = (ratio * float(np.sqrt((n - 1) / chi2.ppf(q, n - 1))) for q in (1 - tail, tail))
    return Interval(value=ratio, low=low, high=high, confidence=confidence, method="chi-squared")


def agreement(scored: Sequence[tuple[Ints, Bools, Floats]]) -> tuple[float | None, float | None]:
    """Return how far repeats agree on single records: the rank correlation, and the overlap of the most exposed.

    Parameters
    ----------
    scored
        For each repeat: the audited records' ids, whether each is a member, and the scores; shape (n_records,) each.

    Returns
    -------
    correlation, overlap
        See `Repeated`; both None when no two repeats have enough records in common.

    Examples
    --------
    >>> ids, member, scores = np.arange(1000), np.arange(1000) < 500, np.linspace(0, 1, 1000)
    >>> agreement([(ids, member, scores), (ids[::-1], member[::-1], scores[::-1])])
    (1.0, 1.0)
    """
    pairs = [_compared(*pair) for pair in combinations(scored, 2)]
    measured = [pair for pair in pairs if pair is not None]
    if not measured:
        return None, None
    correlation, overlap = np.mean(measured, axis=0)
    return float(correlation), float(overlap)


def _compared(one: tuple[Ints, Bools, Floats], other: tuple[Ints, Bools, Floats]) -> tuple[float, float] | None:
    """Return two repeats' correlation and overlap, each the mean of members and non-members."""
    sides = []
    for side in (True, False):
        (ids, scores), (other_ids, other_scores) = ((i[m == side], s[m == side]) for i, m, s in (one, other))
        common, first, second = np.intersect1d(ids, other_ids, assume_unique=True, return_indices=True)
        if len(common) < FEWEST:
            return None
        a, b = scores[first], other_scores[second]
        n = max(1, round(EXPOSED * len(common)))
        top = [{*np.lexsort((ties, -x))[:n].tolist()} for x, ties in zip((a, b), _shuffles(len(common)), strict=True)]
        # Constant scores have no rank correlation.
        correlation = 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)
        sides.append((correlation, len(top[0] & top[1]) / n))
    return tuple(np.mean(sides, axis=0).tolist())


def _shuffles(n: int) -> tuple[Ints, Ints]:
    """Return two random orders to break ties by, so that tied records agree by chance alone."""
    rng = np.random.default_rng(n)
    return rng.permutation(n), rng.permutation(n)
