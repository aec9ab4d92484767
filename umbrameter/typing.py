"""Names for the types that travel between modules."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


class Answering(Protocol):
    """What umbrameter asks of a target: prediction vectors, and what their columns stand for."""

    classes_: Array

    def predict_proba(self, X: Array) -> Array:
        """Return prediction vectors of shape (n_records, len(classes_))."""


class Classifier(Answering, Protocol):
    """What umbrameter asks of a model that it trains: the scikit-learn classifier's interface."""

    def fit(self, X: Array, y: Array) -> "Classifier":
        """Train on `X` of shape (n_records, n_features) and integer labels `y`."""
