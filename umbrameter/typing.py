"""Names for the types that travel between modules."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


class Classifier(Protocol):
    """What umbrameter asks of a model: the scikit-learn classifier's interface."""

    classes_: Array

    def fit(self, X: Array, y: Array) -> "Classifier":
        """Train on `X` of shape (n_records, n_features) and integer labels `y`."""

    def predict_proba(self, X: Array) -> Array:
        """Return prediction vectors of shape (n_records, len(classes_))."""
