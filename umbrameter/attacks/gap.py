"""The gap attack: a record that the model classifies correctly is called a member. Every other attack has to beat it.

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
    """Score 1 for a correctly classified record, else 0.

    Examples
    --------
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    >>> Gap().score(Signals(vectors))
    array([1., 0.])
    """

    kind: Literal["gap"] = Field("gap", description="Whether the model classifies the record correctly (Yeom 2018).")

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return "the attacker sees only the predicted class and knows the record's true label"

    @property
    def uses_confidences(self) -> bool:
        """False: the attack uses the predicted class alone."""
        return False

    def signal(self, vectors: Vectors) -> Floats:
        """Return 1 where the predicted class is the label, else 0, shape (n_records,)."""
        return np.asarray(vectors.predictions.argmax(axis=1) == vectors.labels, dtype=np.float64)

    def threshold(self, signals: Signals) -> float | None:
        """Return 1: a correctly classified record is called a member."""
        return 1.0
