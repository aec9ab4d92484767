"""The networks as scikit-learn and their users see them."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from umbrameter.errors import StoreError
from umbrameter.estimators import Estimator
from umbrameter.networks import CNNClassifier, MLPClassifier, jax_training
from umbrameter.networks.base import NetworkClassifier
from umbrameter.networks.layers import probabilities
from umbrameter.persistence import dump_model, load_model
from umbrameter.typing import Array, Floats, Ints


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


class Tiled(CNNClassifier):
    """Images of 4 by 4 equal pixels from any features, so that scikit-learn's checks have an image to give."""

    def _checked(self, X: Array, y: Array) -> tuple[Floats, Ints]:
        self.image = (4, 4, 1)
        X, codes = NetworkClassifier._checked(self, X, y)
        self.image = (4, 4, X.shape[1])
        return np.tile(X, 16), codes

    def _answerer(self) -> Callable[[Floats], Floats]:
        answer = super()._answerer()
        return lambda X: answer(np.tile(X, 16))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_scikit_learns_checks_of_an_estimator(name: str) -> None:
    tiled = Tiled((4, 4, 1), (4, 8), 3, 16, pixel_max=1, epochs=60, learning_rate=0.01)
    params_change = "the stand-in for an image sets `image` from the data"
    rounding = "some BLAS kernels round the last rows of a matrix differently; the test below allows for that"
    model, expected = {
        "mlp": (MLPClassifier((16,), epochs=60), {}),
        "cnn": (
            tiled,
            {
                "check_dont_overwrite_attributes": params_change,
                "check_dont_overwrite_parameters": params_change,
                "check_estimators_overwrite_params": params_change,
                "check_dict_unchanged": params_change,
            },
        ),
    }[name]
    expected = {"check_methods_sample_order_invariance": rounding, **expected}
    results = check_estimator(model, on_fail=None, expected_failed_checks=expected)
    failed = [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] == "failed"]
    assert not failed and sum(r["status"] == "passed" for r in results) > 40


@pytest.mark.parametrize("network", [MLPClassifier((16,), epochs=5), CNNClassifier((4, 4, 1), (4, 8), 3, 16, epochs=5)])
def test_answers_do_not_depend_on_the_order_of_records(network: NetworkClassifier) -> None:
    X, y = bit_data(50, 16, 3)
    order = np.random.default_rng(0).permutation(50)
    fitted = network.fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(X[order]), fitted.predict_proba(X)[order], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"hidden": "many"}, "MLPClassifier: hidden must be an instance of int, not str"),
        ({"activation": "sine"}, "activation == 'sine', must be 'tanh' or 'relu'"),
        ({"epochs": 0}, "epochs == 0, must be >= 1"),
        ({"dropout": 1.0}, r"dropout == 1\.0, must be < 1"),
        ({"learning_rate": -1}, "learning_rate == -1, must be > 0"),
        (
            {"batch_size": "all", "early_stopping": 3},
            "batch_size must be .*, not str; early_stopping must be .*, not int",
        ),
    ],
)
def test_parameters_out_of_range_are_named_when_the_spec_is_read(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Estimator(kind="mlp", params=settings)


def test_an_image_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"image=\(32, 32, 3\) does not fit 5 features; give the images' height"):
        CNNClassifier().fit(np.zeros((4, 5)), [0, 1, 0, 1])


@pytest.mark.parametrize("X", [bit_data(300, 20, 2)[0], np.random.default_rng(0).normal(size=(300, 20))])
def test_training_that_diverges_says_so(X: Floats) -> None:
    with pytest.raises(ValueError, match=r"training of MLPClassifier diverged: .* lower learning_rate \(1e\+38\)"):
        MLPClassifier(hidden=(8, 8), activation="relu", learning_rate=1e38, epochs=20, random_state=0).fit(
            X, np.arange(300) % 2
        )


def test_dropout_depends_on_its_seed_alone_and_leaves_answers_whole() -> None:
    X, y = bit_data(300, 30, 3)
    models = [MLPClassifier((64,), epochs=30, dropout=d, random_state=s) for d, s in ((0.5, 0), (0.5, 0), (0.0, 0))]
    first, same, without = (model.fit(X, y) for model in models)
    assert_close(first, same, 0)
    assert np.abs(first.coefs_[0] - without.coefs_[0]).max() > 1e-3
    assert (first.predict_proba(X) == first.predict_proba(X)).all() and first.score(X, y) > 0.9


def test_dropout_keeps_the_expected_value() -> None:
    x, W = np.ones((20_000, 1), np.float32), np.ones((1, 1), np.float32)
    layers = [(W, np.zeros(1, np.float32)), (W, np.zeros(1, np.float32))]
    answers = np.asarray(jax_training.Dense("relu", 0.25)(layers, x, jax.random.key(0)))
    assert np.unique(answers).astype(float).round(3).tolist() == [0, 1.333] and abs(answers.mean() - 1) < 0.015


def test_networks_are_stored_and_loaded_without_running_code() -> None:
    X, y = bit_data(100, 20, 3)
    model = MLPClassifier((4,), epochs=2, random_state=0).fit(X, y)
    loaded = load_model(dump_model(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    with pytest.raises(StoreError, match="not trusted"):
        load_model(dump_model(Foreign()))


class Foreign:
    """A type from outside the allowed prefixes."""

    def __init__(self) -> None:
        self.value = 1


def test_two_outputs_are_the_sides_of_a_sigmoid() -> None:
    logits = np.array([[-80.0], [0.0], [80.0]], np.float32)
    np.testing.assert_allclose(probabilities(logits), [[1, 0], [0.5, 0.5], [0, 1]], atol=1e-12)


def test_importing_the_networks_loads_neither_jax_nor_numba_and_jax_runs_on_one_thread() -> None:
    code = (
        "import sys, umbrameter, umbrameter.networks as n, umbrameter.spec.audit\n"
        "assert not {'jax', 'numba', 'optax', 'prefect', 'distributed', 'mlflow'} & set(sys.modules)\n"
        "import numpy as np, os, threading\n"
        "X = np.random.default_rng(0).normal(size=(20000, 50))\n"
        "n.MLPClassifier((8,), epochs=1).fit(X, X[:, 0] > 0)\n"
        "assert 'jax' not in sys.modules\n"
        "n.MLPClassifier((512, 512), epochs=1, dropout=0.1).fit(X, X[:, 0] > 0)\n"
        "import time; wall, cpu = time.perf_counter(), time.process_time()\n"
        "n.MLPClassifier((512, 512), epochs=2, dropout=0.1).fit(X, X[:, 0] > 0)\n"
        "wall, cpu = time.perf_counter() - wall, time.process_time() - cpu\n"
        "assert cpu < 1.35 * wall, (cpu, wall)\n"
    )
    environment = {"OPENBLAS_NUM_THREADS": "1", "PATH": "", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_kind_whose_ring_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbrameter.estimators.kinds.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mlp needs the networks, .*: pip install 'umbrameter\[networks\]'"):
        Estimator(kind="mlp")


@pytest.mark.parametrize("n", [1, 15, 16, 17, 200, 1000, 1200, 123_457])
def test_rounded_sizes_are_few_and_waste_little(n: int) -> None:
    assert n <= jax_training.rounded(n) <= 1.13 * n
    assert len({jax_training.rounded(m) for m in range(1024, 2048)}) == 9
