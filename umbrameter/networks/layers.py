"""Weights, batches and prediction vectors: what all networks and their trainers share."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from umbrameter.typing import Floats, Ints

Layers = list[tuple[Floats, Floats]]
"""Weights and biases, layer by layer."""


class TrainableNetwork(Protocol):
    """What a trainer needs of a network: its settings, and its architecture in the trainer's terms."""

    activation: Any
    learning_rate: float
    l2: float
    label_smoothing: float
    random_state: Any

    def records_a_step(self, n_records: int) -> int:
        """Return the number of records in a step of Adam."""

    def _first_layers(self, X: Floats, n_networks: int) -> Any:
        """Return the first layers on these records for the CPU's trainer, or None if JAX has to train."""

    def _network(self) -> Any:
        """Return the network's architecture as a function for JAX."""


def in_steps(orders: Sequence[Ints], widths: Sequence[int], n_steps: int, width: int) -> Ints:
    """Cut one pass of several networks into batches.

    Parameters
    ----------
    orders
        Each network's rows, in order.
    widths
        Number of records in a step, for each network.
    n_steps, width
        The numbers of steps and of records per step to fill up to.

    Returns
    -------
    int32, shape (n_networks, n_steps, width); -1 fills up.
    """
    batches = np.full((len(orders), n_steps, width), -1, np.int32)
    for network_batches, order, n in zip(batches, orders, widths, strict=True):
        for batch, start in zip(network_batches, range(0, len(order), n), strict=False):
            rows = order[start : start + n]
            batch[: len(rows)] = rows
    return batches


def longest(orders: Sequence[Ints], widths: Sequence[int]) -> int:
    """Return the number of steps in a pass, for the network with the most."""
    return max(-(-len(order) // n) for order, n in zip(orders, widths, strict=True))


def glorot(rng: np.random.RandomState, fan_in: int, fan_out: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the uniform initial weights and biases of scikit-learn's networks (Glorot and Bengio 2010, eq. 16).

    Parameters
    ----------
    rng
        Draws the weights before the biases, as scikit-learn does.
    fan_in, fan_out
        Number of inputs of a unit of this layer, and of outputs.
    shape
        Shape of the weights; the last axis is the layer's units.
    """
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    weights = rng.uniform(-bound, bound, shape).astype(np.float32)
    return weights, rng.uniform(-bound, bound, shape[-1]).astype(np.float32)


def probabilities(logits: Floats) -> Floats:
    """Return prediction vectors from logits: softmax, or for a single output the two sides of a sigmoid."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))  # without the maximum they may overflow
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)
