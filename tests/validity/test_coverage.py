"""Intervals at 95 % hold the true figure in at least 95 of 100 audits, as far as 1,000 simulated audits can tell.

Scores are normal, N(shift, 1) for members and N(0, 1) for non-members, whose AUC, TPR and FPR have closed forms; and
the same rounded to a coarse grid, so that ties are everywhere.
"""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta, binom, norm

from umbrameter.statistics.bootstrap import bootstrap_auc
from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
from umbrameter.statistics.estimates import NotMeasured
from umbrameter.statistics.intervals import auc, difference, precision, proportion, tpr_at_fpr
from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
from umbrameter.statistics.subgroups import excesses

pytestmark = pytest.mark.slow

CONFIDENCE = 0.95
N_AUDITS = 1000
GRID = np.arange(-8, 10, 0.5)

sizes = pytest.mark.parametrize("n", [100, 1000, 10_000])
strengths = pytest.mark.parametrize("true_auc", [0.5, 0.6, 0.9])


def audits(n, true_auc, seed=0):
    """Give pairs of members' and non-members' scores, each of shape (n,)."""
    rng, mean = np.random.default_rng([seed, n, round(100 * true_auc)]), shift(true_auc)
    for _ in range(N_AUDITS):
        yield rng.normal(mean, 1, n), rng.normal(0, 1, n)


def shift(true_auc):
    return np.sqrt(2) * norm.ppf(true_auc)


def gridded(scores):
    return np.round(2 * scores) / 2


def grid_shares(mean):
    """The probability of each grid point when N(mean, 1) is rounded to it."""
    return norm.cdf(GRID + 0.25 - mean) - norm.cdf(GRID - 0.25 - mean)


def assert_covers(metrics, truth):
    held = [metric.low <= truth <= metric.high for metric in metrics]
    error = np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / len(held))
    assert np.mean(held) >= CONFIDENCE - 3 * error


@sizes
@strengths
def test_auc(n, true_auc):
    assert_covers([auc(members, nonmembers) for members, nonmembers in audits(n, true_auc)], true_auc)


@sizes
@strengths
def test_auc_with_ties(n, true_auc):
    member, nonmember = grid_shares(shift(true_auc)), grid_shares(0)
    below = np.cumsum(nonmember) - nonmember
    truth = np.sum(member * (below + nonmember / 2))
    assert_covers([auc(gridded(m), gridded(n)) for m, n in audits(n, true_auc)], truth)


def cut_points(n_levels, mean, kind):
    """Where normal scores are cut into a few levels: amid both sides, or where one level of a side is rare."""
    if n_levels is None:
        return np.array([])
    reach = np.linspace(0, 1.5, n_levels - 1)
    centre = reach.mean()
    return {"amid": mean / 2 + 2 * (reach - centre), "high": norm.isf(0.02) + reach, "low": mean - 2 - reach[::-1]}[
        kind
    ]


def cut_auc(cuts, mean):
    if not len(cuts):
        return norm.cdf(mean / np.sqrt(2))
    edges = np.array([-np.inf, *cuts, np.inf])
    member, nonmember = np.diff(norm.cdf(edges - mean)), np.diff(norm.cdf(edges))
    return np.sum(member * (np.cumsum(nonmember) - nonmember / 2))


def cut_scores(rng, mean, cuts, n_members, n_nonmembers):
    members, nonmembers = rng.normal(mean, 1, n_members), rng.normal(0, 1, n_nonmembers)
    return (np.searchsorted(cuts, side) if len(cuts) else side for side in (members, nonmembers))


unequal = pytest.mark.parametrize("sides", [(30, 30), (30, 300), (300, 30), (100, 1000), (1000, 1000)])
coarse = pytest.mark.parametrize(
    ("n_levels", "kind"), [(None, ""), (2, "amid"), (2, "high"), (3, "high"), (3, "low"), (10, "amid"), (10, "high")]
)


@unequal
@coarse
def test_auc_with_few_levels_unequal_sides_and_near_1(sides, n_levels, kind):
    """At least .93, as far as 400 audits can tell: DeLong's interval held in .53 to .97 of them."""
    for true_auc in (0.5, 0.8, 0.95, 0.9999):
        mean, rng = shift(true_auc), np.random.default_rng([*sides, n_levels or 0, round(1e4 * true_auc)])
        cuts = cut_points(n_levels, mean, kind)
        truth = cut_auc(cuts, mean)
        metrics = [auc(*cut_scores(rng, mean, cuts, *sides)) for _ in range(400)]
        held = np.mean([metric.low - 1e-12 <= truth <= metric.high + 1e-12 for metric in metrics])
        assert held >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 400), true_auc


@pytest.mark.parametrize("true_auc", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("n", [100, 1000])
def test_auc_of_smooth_scores_is_hardly_wider_than_delongs(n, true_auc):
    rng, widths, delong = np.random.default_rng(n), [], []
    for _ in range(100):
        members, nonmembers = rng.normal(shift(true_auc), 1, n), rng.normal(0, 1, n)
        interval = auc(members, nonmembers)
        wins = [np.searchsorted(np.sort(b), a) / n for a, b in ((members, nonmembers), (nonmembers, members))]
        widths.append(interval.high - interval.low)
        delong.append(2 * norm.ppf(0.975) * np.sqrt(sum(np.var(w, ddof=1) / n for w in wins)))
    assert np.mean(widths) <= (1.15 if n == 100 else 1.05) * np.mean(delong)


@coarse
@pytest.mark.parametrize(("n_groups", "n"), [(30, 10), (10, 100), (30, 40)])
def test_excesses_of_alike_groups_hold_all_at_once(n_groups, n, n_levels, kind):
    """Nominal .95; intervals from influence functions held all at once in .30 (30 x 40, AUC .95) and .63 (30 x 10)."""
    n_audits, names = 25, [str(i) for i in range(n_groups)]
    member, group = np.arange(2 * n * n_groups) % 2 == 0, np.arange(2 * n * n_groups) // 2 % n_groups
    for true_auc in (0.5, 0.95, 0.98):
        mean, rng = shift(true_auc), np.random.default_rng([n_groups, n, n_levels or 0, round(100 * true_auc)])
        cuts, held, alarms = cut_points(n_levels, mean, kind), 0, 0
        for _ in range(n_audits):
            scores = rng.normal(mean * member, 1)
            entries = excesses(np.searchsorted(cuts, scores) if len(cuts) else scores, member, group, names)
            held += all(entry.excess.low <= 0 <= entry.excess.high for entry in entries)
            alarms += any(entry.p_value <= 0.05 for entry in entries)
        assert held / n_audits >= CONFIDENCE - 3 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / n_audits), true_auc
        assert alarms == n_audits - held  # the most significant p-value and its interval agree


@pytest.mark.parametrize("differ", [0.001, 0.01, 0.05])
def test_auc_when_nearly_all_scores_are_tied(differ):
    rng = np.random.default_rng(1)
    members = rng.random((N_AUDITS, 50)) < differ
    tied = [auc(row, np.zeros(50)) for row in members if not row.any()]
    # Only the all-tied audits have the exact bound; were it wrong, it would be wrong in all of them at once.
    wrong = sum(not metric.low <= 0.5 + differ / 2 <= metric.high for metric in tied)
    assert wrong <= (1 - CONFIDENCE) * N_AUDITS


@sizes
@strengths
@pytest.mark.parametrize("fpr", [0.01, 0.1])
def test_tpr_at_fpr(n, true_auc, fpr):
    truth = norm.cdf(shift(true_auc) + norm.ppf(fpr))
    assert_covers([tpr_at_fpr(m, non, fpr) for m, non in audits(n, true_auc)], truth)


@sizes
@strengths
def test_tpr_at_fpr_with_ties(n, true_auc):
    false, true = (np.cumsum(grid_shares(mean)[::-1])[::-1] for mean in (0, shift(true_auc)))
    truth = true[false <= 0.1].max()
    assert_covers([tpr_at_fpr(gridded(m), gridded(non), 0.1) for m, non in audits(n, true_auc)], truth)


@sizes
@strengths
@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_advantage(n, true_auc, threshold):
    called = [(int(np.sum(m >= threshold)), int(np.sum(non >= threshold))) for m, non in audits(n, true_auc)]
    truth = norm.sf(threshold - shift(true_auc)) - norm.sf(threshold)
    assert_covers([difference(tp, n, fp, n) for tp, fp in called], truth)


@sizes
@strengths
@pytest.mark.parametrize("prior", [0.5, 0.01])
def test_precision(n, true_auc, prior):
    called = [(int(np.sum(m >= 1.5)), int(np.sum(non >= 1.5))) for m, non in audits(n, true_auc)]
    tpr, fpr = norm.sf(1.5 - shift(true_auc)), norm.sf(1.5)
    metrics = [precision(tp, n, fp, n, prior) for tp, fp in called]
    measured = [metric for metric in metrics if not isinstance(metric, NotMeasured)]
    assert_covers(measured, prior * tpr / (prior * tpr + (1 - prior) * fpr))


@sizes
@strengths
def test_recall(n, true_auc):
    metrics = [proportion(int(np.sum(m >= 1.0)), n) for m, _ in audits(n, true_auc)]
    assert_covers(metrics, norm.sf(1.0 - shift(true_auc)))


@pytest.mark.parametrize("n", [100, 1000])
@strengths
def test_bootstrap(n, true_auc):
    """The percentile interval is a little narrow with few records: it is there to check DeLong's, not to report."""
    metrics = [bootstrap_auc(m, non, 300, seed=i) for i, (m, non) in zip(range(200), audits(n, true_auc), strict=False)]
    held = np.mean([metric.low <= true_auc <= metric.high for metric in metrics])
    assert held >= CONFIDENCE - 3 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / 200) - (0.02 if n == 100 else 0)


# Epsilon: the Gaussian mechanism of sensitivity 1 and noise 1 / mu answers N(mu, 1) with the record and N(0, 1) without


def true_epsilon(mu, delta):
    """The least epsilon for which N(mu, 1) and N(0, 1) are (epsilon, delta)-indistinguishable (Dong et al. 2019)."""
    if mu == 0:
        return 0.0

    def gap(epsilon):
        return norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - delta

    return brentq(gap, 0, 60)


def epsilon_at_a_fixed_threshold(mu, delta, n=1000):
    """The largest mean, over ranks 1, 2, 4, ..., of the bound that an auditor who looks at that rank alone reports.

    The best of all looks is at least each of them in every audit, so its mean is at least this: a floor by integration,
    whatever the audits drawn. The rank's threshold is exceeded by a share of non-members that is Beta(rank, n - rank +
    1), and, given that, by a binomial number of members; the intervals' level is that of all looks together.
    """
    ranks = 2 ** np.arange(n.bit_length())
    alpha = (1 - CONFIDENCE) / (2 * 2 * len(ranks))
    called = np.arange(n + 1)
    tpr = np.where(called > 0, beta.ppf(alpha, np.maximum(called, 1), n - called + 1), 0.0)
    means = []
    for rank in ranks:
        exceeded = beta.ppf((np.arange(200) + 0.5) / 200, rank, n - rank + 1)
        chances = binom.pmf(called, n, norm.sf(norm.isf(exceeded) - mu)[:, None]).mean(axis=0)
        fpr = beta.ppf(1 - alpha, rank, n - rank + 1)
        means.append(chances @ np.log(np.maximum((tpr - delta) / fpr, 1.0)))
    return max(means)


def bounds_of_audits(mu, delta, bound=epsilon_lower_bound, n=1000, n_audits=500):
    rng = np.random.default_rng([round(10 * mu), round(1e6 * delta)])
    audited = ((rng.normal(mu, 1, n), rng.normal(0, 1, n)) for _ in range(n_audits))
    return np.array([bound(*sides, delta).value for sides in audited])


@pytest.mark.parametrize("mu", [0, 1, 2])
@pytest.mark.parametrize("delta", [1e-5, 0.05])
def test_epsilon_exceeds_the_true_one_in_one_of_twenty_audits_at_most(mu, delta):
    assert np.mean(bounds_of_audits(mu, delta) > true_epsilon(mu, delta)) <= 0.05


@pytest.mark.parametrize("mu", [1, 2])
@pytest.mark.parametrize("delta", [1e-5, 0.05])
def test_epsilon_is_no_less_than_from_the_best_single_threshold(mu, delta):
    # Means at mu = 1 and 2: 1.60 and 3.19 (floors 1.13 and 2.76) at delta 1e-5; 1.14 and 2.98 (0.83 and 2.51) at 0.05.
    assert np.mean(bounds_of_audits(mu, delta)) >= epsilon_at_a_fixed_threshold(mu, delta)


@pytest.mark.parametrize("mu", [0, 0.3, 1])
@pytest.mark.parametrize("bound", [gaussian_epsilon_lower_bound, one_run_epsilon_lower_bound])
def test_the_other_bounds_of_epsilon_exceed_it_as_seldom(bound, mu):
    assert np.mean(bounds_of_audits(mu, 1e-5, bound, n=300) > true_epsilon(mu, 1e-5)) <= 0.05


def randomised_response(rng, epsilon, delta, n, prior):
    """Scores of one run: each record a member by chance; an answer that is true with exp(epsilon) to 1 odds.

    With probability delta a record's membership is given away, by a score that nothing else has. This attains
    (epsilon, delta)-DP exactly.
    """
    is_member = rng.random(n) < prior
    is_true = rng.random(n) < 1 / (1 + np.exp(-epsilon))
    scores = np.where(is_member == is_true, 1.0, -1.0)
    given_away = rng.random(n) < delta
    scores[given_away] = np.where(is_member[given_away], 2.0, -2.0)
    return scores[is_member], scores[~is_member]


@pytest.mark.parametrize("bound", [epsilon_lower_bound, one_run_epsilon_lower_bound])
@pytest.mark.parametrize("prior", [0.5, 0.2])
@pytest.mark.parametrize(("epsilon", "delta"), [(0, 0.0), (0, 0.01), (1, 0.0), (1, 0.01), (3, 0.0)])
def test_epsilon_of_answers_that_use_their_privacy_up(bound, prior, epsilon, delta):
    rng = np.random.default_rng([epsilon, round(100 * delta), round(10 * prior)])
    runs = (randomised_response(rng, epsilon, delta, 400, prior) for _ in range(300))
    bounds = np.array([bound(*sides, delta).value for sides in runs])
    assert np.mean(bounds > epsilon) <= 0.05 and (epsilon < 3 or np.mean(bounds) > 1.5)
