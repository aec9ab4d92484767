"""The first layer of a network on sparse bits: sums over the indices of the set bits instead of a dense product."""

from collections.abc import Sequence

import numpy as np

from umbrameter.networks.cpu_kernels import fast
from umbrameter.networks.simd import load, store
from umbrameter.typing import Floats, Ints

UNITS = 64
"""Units whose sums stay in registers; the first layer's are padded to a multiple of it."""


@fast
def sum_rows(first, last, lists, source, base, out):  # type: ignore[no-untyped-def]
    """Set `out[i]` to `base` plus the rows of `source` in `lists[first[i] : last[i]]`, sixteen values an addition.

    Widths are a multiple of `UNITS`.
    """
    width = out.shape[1]
    for i in range(len(out)):
        for c in range(0, width, UNITS):
            s, t, u, v = load(base, c), load(base, c + 16), load(base, c + 32), load(base, c + 48)
            k, end = first[i], last[i]
            while k + 2 <= end:
                a, b = lists[k] * width + c, lists[k + 1] * width + c
                s += load(source, a) + load(source, b)
                t += load(source, a + 16) + load(source, b + 16)
                u += load(source, a + 32) + load(source, b + 32)
                v += load(source, a + 48) + load(source, b + 48)
                k += 2
            if k < end:
                a = lists[k] * width + c
                s += load(source, a)
                t += load(source, a + 16)
                u += load(source, a + 32)
                v += load(source, a + 48)
            a = i * width + c
            store(out, a, s)
            store(out, a + 16, t)
            store(out, a + 32, u)
            store(out, a + 48, v)


@fast
def list_records(first, last, bits, begins, ends, lists):  # type: ignore[no-untyped-def]
    """List for each feature the records `i` that have it among `bits[first[i] : last[i]]`, in `lists` from `begins`."""
    ends[:] = begins
    for i in range(len(first)):
        for feature in bits[first[i] : last[i]]:
            lists[ends[feature]] = i
            ends[feature] += 1


class Bits:
    """Records of bits, and the first layer's work on some of them at a time.

    Parameters
    ----------
    X
        Zeros and ones, shape (n_records, n_features).
    width
        Records of one step, at most.
    """

    n_layers, units = 1, UNITS

    def __init__(self, X: Floats, width: int):
        ones, n_features = X != 0, X.shape[1]
        self._starts = np.concatenate([[0], np.cumsum(np.count_nonzero(ones, axis=1))])
        small = np.uint16 if max(n_features, width) < 2**16 else np.uint32  # less to read
        self._bits = (np.flatnonzero(ones) % n_features).astype(small)
        self._begins = np.arange(n_features) * width
        self._ends, self._lists = np.empty_like(self._begins), np.empty(n_features * width, small)

    def forward(self, rows: Ints, weights: Sequence[Floats], biases: Sequence[Floats], out: Floats) -> None:
        """Set `out` to the units' inputs."""
        self._taken = [(self._starts[own], self._starts[own + 1]) for own in rows]
        for (first, last), *arrays in zip(self._taken, weights[0], biases[0], out, strict=True):
            sum_rows(first, last, self._bits, *arrays)

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradient by the weights, of the rows of the last `forward`."""
        nothing = np.zeros(errors.shape[2], np.float32)
        for (first, last), own, out in zip(self._taken, errors, by_weights[0], strict=True):
            list_records(first, last, self._bits, self._begins, self._ends, self._lists)
            sum_rows(self._begins, self._ends, self._lists, own, nothing, out)
