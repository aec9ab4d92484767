"""Attacks that score each record from the target's answer about it alone, with a threshold from shadow data."""

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
    """An attack whose score depends only on the target's answer about the record."""

    @abstractmethod
    def signal(self, vectors: Vectors) -> Floats:
        """Return one number per record, higher for more likely a member: float64, shape (n_records,)."""

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors, which only set the threshold and may be missing."""
        return frozenset({ShadowVectors(is_required=False)})

    def score(self, signals: Signals) -> Floats:
        """Return the signal of each audited record, shape (n_records,)."""
        return self.signal(signals.target)

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the signals of the shadow vectors, and which are IN."""
        shadow = signals.shadow
        return None if shadow is None or shadow.is_in is None else (self.signal(shadow), shadow.is_in)


class ClassThresholds(PointwiseAttack):
    """A pointwise attack with per-class thresholds: a score is the signal's distance from its class's threshold.

    References
    ----------
    Song, Mittal (2021), arXiv 2003.10595, section 3.
    """

    per_class: bool = Field(True, description="Whether each class has its own threshold; false: one for all classes.")

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors, to set the thresholds; one threshold for all classes changes no score, and may be missing."""
        return frozenset({ShadowVectors(is_required=self.per_class)})

    @property
    def has_class_thresholds(self) -> bool:
        """Whether the attack has per-class thresholds."""
        return self.per_class

    @property
    def label(self) -> str:
        """The attack's name, with `(global)` where one threshold serves all classes."""
        return super().label if self.per_class else f"{super().label}(global)"

    def score(self, signals: Signals) -> Floats:
        """Return the signal less its class's threshold; the plain signal if one threshold serves all classes."""
        signal = self.signal(signals.target)
        return _distance(signal, self._thresholds(signals)[signals.target.labels]) if self.per_class else signal

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the shadow vectors' scores, and which are IN."""
        shadow_signals = super().on_shadows(signals)
        if shadow_signals is None or signals.shadow is None or not self.per_class:
            return shadow_signals
        values, is_in = shadow_signals
        return _distance(values, self._thresholds(signals)[signals.shadow.labels]), is_in

    def threshold(self, signals: Signals) -> float | None:
        """Return 0 where scores are distances from thresholds, else the best threshold on shadow vectors."""
        if not self.per_class:
            return super().threshold(signals)
        return None if signals.shadow is None or signals.shadow.is_in is None else 0.0

    def _thresholds(self, signals: Signals) -> Floats:
        """Return the per-class thresholds; a class without IN or without OUT vectors gets the global one."""
        n_classes, shadow_signals = signals.target.predictions.shape[1], super().on_shadows(signals)
        if shadow_signals is None or signals.shadow is None:
            return np.zeros(n_classes)
        values, is_in = shadow_signals
        thresholds = np.full(n_classes, _best(values, is_in))
        for label in np.unique(signals.shadow.labels):
            rows = signals.shadow.labels == label
            if is_in[rows].any() and not is_in[rows].all():
                thresholds[label] = _best(values[rows], is_in[rows])
        return thresholds


def _best(values: Floats, is_in: Bools) -> float:
    """Return the best threshold; just above all values where it is best to call none a member."""
    return min(best_threshold(values, is_in), float(np.nextafter(values.max(), np.inf)))


def _distance(values: Floats, thresholds: Floats) -> Floats:
    """Return values less thresholds, and 0 at the threshold itself, also where both are infinite."""
    return np.subtract(values, thresholds, out=np.zeros_like(values), where=values != thresholds)
