"""Lower bounds of epsilon that pay for several looks, against exhaustive ones and other implementations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax_privacy.auditing import CanaryScoreAuditor, Explicit
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import beta, binom, hypergeom, norm

from umbrameter.errors import DataError
from umbrameter.statistics import intervals
from umbrameter.statistics.bootstrap import bootstrap_auc
from umbrameter.statistics.epsilon import (
    _Look,
    _TradeOff,
    epsilon_lower_bound,
    epsilon_of_gaussian,
    gaussian_epsilon_lower_bound,
)
from umbrameter.statistics.one_run import Guesses, one_run_epsilon_lower_bound
from umbrameter.statistics.subgroups import holm

RNG = np.random.default_rng(0)
STRONG = RNG.normal(2, 1, 2000), RNG.normal(0, 1, 2000)


TRADE_OFFS = {
    "epsilon": lambda epsilon, fpr, delta: np.exp(epsilon) * fpr + delta,
    "gaussian": lambda mu, fpr, delta: norm.cdf(norm.ppf(fpr) + mu),
}


def exhaustive(members, nonmembers, alpha, trade_off):
    """The same thresholds, counted one by one; each parameter's chance by integrating over the density of the FPR."""
    best, n_looks = 0.0, len(whole_ranks(len(members))) + len(whole_ranks(len(nonmembers)))
    for above, below in ((members, nonmembers), (-nonmembers, -members)):
        n, m = len(below), len(above)
        for k in whole_ranks(len(below)):
            threshold = sorted(below)[-k]
            n_called = sum(score > threshold for score in above)

            def gap(parameter, k=k, n=n, m=m, c=n_called):
                def integrand(fpr):
                    return beta.pdf(fpr, k, n - k + 1) * binom.sf(c - 1, m, min(1.0, trade_off(parameter, fpr)))

                return quad(integrand, 0, 1, points=[k / n / 2, k / n], limit=500)[0] - alpha / n_looks

            if n_called and gap(best) < 0:
                best = brentq(gap, best, 40, xtol=1e-6)
    return best


def whole_ranks(n):
    return sorted({round(2 ** (i / 2)) for i in range(100)} & set(range(1, n + 1)))


@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("n", [40, 130])
def test_epsilon_is_the_best_of_its_thresholds_each_at_its_share_of_alpha(delta, n):
    members, nonmembers = STRONG[0][:60], STRONG[1][:n]
    expected = exhaustive(members, nonmembers, 0.05, lambda e, fpr: TRADE_OFFS["epsilon"](e, fpr, delta))
    assert epsilon_lower_bound(members, nonmembers, delta).value == pytest.approx(expected, abs=1e-4)


def test_the_gaussian_bound_is_the_best_of_its_thresholds_as_epsilon():
    members, nonmembers = STRONG[0][:60], STRONG[1][:40]
    mu = exhaustive(members, nonmembers, 0.05, lambda mu, fpr: TRADE_OFFS["gaussian"](mu, fpr, 0))
    found = gaussian_epsilon_lower_bound(members, nonmembers, 0.01)
    assert found.value == pytest.approx(epsilon_of_gaussian(mu, 0.01), abs=1e-3)
    assert "Gaussian" in found.method and "independently" in found.method


@pytest.mark.parametrize(
    ("rank", "n", "called", "m"), [(1, 30, 4, 30), (5, 20, 20, 400), (60, 400, 9, 20), (7, 7, 6, 7)]
)
def test_without_any_leak_the_chance_is_that_of_dealing_ranks(rank, n, called, m):
    """Of the called + rank - 1 highest of all scores, at least `called` are one side's: a hypergeometric draw."""
    found = _Look(rank, n, called, m).chance(_TradeOff(lambda _, fpr: fpr, lambda _, tpr: tpr), 0.0)
    assert found == pytest.approx(hypergeom.sf(called - 1, m + n, m, called + rank - 1), rel=1e-9)


def test_epsilon_of_gaussian_noise_is_its_largest_divergence():
    grid = np.linspace(-12, 12, 400_001)
    for mu, delta in ((0.3, 0.1), (1.0, 1e-5), (4.0, 1e-3)):
        epsilon = epsilon_of_gaussian(mu, delta)
        excess = np.maximum(norm.pdf(grid - mu) - np.exp(epsilon) * norm.pdf(grid), 0).sum() * (grid[1] - grid[0])
        assert excess == pytest.approx(delta, rel=1e-3)
    assert epsilon_of_gaussian(0.3, 0.12) == 0 == epsilon_of_gaussian(0, 1e-5)


def test_a_small_epsilon_is_found_between_the_coarse_ranks():
    """With ranks 1, 2, 4, ... it was .027; the true one is .0458."""
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0.3, 1, 2_000_000), rng.normal(0, 1, 2_000_000)
    assert 0.041 < epsilon_lower_bound(members, nonmembers, 0.1).value < epsilon_of_gaussian(0.3, 0.1) < 0.0459


@pytest.mark.parametrize(("mu", "before"), [(0.5, 0.41), (1, 1.35), (2, 3.05)])
def test_epsilon_is_no_less_than_it_was_with_two_bounds_at_each_rank(mu, before):
    """Means over audits of 1,000 a side, when FPR and TPR were each bounded and the bounds divided."""
    rng = np.random.default_rng(1)
    bounds = [epsilon_lower_bound(rng.normal(mu, 1, 1000), rng.normal(0, 1, 1000)).value for _ in range(20)]
    assert np.mean(bounds) > before


# One training run


def by_hand(members, nonmembers, delta, alpha):
    """Sets of guesses counted one by one; Steinke et al.'s sum over i, for two sides of equal size."""
    scores, m = np.sort(np.r_[members, nonmembers]), len(members) + len(nonmembers)
    sets, k = [], 1
    while k <= m:
        high, low = scores[-k], scores[k - 1]
        sets.append((np.sum(scores >= high), np.sum(members >= high)))
        if low < high:
            sets.append((sets[-1][0] + np.sum(scores <= low), sets[-1][1] + np.sum(nonmembers <= low)))
        k *= 2
    best = 0.0
    for r, v in sets:
        for epsilon in np.arange(best, 12, 0.01):
            q = 1 / (1 + np.exp(-epsilon))
            tail = binom.sf(v - 1, r, q)
            excess = max(
                ((binom.cdf(v - 1, r, q) - binom.cdf(v - i - 1, r, q)) / i for i in range(1, v + 1)), default=0
            )
            if tail + 2 * m * delta * excess >= alpha / len(sets):
                break
            best = epsilon
    return best


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3])
def test_the_bound_of_one_run_is_the_best_set_of_guesses(delta):
    members, nonmembers = STRONG[0][:80], STRONG[1][:80]
    found = one_run_epsilon_lower_bound(members, nonmembers, delta)
    assert found.value == pytest.approx(by_hand(members, nonmembers, delta, 0.05), abs=0.0101)
    assert "one run" in found.method and found.value == found.low and found.high is None


def test_with_unequal_sides_the_chance_is_no_less_than_that_of_either_kind_of_guess():
    """Both kinds at once: the exact distribution is the convolution of the two binomials."""
    odds, epsilon = np.log(1 / 4), 1.0
    by_in, by_out = (binom.pmf(np.arange(61), n, expit(epsilon + o)) for n, o in ((60, odds), (40, -odds)))
    exact = np.convolve(by_in, by_out)[::-1].cumsum()[::-1]
    for v in range(40, 100):
        assert Guesses(60, 40, v, odds).chance(epsilon, 0.0) >= exact[v] - 1e-12
    one_sided = Guesses(60, 0, 50, odds).chance(epsilon, 0.0)
    assert one_sided == pytest.approx(binom.sf(49, 60, expit(epsilon + odds)))


@pytest.mark.parametrize("sides", [(1000, 1000), (300, 1000), (1000, 300)])
def test_the_bound_of_one_run_grows_with_the_leak(sides):
    members, nonmembers = RNG.normal(0, 1, sides[0]), RNG.normal(0, 1, sides[1])
    bounds = [one_run_epsilon_lower_bound(members + mu, nonmembers).value for mu in (0, 1, 2, 4)]
    assert bounds[0] == 0 and bounds == sorted(set(bounds)) and bounds[-1] > 2


@pytest.mark.parametrize("n_records", [2000, 200_000])
def test_a_run_that_may_give_away_many_records_at_once_does_not_exceed_its_bound(n_records):
    """It reveals K records with probability delta n / K, so is (0, delta)-DP; independence is assumed at one's risk."""
    delta, shares = 10 / n_records, {}
    for bound in (one_run_epsilon_lower_bound, epsilon_lower_bound):
        alarms = []
        for k in (16, 32, 64, 128, 256, 512):
            n_members = np.random.default_rng(k).binomial(k, 0.5, 5)
            runs = [(np.arange(n_records // 2) < n, -1.0 * (np.arange(n_records // 2) < k - n)) for n in n_members]
            proved = [bound(members.astype(float), nonmembers, delta).value > 0 for members, nonmembers in runs]
            alarms.append(min(1.0, delta * n_records / k) * np.mean(proved))
        shares[bound] = max(alarms)
    assert shares[one_run_epsilon_lower_bound] <= 0.05 < 0.15 < shares[epsilon_lower_bound]


# Beside jax_privacy


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("mu", [1, 2, 4])
def test_bounds_are_no_less_than_jax_privacy_s_on_the_same_scores(n, mu):
    """And never more than the truth. Theirs look at every threshold, ours at fewer, for a larger share of alpha."""
    nonmembers = norm.ppf((np.arange(n) + 0.5) / n)
    auditor = CanaryScoreAuditor(nonmembers + mu, nonmembers)
    ours = epsilon_lower_bound(nonmembers + mu, nonmembers).value
    theirs = auditor.epsilon_clopper_pearson(0.05, 1e-5, one_sided=False)
    assert theirs < ours < theirs + 0.5 and ours < epsilon_of_gaussian(mu, 1e-5)
    one_run = one_run_epsilon_lower_bound(nonmembers + mu, nonmembers).value
    by_them = auditor.epsilon_one_run(0.05, 1e-5)
    assert by_them - 0.1 < one_run < by_them + 1.5 and one_run < epsilon_of_gaussian(mu, 1e-5)


@pytest.mark.parametrize(("r", "v"), [(200, 120), (50, 50), (1000, 600)])
@pytest.mark.parametrize("delta", [0.0, 1e-5])
def test_one_set_of_guesses_proves_what_jax_privacy_says(r, v, delta):
    """As many guesses, right as often, about as many records: the highest scores are v members' and r - v others'."""
    m = 2000
    members = np.repeat([1.0, 0.0], [v, m // 2 - v])
    nonmembers = np.repeat([1.0, 0.0], [r - v, m // 2 - r + v])
    theirs = CanaryScoreAuditor(members, nonmembers).epsilon_one_run(
        0.05, max(delta, 1e-300), threshold_strategy=Explicit(0.5)
    )
    chance = Guesses(r, 0, v).chance(theirs, m * delta)
    assert chance == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("bound", [epsilon_lower_bound, gaussian_epsilon_lower_bound, one_run_epsilon_lower_bound])
@pytest.mark.parametrize("shape", ["smooth", "ties", "unequal", "few"])
def test_noise_proves_nothing(bound, shape):
    rng = np.random.default_rng(7)
    n, m = {"unequal": (40, 400), "few": (8, 12)}.get(shape, (200, 200))
    drawn = (rng.normal(size=(60, n)), rng.normal(size=(60, m)))
    members, nonmembers = (np.round(side) if shape == "ties" else side for side in drawn)
    alarms = sum(bound(*sides).value > 0 for sides in zip(members, nonmembers, strict=True))
    assert alarms <= binom.ppf(0.999, 60, 0.05)


def test_epsilon_looks_at_both_sides():
    """Non-members that no member is like are as telling as the reverse."""
    members, nonmembers = np.zeros(1000), np.where(np.arange(1000) < 300, -1.0, 0.0)
    assert epsilon_lower_bound(members, nonmembers).value > 3
    assert epsilon_lower_bound(-nonmembers, -members).value > 3


def test_epsilon_grows_with_records_and_confidence_costs():
    few = epsilon_lower_bound(STRONG[0][:200], STRONG[1][:200])
    many = epsilon_lower_bound(*STRONG)
    assert 0 < few.low < many.low and many.high is None and many.value == many.low
    assert epsilon_lower_bound(*STRONG, confidence=0.99).low < many.low
    assert epsilon_lower_bound(*STRONG, delta=0.2).low < many.low


def test_no_evidence_is_zero():
    assert epsilon_lower_bound([1.0], [0.0]).value == 0
    assert epsilon_lower_bound(np.zeros(100), np.zeros(100)).value == 0
    assert one_run_epsilon_lower_bound([1.0], [0.0]).value == 0 == gaussian_epsilon_lower_bound([1.0], [0.0]).value
    assert one_run_epsilon_lower_bound(np.zeros(100), np.zeros(100)).value == 0
    assert epsilon_lower_bound([-np.inf, 0, np.inf] * 50, [-np.inf, 0, np.inf] * 50).value == 0


SCORES = st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=40)


@given(SCORES, SCORES, st.sampled_from([0.0, 1e-5, 0.3]))
@settings(max_examples=100, deadline=None)
def test_any_scores_have_finite_bounds(members, nonmembers, delta):
    bound = epsilon_lower_bound(members, nonmembers, delta)
    assert 0 <= bound.value < 50 and epsilon_lower_bound(members, members, delta).value == 0
    assert 0 <= one_run_epsilon_lower_bound(members, nonmembers, delta).value < 50
    assert one_run_epsilon_lower_bound(members, members, delta).value == 0
    found = bootstrap_auc(members, nonmembers, n_resamples=20)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(intervals.auc(members, nonmembers).value)


def test_what_epsilon_refuses():
    with pytest.raises(DataError, match=r"delta=1.5 is out of range"):
        epsilon_lower_bound([1], [0], delta=1.5)
    with pytest.raises(DataError, match="members is empty"):
        epsilon_lower_bound([], [0])
    for bound in (one_run_epsilon_lower_bound, gaussian_epsilon_lower_bound):
        with pytest.raises(DataError, match=r"delta=-0.1 is out of range"):
            bound([1], [0], delta=-0.1)
        with pytest.raises(DataError, match="nonmembers is empty"):
            bound([1], [])
    with pytest.raises(DataError, match=r"delta=0 has no finite epsilon under Gaussian noise .*: usual is 1e-5"):
        gaussian_epsilon_lower_bound([1], [0], delta=0)


@pytest.mark.parametrize("grid", [None, 1])
def test_the_bootstrap_checks_delong(grid):
    members, nonmembers = (side if grid is None else np.round(side) for side in STRONG)
    ours, theirs = intervals.auc(members, nonmembers), bootstrap_auc(members, nonmembers, seed=1)
    assert ours.value == pytest.approx(theirs.value)
    assert theirs.low == pytest.approx(ours.low, abs=0.003) and theirs.high == pytest.approx(ours.high, abs=0.003)


def test_the_bootstrap_resamples_each_side_on_its_own():
    found = bootstrap_auc([1.0] * 5, [0.0] * 3, n_resamples=50)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
    assert bootstrap_auc(*STRONG, n_resamples=20) == bootstrap_auc(*STRONG, n_resamples=20)


def test_holm_one_step_at_a_time():
    p = RNG.random(20)
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, i in enumerate(np.argsort(p)):
            if p[i] > alpha / (len(p) - step):
                break
            rejected.add(i)
        assert rejected == set(np.flatnonzero(adjusted <= alpha))
    assert len(holm([])) == 0
