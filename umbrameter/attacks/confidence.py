"""The confidence attack: score = p_y, the confidence in the record's label, with per-class thresholds.

Song, Mittal (2021), "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595, section 3.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.pointwise import ClassThresholds
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Floats


class Confidence(ClassThresholds):
    """Score by the confidence in the true label.

    Examples
    --------
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 1]))
    >>> Confidence().signal(vectors)
    array([0.9, 0.5])
    """

    kind: Literal["confidence"] = Field("confidence", description="Confidence in the true label (Song, Mittal 2021).")

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees the model's confidence in the record's true label and has records of the same "
            "distribution to train shadow models on, which set the thresholds"
        )

    def signal(self, vectors: Vectors) -> Floats:
        """Return p_y, shape (n_records,)."""
        return vectors.confidence().astype(np.float64)
