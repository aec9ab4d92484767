"""A fully connected network."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from umbrameter.networks.base import NetworkClassifier
from umbrameter.networks.layers import Layers, glorot
from umbrameter.networks.parameters import Check, each, number, one_of, whole_number
from umbrameter.typing import Floats

BITS_BELOW = 0.4
"""Share of ones below which sums over set bits are faster than a dense product, by the benchmarks."""


class MLPClassifier(NetworkClassifier):
    """A fully connected network, trained by Adam for exactly `epochs` passes over the data.

    It initialises, shuffles and updates as `sklearn.neural_network.MLPClassifier` does, and so learns the same, but in
    float32 and several times faster.

    Parameters
    ----------
    hidden
        Number of units of each hidden layer.
    activation
        `tanh` or `relu`.
    epochs
        Passes over the training data; only `early_stopping` ends the training earlier.
    batch_size
        Records per step of Adam; `auto` is 200, or all records if there are fewer.
    learning_rate
        Adam's step size.
    l2
        Weight of the squared weights in the loss (scikit-learn's `alpha`).
    dropout
        Share of each hidden layer's units that are dropped in a step, at random.
    label_smoothing
        Share of each label that is spread over all classes.
    early_stopping
        Whether to hold out records and to stop when their loss has not fallen for `patience` passes. The best weights
        are kept; `n_epochs_` is the number of passes that they took.
    validation_fraction
        Share of the records that is held out.
    patience
        Passes without a smaller loss before the training stops.
    random_state
        Seed of the initialisation, shuffling, dropout and choice of held-out records.

    References
    ----------
    The target of Shokri et al. (2017), section VI-C, has one hidden layer of 128 tanh units. Kingma and Ba (2015),
    "Adam: A Method for Stochastic Optimization", algorithm 1. Srivastava et al. (2014), "Dropout", section 4.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = MLPClassifier(hidden=(16,), epochs=50, learning_rate=0.01, random_state=0).fit(X, X[:, 0] > 0)
    >>> model.predict_proba(X[:3]).shape, model.score(X, X[:, 0] > 0) > 0.9
    ((3, 2), True)
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        **NetworkClassifier.parameter_checks,
        "hidden": each(whole_number(1)),
        "activation": one_of("tanh", "relu"),
        "dropout": number(0, 1),
    }

    def __init__(
        self,
        hidden: tuple[int, ...] = (128,),
        activation: Literal["tanh", "relu"] = "tanh",
        epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 0.001,
        l2: float = 0.0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.hidden = hidden
        self.activation = activation
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.l2 = l2
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    def _initial(self, rng: np.random.RandomState) -> Layers:
        units = [self.n_features_in_, *np.atleast_1d(self.hidden).tolist(), self._n_outputs]
        return [glorot(rng, m, n, (m, n)) for m, n in pairwise(units)]

    def _first_layers(self, X: Floats, n_networks: int) -> Any:
        if self.dropout:  # only `jax_training` has dropout
            return None
        if np.size(self.hidden) and is_sparse_bits(X):
            from umbrameter.networks.cpu_bits import Bits

            return Bits(X, self.records_a_step(len(X)))
        from umbrameter.networks.cpu_training import Dense

        return Dense(X)

    def _network(self) -> Any:
        from umbrameter.networks import jax_training

        return jax_training.Dense(self.activation, self.dropout)

    def _answerer(self) -> Callable[[Floats], Floats]:
        layers = list(zip(self.coefs_, self.intercepts_, strict=True))

        def answer(X: Floats) -> Floats:
            for weights, biases in layers[:-1]:
                # The product is a new array, which the next lines may overwrite.
                X = X @ weights
                X += biases
                _ = np.tanh(X, out=X) if self.activation == "tanh" else np.maximum(X, 0, out=X)
            return np.asarray(X @ layers[-1][0] + layers[-1][1])

        return answer


def is_sparse_bits(X: Floats) -> bool:
    """Return whether all values are 0 or 1, with so few ones that summing over them is faster."""
    n_set = np.count_nonzero(X)
    return bool(n_set < BITS_BELOW * X.size and np.count_nonzero(X == 1) == n_set)
