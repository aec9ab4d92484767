"""Our networks learn and leak like scikit-learn's: over seeds, on real bits and on Purchase-like ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.neural_network import MLPClassifier as Oracle

from umbrameter.networks import MLPClassifier
from umbrameter.typing import Floats, Ints

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:UserWarning")]

N_SEEDS = 5


def location30(folder: Path) -> tuple[Floats, Ints]:
    table = pq.read_table(folder / "location30.parquet")
    return np.stack(table["x"].to_numpy()).astype(np.float32), table["y"].to_numpy().astype(np.int64)


def purchases(folder: Path) -> tuple[Floats, Ints]:
    """Make 600 bits of 100 classes, 15 % of them set: habits of all and of the class, each purchase made or not."""
    rng = np.random.default_rng(0)
    habits, y = 0.75 * rng.beta(0.3, 1.7, 600) + 0.25 * rng.beta(0.3, 1.7, (100, 600)), rng.integers(0, 100, 4000)
    return (rng.random((4000, 600)) < habits[y]).astype(np.float32), y


def figures(model: MLPClassifier | Oracle, members: tuple[Floats, Ints], others: tuple[Floats, Ints]) -> list[float]:
    """Return train accuracy, test accuracy, mean confidence in and out, and a global loss threshold's accuracy."""
    model.fit(*members)
    right, sure = [], []
    for X, y in (members, others):
        predictions = model.predict_proba(X)
        right.append(float((predictions.argmax(axis=1) == y).mean()))
        sure.append(predictions[np.arange(len(y)), y])
    threshold = np.median(np.concatenate(sure))
    attack = ((sure[0] > threshold).mean() + (sure[1] <= threshold).mean()) / 2
    return [*right, sure[0].mean().item(), sure[1].mean().item(), attack.item()]


@pytest.mark.parametrize(("data", "batch_size", "epochs"), [(location30, 32, 100), (purchases, 200, 50)])
def test_fast_networks_learn_and_leak_as_scikit_learns(
    data_dir: Path, data: Callable[[Path], tuple[Floats, Ints]], batch_size: int, epochs: int
) -> None:
    X, y = data(data_dir)
    ours, theirs = [], []
    for seed in range(N_SEEDS):
        order = np.random.default_rng(seed).permutation(len(y))
        members, others = ((X[rows], y[rows]) for rows in (order[:1200], order[1200:2400]))
        fast = MLPClassifier((128,), "tanh", epochs=epochs, batch_size=batch_size, random_state=seed)
        slow = Oracle((128,), activation="tanh", max_iter=epochs, batch_size=batch_size, alpha=0, random_state=seed)
        slow.set_params(tol=0, n_iter_no_change=epochs)
        ours.append(figures(fast, members, others))
        theirs.append(figures(slow, members, others))
    difference = np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0))
    error = np.sqrt((np.var(ours, axis=0, ddof=1) + np.var(theirs, axis=0, ddof=1)) / N_SEEDS)
    assert (difference <= 2 * error + 1e-6).all(), (ours, theirs)
    np.testing.assert_allclose(ours, theirs, atol=0.005)  # with the same seeds they are the same networks
    assert np.mean(ours, axis=0)[1] < 0.9 < np.mean(ours, axis=0)[0], "neither too easy nor unlearnable"
