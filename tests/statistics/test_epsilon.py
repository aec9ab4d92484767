"""Lower bounds of epsilon that pay for several looks, against exhaustive ones and other implementations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from umbrameter.errors import DataError
from umbrameter.statistics import intervals
from umbrameter.statistics.bootstrap import bootstrap_auc
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.statistics.subgroups import holm

RNG = np.random.default_rng(0)
STRONG = RNG.normal(2, 1, 2000), RNG.normal(0, 1, 2000)


def exhaustive(members, nonmembers, delta, alpha):
    """The same thresholds, counted one by one; Clopper-Pearson's bounds by beta quantiles."""
    best = 0.0
    for above, below in ((members, nonmembers), (-nonmembers, -members)):
        k = 1
        while k <= len(below):
            threshold = sorted(below)[-k]
            n_called = sum(score > threshold for score in above)
            fpr = beta.ppf(1 - alpha, k, len(below) - k + 1)
            tpr = beta.ppf(alpha, n_called, len(above) - n_called + 1) if n_called else 0.0
            if tpr > delta:
                best = max(best, np.log((tpr - delta) / fpr))
            k *= 2
    return best


@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.1])
def test_epsilon_is_the_best_of_its_thresholds_each_at_its_share_of_alpha(delta):
    members, nonmembers = STRONG[0][:100], STRONG[1][:130]
    n_thresholds = 7 + 8  # 1, 2, 4, ..., 64 of 100 and 1, ..., 128 of 130
    expected = exhaustive(members, nonmembers, delta, 0.05 / (2 * n_thresholds))
    assert epsilon_lower_bound(members, nonmembers, delta).value == pytest.approx(expected)


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
    assert epsilon_lower_bound([-np.inf, 0, np.inf] * 50, [-np.inf, 0, np.inf] * 50).value == 0


SCORES = st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=40)


@given(SCORES, SCORES, st.sampled_from([0.0, 1e-5, 0.3]))
@settings(max_examples=100, deadline=None)
def test_any_scores_have_finite_bounds(members, nonmembers, delta):
    bound = epsilon_lower_bound(members, nonmembers, delta)
    assert 0 <= bound.value < 50 and epsilon_lower_bound(members, members, delta).value == 0
    found = bootstrap_auc(members, nonmembers, n_resamples=20)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(intervals.auc(members, nonmembers).value)


def test_what_epsilon_refuses():
    with pytest.raises(DataError, match=r"delta=1.5 is out of range"):
        epsilon_lower_bound([1], [0], delta=1.5)
    with pytest.raises(DataError, match="members is empty"):
        epsilon_lower_bound([], [0])


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
