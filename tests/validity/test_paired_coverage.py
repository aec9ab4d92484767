"""Paired intervals contain the true value as often as they claim, by simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from umbrameter.statistics import paired
from umbrameter.statistics.estimates import Interval

pytestmark = pytest.mark.slow

N = 400
"""Repetitions; at a true coverage of .95, fewer than .92 are seen once in three hundred times."""


def covered(draw: Callable[[np.random.Generator], Interval], truth: float) -> float:
    rng = np.random.default_rng(0)
    found = [draw(rng) for _ in range(N)]
    return float(np.mean([interval.low <= truth <= interval.high for interval in found]))


@pytest.mark.parametrize(("shift", "noise", "n"), [(0.0, 1.0, 100), (1.0, 0.1, 100), (1.0, 1.0, 300), (3.0, 1.0, 300)])
def test_the_difference_of_two_aucs(shift: float, noise: float, n: int) -> None:
    truth = norm.cdf(shift / np.sqrt(2 * (1 + noise**2))) - norm.cdf(shift / np.sqrt(2))

    def draw(rng: np.random.Generator) -> Interval:
        sides = rng.normal(shift, 1, n), rng.normal(0, 1, n)
        return paired.auc_difference(*sides, *(side + rng.normal(0, noise, n) for side in sides))

    assert covered(draw, truth) >= 0.92


@pytest.mark.parametrize("sides", [(30, 30), (30, 300), (300, 30), (100, 1000)])
@pytest.mark.parametrize("cut", [None, 1.0, 2.05])
@pytest.mark.parametrize("noise", [0.05, 0.5, 1.0])
def test_the_difference_of_two_aucs_that_seldom_differ(sides: tuple[int, int], cut: float | None, noise: float) -> None:
    """At least .93 as far as 400 audits can tell; DeLong's covariance held in as few as .74."""
    for shift in (0.0, 1.2, 2.3, 3.3):  # AUC .5, .8, .95, .99
        spread = np.sqrt(1 + noise**2)
        if cut is None:
            truth = norm.cdf(shift / np.sqrt(2) / spread) - norm.cdf(shift / np.sqrt(2))
        else:
            calls = [norm.sf((cut - mean) / s) for s in (spread, 1.0) for mean in (shift, 0.0)]
            truth = (calls[0] - calls[1] - calls[2] + calls[3]) / 2

        def draw(rng: np.random.Generator, shift: float = shift) -> Interval:
            first = rng.normal(shift, 1, sides[0]), rng.normal(0, 1, sides[1])
            other = [side + noise * rng.normal(size=len(side)) for side in first]
            scores = (*first, *other)
            return paired.auc_difference(*(scores if cut is None else (side > cut for side in scores)))

        assert covered(draw, truth) >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / N)


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(0.0, 0.0, 50), (0.01, 0.01, 200), (0.03, 0.0, 50), (0.2, 0.1, 200), (0.3, 0.3, 1000)]
)
def test_the_difference_of_two_proportions(gained: float, lost: float, n: int) -> None:
    def draw(rng: np.random.Generator) -> Interval:
        u = rng.random(n)
        one = np.where(u < gained, False, np.where(u < gained + lost, True, u < 0.8))
        other = np.where(u < gained, True, np.where(u < gained + lost, False, u < 0.8))
        return paired.proportion_difference(one, other)

    assert covered(draw, gained - lost) >= 0.92


@pytest.mark.parametrize("n", [50, 1000])
def test_the_mean_of_a_skewed_figure(n: int) -> None:
    assert covered(lambda rng: paired.mean(2 * rng.beta(1, 3, n), (0, 2)), 0.5) >= 0.92
    rare = covered(lambda rng: paired.mean((rng.random(n) < 0.5 / n).astype(float), (0, 1)), 0.5 / n)
    assert rare >= 0.92  # mostly all equal


@pytest.mark.parametrize(("sharpness", "n"), [(1.0, 300), (1.0, 5000), (2.0, 300), (2.0, 5000)])
def test_the_calibration_error(sharpness: float, n: int) -> None:
    def sample(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.uniform(0.3, 1, size)
        chance = p if sharpness == 1 else 0.5 + (p - 0.5) / sharpness
        return p, rng.random(size) < chance

    p, right = sample(np.random.default_rng(1), 4_000_000)
    truth = 0.0 if sharpness == 1 else paired.calibration_error(p, right).value
    assert covered(lambda rng: paired.calibration_error(*sample(rng, n)), truth) >= 0.95

    def both(rng: np.random.Generator) -> Interval:
        confidence, is_right = sample(rng, n)
        return paired.calibration_error_difference(confidence, is_right, confidence, is_right)

    assert covered(both, 0.0) >= 0.95
