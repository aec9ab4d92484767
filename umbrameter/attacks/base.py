"""What an attack sees and what every attack is."""

from abc import ABC, abstractmethod

import numpy as np
from pydantic import BaseModel, ConfigDict

from umbrameter.attacks.inputs import Input
from umbrameter.attacks.signals import Signals
from umbrameter.statistics.metrics import best_threshold
from umbrameter.typing import Bools, Floats, Ints


class Attack(BaseModel, ABC):
    """A membership-inference attack. Higher scores mean more likely a member, everywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def label(self) -> str:
        """The attack's name in reports, unique within an audit."""
        return str(getattr(self, "kind", ""))

    @property
    @abstractmethod
    def inputs(self) -> frozenset[Input]:
        """All that the attack looks at beside the target's answers on the audited records."""

    @property
    def needs_shadows(self) -> bool:
        """Whether the attack cannot be made without shadow models."""
        return any(entry.needs_shadows for entry in self.inputs)

    @property
    def n_queries(self) -> int:
        """Queries to the target for each record."""
        return 1

    @property
    def uses_confidences(self) -> bool:
        """Whether the attack looks at more of an answer than its label."""
        return True

    @property
    def has_class_thresholds(self) -> bool:
        """Whether the attack has a threshold for each class."""
        return False

    @property
    def compares_records(self) -> bool:
        """Whether a record's score depends on the other audited records."""
        return False

    @property
    @abstractmethod
    def assumption(self) -> str:
        """Which knowledge the attack assumes, in words for the report."""

    def chosen(self, signals: Signals) -> "Attack":
        """Return the attack that scores: this one, unless it is one that chooses."""
        return self

    def prepared(self, signals: Signals) -> Signals:
        """Return the signals with all that the attack fits on shadow models, so that it fits that once."""
        return signals

    @abstractmethod
    def score(self, signals: Signals) -> Floats:
        """Return a score for each of the target's records, shape (n_records,)."""

    def keeps_scores(self, signals: Signals, scores: Floats, order: Ints) -> bool:
        """Return whether records, some or all of them in another order, have the scores that they had.

        Parameters
        ----------
        signals, scores
            What was scored, and the scores.
        order
            The records' places, in the order in which they are scored again.
        """
        return bool(np.allclose(self.score(signals.where(order)), scores[order], rtol=1e-4, atol=1e-6))

    @abstractmethod
    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the scores where the attack is turned on shadow models, and who is IN; None when it cannot be."""

    def threshold(self, signals: Signals) -> float | None:
        """Return the score from which on the attack says "member", from shadow data alone; None when it cannot."""
        found = self.on_shadows(signals)
        if found is None or not found[1].any() or found[1].all():
            return None
        return best_threshold(*found)
