"""Train many networks of one architecture as one program."""

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_random_state

from umbrameter.networks.base import NetworkClassifier
from umbrameter.networks.engine import trained
from umbrameter.networks.mlp import MLPClassifier
from umbrameter.typing import Array, Floats, Ints


class StackedMLP:
    """Networks of one architecture, trained side by side, each on its own rows; used for per-class attack models.

    Parameters
    ----------
    networks
        Unfitted networks, with equal parameters except for `random_state`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> y = X[:, 0] > 0
    >>> networks = [MLPClassifier((8,), epochs=50, learning_rate=0.01, random_state=i) for i in range(2)]
    >>> stack = StackedMLP(networks).fit(X, y, [np.arange(200), np.arange(200, 300)])
    >>> [network.score(X, y) > 0.9 for network in stack.networks]
    [True, True]
    """

    def __init__(self, networks: Sequence[MLPClassifier]):
        self.networks = list(networks)

    def fit(self, X: Floats, y: Array, rows: Sequence[Ints]) -> "StackedMLP":
        """Train all networks; afterwards each of `networks` is fitted, as if it had been trained alone.

        Parameters
        ----------
        X
            All records' features, shape (n_records, n_features).
        y
            All records' labels, shape (n_records,).
        rows
            For each network, the rows of `X` that it is trained on; networks may have different numbers of rows.

        Raises
        ------
        ValueError
            When the networks' parameters differ, or the rows of one are out of range or of a single class.
        """
        fit_side_by_side(self.networks, X, y, rows)
        return self


def fit_side_by_side(networks: Sequence[NetworkClassifier], X: Floats, y: Array, rows: Sequence[Ints]) -> None:
    """Train networks of one architecture as one program, each on its own rows, as if each were trained alone.

    Networks whose rows hold fewer classes than the others' are trained in a program of their own.

    Parameters
    ----------
    networks
        Unfitted networks, with equal parameters except for `random_state`; fitted afterwards.
    X, y, rows
        See `StackedMLP.fit`.

    Raises
    ------
    ValueError
        See `StackedMLP.fit`.
    """
    shapes = {str({**network.get_params(), "random_state": None}) for network in networks}
    if len(shapes) != 1:
        raise ValueError(f"the networks differ in their parameters: {'; '.join(sorted(shapes))}; stack equal ones")
    X, y = np.ascontiguousarray(X, dtype=np.float32), np.asarray(y)
    if any(len(own_rows) and not 0 <= np.min(own_rows) <= np.max(own_rows) < len(X) for own_rows in rows):
        raise ValueError(f"rows must be between 0 and {len(X) - 1}, the rows of X; give positions, not ids")
    if any(network.trains_alone for network in networks):
        for network, own_rows in zip(networks, rows, strict=True):
            network.fit(X[own_rows], y[own_rows])
        return
    alike: dict[bytes, list[tuple[NetworkClassifier, Ints]]] = {}
    for network, own_rows in zip(networks, rows, strict=True):
        network._checked(X[own_rows], y[own_rows])
        alike.setdefault(network.classes_.tobytes(), []).append((network, np.asarray(own_rows, dtype=np.int32)))
    for group in alike.values():
        _fit([network for network, _ in group], X, y, [own_rows for _, own_rows in group])


def _fit(networks: list[NetworkClassifier], X: Floats, y: Array, rows: list[Ints]) -> None:
    """Train checked networks of the same classes as one program, or in halves where memory is short."""
    codes = np.searchsorted(networks[0].classes_, y).astype(np.int32)
    layers, passes = [], []
    for network, own_rows in zip(networks, rows, strict=True):
        rng = check_random_state(network.random_state)
        layers.append(network._initial(rng))
        passes.append(map(own_rows.__getitem__, network.batches(rng, len(own_rows))))
    try:
        trained_layers = trained(networks, layers, X, codes, passes)
    except RuntimeError as error:  # XLA has no exception of its own for a full memory
        if "RESOURCE_EXHAUSTED" not in str(error) or len(networks) == 1:
            raise
        half = len(networks) // 2
        _fit(networks[:half], X, y, rows[:half])
        _fit(networks[half:], X, y, rows[half:])
        return
    for network, own_layers in zip(networks, trained_layers, strict=True):
        network._keep(own_layers)
