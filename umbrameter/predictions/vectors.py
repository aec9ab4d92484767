"""Prediction vectors with their records' labels."""

from dataclasses import dataclass

import numpy as np

from umbrameter.typing import Bools, Floats, Ints

TINY = float(np.finfo(np.float32).tiny)
"""Stands in for a confidence of 0, so that logarithms stay finite."""


@dataclass(frozen=True)
class Vectors:
    """Prediction vectors with their records' labels.

    Parameters
    ----------
    predictions
        Probabilities, shape (n_records, n_classes).
    labels
        The records' classes, 0 to n_classes - 1, shape (n_records,).
    is_in
        Shadow vectors only: whether the record was in the training set of the model that answered, shape (n_records,).
    """

    predictions: Floats
    labels: Ints
    is_in: Bools | None = None

    def confidence(self) -> Floats:
        """Return each record's confidence in its own label, shape (n_records,)."""
        return self.predictions[np.arange(len(self.labels)), self.labels]

    def logit(self, temperature: float = 1.0) -> Floats:
        """Return each record's scaled logit, log p_y - log(sum of the other confidences), float64, shape (n_records,).

        The other confidences are summed, since 1 - p_y has no digits left where p_y is near 1.

        Parameters
        ----------
        temperature
            Confidences are raised to 1 / temperature first, as a softmax at that temperature would answer.

        References
        ----------
        Carlini et al. (2022), arXiv 2112.03570, section VI-A.
        """
        others = self.predictions.astype(np.float64)
        if temperature != 1:
            others **= 1 / temperature
        confidence = others[np.arange(len(others)), self.labels]
        others[np.arange(len(others)), self.labels] = 0
        return np.asarray(np.log(np.maximum(confidence, TINY)) - np.log(np.maximum(others.sum(axis=1), TINY)))

    def where(self, rows: Bools | Ints) -> "Vectors":
        """Return the vectors of the selected records."""
        return Vectors(self.predictions[rows], self.labels[rows], None if self.is_in is None else self.is_in[rows])
