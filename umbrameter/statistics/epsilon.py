"""A lower bound of epsilon from an attack's scores, corrected for the many thresholds that it tries.

Belongs here: what scores prove about differential privacy. Does not belong here: intervals of single figures
(`intervals`), or epsilon from the noise of a training (`networks.accounting`). Higher scores mean more likely a member.
"""

from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from umbrameter.errors import DataError
from umbrameter.statistics.estimates import LowerBound
from umbrameter.statistics.intervals import checked_side, fraction_left
from umbrameter.typing import Floats, Ints

DELTA = 1e-5
"""The delta of (epsilon, delta)-differential privacy at which reports bound epsilon."""


def epsilon_lower_bound(
    members: ArrayLike, nonmembers: ArrayLike, delta: float = DELTA, confidence: float = 0.95
) -> LowerBound:
    """Return a lower bound of a training's epsilon, from the scores of an attack on it.

    Under (epsilon, delta)-DP, TPR <= exp(epsilon) FPR + delta and TNR <= exp(epsilon) FNR + delta at every threshold.
    The thresholds tried are the scores of rank 1, 2, 4, 8, ... among the non-members from above, and among the members
    from below. The rate on the side that sets the threshold is bounded by the Beta distribution of its order statistic,
    the rate on the other side by Clopper-Pearson. All these bounds share alpha (Bonferroni), so the best one may be
    taken.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); infinities are legal. Records are assumed independent.
    delta
        The delta at which epsilon is bounded, a fraction from 0 to below 1.
    confidence
        Probability with which the true epsilon is at least the bound.

    Returns
    -------
    LowerBound
        0 where the scores are no evidence against perfect privacy.

    Raises
    ------
    DataError
        When a side is empty, a score is NaN, or delta or confidence is out of range.

    References
    ----------
    Jagielski, Ullman, Oprea (2020), "Auditing differentially private machine learning", arXiv 2006.07709; Nasr et al.
    (2021), arXiv 2101.04535; David, Nagaraja (2003), "Order Statistics", section 2.3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(epsilon_lower_bound(rng.normal(2, 1, 5000), rng.normal(0, 1, 5000)).value, 2)
    4.12
    >>> epsilon_lower_bound(rng.normal(0, 1, 5000), rng.normal(0, 1, 5000)).value
    0.0
    """
    above, below = checked_side("members", members), checked_side("nonmembers", nonmembers)
    if not 0 <= delta < 1:
        raise DataError(f"delta={delta} is out of range (needs a fraction from 0 to below 1): usual is 1e-5")
    n_looks = _ranks(len(below)).size + _ranks(len(above)).size
    alpha = fraction_left(confidence) / (2 * n_looks)
    bound = max(0.0, _epsilon(above, below, delta, alpha), _epsilon(-below, -above, delta, alpha))
    method = f"order statistics and Clopper-Pearson at {n_looks} thresholds, Bonferroni, delta {delta:g}"
    return LowerBound(value=bound, low=bound, confidence=confidence, method=method)


def _ranks(n: int) -> Ints:
    """Return 1, 2, 4, ... up to n."""
    return 2 ** np.arange(n.bit_length())


def _epsilon(above: Floats, below: Floats, delta: float, alpha: float) -> float:
    """Return the best bound over the thresholds that `below` sets; each one fails with probability alpha."""
    n, ranks = len(below), _ranks(len(below))
    thresholds = np.sort(below)[n - ranks]
    called = len(above) - np.searchsorted(np.sort(above), thresholds, side="right")
    # Of n scores, the share of the distribution above the one of rank r is Beta(r, n - r + 1).
    fpr = betaincinv(ranks, n - ranks + 1, 1 - alpha)
    tpr = np.where(called > 0, betaincinv(np.maximum(called, 1), len(above) - called + 1, alpha), 0.0)
    gains = tpr - delta
    return max((log(gain / rate) for gain, rate in zip(gains, fpr, strict=True) if gain > 0), default=0.0)
