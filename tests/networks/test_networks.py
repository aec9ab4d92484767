"""The networks against scikit-learn's, against each other, and against finite differences."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier as Oracle

from umbrameter.networks import (
    CNNClassifier,
    MLPClassifier,
    StackedMLP,
    cpu_bits,
    cpu_convolution,
    cpu_training,
    engine,
    fit_side_by_side,
    jax_training,
    mlp,
)
from umbrameter.networks.jax_convolution import convolve, max_pool
from umbrameter.networks.layers import Layers
from umbrameter.typing import Floats, Ints

PATHS = {"dense": 0.0, "bits": 1.0}


def bit_data(n_records: int, n_features: int, n_classes: int, seed: int = 0) -> tuple[Floats, Ints]:
    rng = np.random.default_rng(seed)
    prototypes = rng.random((n_classes, n_features)) < 0.15
    y = rng.integers(0, n_classes, n_records)
    return (prototypes[y] ^ (rng.random((n_records, n_features)) < 0.05)).astype(np.float32), y


def weights(model: Any) -> list[Floats]:
    return [*model.coefs_, *model.intercepts_]


def assert_close(some: Any, others: Any, tolerance: float) -> None:
    for a, b in zip(weights(some), weights(others), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


# The same steps as scikit-learn's


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("n_classes", "hidden", "activation"), [*itertools.product([2, 5], [(16,), (16, 8)], ["tanh", "relu"])]
)
def test_each_step_is_scikit_learns(
    monkeypatch: pytest.MonkeyPatch, path: str, n_classes: int, hidden: tuple[int, ...], activation: Any
) -> None:
    monkeypatch.setattr(mlp, "BITS_BELOW", PATHS[path])
    X, y = bit_data(500, 60, n_classes)
    ours = MLPClassifier(hidden, activation, epochs=4, batch_size=64, l2=0.01, random_state=3).fit(X, y)
    oracle = Oracle(hidden, activation=activation, max_iter=4, batch_size=64, alpha=0.01, random_state=3, tol=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        oracle.fit(X, y)
    assert_close(ours, oracle, 2e-6)
    np.testing.assert_allclose(ours.predict_proba(X), oracle.predict_proba(X), atol=1e-5)
    assert (ours.predict(X) == oracle.predict(X)).all()


def test_bits_and_dense_products_agree_after_many_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = bit_data(1200, 446, 30)
    found = {}
    for path, below in PATHS.items():
        monkeypatch.setattr(mlp, "BITS_BELOW", below)
        found[path] = MLPClassifier(epochs=20, batch_size=32, random_state=0).fit(X, y)
    np.testing.assert_allclose(found["bits"].predict_proba(X), found["dense"].predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "sparse"),
    [
        (lambda X: X, True),
        (lambda X: 2 * X, False),
        (lambda X: X - 0.5, False),
        (lambda X: 1 - X, False),
        (lambda X: -X, False),
    ],
)
def test_only_sparse_bits_take_the_path_of_bits(make: Callable[[Floats], Floats], sparse: bool) -> None:
    assert mlp.is_sparse_bits(make(bit_data(300, 50, 3)[0])) is sparse


@pytest.mark.parametrize("n_records", [3, 199, 200, 201, 399])
def test_batches_that_are_not_full(n_records: int) -> None:
    X, y = np.random.default_rng(0).normal(size=(n_records, 4)).astype(np.float32), np.arange(n_records) % 3
    ours = MLPClassifier((5,), epochs=3, random_state=1).fit(X, y)
    oracle = Oracle((5,), activation="tanh", max_iter=3, alpha=0, random_state=1, tol=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        oracle.fit(X, y)
    assert_close(ours, oracle, 2e-6)


# Gradients and parts


def finite_differences(loss: Callable[[Any], Any], layers: Layers, step: float = 1e-6) -> Layers:
    def by(array: Floats) -> Floats:
        slopes = np.empty_like(array)
        for place in np.ndindex(array.shape):
            value = array[place]
            array[place] = value + step
            above = float(loss(layers))
            array[place] = value - step
            slopes[place] = (above - float(loss(layers))) / (2 * step)
            array[place] = value
        return slopes

    return [(by(w), by(b)) for w, b in layers]


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(()),
        MLPClassifier((4, 3)),
        MLPClassifier((4, 3), "relu"),
        CNNClassifier((4, 4, 2), (3, 2), hidden=3, pixel_max=1),
        CNNClassifier((5, 4, 2), (2, 2), kernel=2, hidden=3, activation="relu", pixel_max=1),
        CNNClassifier((9, 6, 1), (2, 3), kernel=5, hidden=3, pixel_max=1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("is_bits", [False, True])
def test_gradients_are_those_of_finite_differences(
    monkeypatch: pytest.MonkeyPatch, model: Any, n_classes: int, is_bits: bool
) -> None:
    monkeypatch.setattr(mlp, "BITS_BELOW", 1.0)
    monkeypatch.setattr(cpu_convolution, "CHUNK", 3)
    rng = np.random.RandomState(0)
    n_features = 7 if isinstance(model, MLPClassifier) else int(np.prod(model.image))
    X, y = rng.normal(size=(8, n_features)), np.arange(8) % n_classes
    X = (X > 0).astype(np.float64) if is_bits else X
    model = clone(model)
    model._checked(X, y)
    with jax.enable_x64(True):
        network, key = model._network(), jax.random.key(0)
        layers = [(w.astype(np.float64), b.astype(np.float64)) for w, b in model._initial(rng)]
        counts = np.arange(8) < 8
        by_jax = jax.grad(lambda own: jax_training.loss(network, own, X, y, counts, key))(layers)
        expected = finite_differences(lambda own: jax_training.loss(network, own, X, y, counts, key), layers)
    for found, exact in zip(jax.tree.leaves(by_jax), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-7)

    steps: list[Floats] = []
    monkeypatch.setattr(cpu_training, "adam", lambda _params, gradient, *_: steps.append(gradient[0].copy()))
    single = [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]
    first_layers = model._first_layers(X.astype(np.float32), 1)
    assert isinstance(first_layers, cpu_bits.Bits) is (
        is_bits and np.size(getattr(model, "hidden", ())) > 0 and n_features == 7
    )
    cpu_training.train([model], [single], first_layers, y.astype(np.int32), [[np.arange(8, dtype=np.int32)]])
    shapes = [w.shape for w, _ in single] + [b.shape for _, b in single]
    by_weights, by_biases = cpu_training._views(8 * steps[0][None], shapes)
    for w, b, (ew, eb) in zip(by_weights, by_biases, expected, strict=True):
        np.testing.assert_allclose(w[0], ew, atol=2e-6)
        np.testing.assert_allclose(b[0], eb, atol=2e-6)


@pytest.mark.parametrize("n_bits", range(10))
@pytest.mark.parametrize("width", [1, 7, 64, 192])
def test_sums_over_bits_and_their_gradient_are_the_dense_products(n_bits: int, width: int) -> None:
    rng = np.random.default_rng(n_bits)
    X = np.zeros((5, 9), np.float32)
    for record in X:
        record[rng.choice(9, n_bits, replace=False)] = 1
    W, b = rng.normal(size=(9, width)).astype(np.float32), rng.normal(size=width).astype(np.float32)
    rows = np.array([3, 0, 4])
    starts, indices = np.arange(6) * n_bits, np.nonzero(X)[1].astype(np.uint32)
    first, last, out, slopes = starts[rows], starts[rows + 1], np.empty((3, width), np.float32), np.empty_like(W)
    cpu_bits.sum_rows(first, last, indices, W, b, out)
    np.testing.assert_allclose(out, X[rows] @ W + b, rtol=1e-5, atol=1e-6)
    begins, ends, lists = np.arange(9) * 3, np.empty(9, np.int64), np.empty(27, np.uint32)
    cpu_bits.list_records(first, last, indices, begins, ends, lists)
    cpu_bits.sum_rows(begins, ends, lists, out, np.zeros(width, np.float32), slopes)
    np.testing.assert_allclose(slopes, X[rows].T @ out, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_patches_convolve_and_pool_as_xla_does(kernel: int) -> None:
    rng = np.random.default_rng(0)
    x, b = rng.normal(size=(2, 6, 7, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    W = rng.normal(size=(kernel * kernel * 3, 4)).astype(np.float32)
    out = np.empty((2, 3, 3, 4), np.float32)
    cpu_convolution.Convolution((6, 7, 3), kernel, 4).forward(x, W, b, out, np.empty(out.shape, np.uint8))
    np.testing.assert_allclose(out, max_pool(convolve(jnp.asarray(x), W, kernel)) + b, atol=1e-4)


def test_pools_take_the_largest_and_give_the_gradient_to_the_first() -> None:
    x = np.zeros((1, 4, 5, 1), np.float32)
    x[0, 2, 3] = 5
    expected = [[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    pooled, which, slopes = np.empty((1, 2, 2, 1), np.float32), np.empty((1, 2, 2, 1), np.uint8), np.empty_like(x)
    cpu_convolution.max_pool(x, np.zeros(1, np.float32), pooled, which)
    cpu_convolution.unpool(np.ones_like(pooled), which, slopes)
    assert pooled[0, :, :, 0].tolist() == max_pool(jnp.asarray(x))[0, :, :, 0].tolist() == [[0, 0], [0, 5]]
    assert slopes[0, :, :, 0].tolist() == expected
    assert jax.grad(lambda a: max_pool(a).sum())(jnp.asarray(x))[0, :, :, 0].tolist() == expected


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the path of a GPU, on JAX's CPU backend."""
    for module in (engine, sys.modules[CNNClassifier.__module__]):
        monkeypatch.setattr(module, "on_gpu", lambda: True)


def test_convolutions_of_xla_train_and_answer_the_same(request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 255, (60, 64)), rng.integers(0, 3, 60)
    model = CNNClassifier((8, 8, 1), (4, 4), hidden=8, epochs=3, batch_size=16, random_state=0)
    by_patches = clone(model).fit(X, y)
    answers = by_patches.predict_proba(X)
    request.getfixturevalue("as_on_a_gpu")
    natively = clone(model).fit(X, y)
    assert_close(by_patches, natively, 1e-5)
    np.testing.assert_allclose(natively.predict_proba(X), answers, atol=1e-5)


# Side by side


def networks(n: int, **params: Any) -> list[MLPClassifier]:
    return [MLPClassifier((8,), "relu", epochs=5, batch_size=32, random_state=i, **params) for i in range(n)]


def ragged(n: int) -> list[Ints]:
    return np.split(np.random.default_rng(1).permutation(400), [20, 90, 300][: n - 1])


@pytest.mark.parametrize("path", ["dense", "bits", "gpu"])
def test_side_by_side_is_as_one_by_one(request: pytest.FixtureRequest, path: str) -> None:
    X, y = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32), np.arange(400) % 3
    X = (X > 1).astype(np.float32) if path == "bits" else X
    alone = [network.fit(X[rows], y[rows]) for network, rows in zip(networks(4), ragged(4), strict=True)]
    if path == "gpu":
        request.getfixturevalue("as_on_a_gpu")
    stack = StackedMLP(networks(4)).fit(X, y, ragged(4))
    for network, own in zip(stack.networks, alone, strict=True):
        assert_close(network, own, 2e-6)


def test_convolutional_networks_side_by_side() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 1, (60, 32)), np.arange(60) % 2
    own = [CNNClassifier((4, 4, 2), (2, 3), 3, 4, pixel_max=1, epochs=3, random_state=i) for i in range(3)]
    rows = [np.arange(60), np.arange(0, 60, 3), np.arange(40)]
    alone = [clone(network).fit(X[r], y[r]) for network, r in zip(own, rows, strict=True)]
    fit_side_by_side(own, X.astype(np.float32), y, rows)
    for network, single in zip(own, alone, strict=True):
        assert_close(network, single, 1e-5)


def test_networks_with_fewer_classes_are_stacked_apart() -> None:
    X, y = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32), np.arange(400) % 3
    rows = [np.arange(200), np.flatnonzero(y != 1), np.arange(100, 300)]
    stack = StackedMLP(networks(3)).fit(X, y, rows)
    assert [n.classes_.tolist() for n in stack.networks] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    for network, alone, own in zip(stack.networks, networks(3), rows, strict=True):
        assert_close(network, alone.fit(X[own], y[own]), 2e-6)


def test_stacks_too_large_for_memory_are_trained_in_halves(monkeypatch: pytest.MonkeyPatch, as_on_a_gpu: None) -> None:
    X, y = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32), np.arange(400) % 3
    sizes, train = [], jax_training.train

    def small(models: Any, *args: Any) -> Any:
        sizes.append(len(models))
        if len(models) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte")
        return train(models, *args)

    monkeypatch.setattr(jax_training, "train", small)
    stack = StackedMLP(networks(3)).fit(X, y, ragged(3))
    assert sizes == [3, 1, 2, 1, 1]
    assert_close(stack.networks[2], networks(3)[2].fit(X[ragged(3)[2]], y[ragged(3)[2]]), 2e-6)


def test_only_equal_networks_are_stacked() -> None:
    X, y = np.random.default_rng(0).normal(size=(400, 6)), np.arange(400) % 3
    different = [*networks(1), *networks(1, learning_rate=0.1)]
    with pytest.raises(ValueError, match=r"the networks differ in their parameters: .*0\.001.*0\.1.*stack equal ones"):
        StackedMLP(different).fit(X, y, ragged(2))


def test_jax_is_loaded_only_to_look_at_a_gpu_that_may_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not engine.on_gpu()
    monkeypatch.setattr(engine, "GPU_PLUGINS", ("jax",))
    assert not engine.on_gpu()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert engine.on_gpu()
