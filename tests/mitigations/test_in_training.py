"""Training mitigations: each does what it says, for every estimator that supports it."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier as ScikitMLP
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from umbrameter.errors import SpecError
from umbrameter.mitigations import DPSGD, L2, Dropout, EarlyStopping, LabelSmoothing
from umbrameter.networks import CNNClassifier, MLPClassifier
from umbrameter.persistence import dump_model, load_model
from umbrameter.typing import Array, Floats

X, Y = load_iris(return_X_y=True)
X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)


def slope(weights: Floats, biases: Floats, penalty: float) -> Floats:
    """Return the gradient by the weights of mean cross entropy + penalty * sum of squares, of a linear model."""
    logits = X.astype(np.float64) @ weights + biases
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return np.asarray(X.T @ (p - np.eye(3)[Y]) / len(X) + 2 * penalty * weights)


@pytest.mark.parametrize("weight", [0.001, 0.02])
def test_one_lambda_has_one_optimum_for_every_estimator(weight: float) -> None:
    linear = {"hidden": (), "epochs": 3000, "batch_size": len(X), "learning_rate": 0.01, "random_state": 0}
    ours = L2(weight).wrap(MLPClassifier(**linear)).fit(X, Y).estimator_
    logistic = L2(weight).wrap(LogisticRegression(tol=1e-8, max_iter=5000)).fit(X, Y).estimator_
    assert np.abs(slope(logistic.coef_.T, logistic.intercept_, weight)).max() < 1e-4
    assert np.abs(slope(ours.coefs_[0], ours.intercepts_[0], weight)).max() < 1e-3
    assert np.abs(slope(ours.coefs_[0], ours.intercepts_[0], 2 * weight)).max() > 1e-3
    assert np.allclose(ours.predict_proba(X), logistic.predict_proba(X), atol=0.01)


def test_scikit_learn_s_networks_and_sgd_get_their_own_names_for_it() -> None:
    assert L2(0.01).wrap(ScikitMLP(batch_size=30, max_iter=2000)).fit(X, Y).estimator_.alpha == pytest.approx(0.6)
    assert L2(0.01).wrap(ScikitMLP(max_iter=2000)).fit(X, Y).estimator_.alpha == pytest.approx(2 * 0.01 * 150)
    sgd = L2(0.01).wrap(make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0))).fit(X, Y)
    assert sgd.estimator_[-1].alpha == 0.02 and sgd.predict_proba(X).shape == (150, 3)
    assert L2(0.01).wrap(MLPClassifier(epochs=1, batch_size=64)).fit(X, Y).estimator_.l2 == pytest.approx(1.28)


def test_a_penalised_classifier_travels() -> None:
    wrapped = L2(0.01).wrap(LogisticRegression()).fit(X, Y)
    for again in (pickle.loads(pickle.dumps(wrapped)), load_model(dump_model(wrapped))):
        assert np.array_equal(again.predict_proba(X), wrapped.predict_proba(X))
    assert clone(wrapped).get_params()["estimator__C"] == 1.0


@pytest.mark.parametrize("estimator", [RandomForestClassifier(), HistGradientBoostingClassifier(), SGDClassifier()])
def test_estimators_without_a_weight_penalty_are_refused(estimator: object) -> None:
    with pytest.raises(SpecError, match=r"mitigation l2: \w+ has no penalty on the squares of its weights; it is for"):
        L2(0.01).wrap(estimator)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (MLPClassifier(), {"early_stopping": True, "patience": 4, "validation_fraction": 0.2}),
        (ScikitMLP(), {"early_stopping": True, "n_iter_no_change": 4, "validation_fraction": 0.2}),
        (HistGradientBoostingClassifier(), {"early_stopping": True, "n_iter_no_change": 4, "validation_fraction": 0.2}),
        (GradientBoostingClassifier(), {"n_iter_no_change": 4, "validation_fraction": 0.2}),
    ],
)
def test_early_stopping_has_the_names_of_each_estimator(estimator: Array, expected: dict[str, object]) -> None:
    params = EarlyStopping(4, 0.2).wrap(make_pipeline(StandardScaler(), estimator))[-1].get_params()
    assert {name: params[name] for name in expected} == expected


def test_unsupported_estimators_are_named() -> None:
    for mitigation in (EarlyStopping(), Dropout(0.5), LabelSmoothing(0.1)):
        with pytest.raises(SpecError, match=f"mitigation {mitigation.kind}: RandomForestClassifier has no parameter"):
            mitigation.wrap(RandomForestClassifier())
    with pytest.raises(SpecError, match="RandomForestClassifier cannot be trained privately here"):
        DPSGD(epsilon=1).wrap(RandomForestClassifier())
    with pytest.raises(SpecError, match="standardscaler comes before the network and would learn from the records"):
        DPSGD(epsilon=1).wrap(make_pipeline(StandardScaler(), MLPClassifier()))


def test_private_networks_keep_the_shape_and_say_what_they_are() -> None:
    wrapped = DPSGD(epsilon=2, epochs=5, sampling_rate=0.5).wrap(MLPClassifier((7,), activation="relu", epochs=9))
    assert (wrapped.hidden, wrapped.activation, wrapped.epochs, wrapped.learning_rate) == ((7,), "relu", 5, 0.001)
    assert DPSGD(noise_multiplier=1.5).wrap(CNNClassifier(kernel=5)).kernel == 5
    labels = [m.label for m in (DPSGD(epsilon=2), DPSGD(noise_multiplier=1.5, clip_norm=0.5), EarlyStopping(3))]
    assert labels == ["dp_sgd(epsilon=2)", "dp_sgd(noise_multiplier=1.5, clip_norm=0.5)", "early_stopping(3)"]
    assert [m.label for m in (L2(0.0001), Dropout(0.5), LabelSmoothing(0.1))] == [
        "l2(0.0001)",
        "dropout(0.5)",
        "label_smoothing(0.1)",
    ]
    for settings in ({}, {"epsilon": 1, "noise_multiplier": 1}):
        with pytest.raises(ValueError, match="give the one or the other"):
            DPSGD(**settings)
