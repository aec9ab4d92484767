"""Train a fully connected network on sparse bits: the first layer is a sum over the indices of the set bits.

The other layers are matrix products of BLAS. Belongs here: what is faster than a dense product. The same steps as
`training` takes, to rounding.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy.special import expit

from umbrameter.networks.adam import BETA1, BETA2, EPSILON, unbiased
from umbrameter.networks.base import Layers
from umbrameter.typing import Floats, Ints

if TYPE_CHECKING:
    from umbrameter.networks.mlp import MLPClassifier

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}


def fast(function: Callable[..., None]) -> Any:
    """Compile a function, and keep the result on disk where there is a place to write."""
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither this folder nor the home can be written, as in some containers
        return numba.njit(**OPTIONS)(function)


@fast
def sum_rows(first, last, lists, source, base, out):  # type: ignore[no-untyped-def]
    """Set `out[i]` to `base` plus the rows of `source` in `lists[first[i] : last[i]]`; eight at once, for speed."""
    for i in range(len(out)):
        z, k, end = out[i], first[i], last[i]
        z[:] = base
        while k + 8 <= end:
            a, b, c, d = source[lists[k]], source[lists[k + 1]], source[lists[k + 2]], source[lists[k + 3]]
            e, f, g, h = source[lists[k + 4]], source[lists[k + 5]], source[lists[k + 6]], source[lists[k + 7]]
            for j in range(len(z)):
                z[j] += ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
            k += 8
        while k < end:
            a = source[lists[k]]
            for j in range(len(z)):
                z[j] += a[j]
            k += 1


@fast
def list_records(first, last, bits, begins, ends, lists):  # type: ignore[no-untyped-def]
    """List for each feature the records `i` that have it among `bits[first[i] : last[i]]`, in `lists` from `begins`."""
    ends[:] = begins
    for i in range(len(first)):
        for k in range(first[i], last[i]):
            feature = bits[k]
            lists[ends[feature]] = i
            ends[feature] += 1


@fast
def below_largest(logits):  # type: ignore[no-untyped-def]
    """Take each row's largest value off it, so that no power overflows."""
    for z in logits:
        largest = z[0]
        for j in range(1, len(z)):
            largest = max(largest, z[j])
        for j in range(len(z)):
            z[j] -= largest


@fast
def softmax_errors(powers, codes, rows):  # type: ignore[no-untyped-def]
    """Turn powers of logits into the mean loss's gradient by the logits: (probability - truth) / records."""
    n = np.float32(len(powers))
    for i in range(len(powers)):
        p = powers[i]
        total = np.float32(0)
        for j in range(len(p)):
            total += p[j]
        scale = 1 / (n * total)
        for j in range(len(p)):
            p[j] *= scale
        p[codes[rows[i]]] -= 1 / n


@fast
def times_slopes(errors, units, tanh):  # type: ignore[no-untyped-def]
    """Multiply errors by the slopes of the activation, which its values tell."""
    for i in range(errors.shape[0]):
        for j in range(errors.shape[1]):
            u = units[i, j]
            errors[i, j] *= 1 - u * u if tanh else np.float32(u > 0)


@fast
def adam(params, gradient, mean, square, n_weights, l2, rate):  # type: ignore[no-untyped-def]
    """Take one step of Adam in one pass; `l2` pulls at the first `n_weights`, the rest are biases."""
    for i in range(len(params)):
        g = gradient[i] + (l2 * params[i] if i < n_weights else np.float32(0))
        mean[i] = BETA1 * mean[i] + (1 - BETA1) * g
        square[i] = BETA2 * square[i] + (1 - BETA2) * (g * g)
        params[i] -= rate * mean[i] / (np.sqrt(square[i]) + EPSILON)


def train(model: "MLPClassifier", layers: Layers, X: Floats, codes: Ints, passes: Iterable[Ints]) -> Layers:
    """Train a network on bits, on one thread.

    Parameters
    ----------
    model
        Its parameters.
    layers
        The weights to begin with.
    X
        Zeros and ones, shape (n_records, n_features).
    codes
        The labels, 0 to n_classes - 1.
    passes
        The rows of each pass over the data, in order.

    Returns
    -------
    The trained layers, float32.
    """
    ones, width, n_features = X != 0, model.records_a_step(len(X)), X.shape[1]
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(ones, axis=1))])
    bits = (np.flatnonzero(ones) % n_features).astype(np.uint32)
    begins = np.arange(n_features) * width
    ends, lists = np.empty_like(begins), np.empty(n_features * width, np.uint32)

    arrays = [w for w, _ in layers] + [b for _, b in layers]
    params = np.concatenate([a.ravel() for a in arrays])
    gradient, mean, square = (np.zeros_like(params) for _ in range(3))
    weights, biases = _views(params, arrays)
    by_weights, by_biases = _views(gradient, arrays)
    units = [np.empty((width, len(b)), np.float32) for b in biases]
    errors = [np.empty_like(u) for u in units]
    tanh, n_weights, step = model.activation == "tanh", sum(w.size for w in weights), 0
    nothing, each = np.zeros_like(biases[0]), np.ones(width, np.float32)
    for order in passes:
        for start in range(0, len(order), width):
            rows = order[start : start + width]
            first, last = starts[rows], starts[rows + 1]
            U, E = [u[: len(rows)] for u in units], [e[: len(rows)] for e in errors]
            sum_rows(first, last, bits, weights[0], biases[0], U[0])
            for i in range(1, len(weights)):
                _ = np.tanh(U[i - 1], out=U[i - 1]) if tanh else np.maximum(U[i - 1], 0, out=U[i - 1])
                np.matmul(U[i - 1], weights[i], out=U[i])
                U[i] += biases[i]
            _output_errors(U[-1], codes, rows, E[-1])
            for i in range(len(weights) - 1, 0, -1):
                np.matmul(U[i - 1].T, E[i], out=by_weights[i])
                np.matmul(each[: len(rows)], E[i], out=by_biases[i])
                np.matmul(E[i], weights[i].T, out=E[i - 1])
                times_slopes(E[i - 1], U[i - 1], tanh)
            list_records(first, last, bits, begins, ends, lists)
            sum_rows(begins, ends, lists, E[0], nothing, by_weights[0])
            np.matmul(each[: len(rows)], E[0], out=by_biases[0])
            step += 1
            rate = np.float32(model.learning_rate * unbiased(step))
            adam(params, gradient, mean, square, n_weights, np.float32(model.l2 / len(rows)), rate)
    return [(w.copy(), b.copy()) for w, b in zip(weights, biases, strict=True)]


def _output_errors(logits: Floats, codes: Ints, rows: Ints, out: Floats) -> None:
    """Set `out` to the mean loss's gradient by the logits."""
    if logits.shape[1] == 1:
        np.divide(expit(logits[:, 0]) - codes[rows], np.float32(len(rows)), out=out[:, 0])
        return
    below_largest(logits)
    np.exp(logits, out=out)
    softmax_errors(out, codes, rows)


def _views(flat: Floats, like: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Return the weights and the biases within one vector, as views."""
    ends = np.cumsum([a.size for a in like])
    views = [flat[end - a.size : end].reshape(a.shape) for a, end in zip(like, ends, strict=True)]
    return views[: len(views) // 2], views[len(views) // 2 :]
