"""Records with noise, against a slow loop over copies, and by the type of each feature."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from umbrameter.records.noise import Noise, changed, robustness
from umbrameter.seeds import generator
from umbrameter.typing import Array, Floats

N = 4000


def table(n: int = N, seed: int = 0) -> Floats:
    """Return a bit, a number, a whole number and a category of four."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 2, n), rng.normal(3, 2, n), rng.integers(18, 90, n), rng.integers(0, 4, n)]
    return np.column_stack(columns).astype(np.float32)


def noisy(X: Floats, seed: int = 1, categorical: tuple[int, ...] = (3,), **settings: Any) -> Floats:
    return changed(X, Noise(**settings), categorical, np.random.default_rng(seed))


# One changed copy


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_bits_are_flipped_as_often_as_said(rate: float) -> None:
    X = table()
    flipped = noisy(X, rate=rate)[:, 0] != X[:, 0]
    assert abs(flipped.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / N)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_category_becomes_that_of_another_record(rate: float) -> None:
    X = table()
    X[:, 3] = np.where(np.arange(N) % 10 == 0, 7, X[:, 3])
    out = noisy(X, rate=rate)[:, 3]
    assert {*out.tolist()} <= {*X[:, 3].tolist()}
    share = (X[:, 3][:, None] != np.array([0, 1, 2, 3, 7])).mean(axis=0)
    frequencies = 1 - share
    expected = rate * (1 - (frequencies**2).sum())  # who is drawn may have the same
    assert abs((out != X[:, 3]).mean() - expected) < 0.03


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_numbers_move_by_the_standard_deviation_of_their_column(scale: float) -> None:
    X = table()
    moved = noisy(X, scale=scale)[:, 1] - X[:, 1]
    assert moved.std() == pytest.approx(scale * X[:, 1].std(), rel=0.1) and abs(moved.mean()) < 0.1 * scale
    assert (moved != 0).mean() > 0.99  # each of them, whatever the rate


def test_whole_numbers_stay_whole_and_other_numbers_do_not() -> None:
    out = noisy(table(), scale=0.5)
    assert (out[:, 2] == np.rint(out[:, 2])).all() and (out[:, 1] != np.rint(out[:, 1])).mean() > 0.9


def test_the_records_themselves_stay_as_they_are() -> None:
    X = table(50)
    before = X.copy()
    noisy(X, rate=0.9)
    assert np.array_equal(X, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_is_kept(dtype: Any) -> None:
    assert noisy(table(20).astype(dtype)).dtype == dtype


def test_a_column_that_is_the_same_everywhere_does_not_move() -> None:
    X = table()
    X[:, 1] = 2.5
    assert np.array_equal(noisy(X, scale=3)[:, 1], X[:, 1])


def test_two_numbers_alone_are_bits_and_a_third_makes_a_number() -> None:
    X = table()
    assert {*noisy(X)[:, 0].tolist()} == {0, 1}
    X[0, 0] = 2
    assert len({*noisy(X, scale=3)[:, 0].tolist()}) > 2


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 99), st.integers(0, 9))
def test_a_constant_added_to_a_number_is_still_there(seed: int, shift: int) -> None:
    X = table(40, seed)
    other = X + np.array([0, shift * 8, 0, 0], np.float32)
    moved, expected = noisy(other)[:, 1], noisy(X)[:, 1] + np.float32(shift * 8)
    assert np.allclose(moved, expected, atol=1e-3)


# How a label holds


class Sign:
    """Two classes by a weighted sum; counts what it is asked about."""

    classes_ = np.array([0, 1])

    def __init__(self, weights: tuple[float, ...] = (5, 1, -0.01, 0.7)):
        self.weights = np.array(weights)
        self.n_asked = 0

    def predict_proba(self, X: Array) -> Floats:
        self.n_asked += len(X)
        one = 1 / (1 + np.exp(-(X @ self.weights - 5)))
        return np.column_stack([1 - one, one])


def by_hand(model: Sign, X: Floats, y: Array, noise: Noise, seed: int) -> list[float]:
    """Return the share of copies whose label holds, record by record and copy by copy."""
    copies = [changed(X, noise, (3,), generator(seed, "noise", i)) for i in range(noise.copies)]
    shares = []
    for i, label in enumerate(y.tolist()):
        labels = [model.classes_[model.predict_proba(copy[i : i + 1])[0].argmax()] for copy in copies]
        own = model.classes_[model.predict_proba(X[i : i + 1])[0].argmax()]
        shares.append(sum(int(found == label) for found in labels) / noise.copies if own == label else 0.0)
    return shares


@pytest.mark.parametrize("copies", [1, 3, 8])
def test_robustness_is_the_share_of_copies_that_keep_the_label(copies: int) -> None:
    X, noise = table(30), Noise(copies=copies, rate=0.3, scale=1.5)
    y = np.arange(30) % 2
    found = robustness(Sign(), X, y, noise, (3,), 4)
    assert found.tolist() == pytest.approx(by_hand(Sign(), X, y, noise, 4))
    assert 0 < found.mean() < 1


def test_a_record_that_the_model_gets_wrong_has_none() -> None:
    X = table(60)
    model = Sign()
    labels = model.predict_proba(X).argmax(axis=1)
    assert (robustness(model, X, 1 - labels, Noise(copies=2), (3,), 0) == 0).all()
    assert (robustness(model, X, labels, Noise(copies=2), (3,), 0) > 0).any()


def test_a_model_that_looks_at_nothing_is_robust() -> None:
    X = table(40)
    found = robustness(Sign((0, 0, 0, 0)), X, np.zeros(40, int), Noise(copies=5, rate=0.9, scale=9), (3,), 0)
    assert (found == 1).all()


def test_every_copy_and_every_record_is_asked_about_once() -> None:
    model = Sign()
    robustness(model, table(25), np.zeros(25, int), Noise(copies=6), (3,), 0)
    assert model.n_asked == 25 * 7


def test_labels_count_and_not_their_places() -> None:
    """A model that names its classes otherwise gives the same shares for the same names."""
    X, y = table(50), np.arange(50) % 2
    named = Sign()
    named.classes_ = np.array([7, 9])
    noise = Noise(copies=4)
    assert np.array_equal(robustness(named, X, 7 + 2 * y, noise, (3,), 1), robustness(Sign(), X, y, noise, (3,), 1))


def test_the_seed_decides_the_copies_of_every_model_alike() -> None:
    X, y = table(200), np.arange(200) % 2
    noise = Noise(copies=3, rate=0.4, scale=2)
    one, two, other = (robustness(Sign(), X, y, noise, (3,), seed) for seed in (5, 5, 6))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


@pytest.mark.parametrize(
    "settings", [{"copies": 0}, {"copies": 1001}, {"rate": 0}, {"rate": 1}, {"scale": 0}, {"scale": -1}, {"speed": 1}]
)
def test_noise_that_is_none_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        Noise(**settings)
