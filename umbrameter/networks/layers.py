"""Weights, batches and prediction vectors: what all networks and their trainers share."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from umbrameter.typing import Floats, Ints

Layers = list[tuple[Floats, Floats]]
"""Weights and biases, layer by layer."""


class TrainableNetwork(Protocol):
    """What a trainer asks of a network: its settings, and its shape in the trainer's terms."""

    activation: Any
    learning_rate: float
    l2: float
    label_smoothing: float
    random_state: Any

    def records_a_step(self, n_records: int) -> int:
        """Return the records of one step of Adam."""

    def _first_layers(self, X: Floats, n_networks: int) -> Any:
        """Return the records with the first layers for the CPU's trainer, or None where JAX is to train."""

    def _network(self) -> Any:
        """Return the network's shape for JAX."""


def in_steps(orders: Sequence[Ints], widths: Sequence[int], n_steps: int, width: int) -> Ints:
    """Return one pass of some networks as batches.

    Parameters
    ----------
    orders
        Each network's rows.
    widths
        Records of each network's step.
    n_steps, width
        What to fill up to.

    Returns
    -------
    int32, shape (n_networks, n_steps, width); -1 fills up.
    """
    batches = np.full((len(orders), n_steps, width), -1, np.int32)
    for own, order, n in zip(batches, orders, widths, strict=True):
        for batch, start in zip(own, range(0, len(order), n), strict=False):
            rows = order[start : start + n]
            batch[: len(rows)] = rows
    return batches


def longest(orders: Sequence[Ints], widths: Sequence[int]) -> int:
    """Return the most steps that one pass takes of any of some networks."""
    return max(-(-len(order) // n) for order, n in zip(orders, widths, strict=True))


def glorot(rng: np.random.RandomState, fan_in: int, fan_out: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return uniform weights and biases as scikit-learn's networks begin with (Glorot and Bengio 2010, eq. 16).

    Parameters
    ----------
    rng
        Drawn from as scikit-learn does: the weights first.
    fan_in, fan_out
        Inputs of a unit of this layer, and of the next.
    shape
        Of the weights; the last axis is the layer's units.
    """
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    weights = rng.uniform(-bound, bound, shape).astype(np.float32)
    return weights, rng.uniform(-bound, bound, shape[-1]).astype(np.float32)


def probabilities(logits: Floats) -> Floats:
    """Return prediction vectors from logits: softmax, or the two sides of a sigmoid where there is one output."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
