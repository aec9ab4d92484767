"""Loops over float32 arrays, compiled by numba: one pass over memory where numpy needs several."""

from collections.abc import Callable
from typing import Any

import numpy as np

from umbrameter.jit import compiled
from umbrameter.networks.adam import BETA1, BETA2, EPSILON, unbiased
from umbrameter.typing import Floats

# Without "nnan" and "ninf": a training that diverges has to show as weights that are not finite.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}


def fast(function: Callable[..., None]) -> Any:
    """Compile a function in which floating-point operations may be reordered."""
    return compiled(function, OPTIONS)


def aligned(*shape: int) -> Floats:
    """Return zeros that start at a cache line, since a vector load across two lines costs twice."""
    n_values = int(np.prod(shape))
    room = np.zeros(n_values + 16, np.float32)  # a line is 64 bytes: 16 values
    begin = -room.ctypes.data % 64 // 4
    return room[begin : begin + n_values].reshape(shape)


@fast
def softmax_errors(powers, codes, rows, counts, smoothing):  # type: ignore[no-untyped-def]
    """Turn exponentials of logits into the mean loss's gradient by the logits: (probability - truth) / n_records.

    Parameters
    ----------
    powers
        Exponentials of the logits, shape (n_networks, n_records, n_classes); receives the gradient.
    codes
        Labels of all records.
    rows
        Each network's records, shape (n_networks, n_records); -1 fills up.
    counts
        Number of each network's records, without those that fill up; shape (n_networks,).
    smoothing
        Share of each label that is spread over all classes.
    """
    for m in range(powers.shape[0]):
        for i in range(powers.shape[1]):
            p = powers[m, i]
            # A row that fills up must not add to the gradient.
            if rows[m, i] < 0:
                p[:] = 0
                continue
            total = np.float32(0)
            for j in range(len(p)):
                total += p[j]
            scale = 1 / (np.float32(counts[m]) * total)
            spread = np.float32(smoothing / (counts[m] * len(p)))
            for j in range(len(p)):
                p[j] = p[j] * scale - spread
            p[codes[rows[m, i]]] -= np.float32(1 - smoothing) / np.float32(counts[m])


@fast
def times_slopes(errors, units, tanh):  # type: ignore[no-untyped-def]
    """Multiply errors by the activation's derivative, computed from its output.

    Parameters
    ----------
    errors
        Gradient by the units, shape (n_networks, n_records, n_units); receives the gradient by their inputs.
    units
        The activation's output, of the same shape.
    tanh
        Whether the activation is tanh; else ReLU.
    """
    for m in range(errors.shape[0]):
        for i in range(errors.shape[1]):
            for j in range(errors.shape[2]):
                u = units[m, i, j]
                errors[m, i, j] *= 1 - u * u if tanh else np.float32(u > 0)


_unbiased = fast(unbiased)


@fast
def adam(params, gradient, mean, square, n_weights, l2, learning_rate, counts, n_steps):  # type: ignore[no-untyped-def]
    """Take one step of Adam for each network that had records in it, in one pass over memory.

    Parameters
    ----------
    params
        Each network's weights and then its biases, shape (n_networks, n_params); receives the new ones.
    gradient
        Gradient of the mean loss, of the same shape.
    mean, square
        Adam's moments, of the same shape; receive the new ones.
    n_weights
        Number of weights, which `l2` pulls towards 0; biases are free.
    l2, learning_rate
        See `MLPClassifier`.
    counts
        Number of each network's records in the step, shape (n_networks,).
    n_steps
        Steps that each network has taken; counted up.
    """
    for m in range(len(params)):
        if counts[m] == 0:
            continue
        n_steps[m] += 1
        pull, rate = np.float32(l2 / counts[m]), np.float32(learning_rate * _unbiased(n_steps[m]))
        w, by, mu, nu = params[m], gradient[m], mean[m], square[m]
        for i in range(len(w)):
            g = by[i] + (pull * w[i] if i < n_weights else np.float32(0))
            mu[i] = BETA1 * mu[i] + (1 - BETA1) * g
            nu[i] = BETA2 * nu[i] + (1 - BETA2) * (g * g)
            w[i] -= rate * mu[i] / (np.sqrt(nu[i]) + EPSILON)
