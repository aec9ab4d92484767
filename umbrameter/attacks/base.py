"""The interface that every attack implements."""

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
        """Everything the attack uses besides the target's answers on the audited records."""

    @property
    def needs_shadows(self) -> bool:
        """Whether the attack cannot run without shadow models."""
        return any(entry.needs_shadows for entry in self.inputs)

    @property
    def n_queries(self) -> int:
        """Queries to the target per record."""
        return 1

    @property
    def uses_confidences(self) -> bool:
        """Whether the attack uses more of an answer than the predicted class."""
        return True

    @property
    def has_class_thresholds(self) -> bool:
        """Whether the attack has per-class thresholds."""
        return False

    @property
    def compares_records(self) -> bool:
        """Whether a record's score depends on the other audited records."""
        return False

    @property
    @abstractmethod
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do, as a clause for the report."""

    def chosen(self, signals: Signals) -> "Attack":
        """Return the attack that computes the scores: this one, unless it chooses among several."""
        return self

    def prepared(self, signals: Signals) -> Signals:
        """Return the signals with everything that the attack fits on shadow models, so that it is fitted only once."""
        return signals

    @abstractmethod
    def score(self, signals: Signals) -> Floats:
        """Return the score of each audited record, shape (n_records,)."""

    def keeps_scores(self, signals: Signals, scores: Floats, order: Ints) -> bool:
        """Return whether records keep their scores when all or some of them are scored again in another order.

        Parameters
        ----------
        signals, scores
            The signals that were scored, and their scores, shape (n_records,).
        order
            Positions of the records to score again, in their new order.
        """
        # float32 sums round differently when the rows of a batch change
        return bool(np.allclose(self.score(signals.where(order)), scores[order], rtol=1e-4, atol=1e-6))

    @abstractmethod
    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the scores of shadow models' records, and which are IN; None when it cannot attack shadow models."""

    def threshold(self, signals: Signals) -> float | None:
        """Return the lowest score that the attack calls a member, chosen on shadow data alone; None without one."""
        shadow_scores = self.on_shadows(signals)
        if shadow_scores is None or not shadow_scores[1].any() or shadow_scores[1].all():
            return None
        return best_threshold(*shadow_scores)
