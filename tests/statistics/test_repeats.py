"""What an audit's repeats come to together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from umbrameter.spec.audit import AuditSpec
from umbrameter.statistics.estimates import Interval, LowerBound, NotMeasured
from umbrameter.statistics.repeats import EXPOSED, FEWEST, agreement, instability, spread
from umbrameter.typing import Bools, Floats, Ints

few = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**16)
RNG = np.random.default_rng(0)


def drawn(seed, noise, n=4000):
    """Give the audited half of 2 n records, its membership and scores: exposure of the record, and noise."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(2 * n)[:n]
    exposure = np.random.default_rng(99).normal(size=2 * n)[ids]
    return ids, rng.random(n) < 0.5, exposure + noise * rng.normal(size=n)


def slow(one, other):
    found = []
    for side in (True, False):
        a = {i: s for i, m, s in zip(*one, strict=True) if m == side}
        b = {i: s for i, m, s in zip(*other, strict=True) if m == side}
        common = sorted(a.keys() & b.keys())
        n = max(1, round(0.01 * len(common)))
        top = [set(sorted(common, key=lambda i, x=x: -x[i])[:n]) for x in (a, b)]
        rho = spearmanr([a[i] for i in common], [b[i] for i in common]).statistic
        found.append((rho, len(top[0] & top[1]) / n))
    return np.mean(found, axis=0)


def test_agreement_is_that_of_common_records_on_the_same_side():
    repeats = [drawn(seed, 0.5) for seed in (1, 2, 3)]
    expected = np.mean([slow(repeats[i], repeats[j]) for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    assert np.allclose(agreement(repeats), expected)


def test_scores_that_are_the_record_s_agree_and_noise_does_not():
    same, overlap = agreement([drawn(seed, 0.0) for seed in (1, 2)])
    assert same == pytest.approx(1) and overlap == 1
    noise, overlap = agreement([drawn(seed, 100.0) for seed in (1, 2)])
    assert abs(noise) < 0.15 and overlap < 0.3


def test_too_few_records_in_common_are_not_compared():
    ids, member = np.arange(150), np.arange(150) < 75
    assert agreement([(ids, member, RNG.random(150))] * 2) == (None, None)
    assert agreement([(ids, member, RNG.random(150))]) == (None, None)


def test_ties_agree_by_chance_alone():
    ids, member = np.arange(20_000), np.arange(20_000) < 10_000
    correlation, overlap = agreement([(ids, member, np.zeros(20_000)), (ids, member, np.zeros(20_000))])
    assert correlation == 0.0 and overlap < 0.05


def test_the_spread_is_of_what_was_measured_twice():
    def metrics(auc, epsilon, tpr):
        interval = Interval(value=auc, low=0, high=1, confidence=0.95, method="m")
        bound = LowerBound(value=epsilon, low=epsilon, confidence=0.95, method="m")
        return {"auc": interval, "epsilon_lower_bound": bound, "tpr": tpr}

    missing = NotMeasured(not_measured="x")
    measured = Interval(value=0.5, low=0, high=1, confidence=0.95, method="m")
    found = spread([metrics(0.6, 1.0, missing), metrics(0.7, 0.0, measured), metrics(0.8, 2.0, missing)])
    assert set(found) == {"auc", "epsilon_lower_bound"}
    assert found["auc"].mean == pytest.approx(0.7) and found["auc"].sd == pytest.approx(0.1)
    assert found["epsilon_lower_bound"].values == [1.0, 0.0, 2.0]


def test_each_repeat_has_a_seed_of_its_own_and_the_first_the_audit_s():
    text = "{name: x, data: {kind: catalogue, name: adult}, split: {members: 9}, repeats: 3, seed: 5, "
    spec = AuditSpec.from_yaml(text + "target: {kind: train, estimator: {kind: random_forest}}}")
    repeats = spec.repeated()
    assert repeats[0].seed == 5 and len({r.seed for r in repeats}) == 3 and {r.repeats for r in repeats} == {1}
    more = spec.model_copy(update={"repeats": 5}).repeated()
    assert [r.seed for r in more[:3]] == [r.seed for r in repeats]


def repeat(seed: int, n: int = 600) -> tuple[Ints, Bools, Floats]:
    rng = np.random.default_rng(seed)
    ids = rng.permutation(n)
    return ids, ids < n // 2, np.random.default_rng(0).normal(size=n)[ids] + 0.3 * rng.normal(size=n)


@given(seeds)
@few
def test_agreement_does_not_depend_on_rows_ids_or_level_of_scores(seed: int) -> None:
    one, other = repeat(1), repeat(2)
    order, rng = np.random.default_rng(seed).permutation(600), np.random.default_rng(seed)
    names = np.sort(rng.choice(10**6, 600, replace=False))
    moved = (one[0][order], one[1][order], np.exp(one[2][order]) + 7)
    renamed = [(names[ids], member, scores) for ids, member, scores in (moved, other)]
    assert agreement(renamed) == pytest.approx(agreement([one, other]))
    assert agreement([other, one])[0] == pytest.approx(agreement([one, other])[0])


def test_records_on_other_sides_in_two_repeats_are_not_compared() -> None:
    one = repeat(1)
    ids, member, scores = repeat(2)
    moved = ids % 2 == 0  # half of the records have changed sides
    found = agreement([one, (ids, member ^ moved, scores)])
    first, second = (dict(zip(part[0], part[2], strict=True)) for part in (one, (ids, member, scores)))
    expected = []
    for side in (True, False):
        kept = [i for i in range(1, 600, 2) if (i < 300) == side]
        expected.append(spearmanr([first[i] for i in kept], [second[i] for i in kept]).statistic)
    assert found[0] == pytest.approx(np.mean(expected)) and len(kept) >= FEWEST


def test_by_chance_the_most_exposed_overlap_in_one_per_cent() -> None:
    rng = np.random.default_rng(0)
    ids, member = np.arange(20_000), np.arange(20_000) < 10_000
    overlaps = [agreement([(ids, member, rng.random(20_000)) for _ in range(2)])[1] for _ in range(30)]
    assert np.mean(overlaps) == pytest.approx(EXPOSED, abs=4 * np.sqrt(EXPOSED / 200 / 30))


def test_a_figure_s_spread_is_its_mean_and_standard_deviation_whatever_the_order_of_repeats() -> None:
    values = [0.6, 0.9, 0.3]
    figures = [{"auc": Interval(value=v, low=0, high=1, confidence=0.95, method="m")} for v in values]
    found = spread(figures)["auc"]
    assert (found.mean, found.sd) == pytest.approx((0.6, 0.3)) and found.values == values
    assert spread(figures[::-1])["auc"].sd == found.sd and spread(figures[:1]) == {} == spread([])


# Is one run enough?


@pytest.mark.parametrize("ratio", [1.0, 1.89])  # of the depth-8 tree whose intervals contain the mean in .70 of cases
@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_spread_over_trainings_is_bounded_as_often_as_promised(ratio: float, n: int) -> None:
    one = Interval(value=0.6, low=0.6 - 1.959964 * 0.01, high=0.6 + 1.959964 * 0.01, confidence=0.95, method="m")
    draws = np.random.default_rng(n).normal(0.6, ratio * 0.01, (4000, n))
    found = [instability(values, one) for values in draws.tolist()]
    covered = np.mean([bounds.low <= ratio <= bounds.high for bounds in found])
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)
    alarms = np.mean([bounds.low > 1 for bounds in found])
    assert alarms < 0.04 if ratio == 1 else alarms > {2: 0.1, 5: 0.5, 20: 0.95}[n]
