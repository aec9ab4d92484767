"""What no figure may depend on, what it must fall or rise with, and what its interval must hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import beta, binom

from umbrameter.errors import DataError
from umbrameter.statistics import intervals, paired
from umbrameter.statistics.bootstrap import bootstrap_auc
from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotMeasured
from umbrameter.statistics.metrics import best_threshold, measure, measure_by_class, roc_curve
from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
from umbrameter.statistics.subgroups import excesses
from umbrameter.typing import Floats

few = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**16)
LEVELS = (0.5, 0.8, 0.95, 0.99)

Figure = Callable[[Floats, Floats, float], Any]
FIGURES: dict[str, Figure] = {
    "auc": intervals.auc,
    "tpr": lambda members, others, level: intervals.tpr_at_fpr(members, others, 0.1, level),
    "epsilon": lambda members, others, level: epsilon_lower_bound(members, others, 1e-5, level),
    "epsilon, one run": lambda members, others, level: one_run_epsilon_lower_bound(members, others, 1e-5, level),
    "epsilon, gaussian": lambda members, others, level: gaussian_epsilon_lower_bound(members, others, 1e-5, level),
    "bootstrap": lambda members, others, level: bootstrap_auc(members, others, 50, level),
}
every_figure = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)


def sides(seed: int, n_members: int = 70, n_others: int = 90, decimals: int = 1) -> tuple[Floats, Floats]:
    """Return scores of both sides, rounded so that many are tied."""
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, n_members).round(decimals), rng.normal(0, 1, n_others).round(decimals)


def bounds(metric: Metric) -> list[float]:
    """Return a figure with its bounds."""
    assert not isinstance(metric, NotMeasured)
    return [metric.value, metric.low, np.inf if metric.high is None else metric.high]


# Two sides of scores


@every_figure
@given(seeds)
@few
def test_only_the_order_of_scores_counts(figure: Figure, seed: int) -> None:
    members, others = sides(seed)
    expected = bounds(figure(members, others, 0.95))
    for risen in (np.exp, lambda s: s**3, lambda s: 7 * s - 1000):
        assert bounds(figure(risen(members), risen(others), 0.95)) == pytest.approx(expected)


@every_figure
@given(seeds)
@few
def test_the_order_of_records_does_not_count(figure: Figure, seed: int) -> None:
    members, others = sides(seed)
    rng = np.random.default_rng(seed)
    shuffled = figure(rng.permutation(members), rng.permutation(others), 0.95)
    assert bounds(shuffled) == pytest.approx(bounds(figure(members, others, 0.95)))


@every_figure
@given(seeds)
@few
def test_more_confidence_never_narrows(figure: Figure, seed: int) -> None:
    members, others = sides(seed)
    found = [figure(members, others, level) for level in LEVELS]
    lows, highs = [m.low for m in found], [bounds(m)[2] for m in found]
    assert lows == sorted(lows, reverse=True) and highs == sorted(highs)
    assert len({m.value for m in found}) == 1 or isinstance(found[0], LowerBound)


@every_figure
def test_single_and_double_precision_and_whole_numbers_are_the_same_scores(figure: Figure) -> None:
    members, others = (np.rint(10 * side).astype(np.int64) for side in sides(0))
    expected = figure(members.astype(np.float64), others.astype(np.float64), 0.95)
    for kind in (np.float32, np.int16, np.float16):
        assert figure(members.astype(kind), others.astype(kind), 0.95) == expected


@given(seeds)
@few
def test_turning_scores_and_sides_round_leaves_auc_and_epsilon(seed: int) -> None:
    members, others = sides(seed)
    assert bounds(intervals.auc(-others, -members)) == pytest.approx(bounds(intervals.auc(members, others)))
    turned, found = epsilon_lower_bound(-others, -members), epsilon_lower_bound(members, others)
    assert turned.value == pytest.approx(found.value)


@pytest.mark.parametrize("n", [12, 40, 200])
def test_four_times_the_records_are_about_half_the_auc_s_interval(n: int) -> None:
    members, others = sides(3, n, n, decimals=8)
    one, four = intervals.auc(members, others), intervals.auc(np.tile(members, 4), np.tile(others, 4))
    assert four.value == pytest.approx(one.value)
    assert 0.4 < (four.high - four.low) / (one.high - one.low) < 0.6


@given(seeds, st.sampled_from([0.0, 1e-5, 0.05, 0.3]))
@few
def test_a_larger_delta_and_fewer_records_prove_less(seed: int, delta: float) -> None:
    members, others = sides(seed, 200, 200)
    proved = epsilon_lower_bound(members, others, delta).value
    assert epsilon_lower_bound(members, others, delta + 0.1).value <= proved
    assert epsilon_lower_bound(np.tile(members, 3), np.tile(others, 3), delta).value >= proved


def test_no_number_of_records_proves_more_than_their_number_can() -> None:
    """Perfect separation of n records a side: the best look is at the first, which all members exceed.

    The share of non-members beyond it has the density n (1 - fpr)^(n - 1); all n members exceed it with a
    probability of (exp(epsilon) fpr + delta)^n.
    """
    for n in (10, 100, 1000):
        n_looks = 2 * len({round(2 ** (i / 2)) for i in range(40)} & {*range(1, n + 1)})

        def gap(epsilon, n=n, n_looks=n_looks):
            full = np.exp(-epsilon) * (1 - 1e-5)  # from here on, all members exceed it for certain
            below = quad(lambda fpr: n * (1 - fpr) ** (n - 1) * (np.exp(epsilon) * fpr + 1e-5) ** n, 0, full)[0]
            return below + (1 - full) ** n - 0.05 / n_looks

        assert epsilon_lower_bound(np.ones(n), np.zeros(n)).value == pytest.approx(brentq(gap, 0, 20), rel=1e-4)


@given(seeds)
@few
def test_more_allowed_mistakes_find_at_least_as_many_members(seed: int) -> None:
    members, others = sides(seed, 50, 200)
    found = [bounds(intervals.tpr_at_fpr(members, others, fpr)) for fpr in (0.01, 0.05, 0.2, 0.6)]
    assert all((np.diff(column) >= 0).all() for column in np.array(found).T)


@pytest.mark.parametrize("fpr", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("decimals", [0, 8])
def test_bounds_of_a_tpr_are_at_the_thresholds_that_so_many_non_members_leave_open(
    fpr: float, level: float, decimals: int
) -> None:
    members, others = sides(0, 300, 800, decimals)
    alpha, descending = 1 - level, np.sort(others)[::-1]
    fewest, most = (int(binom.ppf(q, 800, fpr)) for q in (alpha / 4, 1 - alpha / 4))
    fewer, more = (sum(score > descending[k] for score in members.tolist()) for k in (fewest - 1, most))
    found = intervals.tpr_at_fpr(members, others, fpr, level)
    expected = [beta.ppf(alpha / 4, fewer, 301 - fewer) if fewer else 0, beta.ppf(1 - alpha / 4, more + 1, 300 - more)]
    assert bounds(found)[1:] == pytest.approx(expected)


# What an attack decides


@given(seeds, st.integers(2, 4))
@few
def test_classes_are_measured_alike_whatever_their_numbers(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    scores, member = rng.normal(size=80), rng.random(80) < 0.5
    labels, order = rng.integers(0, n_classes, 80), rng.permutation(n_classes)
    names = [f"class {i}" for i in range(n_classes)]
    found = measure_by_class(scores, member, scores > 0, labels, names)
    renamed = measure_by_class(scores, member, scores > 0, np.argsort(order)[labels], [names[i] for i in order])
    assert sorted(renamed, key=lambda c: c.label) == found
    assert sum(c.n_members for c in found) == member.sum() and sum(c.n_nonmembers for c in found) == (~member).sum()


@given(seeds)
@few
def test_calling_the_others_instead_turns_the_decision_s_figures_round(seed: int) -> None:
    rng = np.random.default_rng(seed)
    member, called = rng.random(60) < 0.5, rng.random(60) < 0.4
    member[:2], called[:2] = (True, False), (True, False)
    there, back = (measure(np.zeros(60), member, decision) for decision in (called, ~called))
    for name in ("advantage", "accuracy"):
        a, b = bounds(there[name]), bounds(back[name])
        total = 0 if name == "advantage" else 1
        assert [a[0] + b[0], a[1] + b[2], a[2] + b[1]] == pytest.approx([total] * 3)


@given(seeds, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
@few
def test_a_threshold_moves_with_the_scores(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    scores, is_in = rng.normal(size=30).round(1), np.arange(30) % 2 == 0
    threshold, moved = best_threshold(scores, is_in), best_threshold(scale * scores + shift, is_in)
    if np.isfinite(threshold):
        assert moved == pytest.approx(scale * threshold + shift, abs=1e-9)
    else:
        assert moved == threshold
    fpr, tpr, _ = roc_curve(scores, is_in)
    assert np.array_equal(roc_curve(scale * scores + shift, is_in)[1], tpr) and (np.diff(fpr) >= 0).all()


# The same records twice


@given(seeds)
@few
def test_paired_differences_change_sign_with_the_order_and_hold_their_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 40))
    right, other_right = rng.random((2, 40)) < 0.6
    members, others = sides(seed, 30, 30)
    noisy = members + rng.normal(size=30), others + rng.normal(size=30)
    pairs = [
        (paired.mean_difference(one, other, (-1, 1)), paired.mean_difference(other, one, (-1, 1))),
        (paired.proportion_difference(right, other_right), paired.proportion_difference(other_right, right)),
        (paired.auc_difference(members, others, *noisy), paired.auc_difference(*noisy, members, others)),
    ]
    for there, back in pairs:
        assert bounds(there) == pytest.approx([-back.value, -back.high, -back.low], abs=1e-9)
        assert there.low <= there.value <= there.high and there.low >= -1 and there.high <= 1


@pytest.mark.parametrize(
    "figure",
    [
        lambda level: paired.mean(np.linspace(0, 1, 30), (0, 1), level),
        lambda level: paired.mean(np.ones(30), (0, 2), level),
        lambda level: paired.proportion_difference(np.arange(50) < 30, np.arange(50) < 33, level),
        lambda level: paired.auc_difference(*sides(0), *sides(1), level),
        lambda level: paired.auc_difference(*sides(0), *sides(0), level),
        lambda level: paired.calibration_error(np.linspace(0.3, 1, 90), np.arange(90) % 3 > 0, level),
        lambda level: intervals.difference(30, 40, 10, 50, level),
        lambda level: intervals.precision(30, 40, 10, 50, 0.1, level),
        lambda level: intervals.proportion(3, 40, level),
    ],
)
def test_intervals_of_less_confidence_lie_within_those_of_more(figure: Callable[[float], Interval]) -> None:
    found = [figure(level) for level in LEVELS]
    assert len({interval.value for interval in found}) == 1 and [i.confidence for i in found] == [*LEVELS]
    lows, highs = [i.low for i in found], [i.high for i in found]
    assert lows == sorted(lows, reverse=True) and highs == sorted(highs)
    assert lows[-1] <= found[0].value <= highs[-1] and lows[-1] < highs[-1]


def test_pairing_with_a_shift_and_a_rise_differs_by_nothing_but_the_bound_of_rare_differences() -> None:
    members, others = sides(0)
    same = paired.auc_difference(members, others, np.exp(members), np.exp(others))
    assert same.value == 0 and same == paired.auc_difference(members, others, members, others)


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 1 / 15, 0.2, 0.5, 0.9, 14 / 15, 1.0])))
@few
def test_confidences_at_the_edge_of_a_bin_belong_to_the_upper_one_and_certainty_to_the_last(sure: Floats) -> None:
    right = np.arange(len(sure)) % 2 == 0
    total = 0.0
    for lower in range(15):
        own = [i for i, p in enumerate(sure) if min(int(p * 15), 14) == lower]
        total += abs(sum(sure[i] - right[i] for i in own)) / len(sure)
    assert paired.calibration_error(sure, right).value == pytest.approx(total, abs=1e-12)


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    sure = np.repeat([0.25, 0.75], 100)
    right = np.concatenate([np.arange(100) % 4 == 0, np.arange(100) % 4 > 0])
    found = paired.calibration_error(sure, right)
    assert found.value == pytest.approx(0) and found.low == 0 and 0 < found.high < 0.2
    assert paired.calibration_error(np.ones(100), np.zeros(100, bool)).value == 1


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(0.01, 1)), seeds)
@few
def test_distortion_is_a_distance_of_at_most_two(weights: Floats, seed: int) -> None:
    one = weights / weights.sum(axis=1, keepdims=True)
    other, third = np.random.default_rng(seed).dirichlet(np.ones(4), (2, len(one)))
    there = paired.distortion(one, other)
    assert np.allclose(there, paired.distortion(other, one)) and (there <= 2 + 1e-9).all()
    assert (there <= paired.distortion(one, third) + paired.distortion(third, other) + 1e-9).all()
    assert (paired.distortion(one, one) == 0).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: paired.mean([], (0, 1)), "values is empty"),
        (lambda: paired.mean([np.nan], (0, 1)), "values holds 1 NaN of 1"),
        (lambda: paired.mean([0.5], (0, 1), 95), "confidence=95"),
        (lambda: paired.mean_difference([0.5], [0.1, 0.2], (0, 1)), "values.* 1 and 2 "),
        (lambda: paired.auc_difference([1, 2], [0], [1, 2], [0, 1]), "nonmembers.* 1 and 2 "),
        (lambda: paired.auc_difference([1], [0], [np.nan], [0]), "other_members holds 1 NaN"),
        (lambda: paired.proportion_difference([True] * 3, [True] * 2), "records.* 3 and 2 "),
        (lambda: paired.calibration_error([0.5], [True, False]), "confidences.* 1 and 2 "),
        (lambda: bootstrap_auc([], [1]), "members is empty"),
        (lambda: bootstrap_auc([1], [1], confidence=0), "confidence=0 "),
        (lambda: epsilon_lower_bound([1], [0], delta=-0.1), r"delta=-0\.1"),
        (lambda: epsilon_lower_bound([1], [0], confidence=1), "confidence=1 "),
        (lambda: excesses([1.0, 2.0], [1, 0], [0, 0], ["a"]), "is_member has dtype int64"),
        (lambda: excesses([1.0, 2.0], np.array([True]), [0, 0], ["a"]), r"is_member has shape \(1,\)"),
        (lambda: intervals.precision(1, 2, 1, 2, prior=1), "prior=1 "),
        (lambda: intervals.tpr_at_fpr([1], [0], fpr=0), "fpr=0 "),
        (lambda: intervals.proportion(-1, 2), "successes=-1 of trials=2"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        call()


# Resampling


def test_the_bootstrap_s_interval_is_that_of_resampled_records() -> None:
    members, others = sides(1, 60, 80)
    rng = np.random.default_rng(0)
    drawn = [intervals.auc(rng.choice(members, 60), rng.choice(others, 80)).value for _ in range(1500)]
    found = bootstrap_auc(members, others, 1500, 0.9)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.01)
    assert found.value == pytest.approx(intervals.auc(members, others).value)
    assert bootstrap_auc(members, others, 100, seed=1) != bootstrap_auc(members, others, 100, seed=2)
