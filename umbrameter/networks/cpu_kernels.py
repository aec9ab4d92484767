"""Loops over float32 arrays that numba compiles: what numpy would do in several passes over memory, in one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from umbrameter.jit import compiled
from umbrameter.networks.adam import BETA1, BETA2, EPSILON, unbiased
from umbrameter.typing import Floats

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}


def fast(function: Callable[..., None]) -> Any:
    """Compile a function whose floats may be rounded in any order."""
    return compiled(function, OPTIONS)


def aligned(*shape: int) -> Floats:
    """Return zeros that begin where a line of the cache does: a vector that straddles two costs twice."""
    n_values = int(np.prod(shape))
    room = np.zeros(n_values + 16, np.float32)
    begin = -room.ctypes.data % 64 // 4
    return room[begin : begin + n_values].reshape(shape)


@fast
def softmax_errors(powers, codes, rows, counts, smoothing):  # type: ignore[no-untyped-def]
    """Turn powers of logits into the mean loss's gradient by the logits: (probability - truth) / records.

    The truth is the label, a share of `smoothing` of it spread over all classes.
    """
    for m in range(powers.shape[0]):
        for i in range(powers.shape[1]):
            p = powers[m, i]
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
    """Multiply errors by the slopes of the activation, which its values tell."""
    for m in range(errors.shape[0]):
        for i in range(errors.shape[1]):
            for j in range(errors.shape[2]):
                u = units[m, i, j]
                errors[m, i, j] *= 1 - u * u if tanh else np.float32(u > 0)


_unbiased = fast(unbiased)


@fast
def adam(params, gradient, mean, square, n_weights, l2, learning_rate, counts, n_steps):  # type: ignore[no-untyped-def]
    """Take one step of Adam in one pass, of each network that had records in it, and count it in `n_steps`.

    `l2` pulls at the first `n_weights` of a network's values, the rest are biases.
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
