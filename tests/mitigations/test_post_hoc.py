"""Post-hoc mitigations against loops, and as scikit-learn classifiers."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from umbrameter.errors import SpecError
from umbrameter.mitigations import L2, LabelOnly, Mitigation, Params, PostHoc, Rounding, Temperature, TopK
from umbrameter.networks import MLPClassifier
from umbrameter.typing import Floats

X, Y = load_iris(return_X_y=True)
POST_HOC = [Rounding(1), TopK(1), TopK(2), TopK(2, renormalise=True), LabelOnly(), Temperature(2), Temperature(0.5)]
EXTREMES = st.sampled_from([0.0, 1.0, 1e-38, 0.5, 1e-7])
VECTORS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(2, 5)),
    elements=st.floats(0, 1, width=32) | EXTREMES.map(lambda p: float(np.float32(p))),
)  # ties are frequent


def naive(mitigation: PostHoc, vector: list[float]) -> list[float]:
    if isinstance(mitigation, Rounding):
        return [float(np.float32(round(np.float32(p) * 10**mitigation.decimals)) / 10) for p in vector]
    if isinstance(mitigation, Temperature):
        powers = [max(p, float(np.finfo(np.float32).tiny)) ** (1 / mitigation.t) for p in vector]
        return [power / sum(powers) for power in powers]
    k = mitigation.k if isinstance(mitigation, TopK) else 1
    order = sorted(range(len(vector)), key=lambda c: (-vector[c], c))[:k]
    kept = [(1.0 if isinstance(mitigation, LabelOnly) else p) if c in order else 0.0 for c, p in enumerate(vector)]
    scaled = isinstance(mitigation, TopK) and mitigation.renormalise and sum(kept) > 0
    return [p / sum(kept) for p in kept] if scaled else kept


@pytest.mark.parametrize("mitigation", POST_HOC, ids=lambda m: m.label)
@given(VECTORS)
def test_it_is_what_loops_give_and_leaves_its_input_alone(mitigation: PostHoc, vectors: Floats) -> None:
    before = vectors.copy()
    found = mitigation.transform(vectors)
    assert np.array_equal(vectors, before) and found.dtype == np.float32
    assert np.allclose(found, [naive(mitigation, row) for row in vectors.tolist()], rtol=1e-5, atol=1e-6)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1 + 1e-6).all()
    if not isinstance(mitigation, Temperature):
        assert np.allclose(mitigation.transform(found), found, atol=1e-7)


@given(VECTORS)
def test_the_predicted_class_stays_unless_rounding_ties_it(vectors: Floats) -> None:
    for mitigation in POST_HOC[1:]:
        assert np.array_equal(mitigation.transform(vectors).argmax(axis=1), vectors.argmax(axis=1)), mitigation.label


@given(VECTORS)
def test_what_sums_to_one(vectors: Floats) -> None:
    for mitigation in (LabelOnly(), Temperature(3)):
        assert np.allclose(mitigation.transform(vectors).sum(axis=1), 1, atol=1e-5)
    sums = TopK(2, renormalise=True).transform(vectors).sum(axis=1)
    assert np.allclose(sums, vectors.max(axis=1) > 0, atol=1e-5)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(0.125, 1, width=16)),
    st.floats(0.2, 20),
    st.floats(0.2, 20),
)
def test_temperatures_multiply_and_keep_the_order(vectors: Floats, one: float, other: float) -> None:
    probable = (vectors / vectors.sum(axis=1, keepdims=True)).astype(np.float64)
    twice = Temperature(one).transform(Temperature(other).transform(probable))
    assert np.allclose(twice, Temperature(min(one * other, 1000)).transform(probable), atol=1e-9)
    assert np.allclose(Temperature(1).transform(probable), probable, atol=1e-12)
    soft = Temperature(5).transform(probable)
    order = np.argsort(probable, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(soft, order, axis=1), axis=1) >= -1e-12).all()


def test_a_temperature_on_log_p_is_one_on_the_logits() -> None:
    network = MLPClassifier((16,), epochs=30, random_state=0).fit(X, Y)
    logits = network._answerer()(X.astype(np.float32)).astype(np.float64)
    powers = np.exp(logits / 5 - (logits / 5).max(axis=1, keepdims=True))
    soft = Temperature(5).transform(network.predict_proba(X))
    assert np.allclose(soft, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
    assert Temperature(5).note(network.predict_proba(X)) is None
    note = Temperature(5).note(DecisionTreeClassifier().fit(X, Y).predict_proba(X))
    assert note is not None and "66.7 % of the confidences are exactly 0" in note


def test_settings_are_taken_in_order_and_too_many_are_refused() -> None:
    assert TopK(3) == TopK(k=3) and TopK(3, True).renormalise
    with pytest.raises(TypeError, match=r"TopK takes k, renormalise; \(1, True, 2\) are too many"):
        TopK(1, True, 2)


def test_a_fitted_classifier_is_wrapped_as_it_is() -> None:
    fitted = GaussianNB().fit(X, Y)
    wrapped = TopK(1).wrap(fitted)
    assert np.array_equal(wrapped.predict_proba(X), TopK(1).transform(fitted.predict_proba(X)))
    assert np.array_equal(wrapped.classes_, [0, 1, 2]) and np.array_equal(wrapped.predict(X), fitted.predict(X))
    twice = Rounding(1).wrap(wrapped)
    assert np.array_equal(twice.predict_proba(X), Rounding(1).transform(wrapped.predict_proba(X)))
    with pytest.raises(NotFittedError):
        clone(wrapped).predict_proba(X)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mitigation", [TopK(1, renormalise=True), Temperature(2), LabelOnly(), L2(0.01)], ids=lambda m: m.label
)
def test_scikit_learn_s_own_checks_pass(mitigation: Mitigation) -> None:
    """Of answers that sum to 1, which one check asks for: cut off or rounded ones do not."""
    wrapped: BaseEstimator = mitigation.wrap(LogisticRegression())
    check_estimator(wrapped, on_skip=None)


@pytest.mark.parametrize("mitigation", POST_HOC, ids=lambda m: m.label)
def test_a_wrapped_classifier_is_a_classifier(mitigation: PostHoc) -> None:
    names = np.array(["a", "b", "c"])[Y]
    wrapped = clone(mitigation.wrap(GaussianNB(var_smoothing=0.1)))
    with pytest.raises(NotFittedError):
        wrapped.predict_proba(X)
    bare = GaussianNB(var_smoothing=0.1).fit(X, names)
    wrapped.fit(X, names)
    assert wrapped.classes_.tolist() == ["a", "b", "c"]
    assert np.array_equal(wrapped.predict_proba(X), mitigation.transform(bare.predict_proba(X)))
    assert np.array_equal(wrapped.predict(X), bare.predict(X))
    assert np.array_equal(pickle.loads(pickle.dumps(wrapped)).predict_proba(X), wrapped.predict_proba(X))
    assert wrapped.get_params()["estimator__var_smoothing"] == 0.1
    assert cross_val_score(make_pipeline(StandardScaler(), mitigation.wrap(GaussianNB())), X, names).mean() > 0.9


def test_more_than_all_classes_is_refused() -> None:
    with pytest.raises(SpecError, match=r"top_k\.k=4 is more than the 3 classes"):
        TopK(k=4).transform(np.full((1, 3), 1 / 3))


def test_params_are_those_of_the_last_step() -> None:
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=1))
    wrapped = Params(params={"max_depth": 2}).wrap(pipeline)
    assert wrapped.steps[-1][1].max_depth == 2 and wrapped.steps[-1][1].random_state == 1
    assert pipeline.steps[-1][1].max_depth is None
    with pytest.raises(SpecError, match=r"DecisionTreeClassifier has no parameter leaf; it has .*max_depth"):
        Params(params={"leaf": 2}).wrap(pipeline)


def test_labels_are_short_and_say_the_settings() -> None:
    labels = [m.label for m in (*POST_HOC[:5], Temperature(2.5), Params({"max_depth": 2, "min_samples_leaf": 5}))]
    assert labels == [
        "rounding(1)",
        "top_k(1)",
        "top_k(2)",
        "top_k(2, renormalised)",
        "label_only",
        "temperature(2.5)",
        "params(max_depth=2, min_samples_leaf=5)",
    ]
