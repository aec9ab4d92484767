"""Private training: the accounting, the clipping record by record, the noise, and that it learns."""

import io
import math
import pickle
import secrets
import zipfile
from itertools import pairwise

import dp_accounting
import jax
import numpy as np
import pytest
from dp_accounting import pld
from sklearn.base import clone

from umbrameter.errors import SpecError
from umbrameter.mitigations import DPSGD
from umbrameter.networks import CNNClassifier, MLPClassifier, cpu_kernels
from umbrameter.networks.accounting import LEAST_NOISE, epsilon_of, noise_multiplier_of
from umbrameter.networks.cpu_bits import Bits
from umbrameter.networks.cpu_training import Dense
from umbrameter.networks.ghost_clipping import clipped_sum, targets
from umbrameter.networks.layers import Layers
from umbrameter.networks.private import PrivateCNNClassifier, PrivateMLPClassifier
from umbrameter.persistence import dump_model, load_model
from umbrameter.typing import Floats, Ints

RNG = np.random.default_rng(0)


def accounted(noise: float, rate: float, n_steps: int, delta: float) -> float:
    """Return what dp_accounting says, asked without our code."""
    event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise))
    return float(pld.PLDAccountant().compose(dp_accounting.SelfComposedDpEvent(event, n_steps)).get_epsilon(delta))


@pytest.mark.parametrize(("epsilon", "rate", "n_steps"), [(1, 0.1, 300), (4, 0.1, 300), (2, 0.5, 60), (8, 0.5, 60)])
def test_the_noise_is_the_least_that_the_accountant_allows(epsilon: float, rate: float, n_steps: int) -> None:
    noise = noise_multiplier_of(epsilon, 1e-5, rate, n_steps)
    assert epsilon_of(noise, rate, n_steps, 1e-5) == pytest.approx(accounted(noise, rate, n_steps, 1e-5), abs=1e-9)
    assert accounted(noise, rate, n_steps, 1e-5) <= epsilon < accounted(noise - 1e-3, rate, n_steps, 1e-5)


def test_a_single_step_on_all_records_is_the_gaussian_mechanism() -> None:
    noise = noise_multiplier_of(1, 1e-5, 1.0, 1)
    phi = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    delta = phi(0.5 / noise - noise) - math.exp(1) * phi(-0.5 / noise - noise)  # Balle, Wang 2018, theorem 8
    assert delta == pytest.approx(1e-5, rel=0.01)


def test_an_unreachable_epsilon_is_refused_with_the_smallest_possible_one() -> None:
    with pytest.raises(SpecError, match=r"epsilon=0.001 cannot be reached in 1,000 steps .* least reachable is 0\.2"):
        noise_multiplier_of(0.001, 1e-5, 0.5, 1000)
    assert noise_multiplier_of(1e6, 1e-5, 0.001, 1) <= LEAST_NOISE


def layers_of(sizes: list[int]) -> Layers:
    return [
        (RNG.normal(size=(m, n)).astype(np.float32), RNG.normal(size=n).astype(np.float32)) for m, n in pairwise(sizes)
    ]


def by_record(layers: Layers, X: Floats, truth: Floats, activation: str, clip: float) -> list[Floats]:
    """Return the clipped gradients' sum, each record's gradient taken by JAX and written down."""

    def loss(params: Layers, x: Floats, t: Floats) -> jax.Array:
        for w, b in params[:-1]:
            x = (jax.numpy.tanh if activation == "tanh" else jax.nn.relu)(x @ w + b)
        logits = x @ params[-1][0] + params[-1][1]
        if len(t) == 1:
            return jax.nn.softplus(logits[0]) - t[0] * logits[0]
        return -(t * jax.nn.log_softmax(logits)).sum()

    total: list[Floats] = []
    for x, t in zip(X, truth, strict=True):
        parts = [np.asarray(p, np.float64) for p in jax.tree.leaves(jax.grad(loss)(layers, x, t))]
        norm = np.sqrt(sum((p**2).sum() for p in parts))
        scaled = [p * min(1.0, clip / norm) for p in parts]
        assert np.sqrt(sum((p**2).sum() for p in scaled)) <= clip * (1 + 1e-6)
        total = scaled if not total else [a + b for a, b in zip(total, scaled, strict=True)]
    return total


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("sizes", [[9, 4], [9, 64, 5], [9, 64, 7, 1], [9, 1]])
@pytest.mark.parametrize("clip", [0.5, 3.0, 1e6])
def test_the_clipped_sum_is_that_of_single_records(sizes: list[int], activation: str, clip: float) -> None:
    X, codes = (RNG.random((40, 9)) < 0.3).astype(np.float32), RNG.integers(0, max(2, sizes[-1]), 40)
    layers, truth, rows = layers_of(sizes), targets(codes, sizes[-1], 0.1), np.arange(5, 37, dtype=np.int32)
    expected = by_record(layers, X[rows], truth[rows], activation, clip)
    for first_layers in [Dense(X), *([Bits(X, len(X))] if sizes[1] == 64 else [])]:
        squares = (X[rows] ** 2).sum(axis=1)
        found = clipped_sum(layers, first_layers, rows, squares, truth[rows], activation, clip)
        for a, b in zip(jax.tree.leaves(found), expected, strict=True):
            assert np.abs(a - b).max() <= 1e-5 * max(1.0, np.abs(b).max())


def test_the_library_s_clipped_gradients_are_the_same() -> None:
    from jax_privacy import clipped_grad

    X, codes = RNG.normal(size=(30, 6)).astype(np.float32), RNG.integers(0, 3, 30)
    layers, truth = layers_of([6, 8, 3]), targets(codes, 3, 0.0)

    def loss(params: Layers, x: Floats, t: Floats) -> jax.Array:
        hidden = jax.numpy.tanh(x @ params[0][0] + params[0][1])
        return -(t * jax.nn.log_softmax(hidden @ params[1][0] + params[1][1])).sum()

    theirs = clipped_grad(loss, l2_clip_norm=0.7, batch_argnums=(1, 2))(layers, X, truth)
    ours = clipped_sum(layers, Dense(X), np.arange(30, dtype=np.int32), (X**2).sum(axis=1), truth, "tanh", 0.7)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_convolutions_are_clipped_record_by_record_and_rows_that_fill_up_add_nothing() -> None:
    shape = {"image": (8, 8, 1), "filters": (3, 4), "hidden": 5}
    network = PrivateCNNClassifier(**shape, epochs=1, noise_multiplier=1.0, clip_norm=0.3, random_state=0)
    X, y = RNG.uniform(0, 255, (40, 64)).astype(np.float32), np.arange(40) % 3
    network.fit(X, y)
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    rows = np.array([3, 7, 20], dtype=np.int32)
    together = network._clipped_sums(X, y.astype(np.int32))(layers, rows)
    alone = [network._clipped_sums(X, y.astype(np.int32))(layers, rows[i : i + 1]) for i in range(3)]
    for parts in zip(jax.tree.leaves(together), *map(jax.tree.leaves, alone), strict=True):
        assert np.allclose(parts[0], sum(parts[1:]), atol=1e-5)
    norms = [np.sqrt(sum((p**2).sum() for p in jax.tree.leaves(one))) for one in alone]
    assert np.allclose(norms, 0.3, rtol=1e-3)
    nothing = network._clipped_sums(X, y.astype(np.int32))(layers, rows[:0])
    assert all((part == 0).all() for part in jax.tree.leaves(nothing))


def data(n: int = 400) -> tuple[Floats, Ints]:
    X = RNG.normal(size=(n, 5)).astype(np.float32)
    return X, (X[:, :3] + 0.3 * RNG.normal(size=(n, 3))).argmax(axis=1)


def test_the_noise_in_the_weights_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data()
    settings = {"hidden": (50,), "epochs": 1, "sampling_rate": 1.0, "clip_norm": 2.0, "learning_rate": 1e-9}
    network = PrivateMLPClassifier(**settings, noise_multiplier=3.0, random_state=0)
    seen: list[Floats] = []
    network._clipped_sums = lambda X, codes: lambda layers, rows: [(0 * w, 0 * b) for w, b in layers]  # type: ignore[method-assign]

    monkeypatch.setattr(cpu_kernels, "adam", lambda params, gradient, *rest: seen.append(gradient.copy()))
    network.fit(X, y)
    assert len(seen) == 1 and abs(seen[0].std() * len(X) / (3.0 * 2.0) - 1) < 0.1


def test_without_noise_and_clipping_it_learns_as_the_plain_network() -> None:
    X, y = data()
    shape = {"hidden": (16,), "epochs": 60, "learning_rate": 0.02, "random_state": 0}
    plain = MLPClassifier(**shape, batch_size=len(X)).fit(X, y)
    private = PrivateMLPClassifier(**shape, noise_multiplier=1e-6, clip_norm=1e3, sampling_rate=1.0)
    private._account = lambda n: vars(private).update(  # type: ignore[method-assign]
        sampling_rate_=1.0, n_steps_=60, clip_norm_=1e3, noise_multiplier_=1e-6
    )
    private.fit(X, y)
    assert np.allclose(private.predict_proba(X), plain.predict_proba(X), atol=0.01)


def test_a_private_network_says_what_it_guarantees_and_travels() -> None:
    X, y = data()
    network = PrivateMLPClassifier((8,), epochs=20, learning_rate=0.05, epsilon=3, sampling_rate=0.25, random_state=1)
    network.fit(X, y)
    mitigation = DPSGD(epsilon=3)
    claim = mitigation.guarantee(network)
    assert claim is not None and claim.epsilon <= 3 and claim.epsilon > 2.99 and claim.n_steps == 80
    assert "PLD accountant of dp_accounting" in claim.accountant and mitigation.guarantee(MLPClassifier()) is None
    assert network.score(X, y) > 0.6
    again = load_model(dump_model(network))
    assert np.array_equal(again.predict_proba(X), network.predict_proba(X)) and mitigation.guarantee(again) == claim
    same = clone(network).fit(X, y)
    assert np.array_equal(same.coefs_[0], network.coefs_[0])
    other = clone(network).set_params(random_state=2).fit(X, y)
    assert not np.array_equal(other.coefs_[0], network.coefs_[0])


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_without_a_seed_nobody_can_draw_the_noise_again(kind: str) -> None:
    X, y = RNG.uniform(0, 255, (60, 64)).astype(np.float32), np.arange(60) % 2
    shape = {"noise_multiplier": 1.0, "epochs": 1, "sampling_rate": 0.5, "hidden": 4 if kind == "cnn" else (4,)}
    network = (
        PrivateCNNClassifier(**shape, image=(8, 8, 1), filters=(2, 2))
        if kind == "cnn"
        else PrivateMLPClassifier(**shape)
    )
    fitted = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 - the shared generator, which must not matter
        fitted.append(clone(network).fit(X, y))
    one, other = ([np.concatenate([w.ravel() for w in f.coefs_])] for f in fitted)
    assert not np.intersect1d(one, other).size and not fitted[0].is_reproducible_
    seeded = [clone(network).set_params(random_state=3).fit(X, y) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(seeded[0].coefs_, seeded[1].coefs_, strict=True))
    assert seeded[0].is_reproducible_
    reproducible = [claim.is_reproducible for f in (fitted[0], seeded[0]) if (claim := DPSGD(epsilon=1).guarantee(f))]
    assert reproducible == [False, True]


def test_what_a_secret_training_leaves_does_not_hold_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = secrets.randbits
    monkeypatch.setattr(secrets, "randbits", lambda k: drawn.append(real(k)) or drawn[-1])
    X, y = data(60)
    network = PrivateMLPClassifier((4,), epochs=1, noise_multiplier=1.0, sampling_rate=0.5).fit(X, y)
    assert len(set(drawn)) == 2 and all(secret.bit_length() > 200 for secret in drawn)
    assert network.random_state is None
    file = zipfile.ZipFile(io.BytesIO(dump_model(network)))
    content = b"".join(file.read(name) for name in file.namelist()) + pickle.dumps(network)
    for secret in drawn:
        words = [secret.to_bytes(32, "little")[i : i + 8] for i in range(0, 32, 8)]
        assert not any(word in content for word in [*words, str(secret).encode(), f"{secret:x}".encode()])
    assert b"PCG64" not in content and b"MT19937" not in content


def test_what_is_outside_the_guarantee_is_refused() -> None:
    X, y = data(50)
    for settings, text in (
        ({"epsilon": 1, "early_stopping": True}, "early_stopping=True looks at records outside"),
        ({"epsilon": 1, "dropout": 0.5}, r"dropout=0\.5 is not supported in private training"),
        ({}, "give the one or the other"),
        ({"epsilon": 1, "sampling_rate": 1.5}, "sampling_rate"),
    ):
        with pytest.raises(ValueError, match=text):
            PrivateMLPClassifier(**settings).fit(X, y)


def test_a_private_convolutional_network_is_trained() -> None:
    y = RNG.integers(0, 2, 60)
    X = (RNG.uniform(0, 128, (60, 64)) + 100 * y[:, None] * np.eye(8).ravel()).astype(np.float32)
    plain = CNNClassifier(image=(8, 8, 1), filters=(4, 4), hidden=8, epochs=12, learning_rate=0.03, random_state=0)
    network = DPSGD(noise_multiplier=0.4, sampling_rate=0.5).wrap(plain).fit(X, y)
    assert network.n_steps_ == 24 and network.score(X, y) > 0.7 and network.epsilon_ > 1
