"""The modified entropy attack: an entropy that takes the true label into account.

score = (1 - p_y) log p_y + sum over i != y of p_i log(1 - p_i): 0 where the model is certain and right, and falling
without bound where it is certain and wrong.

Song, Mittal (2021), "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595, equation 7.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.pointwise import ClassThresholds
from umbrameter.predictions.vectors import TINY, Vectors
from umbrameter.typing import Floats


class ModifiedEntropy(ClassThresholds):
    """Score by the negative modified entropy.

    Examples
    --------
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 1]))
    >>> ModifiedEntropy().signal(vectors).round(2)
    array([-0.02, -0.69])
    """

    kind: Literal["modified_entropy"] = Field(
        "modified_entropy", description="Entropy that takes the label into account (Song, Mittal 2021)."
    )

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees whole prediction vectors, knows the record's true label and has records of the same "
            "distribution to train shadow models on, which set the thresholds"
        )

    def signal(self, vectors: Vectors) -> Floats:
        """Return (1 - p_y) log p_y + sum over i != y of p_i log(1 - p_i), shape (n_records,)."""
        p = vectors.predictions.astype(np.float64)
        at_label = np.arange(len(p)), vectors.labels
        # the largest float64 below 1 stands in for 1, whose log(1 - p) is infinite
        terms = p * np.log1p(-np.minimum(p, 1 - np.finfo(np.float64).eps / 2))
        others = 1 - p[at_label]
        terms[at_label] = others * np.log(np.maximum(p[at_label], TINY))
        return np.asarray(terms.sum(axis=1))
