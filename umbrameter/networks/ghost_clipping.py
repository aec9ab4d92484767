"""The sum of clipped gradients of a fully connected network, without any single record's gradient.

In a dense layer, the norm of a record's gradient is |inputs| · |errors|: Goodfellow (2015), "Efficient Per-Example
Gradient Computations", arXiv 1510.01799; Li et al. (2022), arXiv 2110.05679 ("ghost clipping").
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from umbrameter.networks.layers import Layers, probabilities
from umbrameter.typing import Floats, Ints

if TYPE_CHECKING:
    from umbrameter.networks.cpu_training import FirstLayers


def targets(codes: Ints, n_outputs: int, smoothing: float) -> Floats:
    """Return the smoothed labels that a network is trained towards, shape (n_records, n_outputs).

    Parameters
    ----------
    codes
        Labels 0 .. n_classes - 1, shape (n_records,).
    n_outputs
        Number of the network's outputs: 1 for two classes, else as many as classes.
    smoothing
        Share of each label that is spread over all classes.
    """
    if n_outputs == 1:
        return (codes[:, None] * (1 - smoothing) + smoothing / 2).astype(np.float32)
    truth = np.full((len(codes), n_outputs), smoothing / n_outputs, dtype=np.float32)
    truth[np.arange(len(codes)), codes] += np.float32(1 - smoothing)
    return truth


def clipped_sum(
    layers: Layers,
    records: "FirstLayers",
    rows: Ints,
    squares: Floats,
    truth: Floats,
    activation: str,
    clip_norm: float,
) -> Layers:
    """Return the sum of the records' clipped gradients of cross entropy, by ghost norms.

    Parameters
    ----------
    layers
        Weights and biases of a fully connected network.
    records, rows
        The first layer on all records, and the rows that are sampled.
    squares
        The squared norms of the sampled records' features, shape (n_rows,).
    truth
        Their smoothed labels; see `targets`.
    activation
        `tanh` or `relu`.
    clip_norm
        The largest norm of one record's gradient, over all weights and biases together.

    Returns
    -------
    The gradients by weights and biases, layer by layer.
    """
    first = np.empty((1, len(rows), layers[0][0].shape[1]), np.float32)
    records.forward(rows[None], [layers[0][0][None]], [layers[0][1][None]], first)
    units = [first[0]]
    for weights, biases in layers[1:]:
        _ = np.tanh(units[-1], out=units[-1]) if activation == "tanh" else np.maximum(units[-1], 0, out=units[-1])
        units.append(units[-1] @ weights + biases)
    logits = units.pop()
    errors = [(expit(logits) if logits.shape[1] == 1 else probabilities(logits)) - truth]
    for u, (weights, _) in zip(units[::-1], layers[:0:-1], strict=True):
        slopes = 1 - u * u if activation == "tanh" else u > 0
        errors.append(errors[-1] @ weights.T * slopes)
    errors = errors[::-1]
    # |inputs|² · |errors|² for the weights and |errors|² for the biases, summed over the layers.
    norms = np.sqrt(
        sum(squared_norms(e) * (1 + s) for e, s in zip(errors, [squares, *map(squared_norms, units)], strict=True))
    )
    # Gradients within the norm keep their length, and one of 0 is not divided by 0.
    scales = np.float32(clip_norm) / np.maximum(norms, np.float32(clip_norm))
    scaled = [e * scales[:, None] for e in errors]
    by_first = np.empty((1, *layers[0][0].shape), np.float32)
    # `gradient` of a single first layer leaves its biases alone, so any array may stand in their place.
    records.gradient(scaled[0][None], [layers[0][0][None]], [by_first], [layers[0][1][None]])
    return [
        (by, e.sum(axis=0))
        for by, e in zip([by_first[0], *(u.T @ e for u, e in zip(units, scaled[1:], strict=True))], scaled, strict=True)
    ]


def squared_norms(rows: Floats) -> Floats:
    """Return the squared norm of each row, shape (n_rows,)."""
    return np.asarray(np.einsum("ij,ij->i", rows, rows))
