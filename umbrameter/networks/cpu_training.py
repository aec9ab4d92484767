"""Train networks on one CPU thread, several side by side, with BLAS and loops compiled by numba.

Nothing is compiled per shape, and a step allocates next to nothing. The steps are those of `jax_training`, up to
rounding. The first axis of an array is the network.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from scipy.special import expit

from umbrameter.networks.cpu_kernels import adam, aligned, softmax_errors, times_slopes
from umbrameter.networks.layers import Layers, TrainableNetwork, in_steps, longest
from umbrameter.typing import Floats, Ints


class FirstLayers(Protocol):
    """The first layers of networks on fixed records, for some of the rows at a time."""

    n_layers: int
    """The number of these layers."""

    def forward(self, rows: Ints, weights: Sequence[Floats], biases: Sequence[Floats], out: Floats) -> None:
        """Set `out` to the inputs of the units of the last of these layers.

        Parameters
        ----------
        rows
            Each network's records, shape (n_networks, n_rows).
        weights, biases
            For each layer, shapes (n_networks, n_inputs, n_units) and (n_networks, n_units).
        out
            Receives the inputs, shape (n_networks, n_rows, n_units).
        """

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradients for the rows of the last `forward`, all but that by the last of these layers' biases.

        Parameters
        ----------
        errors
            Gradient by `out` of `forward`.
        weights
            As in `forward`.
        by_weights, by_biases
            Receive the gradients, layer by layer.
        """


class Dense:
    """A dense first layer, for features of any values.

    Parameters
    ----------
    X
        float32, shape (n_records, n_features).
    """

    n_layers = 1

    def __init__(self, X: Floats):
        self._X = X

    def forward(self, rows: Ints, weights: Sequence[Floats], biases: Sequence[Floats], out: Floats) -> None:
        """Set `out` to the units' inputs.

        Parameters
        ----------
        rows, weights, biases, out
            See `FirstLayers.forward`.
        """
        self._taken = self._X[rows]
        np.matmul(self._taken, weights[0], out=out)
        out += biases[0][:, None]

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradient by the weights, for the rows of the last `forward`.

        Parameters
        ----------
        errors, weights, by_weights, by_biases
            See `FirstLayers.gradient`.
        """
        np.matmul(self._taken.transpose(0, 2, 1), errors, out=by_weights[0])


def train(
    models: Sequence[TrainableNetwork],
    layers: Sequence[Layers],
    records: FirstLayers,
    codes: Ints,
    passes: Sequence[Iterable[Ints]],
    watch: Callable[[Layers], bool] | None = None,
) -> list[Layers]:
    """Train networks of one architecture side by side on shared records, each on its own rows.

    Parameters
    ----------
    models
        The networks' parameters, equal but for their seeds.
    layers
        Each network's initial weights and biases.
    records, codes
        The first layers on all records, and all labels, 0 .. n_classes - 1.
    passes
        For each network, the rows of each pass, in order; networks may have different numbers of rows.
    watch
        Called with the first network's layers after each pass; the training ends when it returns True.

    Returns
    -------
    Each network's trained layers, float32.
    """
    first, n_models = models[0], len(models)
    shapes = [w.shape for w, _ in layers[0]] + [b.shape for _, b in layers[0]]
    n_weights = sum(w.size for w, _ in layers[0])
    # Padded to 16 values, so that every network begins at a cache line.
    params, gradient, mean, square = (aligned(n_models, -(-_size(shapes) // 16) * 16) for _ in range(4))
    weights, biases = _views(params, shapes)
    by_weights, by_biases = _views(gradient, shapes)
    for m, initial in enumerate(layers):
        for i, (w, b) in enumerate(initial):
            weights[i][m], biases[i][m] = w, b
    units: list[Floats] = []
    n_steps, tanh, n_first = np.zeros(n_models, np.int64), first.activation == "tanh", records.n_layers
    for orders in zip(*passes, strict=True):
        widths = [model.records_a_step(len(order)) for model, order in zip(models, orders, strict=True)]
        batches = in_steps(orders, widths, longest(orders, widths), max(widths)).transpose(1, 0, 2)
        if not units:
            # Allocated once: later passes have steps of the same size.
            sizes = [b.shape[1] for b in biases[n_first - 1 :]]
            units, errors = ([aligned(n_models, max(widths), size) for size in sizes] for _ in range(2))
            ones = np.ones(max(widths), np.float32)
        for rows, counts in zip(batches, (batches >= 0).sum(axis=2), strict=True):
            # The last step of a pass may be smaller; views leave out the rows that fill up in every network.
            n = counts.max()
            U, E = [u[:, :n] for u in units], [e[:, :n] for e in errors]
            records.forward(rows[:, :n], weights, biases, U[0])
            for x, u, w, b in zip(U, U[1:], weights[n_first:], biases[n_first:], strict=False):
                _ = np.tanh(x, out=x) if tanh else np.maximum(x, 0, out=x)
                np.matmul(x, w, out=u)
                u += b[:, None]
            _output_errors(U[-1], codes, rows[:, :n], counts, first.label_smoothing, E[-1])
            for i in range(len(U) - 1, 0, -1):
                np.matmul(U[i - 1].transpose(0, 2, 1), E[i], out=by_weights[n_first - 1 + i])
                product = np.multiply if E[i].shape[2] == 1 else np.matmul  # BLAS is slow at outer products
                product(E[i], weights[n_first - 1 + i].transpose(0, 2, 1), out=E[i - 1])
                times_slopes(E[i - 1], U[i - 1], tanh)
            records.gradient(E[0], weights, by_weights, by_biases)
            for e, by in zip(E, by_biases[n_first - 1 :], strict=True):
                np.matmul(ones[:n], e, out=by)  # the sum over records
            adam(params, gradient, mean, square, n_weights, first.l2, first.learning_rate, counts, n_steps)
        if watch is not None and watch(_copied(0, weights, biases)):
            break
    return [_copied(m, weights, biases) for m in range(n_models)]


def _copied(m: int, weights: Sequence[Floats], biases: Sequence[Floats]) -> Layers:
    """Return a copy of one network's layers."""
    return [(w[m].copy(), b[m].copy()) for w, b in zip(weights, biases, strict=True)]


def _output_errors(logits: Floats, codes: Ints, rows: Ints, counts: Ints, smoothing: float, out: Floats) -> None:
    """Set `out` to the mean losses' gradients by the logits; rows of -1 fill up and get 0."""
    if logits.shape[2] == 1:
        truth = codes[rows] * (1 - smoothing) + smoothing / 2
        errors = (expit(logits[:, :, 0]) - truth) / np.maximum(counts, 1)[:, None]
        out[:, :, 0] = np.where(rows >= 0, errors, 0)
        return
    np.subtract(logits, logits.max(axis=2, keepdims=True), out=out)  # or large logits overflow
    np.exp(out, out=out)
    softmax_errors(out, codes, rows, counts, float(smoothing))


def _size(shapes: Sequence[tuple[int, ...]]) -> int:
    return int(sum(np.prod(shape) for shape in shapes))


def _views(flat: Floats, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Floats], list[Floats]]:
    """Return the weights and the biases within each network's vector, as views with the network first."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    views = [flat[:, end - np.prod(s) : end].reshape(-1, *s) for end, s in zip(ends, shapes, strict=True)]
    return views[: len(shapes) // 2], views[len(shapes) // 2 :]
