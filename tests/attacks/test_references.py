"""Reference attacks against loops over records and models, and pointwise signals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import norm

from tests.attacks.oracles import entropy, lira, logit, modified_entropy, rmia
from umbrameter.attacks import (
    Combined,
    Confidence,
    Entropy,
    Gap,
    Lira,
    Loss,
    ModifiedEntropy,
    Quantile,
    References,
    Rmia,
    ShadowVectors,
    Signals,
    Vectors,
)
from umbrameter.attacks.lira import likelihood_ratio
from umbrameter.attacks.rmia import dominated, log_ratios
from umbrameter.statistics import intervals
from umbrameter.statistics.metrics import best_threshold, measure


def references(n_models=16, n_records=60, seed=0, gap=2.0, unequal=False):
    """Draw logits of models of which each record is IN exactly half, and those of an attacked model."""
    rng = np.random.default_rng(seed)
    gap = rng.exponential(gap, n_records) if unequal else gap
    is_in = np.array([rng.permutation(n_models) < n_models // 2 for _ in range(n_records)]).T
    hardness = rng.normal(0, 3, n_records)
    member = rng.random(n_records) < 0.5
    logits = rng.normal(hardness + gap * is_in, 1.0)
    return rng.normal(hardness + gap * member, 1.0), References(logits, is_in), member


def at_all(known):
    return {1.0: known, 2.0: known}


def vectors(n=200, n_classes=5, seed=0, gap=1.0):
    rng = np.random.default_rng(seed)
    labels, is_in = rng.integers(0, n_classes, n), rng.random(n) < 0.5
    raw = rng.normal(size=(n, n_classes))
    raw[np.arange(n), labels] += 1 + gap * is_in
    return Vectors(softmax(raw, axis=1), labels, is_in)


# The scaled logit


def test_the_scaled_logit_one_record_at_a_time():
    found = vectors()
    assert np.allclose(found.logit(), [logit(p, y) for p, y in zip(found.predictions, found.labels, strict=True)])


def test_the_scaled_logit_has_digits_where_confidence_has_none_left():
    sure = Vectors(np.array([[1.0, 1e-12], [1.0, 1e-20]], np.float32), np.array([0, 0]))
    assert np.allclose(sure.logit(), [np.log(1e12), np.log(1e20)], rtol=1e-6)
    never = Vectors(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([0, 0]))
    assert np.isfinite(never.logit()).all() and never.logit()[0] > 80 > -80 > never.logit()[1]


# LiRA


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("variance", ["record", "global"])
def test_lira_is_the_paper_s_one_record_at_a_time(online, variance):
    s, known, _ = references()
    expected = lira(s, known.logits, known.is_in, online, variance == "record")
    assert np.allclose(likelihood_ratio(s, known, online, variance), expected)


def test_lira_on_gaussians_is_its_closed_form():
    """Two normals of equal variance: the log ratio is linear in the logit, and its AUC that of the logit itself."""
    rng = np.random.default_rng(0)
    n, n_models = 2000, 4000
    is_in = np.arange(n_models)[:, None] % 2 == np.zeros((1, n), int)
    logits = rng.normal(1.5 * is_in, 1.0).astype(np.float32)
    s = rng.normal(1.5 * (np.arange(n) % 2), 1.0)
    found = likelihood_ratio(s, References(logits, is_in), True, "global")
    assert np.allclose(found, 1.5 * s - 1.5**2 / 2, atol=0.25)
    auc = intervals.auc(found[1::2], found[::2])
    assert auc.low <= norm.cdf(1.5 / np.sqrt(2)) <= auc.high


def test_lira_takes_each_record_s_own_variance_where_models_are_many():
    s, few, _ = references(n_models=16)
    assert np.array_equal(likelihood_ratio(s, few, True, "auto"), likelihood_ratio(s, few, True, "global"))
    s, many, _ = references(n_models=64)
    assert np.array_equal(likelihood_ratio(s, many, True, "auto"), likelihood_ratio(s, many, True, "record"))


def test_models_that_all_answer_alike_and_records_without_a_side_have_finite_scores():
    alike = References(np.zeros((8, 3), np.float32), np.tile([True, False], (3, 4)).T)
    assert np.isfinite(likelihood_ratio(np.array([0.0, 1.0, -50.0]), alike)).all()
    s, known, _ = references()
    is_in = known.is_in.copy()
    is_in[:, 0], is_in[:, 1] = False, True
    for online in (True, False):
        assert np.isfinite(likelihood_ratio(s, References(known.logits, is_in), online, "record")).all()


# RMIA


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_rmia_is_the_paper_s_over_all_pairs(online, gamma):
    s, known, _ = references()
    expected = rmia(s, known.logits, known.is_in, online, 0.4, gamma)
    found = Rmia(mode="online" if online else "offline", a=0.4, gamma=gamma).compare(s, known)
    # Records beat themselves at gamma 1: equal by construction, not by luck of rounding
    assert np.allclose(found, expected, atol=1 / len(s) if gamma == 1 else 1e-12)


@given(st.lists(st.floats(-20, 20) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=30), st.floats(1, 5))
@settings(max_examples=50, deadline=None)
def test_domination_counts_pairs(ratios, gamma):
    values = np.array(ratios)
    expected = [np.mean(values <= x - np.log(gamma)) for x in values]
    assert np.allclose(dominated(values, gamma), expected)


def test_offline_rmia_makes_up_the_mean_of_both_kinds_from_out_models():
    s, known, _ = references()
    p_out = np.where(known.is_in, 0, expit(known.logits)).sum(axis=0) / (~known.is_in).sum(axis=0)
    assert np.allclose(log_ratios(s, known, False, 0.3), np.log(expit(s)) - np.log((1.3 * p_out + 0.7) / 2))


# Both


@pytest.mark.parametrize(
    "attack",
    [Lira(mode="online"), Lira(), Rmia(mode="online", temperature=1), Rmia(temperature=1)],
    ids=lambda a: a.label,
)
def test_members_score_higher_order_does_not_matter_and_shadow_models_set_thresholds(attack):
    s, known, member = references(n_models=32, n_records=400, gap=3.0)
    target = Vectors(np.column_stack([expit(s), 1 - expit(s)]), np.zeros(400, int))
    signals = Signals(target, references=at_all(known))
    scores, threshold = attack.score(signals), attack.threshold(signals)
    found = measure(scores, member, scores >= threshold)
    assert found["auc"].low > 0.75 and found["accuracy"].low > 0.65
    order = np.random.default_rng(1).permutation(400)
    assert np.allclose(attack.score(signals.where(order)), scores[order])
    other = Vectors(np.full((400, 2), 0.5), np.zeros(400, int))
    assert attack.threshold(Signals(other, references=at_all(known))) == threshold


def test_online_beats_offline_where_records_are_learnt_unequally_well():
    s, known, member = references(n_models=64, n_records=4000, unequal=True)
    for attack in (Lira, Rmia):
        aucs = [
            intervals.auc(scores[member], scores[~member]).value
            for scores in (attack(mode=mode).compare(s, known) for mode in ("online", "offline"))
        ]
        assert aucs[0] > aucs[1]


def test_calibration_takes_the_place_of_audited_records_that_are_in_no_model():
    s, known, _ = references(n_models=32, n_records=400, gap=3.0)
    target = Vectors(np.column_stack([expit(s), 1 - expit(s)]), np.zeros(400, int))
    out = References(known.logits, np.zeros_like(known.is_in))
    assert Lira().threshold(Signals(target, references=at_all(out))) is None
    assert np.isfinite(Lira().threshold(Signals(target, references=at_all(out), calibration=at_all(known))))


def test_without_references_it_says_what_is_missing():
    with pytest.raises(ValueError, match=r"lira\(offline\) needs signals.references\[1\]"):
        Lira().score(Signals(vectors()))


# Pointwise attacks


def test_pointwise_signals_one_record_at_a_time():
    found = vectors()
    rows = list(zip(found.predictions, found.labels, strict=True))
    assert np.allclose(Confidence().signal(found), [p[y] for p, y in rows])
    assert np.allclose(Entropy().signal(found), [entropy(p) for p, _ in rows])
    assert np.allclose(ModifiedEntropy().signal(found), [modified_entropy(p, y) for p, y in rows])
    assert np.array_equal(Gap().signal(found), [float(np.argmax(p) == y) for p, y in rows])


def test_confidences_of_zero_and_one_are_finite():
    edge = Vectors(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], np.float32), np.array([0, 0, 1]))
    for attack in (Confidence(), Entropy(), ModifiedEntropy(), Loss(), Gap()):
        assert np.isfinite(attack.signal(edge)).all()
    assert ModifiedEntropy().signal(edge)[0] == 0 and ModifiedEntropy().signal(edge)[1] < -30


@pytest.mark.parametrize("attack", [Confidence, Entropy, ModifiedEntropy])
def test_class_thresholds_are_the_best_of_each_class(attack):
    target, shadow = vectors(seed=1), vectors(n=1000, seed=2)
    signals = Signals(target, shadow)
    called = attack().score(signals) >= attack().threshold(signals)
    signal = attack().signal
    for label in range(5):
        own = shadow.labels == label
        threshold = best_threshold(signal(shadow)[own], shadow.is_in[own])
        rows = target.labels == label
        assert np.array_equal(called[rows], signal(target)[rows] >= threshold)
    assert attack(per_class=False).threshold(signals) == best_threshold(signal(shadow), shadow.is_in)
    assert attack().threshold(Signals(target)) is None


def test_per_class_thresholds_help_when_classes_differ_in_level():
    def leveled(seed):
        found = vectors(n=3000, seed=seed, gap=1.5)
        raw = np.log(found.predictions)
        raw[np.arange(3000), found.labels] += 2.0 * (found.labels - 2)
        return Vectors(softmax(raw, axis=1), found.labels, found.is_in)

    target, signals = leveled(1), Signals(leveled(1), leveled(2))
    aucs = [
        measure(a.score(signals), target.is_in, None)["auc"].value
        for a in (ModifiedEntropy(), ModifiedEntropy(per_class=False))
    ]
    assert aucs[0] > aucs[1] + 0.02


def test_gap_advantage_is_the_generalisation_gap():
    target = vectors(n=2000)
    right = target.predictions.argmax(axis=1) == target.labels
    found = measure(Gap().score(Signals(target)), target.is_in, Gap().score(Signals(target)) >= 1)
    assert found["advantage"].value == pytest.approx(right[target.is_in].mean() - right[~target.is_in].mean())


# Quantile regression


def population(n, seed, leak):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    member = rng.random(n) < 0.5
    s = 2 * X[:, 0] + np.where(X[:, 1] > 0, 2.0, 0.3) * (rng.normal(size=n) + leak * member)
    return Vectors(np.column_stack([expit(s), 1 - expit(s)]), np.zeros(n, int)), X, member


def test_quantile_finds_members_that_stand_out_among_similar_records():
    target, X, member = population(3000, 0, 1.5)
    others, X_others, _ = population(6000, 1, 0.0)
    signals = Signals(target, features=X, population=others, population_features=X_others)
    scores, threshold = Quantile(fpr=0.1).score(signals), Quantile(fpr=0.1).threshold(signals)
    plain = intervals.auc(target.logit()[member], target.logit()[~member])
    found = measure(scores, member, scores >= threshold)
    assert found["auc"].low > plain.high
    fpr = (scores >= threshold)[~member].mean()
    assert abs(fpr - 0.1) < 4 * np.sqrt(0.1 * 0.9 / (~member).sum()) + 0.01
    for kind in (X[:, 1] > 0, X[:, 1] <= 0):  # the same share of every kind of non-member
        assert abs((scores >= threshold)[~member & kind].mean() - 0.1) < 0.04


def test_quantile_of_non_members_alone_finds_nothing():
    target, X, _ = population(2000, 2, 0.0)
    others, X_others, _ = population(4000, 3, 0.0)
    scores = Quantile().score(Signals(target, features=X, population=others, population_features=X_others))
    half = np.arange(2000) % 2 == 0
    found = intervals.auc(scores[half], scores[~half], 0.999)
    assert found.low <= 0.5 <= found.high


# The best of several


def test_combined_scores_as_the_one_it_chose_on_shadow_data():
    target, shadow = vectors(seed=1), vectors(n=1000, seed=2)
    attack = Combined(attacks=(Gap(), Loss()))
    signals = Signals(target, shadow)
    assert attack.chosen(signals).label == "loss"
    assert np.array_equal(attack.score(signals), Loss().score(signals))
    assert attack.threshold(signals) == Loss().threshold(signals)
    assert attack.inputs == {ShadowVectors()} and attack.needs_shadows


def test_combined_is_not_swayed_by_the_audited_records():
    """Of attacks that are all noise, the best on the target by luck is not what is reported."""
    aucs = []
    for seed in range(200):
        target = vectors(n=100, seed=seed, gap=0.0)
        signals = Signals(target, vectors(n=100, seed=1000 + seed, gap=0.0))
        attack = Combined(attacks=(Gap(), Loss(), Entropy(per_class=False), ModifiedEntropy(per_class=False)))
        scores = attack.score(signals)
        aucs.append(intervals.auc(scores[target.is_in], scores[~target.is_in]).value)
    assert abs(np.mean(aucs) - 0.5) < 4 * np.std(aucs) / np.sqrt(len(aucs))
