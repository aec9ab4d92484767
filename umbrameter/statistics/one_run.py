"""A lower bound of epsilon that one training run proves, whatever it does to many records at once.

Belongs here: the bound from guesses about records whose membership was drawn independently. Does not belong here:
bounds that assume that records leak independently of each other (`epsilon`). Higher scores mean more likely a member.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import betainc, expit, logit

from umbrameter.statistics.epsilon import DELTA, beyond, check_delta
from umbrameter.statistics.estimates import LowerBound
from umbrameter.statistics.intervals import checked_side, fraction_left
from umbrameter.typing import Floats


def one_run_epsilon_lower_bound(
    members: ArrayLike, nonmembers: ArrayLike, delta: float = DELTA, confidence: float = 0.95
) -> LowerBound:
    """Return a lower bound of epsilon from the scores of an attack on a single trained model.

    The k records with the highest scores are guessed to be members; or, besides, the k with the lowest scores not to
    be. If each of all m records was a member with probability p, independently, then under epsilon-DP a guess is
    correct with a probability of at most q = p exp(epsilon) / (p exp(epsilon) + 1 - p), or with 1 - p for p, and the
    number W of correct ones among r is at most binomial, however much the scores depend on each other. Under
    (epsilon, delta)-DP the chance of at least v correct guesses is larger by at most

        2 m delta max_i Pr[v - i <= W < v] / i,

    since a training may give away i records at once with a probability of about m delta / i. The bound is therefore of
    little use where m delta is not well below 1. k runs through the powers of 2, ties included as a whole, and all
    guesses share alpha (Bonferroni).

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); infinities are legal. Each record is assumed to have become a
        member by chance, independently of all others and of its content; p is taken to be the share of members. Sides
        of fixed sizes, dealt at random, are nearly so; sides chosen otherwise are not. Between sides of unequal
        sizes, the two kinds of guesses have different q: their mean bounds the tail (Hoeffding 1956, theorem 4).
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
    Steinke, Nasr, Jagielski (2023), "Privacy auditing with one (1) training run", arXiv 2305.08846, section 5;
    Hoeffding (1956), "On the distribution of the number of successes in independent trials".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(one_run_epsilon_lower_bound(rng.normal(2, 1, 5000), rng.normal(0, 1, 5000)).value, 2)
    2.98
    """
    above, below = checked_side("members", members), checked_side("nonmembers", nonmembers)
    check_delta(delta)
    guesses = [*_guesses(np.sort(above), np.sort(below))]
    alpha, given_away, best = fraction_left(confidence) / len(guesses), (len(above) + len(below)) * delta, 0.0
    for look in guesses:
        margin = partial(_margin, look, given_away, alpha)
        if margin(best) < 0:
            best = float(brentq(margin, best, beyond(margin, best + 1), xtol=1e-6))
    method = (
        f"correct guesses about one run, {len(guesses)} sets of guesses, Bonferroni, delta {delta:g}, if records "
        "became members independently"
    )
    return LowerBound(value=best, low=best, confidence=confidence, method=method)


@dataclass(frozen=True)
class Guesses:
    """Guesses about one run: how many records are said to be members and not to be, and how many of that is correct.

    Parameters
    ----------
    n_in, n_out
        The numbers of records guessed to be members, and not to be.
    n_correct
        The number of correct guesses.
    odds
        Log odds of a record to be a member, before anything is known.
    """

    n_in: int
    n_out: int
    n_correct: int
    odds: float = 0.0

    def chance(self, epsilon: float, given_away: float) -> float:
        """Return the largest probability of so many correct guesses, or more, under (epsilon, delta)-DP.

        Parameters
        ----------
        epsilon
            The epsilon.
        given_away
            The number of all records times delta.
        """
        n = self.n_in + self.n_out
        mean = self.n_in * float(expit(epsilon + self.odds)) + self.n_out * float(expit(epsilon - self.odds))
        if self.n_correct <= mean + 1:
            return 1.0
        # So far below the mean, the chance of v - i <= W is 1, and i only grows.
        least = max(0, int(mean - 10 * np.sqrt(mean * (1 - mean / n))))
        counts = np.arange(least, self.n_correct + 1)
        # The binomial chance of so many or more; asked of scipy.stats, it takes twice as long.
        reached = betainc(counts, n - counts + 1, mean / n)
        counts, reached, tail = counts[:-1], reached[:-1], reached[-1]
        if self.n_in and self.n_out and self.odds:
            reached[counts <= mean + 1] = 1.0  # there, Hoeffding's bound is one from below
        excess = np.max((reached - tail) / (self.n_correct - counts))
        return float(min(1.0, tail + 2 * given_away * excess))


def _margin(guesses: Guesses, given_away: float, alpha: float, epsilon: float) -> float:
    return guesses.chance(epsilon, given_away) - alpha


def _guesses(above: Floats, below: Floats) -> Iterator[Guesses]:
    """Yield all sets of guesses from the scores of members and non-members, both in rising order."""
    scores, odds = np.sort(np.concatenate([above, below])), float(logit(len(above) / (len(above) + len(below))))
    n = len(scores)
    for k in 2 ** np.arange(n.bit_length()):
        high, low = scores[n - k], scores[k - 1]
        n_in, hits = (len(side) - int(np.searchsorted(side, high)) for side in (scores, above))
        yield Guesses(n_in, 0, hits, odds)
        if low < high:
            n_out, rejections = (int(np.searchsorted(side, low, side="right")) for side in (scores, below))
            yield Guesses(n_in, n_out, hits + rejections, odds)
