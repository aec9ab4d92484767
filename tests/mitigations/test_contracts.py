"""What holds of every mitigation: how it is written down, what it wraps, and what may not change an answer."""

import json
import pickle
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from umbrameter.errors import SpecError
from umbrameter.mitigations import (
    DPSGD,
    L2,
    AnyMitigation,
    Composition,
    Dropout,
    EarlyStopping,
    InTraining,
    LabelOnly,
    LabelSmoothing,
    MemGuard,
    Mitigation,
    Params,
    PostHoc,
    PrivacyClaim,
    Rounding,
    Temperature,
    TopK,
    answered,
    as_settings,
    memguard,
    wrapped,
)
from umbrameter.mitigations.base import last_step, with_params
from umbrameter.mitigations.composition import composed
from umbrameter.mitigations.l2 import penalty
from umbrameter.mitigations.memguard import Guarded
from umbrameter.networks import MLPClassifier
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Floats

X, Y = load_iris(return_X_y=True)
POST_HOC: list[PostHoc] = [Rounding(1), TopK(2), TopK(2, renormalise=True), LabelOnly(), Temperature(3)]
MITIGATIONS: list[Mitigation] = [
    *POST_HOC,
    MemGuard(0.5),
    MemGuard(max_steps=40),
    L2(0.01),
    Params({"max_depth": 2}),
    EarlyStopping(4),
    EarlyStopping(4, 0.3),
    Dropout(0.5),
    LabelSmoothing(0.1),
    DPSGD(epsilon=2),
    DPSGD(noise_multiplier=1.1, clip_norm=0.5),
    DPSGD(epsilon=2, reproducible=True),
    Composition((Params({"max_depth": 2}), MemGuard(), Rounding(2))),
]
every_mitigation = pytest.mark.parametrize("mitigation", MITIGATIONS, ids=lambda m: m.label)
every_post_hoc = pytest.mark.parametrize("mitigation", POST_HOC, ids=lambda m: m.label)
few = settings(max_examples=30, deadline=None, derandomize=True)


def answers(seed: int, n: int = 20, n_classes: int = 4) -> Floats:
    """Return prediction vectors without ties, so that no rule for ties decides."""
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), n)


# As a spec and the store write it


@every_mitigation
def test_a_mitigation_is_read_again_from_its_settings_and_travels(mitigation: Mitigation) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyMitigation)
    (settings_of_it,) = as_settings([mitigation])
    again = adapter.validate_python(json.loads(json.dumps(settings_of_it)))
    assert again == mitigation and type(again) is type(mitigation) and again.label == mitigation.label
    assert pickle.loads(pickle.dumps(mitigation)) == mitigation


@every_mitigation
def test_settings_are_closed_and_frozen(mitigation: Mitigation) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        type(mitigation).model_validate({**mitigation.model_dump(), "surprise": 1})
    with pytest.raises(ValidationError, match="frozen"):
        mitigation.kind = "other"  # type: ignore[attr-defined]


def test_every_kind_is_described_and_labels_tell_settings_apart() -> None:
    union = get_args(get_args(AnyMitigation)[0])
    assert {type(mitigation) for mitigation in MITIGATIONS} == set(union)
    assert all(field.description for member in union for field in member.model_fields.values())
    labels = [mitigation.label for mitigation in MITIGATIONS]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TopK(0), "greater than or equal to 1"),
        (lambda: Rounding(7), "less than or equal to 6"),
        (lambda: Temperature(0), "greater than 0"),
        (lambda: MemGuard(2.1), "less than or equal to 2"),
        (lambda: Dropout(1.0), "less than 1"),
        (lambda: LabelSmoothing(0.0), "greater than 0"),
        (lambda: L2(0.0), "greater than 0"),
        (lambda: EarlyStopping(0), "greater than or equal to 1"),
        (lambda: Params({}), "at least 1"),
        (lambda: DPSGD(epsilon=1, sampling_rate=1.5), "less than or equal to 1"),
        (lambda: DPSGD(epsilon=1, noise_multiplier=1), r"epsilon=1\.0, noise_multiplier=1\.0"),
        (lambda: Composition(()), r"no mitigations; name at least one, such as Composition\(\(Rounding\(1\),\)\)"),
        (lambda: Composition((TopK(1), L2(0.1))), r"l2\(0\.1\) .* top_k\(1\)"),
        (lambda: Composition((TopK(1), MemGuard())), r"memguard\(1\)"),
        (lambda: Composition((Composition((TopK(1), TopK(1))), TopK(1))), "composition"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        make()


def test_only_lists_in_a_list_are_compositions() -> None:
    one, several = {"kind": "top_k", "k": 1}, [{"kind": "top_k", "k": 2}, {"kind": "label_only"}]
    assert composed([one, several]) == [one, {"kind": "composition", "steps": several}]
    assert composed([[one], several]) == [one, {"kind": "composition", "steps": several}] and composed([[]]) == [
        {"kind": "composition", "steps": []}
    ]
    assert composed("nothing of the kind") == "nothing of the kind" and composed(()) == []


# Where it acts


def test_the_parts_of_a_composition_are_its_steps_and_of_anything_else_itself() -> None:
    steps = (Params({"max_depth": 2}), MemGuard(), Rounding(2))
    assert Composition(steps).parts == steps and Composition(steps).label == " + ".join(s.label for s in steps)
    assert all(m.parts == (m,) for m in MITIGATIONS[:-1])
    assert Composition(*steps) == Composition([*steps]) == Composition(steps=steps)


def test_a_composition_of_one_answers_as_that_one() -> None:
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(X, y)
    for one in (Composition((Rounding(1),)), Composition(Rounding(1))):
        assert one.label == "rounding(1)"
        assert np.array_equal(one.wrap(model).predict_proba(X), Rounding(1).wrap(model).predict_proba(X))


def test_only_private_training_claims_privacy_and_only_labels_hide_confidences() -> None:
    assert {m.kind for m in MITIGATIONS if m.claims_privacy} == {"dp_sgd"}  # type: ignore[attr-defined]
    assert [m.label for m in POST_HOC if m.hides_confidences] == ["label_only"]
    training = [m for m in MITIGATIONS if isinstance(m, InTraining)]
    assert len(training) == 9 and all(m.guarantee(GaussianNB()) is None for m in training)


def test_a_guarantee_is_what_the_fitted_network_was_accounted_for() -> None:
    class Accounted:
        """A network after private training, as far as a claim looks at it."""

        accountant_, epsilon_, delta_ = "somebody", 1.5, 1e-6
        noise_multiplier_, clip_norm_, sampling_rate_, n_steps_, is_reproducible_ = 2.0, 0.5, 0.1, 30, False

    claim = DPSGD(epsilon=9).guarantee(Accounted())
    figures = {"epsilon": 1.5, "delta": 1e-6, "noise_multiplier": 2.0, "clip_norm": 0.5, "sampling_rate": 0.1}
    assert claim == PrivacyClaim(**figures, n_steps=30, accountant="somebody", is_reproducible=False)


def test_a_claim_needs_a_secret_unless_it_is_to_be_reproducible() -> None:
    assert [m.needs_secret for m in (DPSGD(epsilon=2), DPSGD(epsilon=2, reproducible=True), L2(0.1))] == [
        True,
        False,
        False,
    ]
    assert DPSGD(epsilon=2, reproducible=True).label == "dp_sgd(epsilon=2, reproducible)"
    old = {"epsilon": 1, "delta": 1e-5, "noise_multiplier": 2, "clip_norm": 1, "sampling_rate": 0.1, "n_steps": 3}
    # What was written when all noise followed from the spec's seed.
    assert PrivacyClaim(**old, accountant="somebody").is_reproducible


# What an answer is made of


@every_post_hoc
@given(st.integers(0, 2**16))
@few
def test_the_order_of_records_and_of_classes_does_not_matter(mitigation: PostHoc, seed: int) -> None:
    given_answers, rng = answers(seed), np.random.default_rng(seed)
    rows, columns = rng.permutation(20), rng.permutation(4)
    found = mitigation.transform(given_answers)
    assert np.array_equal(mitigation.transform(given_answers[rows]), found[rows])
    assert np.allclose(mitigation.transform(given_answers[:, columns]), found[:, columns], atol=1e-12)


@every_post_hoc
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_answers_keep_their_type_and_shape_and_may_be_none(mitigation: PostHoc, dtype: Any, n: int) -> None:
    found = mitigation.transform(answers(1, n).astype(dtype))
    assert found.dtype == dtype and found.shape == (n, 4)


def test_sums_are_broken_by_those_that_say_so_alone() -> None:
    given_answers = answers(2, 500)
    broken = {m.label for m in POST_HOC if (np.abs(m.transform(given_answers).sum(axis=1) - 1) > 1e-3).any()}
    assert broken == {"rounding(1)", "top_k(2)"} <= {m.label for m in POST_HOC if m.breaks_sums}


def test_settings_that_leave_everything_leave_everything() -> None:
    given_answers = answers(3)
    assert np.array_equal(TopK(4).transform(given_answers), given_answers)
    assert np.allclose(Temperature(1).transform(given_answers), given_answers, atol=1e-15)
    assert np.allclose(Rounding(6).transform(given_answers), given_answers, atol=5e-7)
    assert np.array_equal(TopK(1, renormalise=True).transform(given_answers), LabelOnly().transform(given_answers))


@pytest.mark.parametrize("t", [1e-3, 0.5, 5.0, 1000.0])
def test_a_temperature_divides_the_log_of_every_ratio(t: float) -> None:
    given_answers = answers(4, 50)
    soft = Temperature(t).transform(given_answers)
    assert np.isfinite(soft).all() and np.allclose(soft.sum(axis=1), 1)
    if t >= 0.5:
        before, after = (np.log(p[:, 1:] / p[:, :-1]) for p in (given_answers, soft))
        assert np.allclose(after, before / t, atol=1e-9)
    assert np.allclose(Temperature(1e-3).transform(given_answers), LabelOnly().transform(given_answers), atol=1e-2)
    assert np.abs(Temperature(1000).transform(given_answers) - 0.25).max() < 0.01


def test_softened_to_a_tie_the_predicted_class_stays_the_first_choice() -> None:
    near = np.array([[0.1, 0.45, np.nextafter(np.float32(0.45), np.float32(1))]], np.float32)
    soft = Temperature(1000).transform(near)
    assert soft.argmax() == near.argmax() == 2 and soft[0, 2] - soft[0, 1] < 1e-6


def test_answers_pass_through_mitigations_in_order_as_wrapped_classifiers_do() -> None:
    steps = (Temperature(2), TopK(2), Rounding(1))
    fitted = GaussianNB().fit(X, Y)
    bare = fitted.predict_proba(X)
    through = steps[2].transform(steps[1].transform(steps[0].transform(bare)))
    assert np.array_equal(answered(bare, steps), through) and answered(bare, ()) is bare
    for classifier in (wrapped(fitted, steps), Composition(steps).wrap(fitted)):
        assert np.array_equal(classifier.predict_proba(X), through)
    assert wrapped(fitted, ()) is fitted


# What is wrapped


@pytest.mark.parametrize("mitigation", [Rounding(1), Temperature(2), L2(0.01)], ids=lambda m: m.label)
def test_a_wrapped_classifier_says_what_it_was_fitted_on(mitigation: Mitigation) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = mitigation.wrap(LogisticRegression(max_iter=500)).fit(frame, Y)
    assert classifier.n_features_in_ == 4 and classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert classifier.predict_proba(frame).shape == (150, 3) and classifier.score(frame, Y) > 0.9
    with pytest.raises(ValueError, match="missing"):
        classifier.predict(frame.drop(columns=["b"]))


def test_fitting_leaves_the_wrapped_classifier_as_it_was() -> None:
    inner = LogisticRegression(max_iter=500)
    classifier = Composition((L2(0.5), Rounding(1))).wrap(inner)
    classifier.fit(X, Y)
    assert not hasattr(inner, "coef_") and inner.get_params() == LogisticRegression(max_iter=500).get_params()
    assert np.isclose(classifier.estimator_.estimator_.C, 1 / (2 * 0.5 * 150))
    weights = np.linspace(1, 2, 150)
    weighted = Rounding(1).wrap(GaussianNB()).fit(X, Y, sample_weight=weights)
    assert np.array_equal(weighted.estimator_.theta_, GaussianNB().fit(X, Y, sample_weight=weights).theta_)


def test_other_parameters_are_set_on_a_clone_of_the_last_step() -> None:
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=9))
    changed = with_params(pipeline, "params", {"max_depth": 2})
    assert last_step(changed).max_depth == 2 and last_step(pipeline).max_depth == 9
    assert last_step(DecisionTreeClassifier(max_depth=3)).max_depth == 3
    with pytest.raises(SpecError, match=r"mitigation params: .*deep.*wide.*max_depth"):
        with_params(pipeline, "params", {"wide": 1, "deep": 2})


def test_the_penalty_follows_the_number_of_records_and_is_found_by_inheritance() -> None:
    class Own(LogisticRegression):
        """Somebody's own logistic regression."""

    for n in (50, 150):
        rows = np.arange(0, 150, 150 // n)
        assert np.isclose(L2(0.1).wrap(Own()).fit(X[rows], Y[rows]).estimator_.C, 1 / (0.2 * n))
    assert penalty(Own())(None, 0.25, 10) == {"C": 0.2}
    assert penalty(MLPClassifier(batch_size=16))(MLPClassifier(batch_size=16), 0.1, 100) == {"l2": pytest.approx(3.2)}
    with pytest.raises(SpecError, match=r"mitigation l2: GaussianNB"):
        penalty(GaussianNB())


# MemGuard's parts


@pytest.fixture(scope="module")
def guarded() -> Guarded:
    rng = np.random.default_rng(0)
    is_in = np.arange(800) % 2 == 0
    logits = rng.normal(size=(800, 4)) + np.eye(4)[rng.integers(4, size=800)] * np.where(is_in, 7, 2)[:, None]
    p = np.exp(logits)
    shadow = Vectors((p / p.sum(axis=1, keepdims=True)).astype(np.float32), np.zeros(800, int), is_in)
    return MemGuard(1.0).fit(shadow, seed=5)


def test_the_guard_s_slope_is_that_of_finite_differences(guarded: Guarded) -> None:
    logits = np.log(answers(5, 15)).astype(np.float32)
    h, slope = guarded._slope(logits)
    by_differences = np.empty_like(slope)
    for j in range(4):
        step = np.float32(1e-2) * np.eye(4, dtype=np.float32)[j]
        by_differences[:, j] = (guarded._slope(logits + step)[0] - guarded._slope(logits - step)[0]) / 2e-2
    assert np.median(np.abs(by_differences - slope)) < 1e-2 * np.abs(slope).max()  # a few rows cross a kink
    assert np.allclose(1 / (1 + np.exp(-h)), guarded.suspicion(np.exp(logits)), atol=1e-5)


def test_the_label_s_slope_points_from_the_best_other_class_to_the_predicted_one() -> None:
    z = np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [2.0, 2.0, 0.0]], np.float32)
    found = memguard._label_slope(z, np.array([1, 2, 0]))
    assert found.tolist() == [[0, 0, 0], [0, 1, -1], [-1, 1, 0]]  # kept, lost, tied


def test_coins_are_of_content_and_seed_alone_and_spread_evenly(guarded: Guarded) -> None:
    given_answers = answers(6, 2000).astype(np.float32)
    coins = guarded._coins(given_answers)
    assert np.array_equal(guarded._coins(given_answers[::-1]), coins[::-1]) and len(np.unique(coins)) == 2000
    assert ((coins >= 0) & (coins < 1)).all() and abs(coins.mean() - 0.5) < 4 / np.sqrt(12 * 2000)
    other = replace(guarded, seed=6)._coins(given_answers)
    assert abs(np.corrcoef(coins, other)[0, 1]) < 4 / np.sqrt(2000)


def test_how_many_vectors_are_searched_side_by_side_changes_nothing(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_answers = answers(7, 50).astype(np.float32)
    whole = guarded.transform(given_answers)
    monkeypatch.setattr(memguard, "ROWS", 7)
    assert np.allclose(guarded.transform(given_answers), whole, atol=1e-4)


def test_a_larger_budget_answers_with_noise_at_least_as_often(guarded: Guarded) -> None:
    given_answers = answers(8, 60).astype(np.float32)
    chances = [replace(guarded, mitigation=MemGuard(e)).noisy(given_answers)[1] for e in (0.05, 0.5, 2.0)]
    assert (chances[0] <= chances[1]).all() and (chances[1] <= chances[2]).all()
    assert chances[0].mean() < chances[2].mean() <= 1


def test_a_guard_is_restored_from_what_it_learned(guarded: Guarded) -> None:
    given_answers = answers(9, 30).astype(np.float32)
    again = guarded.mitigation.restore(guarded.model, guarded.seed)
    assert np.array_equal(again.transform(given_answers), guarded.transform(given_answers))
    classifier = again.wrap(clone(GaussianNB()).fit(X, Y))
    assert classifier.mitigation is again
