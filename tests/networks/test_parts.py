"""The networks' parts: what parameters may be, batches, first weights, answers, and who trains."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from umbrameter.networks import CNNClassifier, MLPClassifier, StackedMLP, all_networks, engine, fit_side_by_side
from umbrameter.networks.adam import unbiased
from umbrameter.networks.cpu_bits import Bits
from umbrameter.networks.cpu_kernels import adam, aligned, softmax_errors, times_slopes
from umbrameter.networks.cpu_training import Dense, train
from umbrameter.networks.layers import glorot, in_steps, longest, probabilities
from umbrameter.networks.parameters import (
    Check,
    boolean,
    check_parameters,
    each,
    number,
    one_of,
    random_state,
    unset_or,
    whole_number,
)
from umbrameter.networks.private import PrivateMLPClassifier
from umbrameter.typing import Floats, Ints

few = settings(max_examples=40, deadline=None, derandomize=True)


def data(n: int = 120, n_classes: int = 3, seed: int = 0) -> tuple[Floats, Ints]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    return X, (X[:, :n_classes] + rng.normal(size=(n, n_classes))).argmax(axis=1)


# Parameters


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (whole_number(1), [1, 7, np.int64(3)], [0, 1.0, "2", None]),
        (number(0), [0, 0.0, 3, np.float32(1)], [-1e-9, "0", None, 1j]),
        (number(0, 1), [0, 0.999], [1, 1.5]),
        (number(0, 1, ends="right"), [1, 0.1], [0, 1.1]),
        (number(0, 1, ends="neither"), [0.5], [0, 1]),
        (one_of("tanh", "relu"), ["tanh", "relu"], ["Tanh", None, 1]),
        (unset_or(number(0)), [None, 0], [-1, "auto"]),
        (unset_or(whole_number(1), "auto"), ["auto", 1], [None, "all", 0]),
        (each(whole_number(1)), [3, (3, 4), [5], np.array([6, 7]), ()], [0, (3, 0), "3", (1.5,)]),
        (each(whole_number(1), length=3), [(1, 2, 3)], [(1, 2), 1, (1, 2, 0)]),
        (boolean, [True, False, np.bool_(True)], [0, 1, "yes", None]),
        (random_state, [None, 0, np.random.RandomState(0)], ["seed", -1, 1.5]),
    ],
)
def test_what_a_parameter_may_be(check: Check, allowed: list[Any], refused: list[Any]) -> None:
    for value in allowed:
        check(value, "name")
    for value in refused:
        with pytest.raises((TypeError, ValueError)):
            check(value, "name")


def test_all_that_is_wrong_is_said_at_once_with_its_owner() -> None:
    checks = {"a": whole_number(1), "b": number(0, 1), "c": one_of("x", "y"), "d": boolean}
    check_parameters("Owner", {"a": 1, "b": 0.5, "c": "x", "d": True, "unchecked": object()}, checks)
    wrong = {"a": 2.5, "b": 0.5, "c": "z", "d": 1}
    with pytest.raises(ValueError, match=r"Owner: a .*float; c .*'z'.*'x' or 'y'; d .*int") as caught:
        check_parameters("Owner", wrong, checks)
    assert "; b " not in str(caught.value)


NETWORKS = [MLPClassifier(), CNNClassifier()]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: type(n).__name__)
def test_every_parameter_has_a_check_and_the_defaults_pass(network: Any) -> None:
    assert set(network.parameter_checks) == set(network.get_params())
    network.check_parameters()


@pytest.mark.parametrize(
    ("network", "name"),
    [(network, name) for network in NETWORKS for name in network.get_params()],
)
def test_a_parameter_that_is_nonsense_is_named_with_its_owner(network: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{type(network).__name__}: {name}"):
        clone(network).set_params(**{name: "nonsense"}).check_parameters()


# Batches


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=4), st.integers(0, 2))
@few
def test_batches_hold_each_row_once_in_order_and_fill_up_behind(sizes: list[tuple[int, int]], more: int) -> None:
    orders = [np.random.default_rng(i).permutation(n).astype(np.int32) for i, (n, _) in enumerate(sizes)]
    widths = [width for _, width in sizes]
    n_steps = longest(orders, widths)
    assert n_steps == max(int(np.ceil(n / width)) for n, width in sizes)
    batches = in_steps(orders, widths, n_steps + more, max(widths) + more)
    assert batches.shape == (len(sizes), n_steps + more, max(widths) + more) and batches.dtype == np.int32
    for own, order, width in zip(batches, orders, widths, strict=True):
        assert own[own >= 0].tolist() == order.tolist()
        counts = (own >= 0).sum(axis=1)
        assert (counts[: len(order) // width] == width).all() and counts.max() <= width
        assert all((batch[:n] >= 0).all() for batch, n in zip(own, counts, strict=True))


@pytest.mark.parametrize("batch_size", ["auto", 7, 500])
def test_every_pass_takes_every_record_once_and_shuffles_anew(batch_size: Any) -> None:
    network = MLPClassifier(epochs=5, batch_size=batch_size)
    passes = [*network.batches(check_random_state(0), 50)]
    assert len(passes) == 5 and all(sorted(order.tolist()) == [*range(50)] for order in passes)
    assert len({tuple(order.tolist()) for order in passes}) == 5
    assert network.records_a_step(50) == {"auto": 50, 7: 7, 500: 50}[batch_size]
    assert network.records_a_step(1000) == {"auto": 200, 7: 7, 500: 500}[batch_size]


# Weights and answers


@pytest.mark.parametrize(("fan_in", "fan_out"), [(50, 40), (1, 1), (400, 3)])
def test_first_weights_spread_as_glorot_s_and_are_drawn_before_the_biases(fan_in: int, fan_out: int) -> None:
    weights, biases = glorot(np.random.RandomState(0), fan_in, fan_out, (fan_in, fan_out))
    bound = np.sqrt(6 / (fan_in + fan_out))
    drawn = np.random.RandomState(0).uniform(-bound, bound, fan_in * fan_out + fan_out).astype(np.float32)
    assert np.array_equal(np.concatenate([weights.ravel(), biases]), drawn) and biases.shape == (fan_out,)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-500, 500, width=16)),
    st.sampled_from([-1000.0, 0.0, 77.0]),
)
@few
def test_answers_are_a_softmax_whatever_is_added_to_all_logits(logits: Floats, shift: float) -> None:
    found = probabilities(logits)
    if logits.shape[1] == 1:
        expected = np.column_stack([expit(-logits.astype(np.float64)), expit(logits.astype(np.float64))])
    else:
        expected = softmax(logits.astype(np.float64), axis=1)
        assert np.allclose(probabilities(logits + np.float32(shift)), found, atol=1e-4)
    assert found.dtype == np.float32 and np.allclose(found, expected, atol=1e-6)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fitted_network_answers_by_its_own_weights(n_classes: int) -> None:
    X, y = data(n_classes=n_classes)
    names = np.array(["a", "b", "c"])[y]
    for activation, act in (("tanh", np.tanh), ("relu", lambda u: np.maximum(u, 0))):
        model = MLPClassifier((6, 4), activation, epochs=2, random_state=0).fit(X, names)
        units = X.astype(np.float64)
        for weights, biases in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
            units = act(units @ weights + biases)
        logits = units @ model.coefs_[-1] + model.intercepts_[-1]
        p = expit(np.column_stack([-logits, logits])) if n_classes == 2 else softmax(logits, axis=1)
        assert np.allclose(model.predict_proba(X), p, atol=1e-5)
        assert model.predict(X).tolist() == [model.classes_[i] for i in p.argmax(axis=1)]
        assert model.classes_.tolist() == ["a", "b", "c"][:n_classes]


def test_how_many_are_asked_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data()
    model = MLPClassifier((6,), epochs=2, random_state=0).fit(X, y)
    whole = model.predict_proba(X)
    monkeypatch.setattr(MLPClassifier, "asked_at_once", 7)
    assert np.allclose(model.predict_proba(X), whole, atol=1e-6)


def test_one_class_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"1 class, .*'only'"):
        MLPClassifier().fit(np.zeros((4, 2)), ["only"] * 4)


# Loops that numba compiles


def test_arrays_begin_at_a_line_of_the_cache_and_hold_zeros() -> None:
    for shape in ((1,), (3, 5), (2, 7, 9)):
        array = aligned(*shape)
        assert array.shape == shape and array.dtype == np.float32 and not array.any()
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_output_errors_are_probabilities_less_truth_and_nothing_where_rows_fill_up(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    powers, codes = rng.random((2, 4, 3)).astype(np.float32), rng.integers(0, 3, 10)
    rows = np.array([[1, 4, 9, -1], [0, -1, -1, -1]])
    counts, found = np.array([3, 1]), powers.copy()
    softmax_errors(found, codes, rows, counts, smoothing)
    for m, i in np.ndindex(2, 4):
        expected = np.zeros(3)
        if rows[m, i] >= 0:
            truth = (1 - smoothing) * np.eye(3)[codes[rows[m, i]]] + smoothing / 3
            expected = (powers[m, i] / powers[m, i].sum() - truth) / counts[m]
        assert np.allclose(found[m, i], expected, atol=1e-6)


@pytest.mark.parametrize("tanh", [True, False])
def test_slopes_follow_from_the_units_values(tanh: bool) -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    errors = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    units, found = np.tanh(inputs) if tanh else np.maximum(inputs, 0), errors.copy()
    times_slopes(found, units, tanh)
    slopes = 1 / np.cosh(inputs.astype(np.float64)) ** 2 if tanh else inputs > 0
    assert np.allclose(found, errors * slopes, atol=1e-6)


def test_adam_steps_as_written_and_leaves_networks_without_records_alone() -> None:
    rng = np.random.default_rng(0)
    params, expected = (np.tile(rng.normal(size=6).astype(np.float32), (2, 1)) for _ in range(2))
    expected = params.astype(np.float64).copy()
    mean, square = np.zeros((2, 6), np.float32), np.zeros((2, 6), np.float32)
    m, v, n_steps = np.zeros(6), np.zeros(6), np.zeros(2, np.int64)
    for step in range(1, 6):
        gradient = np.tile(rng.normal(size=6).astype(np.float32), (2, 1))
        adam(params, gradient, mean, square, 4, 0.5, 0.1, np.array([10, 0]), n_steps)
        g = gradient[0] + np.where(np.arange(6) < 4, 0.5 / 10 * expected[0], 0)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected[0] -= 0.1 * unbiased(step) * m / (np.sqrt(v) + 1e-8)
        assert unbiased(step) == pytest.approx(np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
    assert np.allclose(params, expected, atol=1e-5) and n_steps.tolist() == [5, 0]
    assert not mean[1].any() and not square[1].any()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_bits_are_multiplied_as_numbers_are(share: float) -> None:
    rng = np.random.default_rng(0)
    X = (rng.random((12, 9)) < share).astype(np.float32)
    weights, biases = rng.normal(size=(2, 9, 5)).astype(np.float32), rng.normal(size=(2, 5)).astype(np.float32)
    rows, errors = np.array([[3, 3, 0], [11, 7, 5]]), rng.normal(size=(2, 3, 5)).astype(np.float32)
    found = []
    for records in (Dense(X), Bits(X, 12)):
        out, slopes = np.empty((2, 3, 5), np.float32), np.empty((2, 9, 5), np.float32)
        records.forward(rows, [weights], [biases], out)
        records.gradient(errors, [weights], [slopes], [biases])
        found.append((out, slopes))
    for dense, bits in zip(*found, strict=True):
        assert np.allclose(dense, bits, atol=1e-5)
    assert np.allclose(found[0][0], X[rows] @ weights + biases[:, None], atol=1e-5)


# Who trains, and with whom


def watched(network: MLPClassifier, X: Floats, y: Ints, n_passes: int) -> tuple[list[Floats], int]:
    """Train, and stop after some passes; return the first layer's weights and how many passes were looked at."""
    seen: list[int] = []

    def stop(layers: Any) -> bool:
        seen.append(len(layers))
        return len(seen) == n_passes

    checked, codes = network._checked(X, y)
    rng = check_random_state(network.random_state)
    layers = network._initial(rng)
    (found,) = engine.trained([network], [layers], checked, codes, [network.batches(rng, len(X))], stop)
    return [weights for weights, _ in found], len(seen)


@pytest.mark.parametrize("dropout", [0.0, 1e-9], ids=["by hand", "by JAX"])
def test_training_ends_when_the_watcher_says_so(dropout: float) -> None:
    X, y = data()
    weights, n_seen = watched(MLPClassifier((6,), epochs=9, dropout=dropout, random_state=0), X, y, 3)
    assert n_seen == 3
    whole = MLPClassifier((6,), epochs=3, dropout=dropout, random_state=0).fit(X, y)
    assert np.allclose(weights[0], whole.coefs_[0], atol=1e-6)
    assert watched(MLPClassifier((6,), epochs=2, dropout=dropout, random_state=0), X, y, 99)[1] == 2


def test_a_network_with_dropout_is_for_jax_and_others_are_trained_by_hand() -> None:
    X, _ = data()
    bits = (X > 1).astype(np.float32)
    assert MLPClassifier(dropout=0.5)._first_layers(X, 1) is None
    assert isinstance(MLPClassifier()._first_layers(X, 1), Dense)
    assert isinstance(MLPClassifier()._first_layers(bits, 3), Bits)
    assert isinstance(MLPClassifier(())._first_layers(bits, 1), Dense)  # no hidden layer to sum up
    pixels = np.zeros((2, 48), np.float32)
    assert CNNClassifier((4, 4, 3))._first_layers(pixels, 2) is None
    assert CNNClassifier((4, 4, 3))._first_layers(pixels, 1).n_layers == 3


def test_all_networks_are_networks_alone() -> None:
    piped = make_pipeline(StandardScaler(), MLPClassifier())
    assert all_networks([MLPClassifier(), CNNClassifier()]) and all_networks([])
    assert not all_networks([MLPClassifier(), piped])


def test_a_network_trained_among_others_does_not_depend_on_them() -> None:
    X, y = data(300)
    rows = [np.arange(100), np.arange(50, 300), np.arange(0, 300, 7)]
    networks = [MLPClassifier((6,), epochs=3, batch_size=32, random_state=i) for i in range(3)]
    first = clone(networks[2]).fit(X[rows[2]], y[rows[2]])
    stacks = [(networks, rows), (networks[::-1], rows[::-1])]
    for several, own in stacks:
        stacked = StackedMLP([clone(n) for n in several]).fit(X, y, own).networks
        found = next(n for n in stacked if n.random_state == 2)
        assert np.allclose(found.coefs_[0], first.coefs_[0], atol=2e-6)
        assert found.n_features_in_ == 5 and found.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("settings_of_it", [{"sampling_rate": 1.0}, {"sampling_rate": 0.5}])
def test_private_networks_take_steps_of_their_own_also_side_by_side(settings_of_it: dict[str, float]) -> None:
    X, y = data()
    rows = [np.arange(60), np.arange(40, 120)]
    build = [
        PrivateMLPClassifier((4,), epochs=2, noise_multiplier=1.0, random_state=i, **settings_of_it) for i in (1, 2)
    ]
    alone = [clone(network).fit(X[own], y[own]) for network, own in zip(build, rows, strict=True)]
    for network, single in zip(StackedMLP(build).fit(X, y, rows).networks, alone, strict=True):
        assert np.array_equal(network.coefs_[0], single.coefs_[0])
        assert (network.epsilon_, network.n_steps_) == (single.epsilon_, single.n_steps_)


@pytest.mark.parametrize(
    ("networks", "rows", "error"),
    [
        ([MLPClassifier((4,)), MLPClassifier((5,))], [np.arange(9), np.arange(9)], "differ in their parameters"),
        ([MLPClassifier(epochs=0)], [np.arange(9)], "epochs == 0"),
        ([MLPClassifier(epochs=1)], [np.zeros(9, int)], "1 class"),
        ([MLPClassifier(epochs=1)], [np.array([0, 500])], "rows must be between 0 and"),
        ([MLPClassifier(epochs=1)], [np.array([-1, 5])], "rows must be between 0 and"),
    ],
)
def test_what_cannot_be_trained_side_by_side_is_refused(
    networks: list[MLPClassifier], rows: list[Ints], error: str
) -> None:
    X, y = data()
    with pytest.raises(ValueError, match=error):
        fit_side_by_side(networks, X, y, rows)


def test_a_pass_without_a_network_s_rows_moves_it_not() -> None:
    """Networks of few rows have steps without any record at the end of a pass, which change nothing."""
    X, y = data()
    networks = [MLPClassifier((4,), epochs=1, batch_size=10, random_state=i) for i in range(2)]
    layers = []
    for network in networks:
        network._checked(X, y)
        layers.append(network._initial(check_random_state(network.random_state)))
    passes = [[np.arange(20, dtype=np.int32)], [np.arange(120, dtype=np.int32)]]
    together = train(networks, layers, Dense(X), y.astype(np.int32), passes)[0]
    alone = train(networks[:1], layers[:1], Dense(X), y.astype(np.int32), passes[:1])[0]
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(together[0], alone[0], strict=True))
