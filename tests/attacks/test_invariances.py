"""What must not change a score, and what must: shifts, scales, relabelled classes, more confidence, other company."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, softmax

from umbrameter.attacks import (
    Confidence,
    Entropy,
    Gap,
    Lira,
    Loss,
    ModifiedEntropy,
    References,
    Rmia,
    Shokri,
    Signals,
    Vectors,
)
from umbrameter.attacks.lira import ENOUGH, SMALLEST, likelihood_ratio
from umbrameter.attacks.pointwise import ClassThresholds, PointwiseAttack
from umbrameter.attacks.references import HELD_OUT
from umbrameter.attacks.rmia import dominated, log_ratios
from umbrameter.estimators import Estimator
from umbrameter.statistics.intervals import auc
from umbrameter.statistics.metrics import best_threshold
from umbrameter.typing import Bools, Floats

few = settings(max_examples=40, deadline=None, derandomize=True)
POINTWISE: list[PointwiseAttack] = [Gap(), Loss(), Confidence(), Entropy(), ModifiedEntropy()]
seeds = st.integers(0, 2**16)


def vectors(seed: int, n: int = 60, n_classes: int = 4) -> Vectors:
    rng = np.random.default_rng(seed)
    labels, is_in = rng.integers(0, n_classes, n), np.arange(n) % 2 == 0
    raw = rng.normal(size=(n, n_classes))
    raw[np.arange(n), labels] += 1 + is_in
    return Vectors(softmax(raw, axis=1), labels, is_in)


def references(seed: int, n_models: int = 10, n_records: int = 20, one_sided: bool = True) -> tuple[Floats, References]:
    """Return an attacked model's logits and the shadow models'; some records are IN no model, or IN all of them."""
    rng = np.random.default_rng(seed)
    is_in = rng.random((n_models, n_records)) < 0.5
    if one_sided:
        is_in[:, 0], is_in[:, 1] = False, True
    return rng.normal(size=n_records), References(rng.normal(2.0 * is_in, 1.0), is_in)


# Pointwise attacks


@pytest.mark.parametrize("attack", POINTWISE, ids=lambda a: a.label)
@given(seed=seeds)
@few
def test_the_names_of_classes_do_not_matter(attack: PointwiseAttack, seed: int) -> None:
    found, order = vectors(seed), np.random.default_rng(seed).permutation(4)
    renamed = Vectors(found.predictions[:, order], np.argsort(order)[found.labels], found.is_in)
    assert np.allclose(attack.signal(renamed), attack.signal(found))
    signals, others = Signals(found, vectors(seed + 1)), vectors(seed + 1)
    shadow = Vectors(others.predictions[:, order], np.argsort(order)[others.labels], others.is_in)
    assert np.allclose(attack.score(Signals(renamed, shadow)), attack.score(signals))


@pytest.mark.parametrize("attack", [Loss(), Confidence(), ModifiedEntropy()], ids=lambda a: a.label)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 5)), elements=st.floats(0.01, 1)),
    st.floats(0.05, 0.95),
)
@few
def test_more_confidence_in_the_label_is_more_likely_a_member(
    attack: PointwiseAttack, weights: Floats, share: float
) -> None:
    before = weights / weights.sum(axis=1, keepdims=True)
    certain = np.eye(weights.shape[1])[np.zeros(len(weights), int)]
    after, labels = (1 - share) * before + share * certain, np.zeros(len(weights), int)
    assert (attack.signal(Vectors(after, labels)) > attack.signal(Vectors(before, labels))).all()


@pytest.mark.parametrize("attack", POINTWISE, ids=lambda a: a.label)
@pytest.mark.parametrize("n_classes", [2, 3, 100])
def test_certain_and_right_is_the_highest_score_there_is(attack: PointwiseAttack, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    answers = np.vstack([np.eye(n_classes)[0], rng.dirichlet(np.ones(n_classes), 50)])
    signal = attack.signal(Vectors(answers, np.zeros(51, int)))
    assert signal.argmax() == 0 and signal.dtype == np.float64


@pytest.mark.parametrize("attack", POINTWISE, ids=lambda a: a.label)
def test_single_precision_orders_records_as_double_does(attack: PointwiseAttack) -> None:
    double = vectors(0, n=300)
    single = Vectors(double.predictions.astype(np.float32), double.labels)
    assert np.allclose(attack.signal(single), attack.signal(double), rtol=1e-4, atol=1e-6)


def test_two_classes_leave_entropy_blind_to_which_one_is_right() -> None:
    right, wrong = (Vectors(np.array([[0.8, 0.2]]), np.array([label])) for label in (0, 1))
    assert Entropy().signal(right) == Entropy().signal(wrong)
    for attack in (Loss(), Confidence(), ModifiedEntropy(), Gap()):
        assert attack.signal(right) > attack.signal(wrong)


def test_a_class_without_both_sides_has_the_threshold_of_all_classes() -> None:
    target, shadow = vectors(1), vectors(2, n=400)
    assert shadow.is_in is not None
    is_in = np.where(shadow.labels == 0, True, np.where(shadow.labels == 1, False, shadow.is_in))
    kept = np.flatnonzero(shadow.labels != 2)  # IN alone, OUT alone, none at all
    known = Vectors(shadow.predictions[kept], shadow.labels[kept], is_in[kept])
    attack = Confidence()
    overall = best_threshold(attack.signal(known), np.asarray(known.is_in))
    own = known.labels == 3
    last = best_threshold(attack.signal(known)[own], np.asarray(known.is_in)[own])
    expected = np.array([overall, overall, overall, last])[target.labels]
    assert np.allclose(attack.score(Signals(target, known)), attack.signal(target) - expected)


@pytest.mark.parametrize("attack", [Confidence(), Entropy(), ModifiedEntropy()], ids=lambda a: a.label)
def test_shadow_vectors_are_scored_by_the_thresholds_that_they_set(attack: ClassThresholds) -> None:
    shadow = vectors(2, n=400)
    found, alike = attack.on_shadows(Signals(vectors(1), shadow)), attack.score(Signals(shadow, shadow))
    assert found is not None and np.array_equal(found[0], alike) and np.array_equal(found[1], np.asarray(shadow.is_in))
    flat = type(attack)(per_class=False).on_shadows(Signals(vectors(1), shadow))
    assert flat is not None and np.array_equal(flat[0], attack.signal(shadow))


def test_a_class_in_which_it_is_best_to_call_nobody_has_scores_below_zero() -> None:
    shadow = vectors(3, n=400)
    assert shadow.is_in is not None
    turned = np.where(shadow.labels == 0, np.argsort(np.argsort(Loss().signal(shadow))) < 200, shadow.is_in)
    attack, known = Confidence(), Vectors(shadow.predictions, shadow.labels, turned)
    scores = attack.score(Signals(known, known))
    assert np.isfinite(scores).all() and (scores[shadow.labels == 0] < 0).mean() > 0.45


# LiRA


def slow_moments(logits: Floats, chosen: Bools, per_record: bool) -> list[tuple[float, float]]:
    """Return mean and variance of each record's chosen logits; of a record without any, those of all records."""
    sides = [[float(logits[m, r]) for m in range(len(logits)) if chosen[m, r]] for r in range(logits.shape[1])]
    everyone = [value for side in sides for value in side]
    squares = [sum((v - np.mean(side)) ** 2 for v in side) for side in sides if side]
    freedom = sum(len(side) - 1 for side in sides if side)
    pooled = sum(squares) / freedom
    moments = []
    for side in sides:
        own = np.var(side, ddof=1) if per_record and len(side) > 1 else pooled
        moments.append((float(np.mean(side or everyone)), max(float(own), SMALLEST)))
    return moments


@pytest.mark.parametrize("variance", ["record", "global"])
@pytest.mark.parametrize("online", [True, False])
@given(seeds)
@few
def test_records_without_a_model_on_a_side_are_compared_with_all_records_there(
    variance: Any, online: bool, seed: int
) -> None:
    s, known = references(seed)
    outs = slow_moments(known.logits, ~known.is_in, variance == "record")
    ins = slow_moments(known.logits, known.is_in, variance == "record")
    for value, score, out, own in zip(s, likelihood_ratio(s, known, online, variance), outs, ins, strict=True):
        standard = (value - out[0]) / np.sqrt(out[1])
        under_in = -((value - own[0]) ** 2) / (2 * own[1]) - np.log(own[1]) / 2
        under_out = -((value - out[0]) ** 2) / (2 * out[1]) - np.log(out[1]) / 2
        assert score == pytest.approx(under_in - under_out if online else standard)


@pytest.mark.parametrize("variance", ["record", "global"])
@pytest.mark.parametrize("online", [True, False])
@given(seeds, st.floats(-50, 50), st.floats(0.1, 20))
@few
def test_the_zero_and_the_unit_of_logits_do_not_matter_to_lira(
    variance: Any, online: bool, seed: int, shift: float, scale: float
) -> None:
    s, known = references(seed)
    moved = References(scale * known.logits + shift, known.is_in)
    found = likelihood_ratio(scale * s + shift, moved, online, variance)
    assert np.allclose(found, likelihood_ratio(s, known, online, variance), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compare", [Lira(mode="online"), Lira(), Rmia(mode="online"), Rmia()], ids=lambda a: a.label)
@given(seeds)
@few
def test_the_order_of_shadow_models_does_not_matter(compare: Lira | Rmia, seed: int) -> None:
    s, known = references(seed)
    order = np.random.default_rng(seed).permutation(len(known.logits))
    shuffled = References(known.logits[order], known.is_in[order])
    assert np.allclose(compare.compare(s, shuffled), compare.compare(s, known))


def test_exchanging_in_and_out_turns_the_likelihood_ratio_round() -> None:
    s, known = references(0)
    turned = References(known.logits, ~known.is_in)
    assert np.allclose(likelihood_ratio(s, turned), -likelihood_ratio(s, known))


def test_a_shift_of_one_record_s_logits_moves_no_other_record_under_lira() -> None:
    s, known = references(0, one_sided=False)
    logits, moved = known.logits.copy(), s.copy()
    logits[:, 5], moved[5] = logits[:, 5] + 30, s[5] + 30
    for online in (True, False):
        found = likelihood_ratio(moved, References(logits, known.is_in), online)
        assert np.allclose(found, likelihood_ratio(s, known, online))


@pytest.mark.parametrize("n_models", [2 * ENOUGH - 2, 2 * ENOUGH])
def test_own_variances_need_enough_models_on_each_side_of_each_record(n_models: int) -> None:
    s, known = references(0, n_models=n_models, one_sided=False)
    is_in = np.arange(n_models)[:, None] % 2 == np.zeros((1, len(s)), int)
    even = References(known.logits, is_in)
    own = n_models >= 2 * ENOUGH
    assert np.array_equal(likelihood_ratio(s, even), likelihood_ratio(s, even, True, "record" if own else "global"))
    is_in[:2, 7] = True, True
    uneven = References(known.logits, is_in)
    assert np.array_equal(likelihood_ratio(s, uneven, False), likelihood_ratio(s, uneven, False, "global"))


def test_variances_of_nothing_are_floored_and_scores_stay_ordered() -> None:
    alike = References(np.zeros((6, 3)), np.tile([True, False], (3, 3)).T)
    scores = likelihood_ratio(np.array([-2.0, 0.0, 3.0]), alike, False)
    assert np.allclose(scores, np.array([-2.0, 0.0, 3.0]) / np.sqrt(SMALLEST))
    lone = References(np.array([[1.0, 5.0]]), np.array([[False, False]]))  # one model: no spread but between records
    assert np.allclose(likelihood_ratio(np.array([1.0, 7.0]), lone, False), [0, 1])


# RMIA


@given(
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([-2.0, -0.5, 0.0, 0.0, 0.7, 3.0])),
    st.floats(0.2, 5),
    st.floats(-10, 10),
)
@few
def test_domination_is_of_differences_alone_and_falls_as_more_is_asked_for(
    ratios: Floats, gamma: float, shift: float
) -> None:
    assert np.allclose(dominated(np.round(ratios + round(shift), 9), 1.5), dominated(ratios, 1.5))
    shares = dominated(ratios, gamma)
    assert ((shares >= 0) & (shares <= 1)).all() and (dominated(ratios, 2 * gamma) <= shares).all()
    order = np.argsort(ratios, kind="stable")
    assert (np.diff(shares[order]) >= 0).all()


def test_at_a_ratio_of_one_every_record_beats_itself_and_ties_beat_each_other() -> None:
    assert dominated(np.zeros(7)).tolist() == [1.0] * 7
    assert dominated(np.array([0.0, 1.0, 1.0, 2.0])).tolist() == [0.25, 0.75, 0.75, 1.0]


@given(seeds)
@few
def test_the_offline_mean_lies_between_what_out_models_say_and_one(seed: int) -> None:
    s, known = references(seed)
    mean_out = log_ratios(s, known, False, 1.0)
    assert np.allclose(mean_out - log_ratios(s, known, False, 0.0), np.log1p(1 / _mean_out(known)) - np.log(2))
    assert (log_ratios(s, known, False, 0.3) <= mean_out + 1e-12).all()


def _mean_out(known: References) -> Floats:
    """Return OUT models' mean confidence in each record; of a record IN all of them, that in all records."""
    confidences = np.where(known.is_in, np.nan, expit(known.logits))
    everyone = np.nanmean(confidences)
    columns = confidences.T
    return np.array([np.nanmean(c) if np.isfinite(c).any() else everyone for c in columns])


# Turned on shadow models


@pytest.mark.parametrize("attack", [Lira(mode="online"), Rmia(mode="offline", temperature=1)], ids=lambda a: a.label)
@pytest.mark.parametrize("n_models", [3, HELD_OUT, 40])
def test_each_shadow_model_is_attacked_with_all_the_others(attack: Lira | Rmia, n_models: int) -> None:
    s, known = references(1, n_models=n_models, one_sided=False)
    signals = Signals(vectors(0, n=len(s)), references={1.0: known})
    found = attack.on_shadows(signals)
    assert found is not None
    n_attacked = min(n_models, HELD_OUT)
    assert len(found[0]) == n_attacked * len(s)
    first, last = (attack.compare(known.logits[m], known.without(m)) for m in (0, n_models - 1))
    assert np.array_equal(found[0][: len(s)], first) and np.array_equal(found[0][-len(s) :], last)
    assert np.array_equal(found[1][: len(s)], known.is_in[0]) and np.array_equal(found[1][-len(s) :], known.is_in[-1])


def test_two_shadow_models_are_too_few_to_attack_one_with_the_rest() -> None:
    s, known = references(1, n_models=2, one_sided=False)
    signals = Signals(vectors(0, n=len(s)), references={1.0: known, 2.0: known})
    assert Lira().on_shadows(signals) is None and Rmia().threshold(signals) is None


def test_shadow_vectors_score_each_other_by_halves() -> None:
    shadow = vectors(4, n=600)
    found = Shokri(model=Estimator(kind="logistic_regression")).on_shadows(Signals(vectors(5), shadow, seed=2))
    assert found is not None and np.array_equal(found[1], np.asarray(shadow.is_in))
    assert auc(found[0][found[1]], found[0][~found[1]]).low > 0.55


def test_no_shadow_vector_is_scored_by_a_model_that_was_fitted_on_it() -> None:
    """A tree knows every record by heart, so that membership at random would look like a perfect attack."""
    shadow, noise = vectors(4, n=600), np.random.default_rng(0).random(600) < 0.5
    attack = Shokri(model=Estimator(kind="decision_tree"))
    signals = Signals(vectors(5), Vectors(shadow.predictions, shadow.labels, noise), seed=2)
    by_heart = attack.score(Signals(shadow, signals.shadow))
    assert auc(by_heart[noise], by_heart[~noise]).value == 1
    found = attack.on_shadows(signals)
    assert found is not None
    interval = auc(found[0][noise], found[0][~noise], 0.999)
    assert interval.low <= 0.5 <= interval.high
    assert attack.on_shadows(Signals(vectors(5))) is None


# The shadow-model attack


@pytest.mark.parametrize("features", ["raw", "log", "sorted", "top3"])
def test_networks_of_several_classes_are_fitted_side_by_side_as_one_by_one(features: Any) -> None:
    attack = Shokri(model=Estimator(kind="mlp", params={"hidden": [6], "epochs": 3}), features=features)
    shadow = vectors(6, n=300, n_classes=3)
    own = {y: shadow.where(shadow.labels == y) for y in range(3)}
    together, asked = attack.fit(own, seed=1), vectors(7, n_classes=3).predictions.astype(np.float32)
    for label, vectors_of_class in own.items():
        alone = attack.fit({label: vectors_of_class}, seed=1)[label]
        assert np.allclose(together[label].predict_proba(asked), alone.predict_proba(asked), atol=2e-6)


def test_only_classes_with_both_sides_get_an_attack_model() -> None:
    shadow = vectors(8, n=200)
    assert shadow.is_in is not None
    own = {y: shadow.where(shadow.labels == y) for y in range(4)}
    own[1] = Vectors(own[1].predictions, own[1].labels, np.ones(len(own[1].labels), bool))
    own[2] = Vectors(own[2].predictions, own[2].labels, None)
    assert set(Shokri(model=Estimator(kind="logistic_regression")).fit(own, 0)) == {0, 3}
    assert Shokri(model=Estimator(kind="logistic_regression")).fit({}, 0) == {}


@pytest.mark.parametrize(
    ("kind", "n_bytes", "expected"), [("mlp", 1, 8), ("mlp", 2**24, 2), ("mlp", 2**40, 1), ("random_forest", 1, 1)]
)
def test_how_many_classes_are_fitted_at_once_follows_from_their_bytes(kind: str, n_bytes: int, expected: int) -> None:
    assert Shokri(model=Estimator(kind=kind)).at_once(n_bytes) == expected
