"""The gap attack: a record that the model gets right is called a member. What any attack has to beat.

Yeom, Giacomelli, Fredrikson, Jha (2018), "Privacy Risk in Machine Learning", arXiv 1709.01604, section 3.2. Its
advantage is the gap between train and test accuracy.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.pointwise import PointwiseAttack
from umbrameter.attacks.signals import Signals
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Floats


class Gap(PointwiseAttack):
    """Score 1 for a record that the model gets right, else 0.

    Examples
    --------
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    >>> Gap().score(Signals(vectors))
    array([1., 0.])
    """

    kind: Literal["gap"] = Field("gap", description="Whether the model gets the record right (Yeom et al. 2018).")

    @property
    def assumption(self) -> str:
        """Which knowledge the attack assumes."""
        return "the attacker sees the model's label alone and knows the record's true one"

    @property
    def uses_confidences(self) -> bool:
        """Whether the attack looks at more of an answer than its label: it does not."""
        return False

    def signal(self, vectors: Vectors) -> Floats:
        """Return 1 where the largest confidence is that of the label, shape (n_records,)."""
        return np.asarray(vectors.predictions.argmax(axis=1) == vectors.labels, dtype=np.float64)

    def threshold(self, signals: Signals) -> float | None:
        """Return 1: right is called a member."""
        return 1.0
