"""The entropy attack: score = -H(p), so that a confident answer points to a member.

Shokri et al. (2017), arXiv 1610.05820; with per-class thresholds: Song, Mittal (2021), arXiv 2003.10595, section 3.
"""

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import xlogy

from umbrameter.attacks.pointwise import ClassThresholds
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Floats


class Entropy(ClassThresholds):
    """Score by the negative entropy of the prediction vector.

    Examples
    --------
    >>> vectors = Vectors(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1]))
    >>> Entropy().signal(vectors).round(2)
    array([ 0.  , -0.69])
    """

    kind: Literal["entropy"] = Field("entropy", description="Entropy of the prediction vector (Song, Mittal 2021).")

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees whole prediction vectors and has records of the same distribution to train shadow "
            "models on, which set the thresholds; the record's true label only selects the threshold"
        )

    def signal(self, vectors: Vectors) -> Floats:
        """Return sum_i p_i log p_i, shape (n_records,)."""
        p = vectors.predictions.astype(np.float64)
        return np.asarray(xlogy(p, p).sum(axis=1))
