"""The modified entropy attack: an entropy that knows the label.

score = (1 - p_y) log p_y + sum over i != y of p_i log(1 - p_i): 0 for a record that the model is certain and right
about, falling without bound for one that it is certain and wrong about.

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
        "modified_entropy", description="Entropy that knows the label (Song, Mittal 2021)."
    )

    @property
    def assumption(self) -> str:
        """Which knowledge the attack assumes."""
        return (
            "the attacker sees whole prediction vectors, knows the record's true label and has records of the same "
            "distribution to train shadow models on, which set the thresholds"
        )

    def signal(self, vectors: Vectors) -> Floats:
        """Return (1 - p_y) log p_y + sum over i != y of p_i log(1 - p_i), shape (n_records,)."""
        p = vectors.predictions.astype(np.float64)
        of_label = np.arange(len(p)), vectors.labels
        terms = p * np.log1p(-np.minimum(p, 1 - np.finfo(np.float64).eps / 2))
        others = 1 - p[of_label]
        terms[of_label] = others * np.log(np.maximum(p[of_label], TINY))
        return np.asarray(terms.sum(axis=1))
