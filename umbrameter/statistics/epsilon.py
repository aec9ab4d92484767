"""Lower bounds of epsilon from an attack's scores on independent records, corrected for the many thresholds tried.

Belongs here: what scores prove about differential privacy if each record's score depends on that record's membership
alone. Does not belong here: the bound without that assumption (`one_run`), intervals of single figures (`intervals`),
or epsilon from the noise of a training (`networks.accounting`). Higher scores mean more likely a member.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import exp

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import betainc, betaincc, betainccinv, betaincinv, log_ndtr, ndtr, ndtri
from scipy.stats import norm

from umbrameter.errors import DataError
from umbrameter.statistics.estimates import LowerBound
from umbrameter.statistics.intervals import checked_side, fraction_left
from umbrameter.typing import Floats, Ints

DELTA = 1e-5
"""The delta of (epsilon, delta)-differential privacy at which reports bound epsilon."""

STEP = 0.25
NODES = np.arange(-8, 8 + STEP, STEP)
WEIGHTS = norm.pdf(NODES) * STEP
"""The trapezoidal rule for a mean over a standard normal variable, exact to about 1e-14 for smooth functions."""


def epsilon_lower_bound(
    members: ArrayLike, nonmembers: ArrayLike, delta: float = DELTA, confidence: float = 0.95
) -> LowerBound:
    """Return a lower bound of a training's epsilon, from the scores of an attack on it.

    Under (epsilon, delta)-DP, TPR <= exp(epsilon) FPR + delta and TNR <= exp(epsilon) FNR + delta at every threshold.
    The thresholds tried are the scores of rank 1, 2, 3, 4, 6, 8, 11, ... (powers of the square root of 2) among the
    non-members from above, and among the members from below. Of n scores, the share of the distribution above the one
    of rank r is P ~ Beta(r, n - r + 1), whatever the distribution; with ties it is smaller. Given P, the number of
    members above the threshold is at most binomial with probability exp(epsilon) P + delta. So at least c of m exceed
    it with a probability of at most Pr[V <= exp(epsilon) P + delta], V ~ Beta(c, m - c + 1): an exact test of each
    epsilon. All thresholds share alpha (Bonferroni), so the best one may be taken.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); infinities are legal. Assumed independent: no score depends on
        the membership of other records, nor on what else happens to them all at once. Scores of one trained model are
        so only approximately; `one_run_epsilon_lower_bound` holds for them without this assumption.
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
    4.24
    >>> epsilon_lower_bound(rng.normal(0, 1, 5000), rng.normal(0, 1, 5000)).value
    0.0
    """
    looks = _looks(members, nonmembers)
    check_delta(delta)

    def most_tpr(epsilon: float, fpr: Floats) -> Floats:
        return np.asarray(np.minimum(exp(epsilon) * fpr + delta, 1.0))

    def least_fpr(epsilon: float, tpr: Floats) -> Floats:
        return np.asarray(np.maximum(tpr - delta, 0.0) * exp(-epsilon))

    bound = _largest_disproved(looks, fraction_left(confidence) / len(looks), _TradeOff(most_tpr, least_fpr))
    method = f"order statistics at {len(looks)} thresholds, Bonferroni, delta {delta:g}, if records leak independently"
    return LowerBound(value=bound, low=bound, confidence=confidence, method=method)


def gaussian_epsilon_lower_bound(
    members: ArrayLike, nonmembers: ArrayLike, delta: float = DELTA, confidence: float = 0.95
) -> LowerBound:
    """Return a lower bound of epsilon that assumes a Gaussian trade-off between false and missed alarms.

    The best attack is assumed to face N(mu, 1) for members and N(0, 1) for non-members, as when one release has
    Gaussian noise: TPR <= Phi(Phi^-1(FPR) + mu). mu is bounded from below like epsilon in `epsilon_lower_bound`, at
    the threshold that tells most, and then gives epsilon at any delta: larger than the bound without the assumption,
    often twice as large, since few records need to show what happens at rates as small as delta. DP-SGD has such a
    trade-off in the limit of many steps that each take few records; with few steps, the bound may exceed the true
    epsilon.

    Parameters
    ----------
    members, nonmembers, confidence
        See `epsilon_lower_bound`; records are assumed independent here, too.
    delta
        The delta at which epsilon is bounded, a fraction between 0 and 1.

    Raises
    ------
    DataError
        See `epsilon_lower_bound`; also when delta is 0, where Gaussian noise has no finite epsilon.

    References
    ----------
    Dong, Roth, Su (2019), "Gaussian differential privacy", arXiv 1905.02383, corollary 2.13; Nasr et al. (2023), "Tight
    auditing of differentially private machine learning", arXiv 2302.07956.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(gaussian_epsilon_lower_bound(rng.normal(2, 1, 5000), rng.normal(0, 1, 5000)).value, 2)
    9.5
    """
    looks = _looks(members, nonmembers)
    check_delta(delta)
    if delta == 0:
        raise DataError("delta=0 has no finite epsilon under Gaussian noise (needs a fraction above 0): usual is 1e-5")

    def most_tpr(mu: float, fpr: Floats) -> Floats:
        return np.asarray(ndtr(ndtri(fpr) + mu))

    def least_fpr(mu: float, tpr: Floats) -> Floats:
        return np.asarray(ndtr(ndtri(tpr) - mu))

    mu = _largest_disproved(looks, fraction_left(confidence) / len(looks), _TradeOff(most_tpr, least_fpr))
    bound = epsilon_of_gaussian(mu, delta)
    method = (
        f"a Gaussian trade-off (mu {mu:.3g}) is assumed; order statistics at {len(looks)} thresholds, Bonferroni, "
        f"delta {delta:g}, if records leak independently"
    )
    return LowerBound(value=bound, low=bound, confidence=confidence, method=method)


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """Return the least epsilon for which N(mu, 1) and N(0, 1) are (epsilon, delta)-indistinguishable.

    Parameters
    ----------
    mu
        Distance of the means, 0 or more.
    delta
        A fraction between 0 and 1.

    References
    ----------
    Dong, Roth, Su (2019), arXiv 1905.02383, corollary 2.13.
    """

    def excess(epsilon: float) -> float:
        left, right = ndtr(mu / 2 - epsilon / mu), exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        return float(left - right - delta)

    if mu == 0 or excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, beyond(lambda epsilon: -excess(epsilon), 1.0), xtol=1e-9))


def check_delta(delta: float) -> None:
    """Raise `DataError` unless delta is a fraction from 0 to below 1."""
    if not 0 <= delta < 1:
        raise DataError(f"delta={delta} is out of range (needs a fraction from 0 to below 1): usual is 1e-5")


def ranks(n: int) -> Ints:
    """Return the whole numbers next to the powers of the square root of 2, from 1 to n."""
    powers = np.rint(np.sqrt(2.0) ** np.arange(2 * n.bit_length() + 1)).astype(np.int64)
    return np.unique(powers[powers <= n])


def beyond(margin: Callable[[float], float], start: float) -> float:
    """Return the first of start, 2 start, 4 start, ... at which a function is not negative."""
    while margin(start) < 0:
        start *= 2
    return start


@dataclass(frozen=True)
class _TradeOff:
    """A trade-off with one parameter: the largest TPRs at FPRs, and its inverse, the smallest FPRs at TPRs."""

    most_tpr: Callable[[float, Floats], Floats]
    least_fpr: Callable[[float, Floats], Floats]


@dataclass(frozen=True)
class _Look:
    """One threshold: the `rank`-th of `n_below` scores from above, which `called` of the other `n_above` exceed."""

    rank: int
    n_below: int
    called: int
    n_above: int

    def chance(self, trade_off: _TradeOff, parameter: float) -> float:
        """Return the largest probability that so many are called."""
        if self._is_by_tpr:
            fpr = trade_off.least_fpr(parameter, self._nodes)
            return float(WEIGHTS @ betaincc(self.rank, self.n_below - self.rank + 1, fpr))
        tpr = trade_off.most_tpr(parameter, self._nodes)
        return float(WEIGHTS @ betainc(self.called, self.n_above - self.called + 1, tpr))

    @cached_property
    def _is_by_tpr(self) -> bool:
        # The integrand is smooth if the mean is taken over the side with the smaller relative spread.
        return (self.n_above - self.called + 1) / self.called < (self.n_below - self.rank + 1) / self.rank

    @cached_property
    def _nodes(self) -> Floats:
        of_tpr, of_fpr = (self.called, self.n_above - self.called + 1), (self.rank, self.n_below - self.rank + 1)
        return _nodes_of_beta(*(of_tpr if self._is_by_tpr else of_fpr))


@lru_cache(maxsize=4096)  # the thresholds of all attacks on as many records are of the same ranks
def _nodes_of_beta(a: int, b: int) -> Floats:
    """Return the quantiles of Beta(a, b) that belong to the nodes, read-only."""
    tails = ndtr(-np.abs(NODES))
    nodes = np.asarray(np.where(NODES < 0, betaincinv(a, b, tails), betainccinv(a, b, tails)))
    nodes.flags.writeable = False
    return nodes


def _looks(members: ArrayLike, nonmembers: ArrayLike) -> list[_Look]:
    """Return all thresholds, of which both sides set about half each."""
    above, below = np.sort(checked_side("members", members)), np.sort(checked_side("nonmembers", nonmembers))
    return [*_set_by(below, above), *_set_by(-above[::-1], -below[::-1])]


def _set_by(below: Floats, above: Floats) -> Iterator[_Look]:
    """Yield the thresholds that `below` sets; both sides are in rising order."""
    tried = ranks(len(below))
    called = len(above) - np.searchsorted(above, below[len(below) - tried], side="right")
    for rank, n_called in zip(tried.tolist(), called.tolist(), strict=True):
        yield _Look(rank, len(below), n_called, len(above))


def _largest_disproved(looks: list[_Look], alpha: float, trade_off: _TradeOff) -> float:
    """Return the largest parameter of a trade-off that some threshold disproves, each one with the error alpha."""
    best = 0.0
    for look in looks:
        fpr, tpr = look.rank / (look.n_below + 1), look.called / (look.n_above + 1)
        if tpr <= trade_off.most_tpr(best, np.array(fpr)):
            continue  # not even the estimates, without their uncertainty, disprove more
        margin = partial(_margin, look, trade_off, alpha)
        if margin(best) < 0:
            best = float(brentq(margin, best, beyond(margin, best + 1), xtol=1e-6))
    return best


def _margin(look: _Look, trade_off: _TradeOff, alpha: float, parameter: float) -> float:
    return look.chance(trade_off, parameter) - alpha
