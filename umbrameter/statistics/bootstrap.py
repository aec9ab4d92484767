"""A stratified bootstrap of the AUC."""

import numpy as np
from numpy.typing import ArrayLike

from umbrameter.statistics.estimates import Interval
from umbrameter.statistics.intervals import checked_side, fraction_left
from umbrameter.typing import Floats, Ints


def bootstrap_auc(
    members: ArrayLike,
    nonmembers: ArrayLike,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the AUC with the percentile interval of a stratified bootstrap, which needs no variance formula.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); each side is resampled on its own.
    n_resamples
        Number of bootstrap resamples.
    confidence
        Confidence level, between 0 and 1.
    seed
        Seed of the resampling.

    Raises
    ------
    DataError
        When a side is empty or not one-dimensional, or a score is NaN.

    References
    ----------
    Efron, Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> interval = bootstrap_auc(rng.normal(1, 1, 500), rng.normal(0, 1, 500))
    >>> round(interval.low, 2), round(interval.value, 2), round(interval.high, 2)
    (0.75, 0.78, 0.81)
    """
    above, below = checked_side("members", members), checked_side("nonmembers", nonmembers)
    tail = fraction_left(confidence) / 2
    rng = np.random.default_rng(seed)
    levels, place = np.unique(np.concatenate([above, below]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(levels)) for part in (place[: len(above)], place[len(above) :])]
    aucs = np.array([_auc_of_counts(*(_resampled(c, rng) for c in counts)) for _ in range(n_resamples)])
    low, high = np.quantile(aucs, [tail, 1 - tail])
    value = _auc_of_counts(*counts)
    method = f"stratified bootstrap, {n_resamples:,} resamples"
    # A percentile interval need not contain the estimate, an `Interval` must.
    return Interval(
        value=value, low=min(float(low), value), high=max(float(high), value), confidence=confidence, method=method
    )


def _auc_of_counts(above: Ints | Floats, below: Ints | Floats) -> float:
    """Return the AUC from the numbers of members and non-members at each distinct score, in rising order."""
    beaten = np.cumsum(below) - below / 2  # ties count half
    return float((above * beaten).sum() / (above.sum() * below.sum()))


def _resampled(counts: Ints, rng: np.random.Generator) -> Ints:
    """Return the counts of a resample: n draws with replacement are one multinomial draw over distinct scores."""
    return rng.multinomial(counts.sum(), counts / counts.sum())
