"""Each interval against a naive oracle, a closed form or a published value."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import beta, binom, binomtest, kurtosis, norm, skew
from scipy.stats import t as student

from umbrameter.errors import DataError
from umbrameter.statistics.estimates import Interval, NotMeasured, NotReachable
from umbrameter.statistics.intervals import auc, clopper_pearson, difference, precision, proportion, tpr_at_fpr
from umbrameter.statistics.placements import aucs_of

INF = float("inf")
untimed = settings(deadline=None)
tied = st.sampled_from([-INF, -1.0, 0.0, 0.25, 1.0, 2.0, INF])
scores = st.lists(st.one_of(tied, st.floats(allow_nan=False, width=32)), min_size=1, max_size=40)
levels = st.sampled_from([0.5, 0.9, 0.95, 0.99])
FPRS = (0.001, 0.01, 0.05, 0.1, 0.29, 0.5, 0.9)


def beats(a, b):
    """1 when a is above b, a half when they tie: the kernel of the Mann-Whitney statistic."""
    return (a > b) + 0.5 * (a == b)


def naive_auc(members, nonmembers):
    return float(np.mean([beats(m, n) for m, n in product(members, nonmembers)]))


def naive_auc_interval(members, nonmembers, confidence):
    """The interval by structural components over all pairs, level by level, from scipy's beta and t distributions."""
    levels = sorted({*members, *nonmembers})
    wins = [np.mean([beats(m, n) for n in nonmembers]) for m in members]
    losses = [np.mean([beats(m, n) for m in members]) for n in nonmembers]
    could_win = {level: np.mean([beats(level, n) for n in nonmembers]) for level in levels}
    could_lose = {level: np.mean([beats(m, level) for m in members]) for level in levels}
    value, below, above, variances = naive_auc(members, nonmembers), 0.0, 0.0, 0.0
    for placed, scores, could in ((wins, members, could_win), (losses, nonmembers, could_lose)):
        (low, high), var = naive_mean_interval(placed, set(scores), could, 1 - confidence)
        below, above, variances = below + (value - low) ** 2, above + (high - value) ** 2, variances + var
    trials = value * (1 - value) / variances
    low = beta.ppf(0.5 - confidence / 2, trials * value, trials * (1 - value) + 1)
    high = beta.ppf(0.5 + confidence / 2, trials * value + 1, trials * (1 - value))
    return max(0, min(low, value - below**0.5)), min(1, max(high, value + above**0.5))


def naive_mean_interval(placed, scores, could, alpha):
    n, mean, floor, ceiling = len(placed), np.mean(placed), min(could.values()), max(could.values())
    share = (mean - floor) / (ceiling - floor)
    binary, spread, t_spread = share * (1 - share) * (ceiling - floor) ** 2, np.var(placed, ddof=1), 0
    if max(placed) > min(placed):
        degrees = 1 + 2 * n / (kurtosis(placed, fisher=False) - 1)
        t_spread = spread * (student.ppf(alpha / 2, degrees) / norm.ppf(alpha / 2)) ** 2
    elif share in (0, 1):
        binary = spread = 1
    shares = {True: max(spread / binary + 1 / n, t_spread / binary), False: spread / binary + 1 / n}
    tail = skew(placed) if max(placed) > min(placed) else 0
    few, many = (n / min(1, shares[bool(longer)]) for longer in (tail <= 1e-9, tail >= -1e-9))
    low = beta.ppf(alpha / 2, few * share, few * (1 - share) + 1) if share > 0 else 0
    high = beta.ppf(1 - alpha / 2, many * share + 1, many * (1 - share)) if share < 1 else 1
    ordered = sorted(could.items())
    steps = [(one, two, abs(b - a)) for (one, a), (two, b) in pairwise(ordered)]
    lesser = max((step for one, two, step in steps if two <= min(scores)), default=0)
    greater = max((step for one, two, step in steps if one >= max(scores)), default=0)
    if ordered[0][1] > ordered[-1][1]:
        lesser, greater = greater, lesser
    unseen = 1 - (alpha / 2) ** (1 / n)
    width = ceiling - floor
    var = min(spread, binary) / n if share not in (0, 1) else 0
    return (min(floor + low * width, mean - unseen * lesser), max(floor + high * width, mean + unseen * greater)), var


def naive_tpr(members, nonmembers, allowed):
    """The best TPR over every achievable rule that calls at most `allowed` non-members."""
    members, nonmembers = np.array(members), np.array(nonmembers)
    rules = [members >= t for t in (*members, *nonmembers) if np.sum(nonmembers >= t) <= allowed]
    return max((rule.mean() for rule in rules), default=0.0)


# counts


@untimed
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), levels)
def test_clopper_pearson_equals_scipys(counts, confidence):
    successes, trials = counts
    expected = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    assert clopper_pearson(successes, trials, confidence) == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_clopper_pearson_of_none_and_all_has_a_closed_form():
    assert clopper_pearson(0, 50) == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    assert clopper_pearson(50, 50) == pytest.approx((0.025 ** (1 / 50), 1))


def test_proportion_holds_its_value_and_says_its_method():
    recall = proportion(3, 4, 0.9)
    assert (recall.value, recall.confidence, recall.method) == (0.75, 0.9, "Clopper-Pearson")
    assert (recall.low, recall.high) == clopper_pearson(3, 4, 0.9)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090), ((10, 10, 0, 20), 0.6791, 1.0)],
)
def test_difference_gives_newcombes_published_intervals(counts, low, high):
    interval = difference(*counts)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@untimed
@given(st.integers(0, 30), st.integers(0, 30), levels)
def test_difference_mirrors_and_stays_in_range(k1, k2, confidence):
    there, back = difference(k1, 30, k2, 30, confidence), difference(k2, 30, k1, 30, confidence)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert -1 <= there.low <= there.value <= there.high <= 1


def test_precision_is_bayes_rule_on_the_rates():
    interval = precision(30, 40, 5, 100, prior=0.1)
    assert interval.value == pytest.approx(0.1 * 0.75 / (0.1 * 0.75 + 0.9 * 0.05))


@untimed
@given(st.integers(0, 25), st.integers(0, 60), st.sampled_from([0.01, 0.1, 0.5]), levels)
def test_precision_is_bounded_by_the_corners_of_the_rectangle(tp, fp, prior, confidence):
    interval = precision(tp, 25, fp, 60, prior, confidence)
    if tp == fp == 0:
        assert interval == NotMeasured(not_measured="the attack called nobody a member")
        return
    tprs, fprs = clopper_pearson(tp, 25, confidence**0.5), clopper_pearson(fp, 60, confidence**0.5)
    corners = [prior * t / (prior * t + (1 - prior) * f) for t, f in product(tprs, fprs) if t or f]
    assert (interval.low, interval.high) == pytest.approx((min(corners), max(corners)))
    assert interval.low <= interval.value <= interval.high


# AUC


@untimed
@given(scores, scores, levels)
def test_auc_is_the_share_of_ordered_pairs(members, nonmembers, confidence):
    interval = auc(members, nonmembers, confidence)
    assert interval.value == pytest.approx(naive_auc(members, nonmembers), abs=1e-12)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low < interval.high


@untimed
@given(scores, scores, levels)
def test_auc_mirrors_when_members_and_non_members_are_swapped(members, nonmembers, confidence):
    there, back = auc(members, nonmembers, confidence), auc(nonmembers, members, confidence)
    assert (there.value, there.low, there.high) == pytest.approx((1 - back.value, 1 - back.high, 1 - back.low))
    assert there.method == back.method


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("sizes", [(10, 10), (40, 25), (12, 90)])
@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_auc_interval_is_that_of_all_pairs_one_by_one(sizes, decimals, shift):
    rng = np.random.default_rng([decimals, 1])
    members, nonmembers = rng.normal(shift, 1, sizes[0]).round(decimals), rng.normal(0, 1, sizes[1]).round(decimals)
    interval = auc(members, nonmembers, 0.9)
    assert (interval.low, interval.high) == pytest.approx(naive_auc_interval(members, nonmembers, 0.9), abs=1e-9)
    assert interval.method == "Clopper-Pearson of placements, both sides"


@pytest.mark.parametrize("n_levels", [1, 2, 5, 40])
@pytest.mark.parametrize("sides", [(1, 1), (5, 60), (30, 30)])
def test_aucs_of_many_sets_are_those_one_by_one(sides, n_levels):
    rng = np.random.default_rng([*sides, n_levels])
    levels = np.unique(rng.integers(0, n_levels, sum(sides)), return_inverse=True)[1]
    drawn = np.split(np.array([rng.permutation(levels) for _ in range(50)]), [sides[0]], axis=1)
    counts = ([np.bincount(row, minlength=levels.max() + 1) for row in side] for side in drawn)
    for found, *scores in zip(aucs_of(*map(np.array, counts)), *drawn, strict=True):
        interval = auc(*scores, 0.9)
        low, high, method = found.bounds(1 - 0.9)
        assert (found.value, method) == (interval.value, interval.method)
        assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-12)


@untimed
@given(st.integers(0, 30), st.integers(0, 300), levels)
def test_auc_of_two_valued_scores_is_the_balanced_accuracy_with_the_reach_of_exact_rates(called, wrongly, confidence):
    interval = auc(np.arange(30) < called, np.arange(300) < wrongly, confidence)
    tpr, fpr = called / 30, wrongly / 300
    assert interval.value == pytest.approx((1 + tpr - fpr) / 2)
    if interval.method.startswith("exact"):
        return
    (low, high), (wrong_low, wrong_high) = (clopper_pearson(*c, confidence) for c in ((called, 30), (wrongly, 300)))
    below, above = np.hypot(tpr - low, wrong_high - fpr) / 2, np.hypot(high - tpr, fpr - wrong_low) / 2
    assert interval.low <= max(0, interval.value - below) + 1e-9
    assert interval.high >= min(1, interval.value + above) - 1e-9


@untimed
@given(st.integers(1, 29))
def test_auc_of_two_valued_scores_with_equal_errors_covers_what_all_records_together_leave_open(right):
    interval = auc(np.arange(30) < right, np.arange(30) >= right, 0.999)
    low, high = clopper_pearson(2 * right, 60, 0.999)
    assert interval.low <= low + 1e-9 and interval.high >= high - 1e-9


def test_auc_with_rare_scores_on_one_side_alone_is_not_sure_of_the_other():
    # DeLong's interval was [.484, .500]: none of 30 members has the score that 5 of 300 non-members have.
    interval = auc(np.zeros(30), np.arange(300) < 5)
    assert interval.low < 0.49 and interval.high > 0.54


@pytest.mark.parametrize("n", [10**6, 10**4])
def test_auc_of_many_records_is_as_narrow_as_delongs(n):
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(1, 1, n), rng.normal(0, 1, n)
    interval = auc(members, nonmembers)
    # variances of the placements, Phi(x / sqrt(...)) of normal scores, by simulation with fixed ranks
    wins = norm.cdf(members)
    losses = norm.cdf(1 - nonmembers)
    reach = 1.959964 * np.sqrt((wins.var() + losses.var()) / n)
    assert interval.high - interval.low == pytest.approx(2 * reach, rel=0.01)


@pytest.mark.parametrize(
    ("member", "value", "low", "high"),
    [(1.0, 1.0, "t", "1"), (-1.0, 0.0, "0", "1 - t"), (0.0, 0.5, "t / 2", "1 - t / 2")],
)
def test_auc_without_variance_keeps_an_honest_interval(member, value, low, high):
    interval = auc([member] * 30, [0.0] * 20)
    t = 0.025 ** (1 / 20)
    assert interval.value == value
    assert (interval.low, interval.high) == pytest.approx(tuple(eval(bound, {"t": t}) for bound in (low, high)))
    assert interval.method == "exact bound from 20 independent pairs"


def test_auc_all_tied_is_true_to_its_level():
    # Members that differ with a probability just outside the interval are all tied in fewer than 5 % of audits.
    interval = auc([0.0] * 20, [0.0] * 20)
    differ = 2 * (interval.high - 0.5)
    assert (1 - differ) ** 20 <= 0.05


def test_auc_of_few_records_is_hoeffdings():
    interval = auc([1, 3, 3, 5, 6], [0, 2, 4] * 10)
    reach = np.sqrt(np.log(40) / 10)
    assert (interval.low, interval.high) == pytest.approx((max(0, interval.value - reach), 1))
    assert interval.method == "Hoeffding bound (few records)"


def test_auc_of_one_member_among_others_says_next_to_nothing():
    interval = auc([1.0], [0.0, 0.0, 2.0])
    assert (interval.low, interval.high) == (0, 1)


# TPR at a low FPR


@untimed
@given(scores, scores, st.sampled_from(FPRS), levels)
def test_tpr_at_fpr_is_the_best_over_all_achievable_thresholds(members, nonmembers, fpr, confidence):
    metric = tpr_at_fpr(members, nonmembers, fpr, confidence)
    allowed = int(Fraction(str(fpr)) * len(nonmembers))
    highest = max(*members, *nonmembers)
    if allowed < 1 or nonmembers.count(highest) > allowed:
        assert isinstance(metric, NotMeasured)
        return
    assert metric.value == pytest.approx(naive_tpr(members, nonmembers, allowed))
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


@untimed
@given(scores, st.lists(tied, min_size=10, max_size=40), levels)
def test_tpr_interval_is_of_the_thresholds_that_chance_allows(members, nonmembers, confidence):
    alpha, n = 1 - confidence, len(nonmembers)
    fewest, most = binom.ppf([alpha / 4, 1 - alpha / 4], n, 0.1)
    members = [*members, INF]  # one that a threshold can call
    nonmembers = [min(score, 2.0) for score in nonmembers]
    metric = tpr_at_fpr(members, nonmembers, 0.1, confidence)
    fewer = round(naive_tpr(members, nonmembers, fewest - 1) * len(members))
    more = round(naive_tpr(members, nonmembers, most) * len(members))
    assert metric.low == clopper_pearson(fewer, len(members), 1 - alpha / 2)[0]
    assert metric.high == clopper_pearson(more, len(members), 1 - alpha / 2)[1]


def test_tpr_at_fpr_splits_no_tie():
    # At 1 of 10 allowed, the threshold 1.0 would call two non-members: only what is above 1.0 may be called.
    metric = tpr_at_fpr([2.0, 1.0, 1.0, 1.0], [1.0, 1.0, *[0.0] * 8], 0.1)
    assert metric.value == 0.25


@pytest.mark.parametrize("score", [1.0, INF])
def test_tpr_where_ties_leave_no_threshold_is_not_reachable_and_never_0(score):
    # AUC .76: 560 of 600 members and 250 of 600 non-members share the highest score.
    members, nonmembers = np.where(np.arange(600) < 560, score, 0), np.where(np.arange(600) < 250, score, 0)
    assert auc(members, nonmembers).value == pytest.approx(0.758, abs=1e-3)
    text = "an FPR of 0.1 is not reachable: 810 records share the highest score"
    text += "; the smallest FPR that can be chosen is 0.417"
    lost = tpr_at_fpr(members, nonmembers, 0.1)
    assert isinstance(lost, NotReachable) and lost.not_measured == text
    assert 0.19 < lost.low < 0.1 * (560 / 250) < lost.high < 0.27  # who calls 24 % of the tie at random
    assert tpr_at_fpr(members, nonmembers, 0.42).value == 560 / 600
    assert tpr_at_fpr(np.append(members, INF), np.minimum(nonmembers, 1), 0.1).value > 0


@pytest.mark.parametrize("ties", [(0.9, 0.4), (0.3, 0.06), (0.06, 0.06), (1.0, 1.0), (0.5, 0.03)])
@pytest.mark.parametrize("n", [100, 1000])
def test_bounds_of_a_tpr_that_ties_hide_hold(ties, n):
    of_members, of_nonmembers = ties
    rng, fpr, wrong, n_hidden = np.random.default_rng(3), 0.05, 0, 0
    # Below the tie both sides are alike, so that the ROC curve goes on in a straight line to (1, 1).
    beyond = of_members + (1 - of_members) * (fpr - of_nonmembers) / (1 - of_nonmembers) if of_nonmembers < 1 else 1
    true = fpr * of_members / of_nonmembers if of_nonmembers > fpr else beyond
    for _ in range(400):
        sides = [np.where(rng.random(n) < share, 2.0, rng.random(n)) for share in ties]
        metric = tpr_at_fpr(*sides, fpr)
        if isinstance(metric, NotReachable):
            n_hidden += 1
            wrong += not metric.low <= true <= metric.high
    assert wrong <= 0.05 * 400 and (n_hidden > 0 or of_nonmembers < fpr)


def test_tpr_of_an_attack_that_calls_only_non_members_is_0():
    assert tpr_at_fpr([0.0] * 100, [1.0] * 5 + [0.0] * 95, 0.1).value == 0


def test_tpr_at_fpr_of_a_perfect_attack_pays_for_its_threshold():
    scored = [1.0] * 100, [0.0] * 1000
    assert tpr_at_fpr(*scored, 0.01).low == clopper_pearson(100, 100, 0.975)[0]
    assert (tpr_at_fpr(*scored, 0.001).value, tpr_at_fpr(*scored, 0.001).low) == (1, 0)


@pytest.mark.parametrize(
    ("fpr", "n", "text"),
    [
        (0.1, 9, "an FPR of 0.1 needs at least 10 non-members; there are 9"),
        (0.001, 999, "an FPR of 0.001 needs at least 1,000 non-members; there are 999"),
        (0.3, 3, "an FPR of 0.3 needs at least 4 non-members; there are 3"),
    ],
)
def test_tpr_below_one_in_n_is_not_measured(fpr, n, text):
    assert tpr_at_fpr([1.0], [0.0] * n, fpr) == NotMeasured(not_measured=text)
    assert isinstance(tpr_at_fpr([1.0], [0.0] * (n + 1), fpr), Interval)


# the border


def test_values_are_frozen_and_closed():
    interval = proportion(1, 2)
    with pytest.raises(ValidationError):
        interval.value = 1.0
    with pytest.raises(ValidationError):
        Interval(**interval.model_dump(), unit="%")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: auc([0.1, np.nan], [0.2]), r"members holds 1 NaN of 2 \(needs numbers; infinities are legal\): score"),
        (lambda: auc([0.1], []), r"nonmembers is empty \(needs at least one score\): audit with members and"),
        (
            lambda: auc([[0.1]], [0.2]),
            r"members has shape \(1, 1\) \(needs one score per record, shape \(n_records,\)\): pass",
        ),
        (lambda: auc(["a"], [0.2]), r"members has dtype <U1 \(needs numbers\): pass one number per record"),
        (lambda: tpr_at_fpr([0.1], [np.nan], 0.1), r"nonmembers holds 1 NaN of 1"),
        (
            lambda: tpr_at_fpr([0.1], [0.1], 5),
            r"fpr=5 is out of range \(needs a fraction between 0 and 1\): 5 % is 0.05",
        ),
        (lambda: proportion(1, 2, 95), r"confidence=95 is out of range"),
        (lambda: precision(1, 2, 1, 2, prior=0), r"prior=0 is out of range"),
        (
            lambda: clopper_pearson(3, 2),
            r"successes=3 of trials=2 \(needs 0 <= successes <= trials, and a trial\): pass",
        ),
        (lambda: difference(0, 0, 1, 2), r"successes=0 of trials=0"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(DataError, match=text):
        call()
