"""The controls catch audits that are wrong on purpose, and pass sound ones."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.special import expit

from umbrameter.attacks import Loss, Signals, Vectors
from umbrameter.evaluation import controls
from umbrameter.evaluation.controls import Control, _gain, failures, near_copies
from umbrameter.evaluation.verdict import decide
from umbrameter.spec.limits import Limit
from umbrameter.statistics.intervals import auc
from umbrameter.statistics.placements import Auc

N = 1000
MEMBER = np.arange(2 * N) < N


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_sound_null_audit_passes_and_broken_membership_statistics_would_not(monkeypatch):
    scores = rng().normal(size=2 * N)
    assert controls.permuted_labels(scores, MEMBER, rng(1)).status == "pass"
    bounds = Auc.bounds

    def too_sure(auc, alpha):
        low, high, method = bounds(auc, alpha)
        return (low + auc.value) / 2, (high + auc.value) / 2, method

    monkeypatch.setattr(Auc, "bounds", too_sure)
    found = controls.permuted_labels(scores, MEMBER, rng(1))
    assert found.status == "fail" and found.figures["alarm_rate"] > 0.2


@pytest.mark.parametrize("decimals", [None, 0, 1])
@pytest.mark.parametrize("n", [6, 400, 3000])  # few, all, and a sample of the records
def test_permutations_at_once_are_those_one_by_one(n, decimals):
    scores, is_member = rng(2).normal(size=2 * n), rng(3).random(2 * n) < 0.4
    scores = scores if decimals is None else scores.round(decimals)
    found, draws, misses = controls.permuted_labels(scores, is_member, rng(4)), rng(4), 0
    rows = controls.some_of_each(is_member, draws, controls.PERMUTED)
    for _ in range(controls.N_NULL):
        permuted = draws.permutation(is_member[rows])
        interval = auc(scores[rows][permuted], scores[rows][~permuted])
        misses += not interval.low <= 0.5 <= interval.high
    assert found.figures["alarm_rate"] == misses / controls.N_NULL


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_the_planted_leak_is_found_whatever_the_scores(scale):
    scores = rng().normal(size=2 * N) * scale
    found = controls.planted_leak(scores, MEMBER, rng(1))
    assert found.status == "pass" and found.figures["epsilon_lower_bound"] > 0.5


def test_a_planted_leak_too_small_to_find_is_not_measured():
    assert controls.planted_leak(np.zeros(200), np.arange(200) < 100, rng()).status == "not_measured"


def test_sides_mirror():
    scores = rng().normal(MEMBER, 1)
    found = controls.swapped_sides(scores, MEMBER)
    assert found.status == "pass" and found.figures["auc"] + found.figures["swapped_auc"] == pytest.approx(1)


def test_exchanged_sides_are_caught():
    confidence = rng().normal(MEMBER, 1)
    assert controls.orientation(confidence, MEMBER).status == "pass"
    assert controls.orientation(confidence, ~MEMBER).status == "fail"
    assert controls.orientation(rng().normal(size=2 * N), MEMBER).status == "pass"


def test_shuffled_answers_are_caught():
    labels = rng().integers(0, 10, 2 * N)
    called = np.where(rng(1).random(2 * N) < 0.6, labels, rng(2).integers(0, 10, 2 * N))
    assert controls.answers_fit_labels(labelled(called, labels, 10)).status == "pass"
    found = controls.answers_fit_labels(labelled(rng(3).permutation(called), labels, 10))
    assert found.status == "fail" and "may not belong to the same records" in found.reason


def labelled(called, labels, n_classes):
    """Answers of a model that gives labels alone."""
    return Vectors(np.eye(n_classes, dtype=np.float32)[called], labels)


@pytest.mark.parametrize("answer", [[0.98, 0.02], [1.0, 0.0], [0.5, 0.5]])
def test_a_target_that_gives_everybody_the_same_answer_is_not_accused(answer):
    labels = (rng().random(2 * N) < 0.02).astype(int)
    found = controls.answers_fit_labels(Vectors(np.tile(np.float32(answer), (2 * N, 1)), labels))
    assert found.status == "not_measured" and found.reason.startswith("not applicable")


def test_the_gain_over_chance_is_that_of_all_dealings():
    for seed, n_classes in ((0, 2), (1, 3), (2, 4)):
        predictions = rng(seed).dirichlet(np.ones(n_classes), 7)
        labels = rng(seed + 9).integers(0, n_classes, 7)
        sums = [predictions[np.arange(7), labels[list(order)]].sum() for order in permutations(range(7))]
        gain, claimed, spread = _gain(Vectors(predictions, labels), np.bincount(labels, minlength=n_classes))
        assert gain == pytest.approx(predictions[np.arange(7), labels].sum() - np.mean(sums))
        assert spread == pytest.approx(np.std(sums))
        by_class = [predictions[:, c] for c in range(n_classes)]
        assert claimed == pytest.approx(sum(((p - p.mean()) ** 2).sum() for p in by_class))


def rare(seed, n, prevalence, sharpness, is_label_only):
    """Answers of a sound model of two classes, calibrated where `sharpness` is 1, too sure where it is more."""
    draws = rng(seed)
    logit = np.log(prevalence / (1 - prevalence)) + draws.normal(size=n)
    labels = (draws.random(n) < expit(logit)).astype(int)
    confidence = expit(sharpness * logit) > 0.5 if is_label_only else expit(sharpness * logit)
    return Vectors(np.column_stack([1 - confidence, confidence]).astype(np.float32), labels)


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 300, 3000])
@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.02])
@pytest.mark.parametrize(("sharpness", "is_label_only"), [(1, False), (3, False), (1, True)])
def test_sound_models_of_rare_classes_are_next_to_never_accused(n, prevalence, sharpness, is_label_only):
    audits = [rare(seed, n, prevalence, sharpness, is_label_only) for seed in range(300)]
    sound = [controls.answers_fit_labels(answers).status for answers in audits]
    assert sound.count("fail") <= 3
    dealt = [replace(a, labels=rng(i).permutation(a.labels)) for i, a in enumerate(audits)]
    shuffled = [controls.answers_fit_labels(answers).status for answers in dealt]
    assert shuffled.count("pass") <= 20  # where a class has a record or two, the sum is far from normal
    if n == 3000 and prevalence == 0.5:
        assert sound.count("pass") == 300 and shuffled.count("fail") >= 270


def test_a_shifted_split_is_caught():
    X = rng().normal(size=(2 * N, 5))
    assert controls.blind_baseline(X, MEMBER, rng(1)).status == "pass"
    shifted = X + 0.5 * (~MEMBER)[:, None] * np.array([1, 0, 0, 0, 0])
    found = controls.blind_baseline(shifted, MEMBER, rng(1))
    assert found.status == "fail" and "differ in distribution" in found.reason
    spread = X * np.where(MEMBER, 1.0, 1.5)[:, None]  # alike in the mean
    assert controls.blind_baseline(spread, MEMBER, rng(1)).status == "fail"
    assert controls.blind_baseline(X[:60], MEMBER[:60], rng(1)).status == "not_measured"


@pytest.mark.slow
def test_sound_splits_are_next_to_never_called_shifted():
    alarms = sum(
        controls.blind_baseline(rng(s).normal(size=(600, 4)), np.arange(600) < 300, rng(s)).status == "fail"
        for s in range(200)
    )
    assert alarms <= 2


def test_copies_are_caught():
    keys = np.arange(2 * N)
    assert controls.copies(keys, MEMBER).status == "pass"
    keys[N : N + 30] = keys[:30]
    found = controls.copies(keys, MEMBER)
    assert found.status == "fail" and found.figures["share"] == 0.03


def test_small_changes_do_not_hide_copies():
    rng = np.random.default_rng(0)
    members, others = rng.random((2, 400, 50), dtype=np.float32)
    apart = near_copies(others, members, "non-members", rng)
    assert apart.status == "pass" and apart.figures == {"share": 0.0, "usual": 0.0}
    others[:40] = members[:40] + 0.001 * rng.standard_normal((40, 50))
    found = near_copies(others, members, "non-members", rng)
    assert found.status == "fail" and found.figures["share"] == 0.1
    assert "10.0% of the non-members nearly equal a member" in found.reason


def test_members_with_copies_among_themselves_raise_no_alarm():
    """Records of a source that repeats itself are as near across the split as within it."""
    rng = np.random.default_rng(1)
    source = np.repeat(rng.random((300, 20), dtype=np.float32), 3, axis=0) + rng.normal(0, 1e-4, (900, 20))
    alarms = 0
    for _ in range(40):
        order = rng.permutation(900)
        alarms += near_copies(source[order[:300]], source[order[300:600]], "non-members", rng).status == "fail"
    assert alarms == 0
    bits = np.repeat(rng.integers(0, 2, (50, 5)), 10, axis=0).astype(np.float32)
    assert near_copies(bits, bits, "non-members", rng).status == "not_measured"
    assert near_copies(bits[:5], bits, "non-members", rng).status == "not_measured"


def test_rows_that_do_not_carry_their_scores_are_caught():
    assert controls.row_order(True).status == "pass"
    assert controls.row_order(False).status == "fail"
    vectors = Vectors(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    order = np.array([1, 0])
    assert np.array_equal(Loss().score(Signals(vectors).where(order)), Loss().score(Signals(vectors))[order])


def test_a_failed_control_takes_the_verdict_with_its_name():
    found = {"copies": Control(status="fail", reason="9 % are copies"), "row_order": Control(status="pass", reason="")}
    assert failures(found) == ["The control copies failed: 9 % are copies."]
    limit = Limit(metric="auc", limit=0.55, source="s")
    assert decide([limit], [], failures(found)).status == "not_measured"
