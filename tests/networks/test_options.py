"""Label smoothing and early stopping against loops, in both ways of training."""

import numpy as np
import pytest
from sklearn.utils import check_random_state

from umbrameter.networks import MLPClassifier, StackedMLP
from umbrameter.networks.base import Best
from umbrameter.networks.engine import trained
from umbrameter.typing import Floats, Ints

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)
NOISE = RNG.normal(size=(300, 3))
Y3, Y2 = (X[:, :3] + NOISE).argmax(axis=1), (X[:, 0] + NOISE[:, 0] > 0).astype(int)


def stepped(network: MLPClassifier, y: Ints, smoothing: float) -> tuple[Floats, Floats]:
    """Return weights and biases of a linear network after its steps of Adam, by plain loops in float64."""
    classes, rng = np.unique(y), check_random_state(network.random_state)
    n_outputs = 1 if len(classes) == 2 else len(classes)
    bound = np.sqrt(6 / (X.shape[1] + n_outputs))
    w, b = rng.uniform(-bound, bound, (X.shape[1], n_outputs)), rng.uniform(-bound, bound, n_outputs)
    moments, step = [np.zeros_like(p) for p in (w, b, w, b)], 0
    for order in network.batches(rng, len(X)):
        for start in range(0, len(X), network.records_a_step(len(X))):
            rows = order[start : start + network.records_a_step(len(X))]
            logits = X[rows] @ w + b
            if n_outputs == 1:
                error = 1 / (1 + np.exp(-logits)) - (y[rows, None] * (1 - smoothing) + smoothing / 2)
            else:
                p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                error = p - ((1 - smoothing) * np.eye(n_outputs)[y[rows]] + smoothing / n_outputs)
            slopes, step = (X[rows].T @ error / len(rows), error.mean(axis=0)), step + 1
            for i, (p, g) in enumerate(zip((w, b), slopes, strict=True)):
                moments[i] = 0.9 * moments[i] + 0.1 * g
                moments[i + 2] = 0.999 * moments[i + 2] + 0.001 * g * g
                rate = network.learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                p -= rate * moments[i] / (np.sqrt(moments[i + 2]) + 1e-8)
    return w, b


@pytest.mark.parametrize("dropout", [0.0, 1e-9], ids=["by hand", "by JAX"])
@pytest.mark.parametrize("y", [Y3, Y2], ids=["three", "two"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing_is_what_loops_give(y: Ints, smoothing: float, dropout: float) -> None:
    network = MLPClassifier((), epochs=3, batch_size=50, learning_rate=0.05, dropout=dropout, random_state=1)
    network.set_params(label_smoothing=smoothing).fit(X, y)
    weights, biases = stepped(network, y, smoothing)
    assert np.allclose(network.coefs_[0], weights, atol=2e-4) and np.allclose(network.intercepts_[0], biases, atol=2e-4)


def test_smoothed_labels_lower_confidence() -> None:
    plain, smooth = (
        MLPClassifier((32,), epochs=300, learning_rate=0.01, label_smoothing=a, random_state=0).fit(X, Y3)
        for a in (0.0, 0.3)
    )
    assert plain.predict_proba(X).max(axis=1).mean() > 0.8 > smooth.predict_proba(X).max(axis=1).mean() + 0.05


@pytest.mark.parametrize("dropout", [0.0, 1e-9], ids=["by hand", "by JAX"])
def test_early_stopping_keeps_the_best_pass(dropout: float) -> None:
    settings = {"hidden": (32,), "learning_rate": 0.02, "dropout": dropout, "random_state": 3}
    stopped = MLPClassifier(epochs=400, early_stopping=True, patience=7, **settings).fit(X, Y3)
    assert 1 <= stopped.n_epochs_ < 393
    watched = MLPClassifier(epochs=stopped.n_epochs_, **settings)
    checked, codes = watched._checked(X, Y3)
    rng = check_random_state(3)
    layers = watched._initial(rng)
    best = Best(watched, checked, codes, rng)
    passes = map(best.kept.__getitem__, watched.batches(rng, len(best.kept)))
    (again,) = trained([watched], [layers], checked, codes, [passes])
    assert all(np.array_equal(w, own) for (w, _), own in zip(again, stopped.coefs_, strict=True))
    assert len(best.kept) == 270


def test_held_out_records_are_of_every_class_and_not_trained_on() -> None:
    network = MLPClassifier(validation_fraction=0.25, early_stopping=True)
    checked, codes = network._checked(X, Y3)
    best = Best(network, checked, codes, check_random_state(0))
    held = np.setdiff1d(np.arange(300), best.kept)
    assert len(held) == 75 and np.allclose(np.bincount(codes[held]) / 75, np.bincount(codes) / 300, atol=0.02)
    with pytest.raises(ValueError, match=r"validation_fraction=0.9 leaves none of 4 records"):
        Best(MLPClassifier(validation_fraction=0.9), checked[:4], codes[:4], check_random_state(0))


def test_side_by_side_networks_stop_each_at_its_own_time() -> None:
    rows = [np.arange(0, 150), np.arange(100, 300)]
    build = [
        MLPClassifier((8,), epochs=200, learning_rate=0.02, early_stopping=True, patience=3, random_state=i)
        for i in range(2)
    ]
    alone = [MLPClassifier(**n.get_params()).fit(X[r], Y3[r]) for n, r in zip(build, rows, strict=True)]
    together = StackedMLP(build).fit(X, Y3, rows).networks
    for one, other in zip(alone, together, strict=True):
        assert one.n_epochs_ == other.n_epochs_
        assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, other.coefs_, strict=True))
