"""An attack's figures, against exhaustive search and against their parts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.errors import DataError
from umbrameter.statistics import intervals
from umbrameter.statistics.estimates import Interval, LowerBound, NotMeasured
from umbrameter.statistics.metrics import METRICS, NO_THRESHOLD, best_threshold, measure, measure_by_class, roc_curve

INF = float("inf")
untimed = settings(deadline=None)
values = st.one_of(st.sampled_from([-INF, -1.0, 0.0, 0.5, 1.0, INF]), st.floats(allow_nan=False))
records = st.lists(st.tuples(values, st.booleans()), min_size=2, max_size=40).filter(
    lambda r: len({m for _, m in r}) == 2
)


def arrays(rows):
    return np.array([score for score, _ in rows]), np.array([mask for _, mask in rows])


@pytest.fixture
def audited():
    rng = np.random.default_rng(3)
    is_member = np.arange(3000) % 3 > 0  # twice as many members as non-members
    scores = rng.normal(size=3000) + is_member
    return scores, is_member, scores >= 0.5


def rates(called, is_member):
    return called[is_member].mean(), called[~is_member].mean()


# the ROC curve and the threshold


@untimed
@given(records)
def test_roc_curve_is_what_each_threshold_gives(rows):
    scores, is_member = arrays(rows)
    fpr, tpr, thresholds = roc_curve(scores, is_member)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert thresholds[0] == INF
    assert thresholds[1:].tolist() == sorted(set(scores.tolist()), reverse=True)
    expected = [rates(scores >= t, is_member) for t in thresholds[1:]]
    assert np.column_stack([tpr, fpr])[1:] == pytest.approx(np.array(expected))


@untimed
@given(records)
def test_area_under_the_roc_curve_is_the_auc(rows):
    scores, is_member = arrays(rows)
    fpr, tpr, _ = roc_curve(scores, is_member)
    area = intervals.auc(scores[is_member], scores[~is_member]).value
    assert np.trapezoid(tpr, fpr) == pytest.approx(area)


@untimed
@given(records)
def test_best_threshold_is_the_best_of_all_with_the_smallest_fpr(rows):
    scores, is_in = arrays(rows)
    threshold = best_threshold(scores, is_in)
    tpr, fpr = rates(scores >= threshold, is_in)
    every = [rates(scores >= t, is_in) for t in (INF, *scores)]
    assert tpr - fpr == pytest.approx(max(t - f for t, f in every))
    assert fpr == pytest.approx(min(f for t, f in every if t - f > tpr - fpr - 1e-9))


@untimed
@given(records, st.randoms(use_true_random=False))
def test_best_threshold_does_not_depend_on_the_order_of_records(rows, random):
    expected = best_threshold(*arrays(rows))
    random.shuffle(rows)
    assert best_threshold(*arrays(rows)) == expected


@pytest.mark.parametrize(
    ("ins", "outs", "threshold"),
    [
        ([0.75], [0.25], 0.75),
        ([2.0, 2.0], [1.0, 1.0, 2.0], 2.0),
        ([3.0, 2.0], [2.0, 1.0, 1.0], 2.0),  # a tie is called whole
        ([1.0], [-INF], 1.0),
        ([INF], [1.0], INF),
        ([INF], [-INF], INF),
        ([-INF, 1.0], [INF], -INF),  # nobody is out of reach at a score of inf; everybody is the best there is
        ([0.0], [1.0], INF),  # calling nobody is best
        ([1.0], [1.0], INF),
        ([0.0, 1.0], [INF], 0.0),
        ([5e-324], [0.0], 5e-324),
    ],
)
def test_best_threshold_is_the_smallest_score_that_is_called(ins, outs, threshold):
    is_in = np.arange(len(ins) + len(outs)) < len(ins)
    assert best_threshold([*ins, *outs], is_in) == threshold


def song_and_mittal(scores, is_in):
    """Return the threshold as they publish it: the best of all scores, tried from the highest down."""
    best, most = None, -1
    for value in sorted(scores.tolist(), reverse=True):
        right = np.mean(scores[is_in] >= value) + np.mean(scores[~is_in] < value)
        if right > most + 1e-9:
            best, most = value, right
    return best, most / 2


@untimed
@given(records)
def test_best_threshold_is_that_of_song_and_mittal_unless_none_tells_the_sides_apart(rows):
    scores, is_in = arrays(rows)
    expected, accuracy = song_and_mittal(scores, is_in)
    threshold = best_threshold(scores, is_in)
    assert threshold == (expected if accuracy > 0.5 + 1e-9 or scores.max() == INF else INF)


def test_a_threshold_half_way_to_the_next_score_would_call_more_non_members():
    """Of a target that is certain of its members: with 17 records a side half-way costs 1 / (4 * 18), 1.4 points."""
    rng, is_in, costs = np.random.default_rng(0), np.arange(34) < 17, []
    for _ in range(2000):
        others = rng.random(17)
        observed, half_way = best_threshold([*np.ones(17), *others], is_in), (1 + others.max()) / 2
        fresh = rng.random(200)
        costs.append((np.mean(fresh >= half_way) - np.mean(fresh >= observed)) / 2)
    assert np.mean(costs) == pytest.approx(1 / 72, abs=4 * np.std(costs) / np.sqrt(2000))


# what is measured


def test_measure_gives_every_figure_in_the_order_of_a_report(audited):
    metrics = measure(*audited)
    assert tuple(metrics) == METRICS
    assert METRICS == (
        "auc",
        "accuracy",
        "precision",
        "recall",
        "advantage",
        "tpr_at_fpr_0.1",
        "tpr_at_fpr_0.01",
        "tpr_at_fpr_0.001",
        "epsilon_lower_bound",
        "precision_at_prior_0.1",
        "precision_at_prior_0.01",
    )
    intervals = [metric for metric in metrics.values() if not isinstance(metric, LowerBound)]
    assert all(m.low <= m.value <= m.high and m.confidence == 0.95 for m in intervals)
    assert len(intervals) == len(METRICS) - 1 and metrics["epsilon_lower_bound"].high is None


def test_measure_takes_accuracy_and_precision_on_as_many_members_as_non_members(audited):
    scores, is_member, is_predicted_member = audited
    tpr, fpr = rates(is_predicted_member, is_member)
    found = {name: metric.value for name, metric in measure(*audited).items()}
    expected = {"accuracy": (tpr + 1 - fpr) / 2, "precision": tpr / (tpr + fpr), "recall": tpr, "advantage": tpr - fpr}
    expected |= {"precision_at_prior_0.01": 0.01 * tpr / (0.01 * tpr + 0.99 * fpr)}
    expected |= {"tpr_at_fpr_0.01": np.mean(scores[is_member] > np.sort(scores[~is_member])[-11])}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_measure_intervals_are_those_of_the_counts(audited):
    scores, is_member, is_predicted_member = audited
    tp, fp = int(is_predicted_member[is_member].sum()), int(is_predicted_member[~is_member].sum())
    metrics = measure(*audited)
    assert metrics["auc"] == intervals.auc(scores[is_member], scores[~is_member])
    assert metrics["recall"] == intervals.proportion(tp, 2000)
    assert metrics["advantage"] == intervals.difference(tp, 2000, fp, 1000)
    assert metrics["precision"] == intervals.precision(tp, 2000, fp, 1000)
    advantage, accuracy = metrics["advantage"], metrics["accuracy"]
    assert (accuracy.low, accuracy.high) == pytest.approx(((1 + advantage.low) / 2, (1 + advantage.high) / 2))
    assert accuracy.method == "Newcombe hybrid score"


def test_measure_does_not_depend_on_the_order_of_records(audited):
    order = np.random.default_rng(0).permutation(3000)
    shuffled, there = measure(*(column[order] for column in audited)), measure(*audited)
    for name, metric in there.items():
        assert shuffled[name].model_dump(exclude={"method"}) == pytest.approx(metric.model_dump(exclude={"method"}))


def test_measure_takes_float32_scores_as_they_are(audited):
    scores, is_member, is_predicted_member = audited
    single = scores.astype(np.float32)
    assert measure(single, is_member, is_predicted_member) == measure(
        single.astype(np.float64), is_member, is_predicted_member
    )


def test_without_a_threshold_the_decision_is_not_measured(audited):
    metrics = measure(audited[0], audited[1], None)
    missing = {name for name, metric in metrics.items() if metric == NotMeasured(not_measured=NO_THRESHOLD)}
    assert missing == {
        "accuracy",
        "precision",
        "recall",
        "advantage",
        "precision_at_prior_0.1",
        "precision_at_prior_0.01",
    }
    assert all(isinstance(metrics[name], Interval | LowerBound) for name in set(METRICS) - missing)


@pytest.mark.parametrize("is_predicted_member", [None, np.array([True, False])])
@pytest.mark.parametrize(("member", "side"), [(True, "non-members"), (False, "members")])
def test_without_one_side_nothing_is_measured(member, side, is_predicted_member):
    metrics = measure([0.1, 0.2], np.array([member] * 2), is_predicted_member)
    assert metrics == dict.fromkeys(METRICS, NotMeasured(not_measured=f"there are no {side}"))


def test_without_any_record_nothing_is_measured():
    metrics = measure([], np.zeros(0, bool), None)
    assert set(metrics.values()) == {NotMeasured(not_measured="there are no members and no non-members")}


def test_an_attack_that_calls_nobody_has_no_precision():
    metrics = measure([1.0, 0.0], np.array([True, False]), np.array([False, False]))
    assert metrics["precision"] == NotMeasured(not_measured="the attack called nobody a member")
    assert (metrics["accuracy"].value, metrics["recall"].value) == (0.5, 0)


def test_a_metric_is_json_with_bounds_or_with_a_reason():
    metrics = measure([1.0, 0.0], np.array([True, False]), None)
    assert set(json.loads(metrics["auc"].model_dump_json())) == {"value", "low", "high", "confidence", "method"}
    assert json.loads(metrics["recall"].model_dump_json()) == {"not_measured": NO_THRESHOLD}


# class by class


def test_each_class_is_measured_on_its_own_records(audited):
    scores, is_member, is_predicted_member = audited
    labels = np.arange(3000) % 2
    for label, found in enumerate(measure_by_class(*audited, labels, ["cat", "dog"])):
        rows = labels == label
        expected = measure(scores[rows], is_member[rows], is_predicted_member[rows])
        assert (found.label, found.n_members, found.n_nonmembers) == (("cat", "dog")[label], 1000, 500)
        for name in ("accuracy", "precision", "recall", "auc"):
            assert getattr(found, name) == expected[name]


def test_a_class_without_non_members_is_there_and_says_so():
    is_member = np.array([True, False, True])
    _, lone, absent = measure_by_class([2, 1, 0], is_member, None, [0, 0, 1], ["a", "b", "c"])
    assert (lone.n_members, lone.n_nonmembers, absent.n_members) == (1, 0, 0)
    assert lone.auc == lone.recall == NotMeasured(not_measured="there are no non-members")
    assert absent.auc == NotMeasured(not_measured="there are no members and no non-members")


# the border

YES, BOTH = np.array([True, True]), np.array([True, False])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: measure([np.nan, 1], BOTH, None), "scores holds 1 NaN of 2"),
        (lambda: measure([[1, 2]], BOTH, None), r"scores has shape \(1, 2\)"),
        (
            lambda: measure([1, 2, 3], BOTH, None),
            r"is_member has shape \(2,\) \(needs \(3,\), one entry per score\): pass",
        ),
        (lambda: measure([1, 2], BOTH, YES[:1]), r"is_predicted_member has shape \(1,\)"),
        (
            lambda: measure([1, 2], [1, 0], None),
            r"is_member has dtype int64 \(needs bool\): pass is_member.astype\(bool\)",
        ),
        (lambda: measure([1, 2], BOTH, [0.5, 0.1]), "is_predicted_member has dtype float64"),
        (
            lambda: roc_curve([1, 2], YES),
            r"is_member is true for 2 of 2 records \(needs some, not all\): pass the scores",
        ),
        (lambda: best_threshold([1, 2], ~YES), "is_in is true for 0 of 2 records"),
        (
            lambda: measure_by_class([1, 2], BOTH, None, [0, 2], ["a", "b"]),
            r"labels holds 2 \(needs 0 .. 1, as there are",
        ),
        (lambda: measure_by_class([1, 2], BOTH, None, [0.0, 1.0], ["a", "b"]), "labels has dtype float64"),
        (lambda: measure_by_class([1, 2], BOTH, None, [0], ["a"]), r"labels has shape \(1,\)"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(DataError, match=text):
        call()
