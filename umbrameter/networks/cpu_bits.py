"""The first layer of a network on sparse bits: sums over the indices of the set bits instead of a dense product."""

from collections.abc import Sequence

import numpy as np

from umbrameter.networks.cpu_kernels import fast
from umbrameter.typing import Floats, Ints


@fast
def sum_rows(first, last, lists, source, base, out):  # type: ignore[no-untyped-def]
    """Set `out[i]` to `base` plus the rows of `source` in `lists[first[i] : last[i]]`."""
    width = out.shape[1]
    for i in range(len(out)):
        total = out[i]
        for c in range(width):
            total[c] = base[c]
        k, end = first[i], last[i]
        while k + 4 <= end:  # four rows at a time, since `total` is read and written once for all of them
            p, q, r, s = source[lists[k]], source[lists[k + 1]], source[lists[k + 2]], source[lists[k + 3]]
            for c in range(width):
                total[c] += (p[c] + q[c]) + (r[c] + s[c])
            k += 4
        while k < end:
            p = source[lists[k]]
            for c in range(width):
                total[c] += p[c]
            k += 1


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

    n_layers = 1

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
