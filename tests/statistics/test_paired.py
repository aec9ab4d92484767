"""Paired figures against loops, and where their formulas do not apply."""

import numpy as np
import pytest
from scipy.stats import beta, norm
from scipy.stats import t as student

from umbrameter.errors import DataError
from umbrameter.statistics import paired
from umbrameter.statistics.intervals import auc

RNG = np.random.default_rng(0)
MEMBERS, OTHERS = RNG.normal(1, 1, 60), RNG.normal(0, 1, 50)
NOISY = [side + RNG.normal(0, 0.7, len(side)) for side in (MEMBERS, OTHERS)]


def wins(members: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.array([[1.0 if m > o else 0.5 if m == o else 0.0 for o in others] for m in members])


def room(members: np.ndarray, others: np.ndarray, more: np.ndarray, even_more: np.ndarray) -> tuple[float, float]:
    """Return the largest fall and rise of any member's placement from the first scores to the other ones."""
    before, after = (
        wins(np.concatenate([side, rest]), rest).mean(axis=1) for side, rest in ((members, others), (more, even_more))
    )
    return before.max() - after.min(), after.max() - before.min()


def change_bounds(changes: np.ndarray, room: tuple[float, float], alpha: float = 0.05) -> tuple[float, float]:
    """Return the mean change with Clopper-Pearson's reach for as many trials as would give its variance."""
    n, mean, furthest = len(changes), changes.mean(), np.abs(changes).max()
    tail = np.mean((changes - mean) ** 3)
    floor = -max(furthest, min(room[0], 3 * furthest)) if tail <= 0 else -furthest
    ceiling = max(furthest, min(room[1], 3 * furthest)) if tail >= 0 else furthest
    share, spread = (mean - floor) / (ceiling - floor), np.var(changes, ddof=1) / ((mean - floor) * (ceiling - mean))
    squares = np.mean((changes - mean) ** 2)
    degrees = 1 + 2 * n / (np.mean((changes - mean) ** 4) / squares**2 - 1)
    longer = max(spread + 1 / n, spread * (student.ppf(alpha / 2, degrees) / norm.ppf(alpha / 2)) ** 2)
    below, above = (n / min(1, longer if is_long else spread + 1 / n) for is_long in (tail <= 0, tail >= 0))
    low = beta.ppf(alpha / 2, below * share, below * (1 - share) + 1)
    high = beta.ppf(1 - alpha / 2, above * share + 1, above * (1 - share))
    return mean - floor - (ceiling - floor) * low, floor + (ceiling - floor) * high - mean


def test_the_difference_of_aucs_is_that_of_all_pairs() -> None:
    one, other = wins(MEMBERS, OTHERS), wins(*NOISY)
    found = paired.auc_difference(MEMBERS, OTHERS, *NOISY)
    assert found.value == pytest.approx(other.mean() - one.mean())
    rooms = room(MEMBERS, OTHERS, *NOISY), room(-OTHERS, -MEMBERS, -NOISY[1], -NOISY[0])
    changes = [(other - one).mean(axis=axis) for axis in (1, 0)]
    reach = np.hypot(*(change_bounds(*side) for side in zip(changes, rooms, strict=True)))
    assert (found.value - found.low, found.high - found.value) == pytest.approx(tuple(reach))
    turned = paired.auc_difference(*NOISY, MEMBERS, OTHERS)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))
    alone = auc(*NOISY)
    assert found.high - found.low < alone.high - alone.low  # pairing pays


def test_where_no_record_moves_moves_are_rare_but_not_ruled_out() -> None:
    same = paired.auc_difference(MEMBERS, OTHERS, MEMBERS, OTHERS)
    reach = np.hypot(*(1 - 0.025 ** (1 / n) for n in (60, 50)))
    assert (same.low, same.value, same.high) == pytest.approx((-reach, 0, reach), rel=0.02)
    constant = paired.auc_difference([1.0] * 60, [1.0] * 50, [0.0] * 60, [0.0] * 50)
    assert (constant.low, constant.high) == pytest.approx((-reach, reach))
    halved = paired.auc_difference(MEMBERS > 0, OTHERS > 0, MEMBERS > 0, OTHERS > 0)
    assert halved.high == pytest.approx(reach / 2, rel=0.02)


def score_of(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the score statistic with the likelihood's maximum found by brute force."""
    shares = np.linspace(max(0.0, -difference), (1 - abs(difference)) / 2 + abs(difference), 2_000_001)[1:-1]
    with np.errstate(all="ignore"):  # q21: lost; q12: gained = q21 + difference
        chances = gained * np.log(shares + difference) + lost * np.log(shares)
        chances += (n - gained - lost) * np.log(1 - 2 * shares - difference)
    best = shares[np.nanargmax(chances)]
    return float((gained - lost - n * difference) / np.sqrt(n * (2 * best + difference * (1 - difference))))


def test_proportions_differ_by_gains_less_losses() -> None:
    one, other = RNG.random(500) < 0.7, RNG.random(500) < 0.6
    found = paired.proportion_difference(one, other)
    assert found.value == pytest.approx(other.mean() - one.mean()) and found.low < found.value < found.high
    none = paired.proportion_difference(one, one)
    assert none.value == 0 and -none.low == pytest.approx(none.high) == pytest.approx(3.8415 / 503.8415, rel=1e-3)
    # Tango (1998), table VI: 12 gained, 1 lost of 44
    pairs = np.repeat([[1, 0], [0, 1], [1, 1]], [1, 12, 31], axis=0).astype(bool)
    tango = paired.proportion_difference(pairs[:, 0], pairs[:, 1])
    for bound, sign in ((tango.low, 1), (tango.high, -1)):
        assert score_of(12, 1, 44, bound) == pytest.approx(sign * 1.959964, abs=1e-4)
    assert all(paired.proportion_difference([a] * 9, [not a] * 9).low <= (-1 if a else 1) for a in (True, False))


def test_means_and_their_differences() -> None:
    values, others = RNG.random(80), RNG.random(80)
    found = paired.mean_difference(values, others, (-1, 1))
    reach = 1.99045 * (others - values).std(ddof=1) / np.sqrt(80)
    assert found.value == pytest.approx((others - values).mean())
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=1e-4)
    zero = paired.mean(np.zeros(1000), (0, 2))
    assert (zero.value, zero.low) == (0, 0) and 0.005 < zero.high < 0.01
    assert paired.mean([1.0], (0, 2)).low == pytest.approx(0.025, abs=0.001)


def test_calibration_error_is_the_sum_over_bins() -> None:
    sure, right = RNG.uniform(0, 1.02, 400), RNG.random(400) < 0.6
    expected, clipped = 0.0, np.clip(sure, 0, 1)
    for b in range(15):
        own = (clipped >= b / 15) & ((clipped < (b + 1) / 15) | (b == 14))
        if own.any():
            expected += own.mean() * abs(clipped[own].mean() - right[own].mean())
    found = paired.calibration_error(sure, right)
    assert found.value == pytest.approx(expected) and found.low <= found.value <= found.high
    assert found == paired.calibration_error(sure, right)
    both = paired.calibration_error_difference(sure, right, np.ones(400), right)
    assert both.value == pytest.approx(paired.calibration_error(np.ones(400), right).value - found.value)
    turned = paired.calibration_error_difference(np.ones(400), right, sure, right)
    assert turned.value == pytest.approx(-both.value) and turned.high == pytest.approx(-both.low, abs=0.01)
    assert paired.calibration_error([1.0], [True]).high == pytest.approx(0.95)


def test_log_loss_and_distortion_are_one_number_per_record() -> None:
    predictions = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.allclose(paired.log_loss(predictions, np.array([0, 0, 0])), [np.log(2), 0, 15.9424], atol=1e-4)
    assert np.allclose(paired.distortion(predictions, predictions[[1, 1, 1]]), [1, 0, 2])


def test_other_records_are_refused() -> None:
    with pytest.raises(DataError, match=r"members have lengths 60 and 59 .*pass the same records twice"):
        paired.auc_difference(MEMBERS, OTHERS, MEMBERS[1:], OTHERS)
    for act in (
        lambda: paired.proportion_difference([True], []),
        lambda: paired.mean_difference([1.0], [1.0, 2.0], (0, 1)),
        lambda: paired.calibration_error([], []),
    ):
        with pytest.raises(DataError, match=r"need equal ones, at least 1|is empty"):
            act()
