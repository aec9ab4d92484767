"""Groups that leak more than all records together."""

import numpy as np
import pytest

from umbrameter.statistics import intervals
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.statistics.subgroups import excesses, numbered

NAMES = ["a", "b", "c", "d"]


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
