"""Types that are shared between modules: arrays by what they hold, and the interfaces of models."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


class Answering(Protocol):
    """The interface that umbrameter needs of a target: prediction vectors, and the classes of their columns."""

    classes_: Array

    def predict_proba(self, X: Array) -> Array:
        """Return prediction vectors of shape (n_records, len(classes_))."""


class Classifier(Answering, Protocol):
    """The interface that umbrameter needs of a model that it trains: a scikit-learn classifier's."""

    def fit(self, X: Array, y: Array) -> "Classifier":
        """Train on `X` of shape (n_records, n_features) and integer labels `y`."""
