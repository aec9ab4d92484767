"""Groups that leak more than all records together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

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


def test_the_standard_error_is_that_of_repeated_draws():
    found, reach = [], []
    for seed in range(400):
        entry = next(e for e in excesses(*drawn(seed, n=600), NAMES) if e.group == "a")
        found.append(entry.excess.value)
        reach.append((entry.excess.high - entry.excess.low) / 2)
    error = np.mean(reach) / 2.4977  # the normal quantile of .05 / 4 / 2
    assert np.std(found) == pytest.approx(error, rel=0.1)


@pytest.mark.slow
def test_alike_groups_alarm_in_one_of_twenty_audits():
    alarms = 0
    for seed in range(1000):
        entries = excesses(*drawn(seed, n=800), NAMES)
        alarms += any(e.p_value < 0.05 for e in entries)
    assert alarms <= 50 + 4 * np.sqrt(1000 * 0.05 * 0.95)


def test_groups_too_small_to_say_say_so_and_come_last():
    scores, member, group = drawn(0)
    group[:] = np.where(np.arange(len(group)) < 8, 3, group % 3)
    last = excesses(scores, member, group, NAMES)[-1]
    assert last.group == "d" and isinstance(last.excess, NotMeasured) and last.p_value is None
    assert "fewer than 10 members or non-members" in last.excess.not_measured


def test_scores_all_alike_and_sides_that_are_missing():
    scores, member, group = drawn(0)
    assert all(isinstance(e.excess, NotMeasured) for e in excesses(np.zeros(len(scores)), member, group, NAMES))
    assert all(isinstance(e.excess, NotMeasured) for e in excesses(scores, member | True, group, NAMES))


def test_one_group_is_the_whole():
    scores, member, group = drawn(0)
    (only,) = excesses(scores, member, group * 0, ["all"])
    assert isinstance(only.excess, NotMeasured) or abs(only.excess.value) < 1e-12
    assert numbered(["y", "x", "y"])[1] == ["x", "y"]


def test_interval_type():
    assert isinstance(excesses(*drawn(0), NAMES)[0].excess, Interval)


def slow_excess(scores: Floats, member: Bools, own: Bools) -> tuple[float, float]:
    """Return AUC within a group less that of all records, and its error by each record's influence, over all pairs."""

    def influences(rows: Ints) -> tuple[float, dict[int, float]]:
        inside, outside = [i for i in rows if member[i]], [i for i in rows if not member[i]]
        won = {(i, j): float(scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i in inside for j in outside}
        auc = float(np.mean([*won.values()]))
        by = {i: (np.mean([won[i, j] for j in outside]) - auc) / len(inside) for i in inside}
        return auc, by | {j: (np.mean([won[i, j] for i in inside]) - auc) / len(outside) for j in outside}

    whole, by_whole = influences(np.arange(len(scores)))
    group, by_group = influences(np.flatnonzero(own))
    squares = sum((by_group.get(i, 0.0) - moved) ** 2 for i, moved in by_whole.items())
    return group - whole, float(np.sqrt(squares))


def grouped(seed: int, n: int = 200) -> tuple[Floats, Bools, Ints]:
    rng = np.random.default_rng(seed)
    member, group = rng.random(n) < 0.5, rng.integers(0, 3, n)
    return rng.normal(member, 1).round(1), member, group


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_excesses_are_those_of_pairs_one_by_one(seed: int) -> None:
    scores, member, group = grouped(seed)
    found = {entry.group: entry for entry in excesses(scores, member, group, ["a", "b", "c"], 0.9)}
    p_values = []
    for i, name in enumerate("abc"):
        difference, error = slow_excess(scores, member, group == i)
        reach = -norm.ppf(0.1 / 3 / 2) * error
        assert bounds(found[name].excess) == pytest.approx([difference, difference - reach, difference + reach])
        p_values.append(2 * norm.sf(abs(difference / error)))
    assert [found[name].p_value for name in "abc"] == pytest.approx(holm(p_values).tolist())


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
