"""The first layer of a network on sparse 0/1 features: sums over the set bits instead of a dense product."""

from collections.abc import Sequence

import numpy as np

from umbrameter.networks.cpu_kernels import fast
from umbrameter.typing import Floats, Ints


@fast
def sum_rows(first, last, lists, source, base, out):  # type: ignore[no-untyped-def]
    """Set `out[i]` to `base` plus the rows of `source` in `lists[first[i] : last[i]]`.

    Parameters
    ----------
    first, last
        Where each list begins and ends within `lists`, shape (n,).
    lists
        Row numbers, one list after the other.
    source
        The rows to sum, shape (n_rows, width).
    base
        Added to every sum, shape (width,).
    out
        Receives the sums, shape (n, width).
    """
    width = out.shape[1]
    for i in range(len(out)):
        total = out[i]
        for c in range(width):
            total[c] = base[c]
        k, end = first[i], last[i]
        # Eight rows at a time, so that `total` is read and written once for all eight; then four, then one.
        while k + 8 <= end:
            p, q, r, s = source[lists[k]], source[lists[k + 1]], source[lists[k + 2]], source[lists[k + 3]]
            t, u, v, w = source[lists[k + 4]], source[lists[k + 5]], source[lists[k + 6]], source[lists[k + 7]]
            for c in range(width):
                total[c] += ((p[c] + q[c]) + (r[c] + s[c])) + ((t[c] + u[c]) + (v[c] + w[c]))
            k += 8
        if k + 4 <= end:
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
    """List for each feature the records `i` that have it among `bits[first[i] : last[i]]`.

    Parameters
    ----------
    first, last
        Where each record's features begin and end within `bits`, shape (n_records,).
    bits
        Feature numbers, one record after the other.
    begins
        Where each feature's list begins within `lists`, shape (n_features,).
    ends
        Set to where each list ends, shape (n_features,).
    lists
        Receives the record numbers; as long as all lists could be.
    """
    ends[:] = begins
    for i in range(len(first)):
        for feature in bits[first[i] : last[i]]:
            lists[ends[feature]] = i
            ends[feature] += 1


class Bits:
    """The first layer on records of zeros and ones.

    Parameters
    ----------
    X
        Zeros and ones, shape (n_records, n_features).
    width
        The largest number of records in a step.
    """

    n_layers = 1

    def __init__(self, X: Floats, width: int):
        ones, n_features = X != 0, X.shape[1]
        self._starts = np.concatenate([[0], np.cumsum(np.count_nonzero(ones, axis=1))])
        small = np.uint16 if max(n_features, width) < 2**16 else np.uint32  # small indices, less memory traffic
        self._bits = (np.flatnonzero(ones) % n_features).astype(small)
        # Room for all records of a step in each list: all of them may have the same bit.
        self._begins = np.arange(n_features) * width
        self._ends, self._lists = np.empty_like(self._begins), np.empty(n_features * width, small)

    def forward(self, rows: Ints, weights: Sequence[Floats], biases: Sequence[Floats], out: Floats) -> None:
        """Set `out` to the units' inputs.

        Parameters
        ----------
        rows, weights, biases, out
            See `FirstLayers.forward`.
        """
        self._taken = [(self._starts[records], self._starts[records + 1]) for records in rows]
        for (first, last), *arrays in zip(self._taken, weights[0], biases[0], out, strict=True):
            sum_rows(first, last, self._bits, *arrays)

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradient by the weights, for the rows of the last `forward`.

        Parameters
        ----------
        errors, weights, by_weights, by_biases
            See `FirstLayers.gradient`.
        """
        nothing = np.zeros(errors.shape[2], np.float32)
        for (first, last), rows_errors, out in zip(self._taken, errors, by_weights[0], strict=True):
            list_records(first, last, self._bits, self._begins, self._ends, self._lists)
            sum_rows(self._begins, self._ends, self._lists, rows_errors, nothing, out)
