"""What an attack sees and what every attack is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from umbrameter.typing import Bools, Classifier, Floats, Ints

Need = Literal["target predictions", "shadow predictions"]


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

    def where(self, rows: Bools) -> "Vectors":
        """Return the vectors of some records."""
        return Vectors(self.predictions[rows], self.labels[rows], None if self.is_in is None else self.is_in[rows])


@dataclass(frozen=True)
class Signals:
    """All that an attack may look at: the target's answers and, if it needs them, the shadow models'.

    Parameters
    ----------
    target
        The target's answers on the audited records.
    shadow
        The shadow models' answers with known IN and OUT; None when the audit has no shadow models.
    seed
        Of the attack's own randomness.
    models
        Attack models fitted before, by class; an attack that finds one here does not fit it again.
    """

    target: Vectors
    shadow: Vectors | None = None
    seed: int = 0
    models: "Mapping[int, Classifier] | None" = None


class Attack(BaseModel, ABC):
    """A membership-inference attack. Higher scores mean more likely a member, everywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: ClassVar[Need]
    assumption: ClassVar[str]
    """Which knowledge the attack assumes, in words for the report."""

    @property
    def label(self) -> str:
        """The attack's name in reports, unique within an audit."""
        return str(getattr(self, "kind", ""))

    @abstractmethod
    def score(self, signals: Signals) -> Floats:
        """Return a score for each of the target's records, shape (n_records,)."""

    @abstractmethod
    def threshold(self, signals: Signals) -> float | None:
        """Return the score from which on the attack says "member", from shadow data alone; None when it cannot."""
