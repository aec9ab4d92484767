"""Attacks that look at one answer at a time: a number a record, and a threshold from shadow data."""

from abc import abstractmethod

import numpy as np
from pydantic import Field

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import Input, ShadowVectors
from umbrameter.attacks.signals import Signals
from umbrameter.predictions.vectors import Vectors
from umbrameter.statistics.metrics import best_threshold
from umbrameter.typing import Bools, Floats


class PointwiseAttack(Attack):
    """An attack whose score of a record follows from the record's answer alone."""

    @abstractmethod
    def signal(self, vectors: Vectors) -> Floats:
        """Return a number a record, float64, higher for more likely a member, shape (n_records,)."""

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors set the threshold, if there are any."""
        return frozenset({ShadowVectors(is_required=False)})

    def score(self, signals: Signals) -> Floats:
        """Return the signal of each audited record, shape (n_records,)."""
        return self.signal(signals.target)

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the signals of the shadow vectors, and which were IN."""
        shadow = signals.shadow
        return None if shadow is None or shadow.is_in is None else (self.signal(shadow), shadow.is_in)


class ClassThresholds(PointwiseAttack):
    """A pointwise attack with a threshold of its own for each class: scores are distances from it.

    References
    ----------
    Song, Mittal (2021), arXiv 2003.10595, section 3.
    """

    per_class: bool = Field(True, description="A threshold for each class; one for all classes if false.")

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors, to set the thresholds."""
        return frozenset({ShadowVectors()})

    @property
    def has_class_thresholds(self) -> bool:
        """Whether the attack has a threshold for each class."""
        return self.per_class

    @property
    def label(self) -> str:
        """The attack's name, and whether one threshold serves all classes."""
        return super().label if self.per_class else f"{super().label}(global)"

    def score(self, signals: Signals) -> Floats:
        """Return the signal less its class's threshold; the signal alone with one threshold for all classes."""
        signal = self.signal(signals.target)
        return signal - self._thresholds(signals)[signals.target.labels] if self.per_class else signal

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the shadow vectors' scores, and which were IN."""
        found = super().on_shadows(signals)
        if found is None or signals.shadow is None or not self.per_class:
            return found
        return found[0] - self._thresholds(signals)[signals.shadow.labels], found[1]

    def threshold(self, signals: Signals) -> float | None:
        """Return 0 where scores are distances from thresholds, else the best on shadow vectors."""
        if not self.per_class:
            return super().threshold(signals)
        return None if signals.shadow is None or signals.shadow.is_in is None else 0.0

    def _thresholds(self, signals: Signals) -> Floats:
        """Return each class's threshold; that of all classes for a class without IN or OUT vectors."""
        n_classes, found = signals.target.predictions.shape[1], super().on_shadows(signals)
        if found is None or signals.shadow is None:
            return np.zeros(n_classes)
        values, is_in = found
        thresholds = np.full(n_classes, _best(values, is_in))
        for label in np.unique(signals.shadow.labels):
            own = signals.shadow.labels == label
            if is_in[own].any() and not is_in[own].all():
                thresholds[label] = _best(values[own], is_in[own])
        return thresholds


def _best(values: Floats, is_in: Bools) -> float:
    """Return the best threshold, made finite: just above all values where it is best to call nobody."""
    return float(np.clip(best_threshold(values, is_in), values.min(), np.nextafter(values.max(), np.inf)))
