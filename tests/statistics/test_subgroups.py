"""Groups that leak more than all records together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from umbrameter.statistics import intervals
from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.subgroups import excesses, holm, numbered
from umbrameter.typing import Bools, Floats, Ints

few = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**16)
NAMES = ["a", "b", "c", "d"]


def bounds(metric: Metric) -> list[float]:
    """Return a figure with its bounds."""
    assert isinstance(metric, Interval)
    return [metric.value, metric.low, metric.high]


def drawn(seed, n=2000, leaking=None, shift=1.5):
    rng = np.random.default_rng(seed)
    member, group = rng.random(n) < 0.5, rng.integers(0, 4, n)
    leak = member if leaking is None else member & (group == leaking)
    return rng.normal(shift * leak, 1), member, group


def test_excess_is_the_group_s_auc_less_the_whole_s():
    scores, member, group = drawn(0)
    whole = intervals.auc(scores[member], scores[~member]).value
    for entry in excesses(scores, member, group, NAMES):
        own = group == NAMES.index(entry.group)
        auc = intervals.auc(scores[own & member], scores[own & ~member]).value
        assert entry.excess.value == pytest.approx(auc - whole)
        assert entry.excess.low < entry.excess.value < entry.excess.high


def test_the_leaking_group_comes_first_and_is_told_from_chance():
    first, *rest = excesses(*drawn(1, leaking=2), NAMES)
    assert first.group == "c" and first.p_value < 1e-6 and first.excess.low > 0
    assert all(entry.excess.value < 0 for entry in rest)


@pytest.mark.slow
def test_alike_groups_alarm_in_one_of_twenty_audits():
    alarms = 0
    for seed in range(1000):
        entries = excesses(*drawn(seed, n=800), NAMES)
        alarms += any(e.p_value < 0.05 for e in entries)
    assert alarms <= 50 + 4 * np.sqrt(1000 * 0.05 * 0.95)


@pytest.mark.parametrize("two_valued", [False, True])
@pytest.mark.parametrize("n_members", [50, 10])
def test_a_group_told_apart_without_error_is_the_worst(two_valued, n_members):
    scores, member, group = drawn(0)
    ours = np.flatnonzero((group == 2) & member)
    group[ours[n_members:]] = 1
    own = group == 2
    scores[own] = np.where(member[own], 9, -9)
    if two_valued:
        scores[~own] = np.sign(scores[~own])
    first, *rest = excesses(scores, member, group, NAMES)
    alone = intervals.auc(scores[own & member], scores[own & ~member], 1 - 0.05 / 4)
    whole = intervals.auc(scores[member], scores[~member], 1 - 0.05 / 4)
    reach = np.hypot(alone.value - alone.low, whole.high - whole.value)
    assert first.group == "c" and first.excess.value == pytest.approx(1 - whole.value)
    assert first.excess.low == pytest.approx(first.excess.value - reach)
    assert len(rest) == 3 and all(isinstance(entry.excess, Interval) for entry in rest)
    assert (first.p_value < 0.05) == (n_members == 50) == (first.excess.low > 0)


def test_of_two_groups_without_error_the_larger_is_first():
    scores, member, group = drawn(0)
    for own, few in ((0, 20), (3, None)):
        for side in (member, ~member):
            group[np.flatnonzero((group == own) & side)[few:] if few else []] = 1
        scores[group == own] = np.where(member[group == own], 9, -9)
    assert [entry.group for entry in excesses(scores, member, group, NAMES)][:2] == ["d", "a"]


@given(seeds, st.sampled_from([0.0, 0.3, 0.6]))
@few
def test_the_smallest_p_value_and_its_interval_agree(seed, shift):
    scores, member, group = drawn(seed, n=300, leaking=1, shift=shift)
    entries = excesses(scores, member, group, NAMES)
    best = min(entries, key=lambda e: e.p_value)
    for level in (0.5, 0.8, 0.95, 0.999):
        again = next(e for e in excesses(scores, member, group, NAMES, level) if e.group == best.group)
        assert (best.p_value <= 1 - level) == (not again.excess.low <= 0 <= again.excess.high)


def test_groups_too_small_to_say_say_so_and_come_last():
    scores, member, group = drawn(0)
    group[:] = np.where(np.arange(len(group)) < 8, 3, group % 3)
    last = excesses(scores, member, group, NAMES)[-1]
    assert last.group == "d" and isinstance(last.excess, NotMeasured) and last.p_value is None
    assert "fewer than 10 members or non-members" in last.excess.not_measured


def test_scores_all_alike_and_sides_that_are_missing():
    scores, member, group = drawn(0)
    for entry in excesses(np.zeros(len(scores)), member, group, NAMES):
        assert entry.excess.low < 0 == entry.excess.value < entry.excess.high and entry.p_value == 1
    assert all(isinstance(e.excess, NotMeasured) for e in excesses(scores, member | True, group, NAMES))


def test_one_group_is_the_whole():
    scores, member, group = drawn(0)
    (only,) = excesses(scores, member, group * 0, ["all"])
    assert isinstance(only.excess, NotMeasured) or abs(only.excess.value) < 1e-12
    assert numbered(["y", "x", "y"])[1] == ["x", "y"]


def test_interval_type():
    assert isinstance(excesses(*drawn(0), NAMES)[0].excess, Interval)


def slow_p(scores: Floats, member: Bools, own: Bools) -> float:
    """Return the smallest level, by halving, at which the difference of two AUCs by MOVER excludes 0."""
    low, high = 1e-15, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        difference = slow_excess(scores, member, own, 1 - middle)
        low, high = (low, middle) if difference[1] > 0 or difference[2] < 0 else (middle, high)
    return 1.0 if high == 1 - 1e-9 else high


def slow_excess(scores: Floats, member: Bools, own: Bools, confidence: float) -> list[float]:
    """Return the difference of two AUCs, each with its interval, by MOVER."""
    group = intervals.auc(scores[own & member], scores[own & ~member], confidence)
    whole = intervals.auc(scores[member], scores[~member], confidence)
    below = np.hypot(group.value - group.low, whole.high - whole.value)
    above = np.hypot(group.high - group.value, whole.value - whole.low)
    difference = group.value - whole.value
    return [difference, max(-1, difference - below), min(1, difference + above)]


def grouped(seed: int, n: int = 200) -> tuple[Floats, Bools, Ints]:
    rng = np.random.default_rng(seed)
    member, group = rng.random(n) < 0.5, rng.integers(0, 3, n)
    return rng.normal(member, 1).round(1), member, group


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_excesses_are_differences_of_two_intervals(seed: int) -> None:
    scores, member, group = grouped(seed)
    found = {entry.group: entry for entry in excesses(scores, member, group, ["a", "b", "c"], 0.9)}
    p_values = []
    for i, name in enumerate("abc"):
        expected = slow_excess(scores, member, group == i, 1 - 0.1 / 3)
        assert bounds(found[name].excess) == pytest.approx(expected)
        p_values.append(slow_p(scores, member, group == i))
    assert [found[name].p_value for name in "abc"] == pytest.approx(holm(p_values).tolist(), abs=1e-9)


@given(seeds)
@few
def test_excesses_do_not_depend_on_order_names_or_level(seed: int) -> None:
    scores, member, group = grouped(seed)
    order, names = np.random.default_rng(seed).permutation(len(scores)), ["a", "b", "c"]
    expected = {e.group: e for e in excesses(scores, member, group, names)}
    turned = excesses(np.exp(scores[order]) - 5, member[order], (2 - group)[order], names[::-1])
    for entry in turned:
        assert bounds(entry.excess) == pytest.approx(bounds(expected[entry.group].excess))
        assert entry.p_value == pytest.approx(expected[entry.group].p_value)
    values = [bounds(entry.excess)[0] for entry in turned]
    assert values == sorted(values, reverse=True)


@given(hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)), seeds)
@few
def test_holm_keeps_the_order_never_lowers_and_ends_at_one(p: Floats, seed: int) -> None:
    adjusted, order = holm(p), np.random.default_rng(seed).permutation(len(p))
    assert (adjusted >= p).all() and (adjusted <= 1).all() and (adjusted <= np.minimum(1, p * len(p))).all()
    assert np.array_equal(holm(p[order]), adjusted[order])
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@given(st.lists(st.text(max_size=3), min_size=1, max_size=20))
@few
def test_numbered_values_are_found_again(values: list[str]) -> None:
    numbers, names = numbered(values)
    assert [names[i] for i in numbers] == values and names == sorted(set(values))
