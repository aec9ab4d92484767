"""Confidence intervals: each figure with the range that the number of records leaves open, by a stated method.

Belongs here: one function per statistic, from two sets of scores or from counts. Does not belong here: which figures an
audit reports (`metrics`). Higher scores mean more likely a member; all intervals are two-sided.
"""

from functools import lru_cache
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtri
from scipy.stats import binom

from umbrameter.errors import DataError
from umbrameter.statistics.estimates import Interval, Metric, NotMeasured, NotReachable
from umbrameter.statistics.placements import auc_of
from umbrameter.typing import Floats


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion.

    Parameters
    ----------
    successes, trials
        Counts, 0 <= successes <= trials and trials >= 1.
    confidence
        Probability, at least, with which the interval contains the true proportion; a fraction.

    Returns
    -------
    low, high
        Fractions.

    Raises
    ------
    DataError
        When the counts or the confidence are out of range.

    References
    ----------
    Clopper, Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".

    Examples
    --------
    >>> low, high = clopper_pearson(0, 100)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.036)
    """
    _check_counts(successes, trials)
    tail = fraction_left(confidence) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with its Clopper-Pearson interval.

    Parameters
    ----------
    successes, trials, confidence
        See `clopper_pearson`.

    Raises
    ------
    DataError
        When the counts or the confidence are out of range.

    Examples
    --------
    >>> proportion(90, 100).value
    0.9
    """
    low, high = clopper_pearson(successes, trials, confidence)
    return Interval(value=successes / trials, low=low, high=high, confidence=confidence, method="Clopper-Pearson")


def auc(members: ArrayLike, nonmembers: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the AUC: the probability that a member scores higher than a non-member, ties counting half.

    The AUC is the mean of the members' placements, the shares of non-members that each beats, and so it is of the
    non-members'. Each side's placements get a Clopper-Pearson interval, with as many trials as would give their
    variance, and the two are combined by MOVER. For two-valued scores, whose AUC is the balanced accuracy, these are
    the exact intervals of TPR and FPR. Three things keep few, tied and skewed placements from looking surer than they
    are: one record is added at an end of the scale; towards the longer tail the variance counts as estimated with the
    degrees of freedom of its kurtosis; and a score that the other side has and this one lacks may have a share that
    would not show among so many records. O(n log n). Where this is uninformative, a bound that holds for every
    distribution replaces it, and `method` says so:

    - Every member above every non-member (or below, or all scores tied): placements have no variance. But the k =
      min(n_members, n_nonmembers) disjoint, hence independent, pairs came out alike; so a pair does with a probability
      of at least t = (alpha / 2) ** (1 / k), and the others may fall either way: [t, 1], [0, 1 - t] or
      [t / 2, 1 - t / 2]. Tied scores are thus no evidence that the AUC is .5, only that differences are rare.
    - Fewer than 10 records on a side: Hoeffding's bound for two-sample means, value +- sqrt(log(2 / alpha) / (2 k)).

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); infinities are legal.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When a side is empty or not one-dimensional, or a score is NaN.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44 (placements); Zou, Donner (2008), Statistics in Medicine 27
    (MOVER); Agresti, Min (2005), Statistics in Medicine 24 (added records);
    Hoeffding (1963), "Probability inequalities for sums of bounded random variables", section 5.

    Examples
    --------
    >>> round(auc([0.9, 0.8, 0.4], [0.7, 0.4, 0.1]).value, 3)
    0.833
    >>> perfect = auc([0.9] * 50, [0.1] * 50)
    >>> round(perfect.low, 2), perfect.high
    (0.93, 1.0)
    """
    measured = auc_of(checked_side("members", members), checked_side("nonmembers", nonmembers))
    low, high, method = measured.bounds(fraction_left(confidence))
    return Interval(value=measured.value, low=low, high=high, confidence=confidence, method=method)


def tpr_at_fpr(members: ArrayLike, nonmembers: ArrayLike, fpr: float, confidence: float = 0.95) -> Metric:
    """Return the best true-positive rate among thresholds whose false-positive rate is at most `fpr`.

    The value is empirical, at an achievable threshold: one that splits no tie. The interval pays for having chosen the
    threshold on the same non-members. Half of alpha goes to the threshold: of n non-members, a rule with the true rate
    `fpr` calls between a and b, the quantiles of Binomial(n, fpr); so the right threshold lies between the order
    statistics that belong to a and b, whatever the distribution and its ties. The other half goes to Clopper-Pearson
    intervals of the TPR at these two thresholds. Conservative; `low` is 0 unless n * fpr is about 5 or more.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,); infinities are legal.
    fpr
        The highest false-positive rate allowed, a fraction between 0 and 1.
    confidence
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval or NotMeasured
        `NotMeasured` when `fpr` is below one in n_nonmembers, or when so many non-members share the highest score
        that no threshold calls anybody at such an FPR.

    Raises
    ------
    DataError
        When a side is empty or not one-dimensional, a score is NaN, or `fpr` is not between 0 and 1.

    References
    ----------
    Carlini et al. (2022), arXiv 2112.03570 (the figure); David, Nagaraja (2003), "Order Statistics", section 7.1.

    Examples
    --------
    >>> tpr_at_fpr([3, 2, 2, 0], [2, 1, 1, 1, 0, 0, 0, 0, 0, 0], fpr=0.1).value
    0.75
    >>> tpr_at_fpr([1, 1], [0, 0], fpr=0.01)
    NotMeasured(not_measured='an FPR of 0.01 needs at least 100 non-members; there are 2')
    """
    members, nonmembers = checked_side("members", members), np.sort(checked_side("nonmembers", nonmembers))
    _check_fraction("fpr", fpr)
    alpha, n_nonmembers = fraction_left(confidence), len(nonmembers)
    allowed = floor(fpr * n_nonmembers + 1e-9)  # 0.29 * 100 is 28.999999999999996
    if allowed < 1:
        needed = f"an FPR of {fpr:g} needs at least {ceil(1 / fpr - 1e-9):,} non-members"
        return NotMeasured(not_measured=f"{needed}; there are {n_nonmembers:,}")
    fewest, most = _called_by_rule(n_nonmembers, fpr, alpha / 2)
    highest = max(members.max(), nonmembers[-1])
    if np.count_nonzero(nonmembers == highest) > allowed:
        return _not_reachable(members, nonmembers, fpr, most, confidence)
    fewer, called, more = (_called(members, nonmembers, k) for k in (fewest - 1, allowed, most))
    return Interval(
        value=called / len(members),
        low=clopper_pearson(fewer, len(members), 1 - alpha / 2)[0],
        high=clopper_pearson(more, len(members), 1 - alpha / 2)[1],
        confidence=confidence,
        method="order statistics for the threshold, Clopper-Pearson for the rate",
    )


def _not_reachable(members: Floats, ascending: Floats, fpr: float, most: int, confidence: float) -> NotReachable:
    """Return the bounds of a TPR whose FPR is below that of the lowest threshold, which calls all of a tie.

    An attacker who calls a share of the tie at random has the tie's TPR times that share, here fpr / the tie's FPR.
    """
    tied, called = (int(np.count_nonzero(scores == ascending[-1])) for scores in (ascending, members))
    level = 1 - (1 - confidence) / 2  # half of alpha for either rate
    fpr_low, fpr_high = clopper_pearson(tied, len(ascending), level)
    tpr_low, tpr_high = clopper_pearson(called, len(members), level)
    high = tpr_high * min(1.0, fpr / fpr_low)
    if tied <= most:  # the tie's FPR may be lower than it seems, so that more than the tie may be called
        high = max(high, clopper_pearson(_called(members, ascending, most), len(members), level)[1])
    sharing = f"an FPR of {fpr:g} is not reachable: {tied + called:,} records share the highest score"
    return NotReachable(
        not_measured=f"{sharing}; the smallest FPR that can be chosen is {tied / len(ascending):.3g}",
        low=tpr_low * min(1.0, fpr / fpr_high),
        high=high,
        confidence=confidence,
    )


def difference(k1: int, n1: int, k2: int, n2: int, confidence: float = 0.95) -> Interval:
    """Return the difference k1 / n1 - k2 / n2 of two independent proportions, with Newcombe's hybrid score interval.

    Parameters
    ----------
    k1, n1
        Members called members, and all members: the TPR. In general, successes and trials of the first proportion.
    k2, n2
        Non-members called members, and all non-members: the FPR.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When the counts or the confidence are out of range.

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, method 10; the membership advantage TPR - FPR is Yeom et al. (2018), arXiv 1709.01604.

    Examples
    --------
    >>> advantage = difference(56, 70, 48, 80)
    >>> [round(x, 4) for x in (advantage.low, advantage.value, advantage.high)]
    [0.0524, 0.2, 0.3339]
    """
    (low1, high1), (low2, high2) = _wilson(k1, n1, confidence), _wilson(k2, n2, confidence)
    p1, p2 = k1 / n1, k2 / n2
    return Interval(
        value=p1 - p2,
        low=max(-1.0, p1 - p2 - sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2)),
        high=min(1.0, p1 - p2 + sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)),
        confidence=confidence,
        method="Newcombe hybrid score",
    )


def precision(
    tp: int, n_members: int, fp: int, n_nonmembers: int, prior: float = 0.5, confidence: float = 0.95
) -> Metric:
    """Return the precision where a share `prior` of the records asked about are members.

    prior * TPR / (prior * TPR + (1 - prior) * FPR) rises with the TPR and falls with the FPR, so two Clopper-Pearson
    intervals, independent and each at sqrt(confidence), give its bounds at two corners of their rectangle.

    Parameters
    ----------
    tp, n_members
        Members called members, and all members.
    fp, n_nonmembers
        Non-members called members, and all non-members.
    prior
        The share of members, a fraction between 0 and 1; 0.5 means as many members as non-members.
    confidence
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval or NotMeasured
        `NotMeasured` when nobody was called a member.

    Raises
    ------
    DataError
        When the counts, the prior or the confidence are out of range.

    References
    ----------
    Jayaraman et al. (2021), "Revisiting Membership Inference Under Realistic Assumptions", arXiv 2005.10881.

    Examples
    --------
    >>> precision(80, 100, 20, 100).value
    0.8
    >>> round(precision(80, 100, 20, 100, prior=0.01).value, 3)
    0.039
    >>> precision(0, 100, 0, 100)
    NotMeasured(not_measured='the attack called nobody a member')
    """
    _check_fraction("prior", prior)
    confidence_of_rate = sqrt(1 - fraction_left(confidence))  # two independent rates hold together at `confidence`
    tpr_low, tpr_high = clopper_pearson(tp, n_members, confidence_of_rate)
    fpr_low, fpr_high = clopper_pearson(fp, n_nonmembers, confidence_of_rate)
    if tp == fp == 0:
        return NotMeasured(not_measured="the attack called nobody a member")
    return Interval(
        value=_precision(tp / n_members, fp / n_nonmembers, prior),
        low=_precision(tpr_low, fpr_high, prior),
        high=_precision(tpr_high, fpr_low, prior),
        confidence=confidence,
        method="corners of two Clopper-Pearson intervals",
    )


def checked_scores(name: str, scores: ArrayLike) -> Floats:
    """Return scores as float64 of shape (n_records,); `name` is what the caller calls them.

    Raises
    ------
    DataError
        When they are not numbers, not one-dimensional, or hold a NaN (infinities are legal).
    """
    array = np.asarray(scores)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} has dtype {array.dtype} (needs numbers): pass one number per record")
    if array.ndim != 1:
        text = f"{name} has shape {array.shape} (needs one score per record, shape (n_records,))"
        raise DataError(f"{text}: pass one attack's scores at a time")
    n_nan = np.isnan(array).sum()
    if n_nan:
        text = f"{name} holds {n_nan:,} NaN of {len(array):,} (needs numbers; infinities are legal)"
        raise DataError(f"{text}: score these records, or leave them out")
    return array.astype(np.float64)


def checked_side(name: str, scores: ArrayLike) -> Floats:
    """Return one side's scores as `checked_scores` does; refuse an empty side."""
    checked = checked_scores(name, scores)
    if not len(checked):
        raise DataError(f"{name} is empty (needs at least one score): audit with members and non-members")
    return checked


def fraction_left(confidence: float) -> float:
    """Return alpha, 1 - confidence, for a confidence between 0 and 1."""
    _check_fraction("confidence", confidence)
    return 1 - confidence


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise DataError(f"{name}={value} is out of range (needs a fraction between 0 and 1): 5 % is 0.05")


def _check_counts(successes: int, trials: int) -> None:
    if not (trials >= 1 and 0 <= successes <= trials):
        text = f"successes={successes} of trials={trials} (needs 0 <= successes <= trials, and a trial)"
        raise DataError(f"{text}: pass counts, not rates")


@lru_cache(maxsize=1024)  # the same for all attacks on as many records
def _called_by_rule(n_nonmembers: int, fpr: float, alpha: float) -> tuple[int, int]:
    """Return between which numbers of non-members a rule with a known FPR calls, but for a chance of alpha."""
    fewest, most = binom.ppf([alpha / 2, 1 - alpha / 2], n_nonmembers, fpr)
    return int(fewest), int(most)


def _called(members: Floats, ascending: Floats, allowed: int) -> int:
    """Return how many members are called at the lowest threshold that calls at most `allowed` non-members."""
    if allowed < 0:
        return 0
    if allowed >= len(ascending):
        return len(members)
    return int(np.count_nonzero(members > ascending[-1 - allowed]))


def _wilson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (1927)."""
    _check_counts(successes, trials)
    z2 = ndtri(fraction_left(confidence) / 2) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def _precision(tpr: float, fpr: float, prior: float) -> float:
    return prior * tpr / (prior * tpr + (1 - prior) * fpr)
