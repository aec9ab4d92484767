"""Each mitigation against the same written as loops, and as part of scikit-learn."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from umbrameter.errors import SpecError
from umbrameter.mitigations import LabelOnly, Params, PostHoc, Rounding, TopK
from umbrameter.typing import Floats

X, Y = load_iris(return_X_y=True)
POST_HOC = [Rounding(decimals=1), TopK(k=1), TopK(k=2), LabelOnly()]
VECTORS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(0, 1, width=32)
)  # ties are frequent


def naive(mitigation: PostHoc, vector: list[float]) -> list[float]:
    if isinstance(mitigation, Rounding):
        return [float(np.float32(round(np.float32(p) * 10**mitigation.decimals)) / 10) for p in vector]
    k = mitigation.k if isinstance(mitigation, TopK) else 1
    order = sorted(range(len(vector)), key=lambda c: (-vector[c], c))[:k]
    return [(1.0 if isinstance(mitigation, LabelOnly) else p) if c in order else 0.0 for c, p in enumerate(vector)]


@pytest.mark.parametrize("mitigation", POST_HOC, ids=lambda m: m.label)
@given(VECTORS)
def test_it_is_what_loops_give_and_leaves_its_input_alone(mitigation: PostHoc, vectors: Floats) -> None:
    before = vectors.copy()
    found = mitigation.transform(vectors)
    assert np.array_equal(vectors, before) and found.dtype == np.float32
    assert np.allclose(found, [naive(mitigation, row) for row in vectors.tolist()], atol=1e-6)
    assert np.array_equal(mitigation.transform(found), found)


@given(VECTORS)
def test_the_predicted_class_stays_unless_rounding_ties_it(vectors: Floats) -> None:
    for mitigation in (TopK(k=1), TopK(k=2), LabelOnly()):
        assert np.array_equal(mitigation.transform(vectors).argmax(axis=1), vectors.argmax(axis=1))


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
    labels = [m.label for m in (*POST_HOC, Params(params={"max_depth": 2, "min_samples_leaf": 5}))]
    assert labels == ["rounding(1)", "top_k(1)", "top_k(2)", "label_only", "params(max_depth=2, min_samples_leaf=5)"]
