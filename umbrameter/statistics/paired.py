"""Paired differences between two models on the same records, and utility figures of one model, all with intervals.

Belongs here: figures of one sample of records. Does not belong here: figures that only compare members with non-members
(`intervals`), or which figures an audit reports (`evaluation.utility`).
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import t as student

from umbrameter.errors import DataError
from umbrameter.statistics.estimates import Interval
from umbrameter.statistics.intervals import checked_scores, checked_side, fraction_left
from umbrameter.statistics.placements import METHOD, auc_difference_of
from umbrameter.typing import Array, Bools, Floats, Ints

EPSILON = float(np.finfo(np.float32).eps)
"""Smaller confidences count as this in the log loss, so that one answer of 0 does not make the mean infinite."""

N_BINS = 15
"""Number of bins of confidence in the calibration error."""

N_DRAWS = 4000
"""Number of simulated deviations of the bins; fixed, like their seed, so that equal records give equal intervals."""


def auc_difference(
    members: ArrayLike,
    nonmembers: ArrayLike,
    other_members: ArrayLike,
    other_nonmembers: ArrayLike,
    confidence: float = 0.95,
) -> Interval:
    """Return the AUC of the other scores minus the AUC of the first scores, on the same records.

    A record moves the difference by the change of its placement, so that pairing pays. Bounds of the mean change are
    those of `intervals.auc` for a mean placement: for two-valued scores nearly those of Agresti and Min. Where no
    record of a side changes its placement, changes may have a share that would not show among so many records.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,).
    other_members, other_nonmembers
        Other scores of the same records, in the same order.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When a side is empty, not one-dimensional or of another length than its counterpart, or a score is NaN.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44, equation 5; Agresti, Min (2005), "Simple improved confidence
    intervals for comparing matched proportions", Statistics in Medicine 24.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> members, others = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    >>> noisier = [side + rng.normal(0, 1, 500) for side in (members, others)]
    >>> change = auc_difference(members, others, *noisier)
    >>> round(change.low, 2), round(change.value, 2), round(change.high, 2)
    (-0.09, -0.06, -0.04)
    """
    sides = [checked_side(*side) for side in (("members", members), ("nonmembers", nonmembers))]
    others = [checked_side(*s) for s in (("other_members", other_members), ("other_nonmembers", other_nonmembers))]
    for one, other, name in zip(sides, others, ("members", "nonmembers"), strict=True):
        _check_lengths(one, other, name)
    value, low, high = auc_difference_of(sides, others, fraction_left(confidence))
    return Interval(value=value, low=low, high=high, confidence=confidence, method=f"{METHOD}, paired")


def proportion_difference(is_so: ArrayLike, is_other_so: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the difference of two proportions on the same records: the second minus the first.

    Tango's score interval holds all differences that a score test does not reject. It has a width even where no record
    differs.

    Parameters
    ----------
    is_so, is_other_so
        Shape (n_records,), such as whether each of two models is right about the record.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When the lengths differ or are 0.

    References
    ----------
    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17, equations 7 to 9.

    Examples
    --------
    >>> change = proportion_difference([True] * 80 + [False] * 20, [True] * 70 + [False] * 30)
    >>> round(change.value, 2), change.low < -0.1 < change.high < 0
    (-0.1, True)
    """
    one, other = np.asarray(is_so, dtype=bool), np.asarray(is_other_so, dtype=bool)
    _check_lengths(one, other, "records")
    n, z = len(one), float(-ndtri(fraction_left(confidence) / 2))
    gained, lost = int(np.count_nonzero(other & ~one)), int(np.count_nonzero(one & ~other))
    value, edge = (gained - lost) / n, 1 - 1e-12  # at -1 and 1 the statistic's variance is 0
    low = -edge if value <= -edge else brentq(lambda d: _tango(gained, lost, n, d) - z, -edge, value)
    high = edge if value >= edge else brentq(lambda d: _tango(gained, lost, n, d) + z, value, edge)
    return Interval(
        value=value, low=min(low, value), high=max(high, value), confidence=confidence, method="Tango score"
    )


def _tango(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the score statistic of a difference; it falls, and is 0 at the estimate."""
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share = max(0.0, (sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n))
    variance = n * (2 * share + difference * (1 - difference))
    gap = gained - lost - n * difference
    return 0.0 if gap == 0 else gap / sqrt(max(variance, 1e-300))


def mean(values: ArrayLike, bounds: tuple[float, float], confidence: float = 0.95) -> Interval:
    """Return the mean of a per-record figure, with Student's interval.

    Equal values say nothing about the spread. Then a share of at least (alpha / 2) ** (1 / n) of all records is like
    them, and the others may lie anywhere between the bounds.

    Parameters
    ----------
    values
        Shape (n_records,).
    bounds
        The smallest and the largest possible value.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When there is no value, or one is NaN.

    References
    ----------
    Student (1908), Biometrika 6; for equal values Clopper, Pearson (1934).

    Examples
    --------
    >>> interval = mean([0.1, 0.2, 0.3], bounds=(0, 2))
    >>> round(interval.low, 2), round(interval.value, 2), round(interval.high, 2)
    (0.0, 0.2, 0.45)
    >>> round(mean([0.0] * 1000, bounds=(0, 2)).high, 3)
    0.007
    """
    checked, alpha = checked_side("values", values), fraction_left(confidence)
    value, n = float(checked.mean()), len(checked)
    if np.ptp(checked) == 0:
        unlike = 1 - (alpha / 2) ** (1 / n)
        low, high = (value + unlike * (bound - value) for bound in bounds)
        method = "bound on how many differ"
    else:
        reach = float(student.ppf(1 - alpha / 2, n - 1) * np.std(checked, ddof=1) / sqrt(n))
        low, high, method = max(bounds[0], value - reach), min(bounds[1], value + reach), "Student"
    return Interval(value=value, low=min(low, value), high=max(high, value), confidence=confidence, method=method)


def mean_difference(
    values: ArrayLike, others: ArrayLike, bounds: tuple[float, float], confidence: float = 0.95
) -> Interval:
    """Return the mean difference of two values per record: the other minus the first.

    Parameters
    ----------
    values, others
        Shape (n_records,).
    bounds
        The smallest and the largest possible difference.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When the lengths differ or are 0, or a value is NaN.

    Examples
    --------
    >>> mean_difference([1.0, 2.0, 3.0], [1.5, 2.7, 3.3], bounds=(-9, 9)).value
    0.5
    """
    one, other = checked_side("values", values), checked_side("others", others)
    _check_lengths(one, other, "values")
    return mean(other - one, bounds, confidence)


def calibration_error(confidences: ArrayLike, is_right: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the expected calibration error: how far confidence and accuracy are apart, over bins of confidence.

    With D_b = mean of (confidence - is_right) [in bin b], the error is sum |D_b|. Its estimate differs from the truth
    by at most the sum of the deviations of the D_b, which are nearly Gaussian with the bins' covariance; a quantile of
    that sum is the reach of the interval. The interval is conservative. It also holds where the true error is 0: there
    the estimate is too high, and a bootstrap interval misses the truth.

    Parameters
    ----------
    confidences
        Confidence in the predicted class, shape (n_records,); clipped to [0, 1].
    is_right
        Whether the predicted class is the record's label, shape (n_records,).
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When the lengths differ or are 0, or a confidence is NaN.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), arXiv 1706.04599, equation 3, with 15 bins of equal width.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.5, 1, 5000)
    >>> right = rng.random(5000) < p
    >>> calibration_error(p, right).low, round(calibration_error(np.ones(5000), right).value, 2)
    (0.0, 0.26)
    """
    deviations = _by_bin(confidences, is_right)
    value = float(np.abs(deviations.mean(axis=0)).sum())
    reach = _reach(deviations, N_BINS, confidence)
    return _clipped(value, reach, confidence, "deviations of the bins, conservative", (0.0, 1.0))


def calibration_error_difference(
    confidences: ArrayLike, is_right: ArrayLike, others: ArrayLike, is_other_right: ArrayLike, confidence: float = 0.95
) -> Interval:
    """Return the calibration error of the other answers minus that of the first, about the same records.

    Parameters
    ----------
    confidences, is_right
        See `calibration_error`.
    others, is_other_right
        The same for the other answers.
    confidence
        Confidence level, between 0 and 1.

    Raises
    ------
    DataError
        When the lengths differ or are 0, or a confidence is NaN.

    Examples
    --------
    >>> p, right = np.full(1000, 0.8), np.arange(1000) % 5 > 0
    >>> round(calibration_error_difference(p, right, np.ones(1000), right).value, 3)
    0.2
    """
    one, other = _by_bin(confidences, is_right), _by_bin(others, is_other_right)
    _check_lengths(one, other, "records")
    value = float(np.abs(other.mean(axis=0)).sum() - np.abs(one.mean(axis=0)).sum())
    reach = _reach(np.column_stack([one, other]), 2 * N_BINS, confidence)
    return _clipped(value, reach, confidence, "deviations of the bins, conservative", (-1.0, 1.0))


def log_loss(predictions: Array, labels: Ints) -> Floats:
    """Return each record's log loss in nats, shape (n_records,); confidences below float32's epsilon count as that.

    Parameters
    ----------
    predictions
        Shape (n_records, n_classes).
    labels
        Shape (n_records,).

    Examples
    --------
    >>> log_loss(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])).round(2) + 0.0
    array([ 0.  , 15.94])
    """
    confidence = predictions[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.clip(confidence, EPSILON, 1.0)))


def distortion(predictions: Array, others: Array) -> Floats:
    """Return the L1 distance between each record's two prediction vectors, 0 to 2, shape (n_records,).

    Parameters
    ----------
    predictions, others
        Shape (n_records, n_classes).

    Examples
    --------
    >>> distortion(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    array([2.])
    """
    return np.asarray(np.abs(predictions.astype(np.float64) - others).sum(axis=1))


def _by_bin(confidences: ArrayLike, is_right: ArrayLike) -> Floats:
    """Return confidence - is_right of each record in its bin's column, 0 in the others; shape (n_records, n_bins)."""
    sure = np.clip(checked_scores("confidences", confidences), 0.0, 1.0)
    right: Bools = np.asarray(is_right, dtype=bool)
    _check_lengths(sure, right, "confidences")
    columns = np.minimum((sure * N_BINS).astype(int), N_BINS - 1)
    deviations = np.zeros((len(sure), N_BINS))
    deviations[np.arange(len(sure)), columns] = sure - right
    return deviations


def _reach(deviations: Floats, n_columns: int, confidence: float) -> float:
    """Return a quantile of the summed absolute deviations of the columns' means, at least what n records can miss."""
    n = len(deviations)
    spread = np.cov(deviations, rowvar=False) / n if n > 1 else np.zeros((n_columns, n_columns))
    # Empty bins have no variance, so that a Cholesky decomposition would fail.
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(n_columns), spread, N_DRAWS, method="eigh")
    missed: float = 1 - fraction_left(confidence) ** (1 / n)  # a larger share would show among n records
    return max(float(np.quantile(np.abs(draws).sum(axis=1), confidence)), missed)


def _clipped(value: float, reach: float, confidence: float, method: str, bounds: tuple[float, float]) -> Interval:
    low, high = max(bounds[0], value - reach), min(bounds[1], value + reach)
    return Interval(value=value, low=low, high=high, confidence=confidence, method=method)


def _check_lengths(one: Array, other: Array, name: str) -> None:
    if len(one) != len(other) or not len(one):
        text = f"{name} have lengths {len(one)} and {len(other)} (need equal ones, at least 1)"
        raise DataError(f"{text}: pass the same records twice")
