"""Attacks that compare the target's answer about a record with shadow models' answers about the same record."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import Input, ReferenceLogits
from umbrameter.attacks.signals import References, Signals
from umbrameter.typing import Bools, Floats

HELD_OUT = 16
"""Shadow models that are attacked in turn to choose a threshold, at most: more would hardly move it."""


class ReferenceAttack(Attack):
    """An attack that needs shadow models' answers about the audited records themselves."""

    mode: str
    sees: ClassVar[str]
    """The part of an answer that the attack uses, as `assumption` names it."""

    @property
    def label(self) -> str:
        """The attack's name with its mode, such as `lira(online)`."""
        return f"{super().label}({self.mode})"

    @property
    def logits(self) -> ReferenceLogits:
        """The shadow models' logits to compare the target's with; online attacks need IN and OUT models."""
        return ReferenceLogits(self.logit_temperature, "IN and OUT" if self.mode == "online" else "OUT")

    @property
    def inputs(self) -> frozenset[Input]:
        """The reference logits alone."""
        return frozenset({self.logits})

    @property
    def compares_records(self) -> bool:
        """True: a record's score depends on the other audited records."""
        return True

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do, by the mode."""
        training = (
            "trains shadow models with and without each audited record, as the owner of the model can"
            if self.mode == "online"
            else "trains shadow models on other records of the same distribution"
        )
        return f"the attacker sees {self.sees}, knows the record's true label and the kind of model, and {training}"

    @property
    def logit_temperature(self) -> float:
        """The temperature at which answers are compared."""
        return 1.0

    @abstractmethod
    def compare(self, logits: Floats, references: References) -> Floats:
        """Return the scores of records from their scaled logits under the attacked model, shape (n_records,).

        The references' logits are taken at the same temperature, `logit_temperature`.
        """

    def score(self, signals: Signals) -> Floats:
        """Return the score of each audited record, shape (n_records,).

        Raises
        ------
        ValueError
            When the signals have no reference logits at the temperature.
        """
        t = self.logit_temperature
        if t not in signals.references:
            text = f"{self.label} needs signals.references[{t:g}]: shadow models' logits of the audited records"
            raise ValueError(text)
        return self.compare(signals.logit(t), signals.references[t])

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the scores of shadow models' records, each model attacked with all others as references.

        Return None for fewer than three models: at least two references are needed for a variance.
        """
        # calibration has IN and OUT records where the audited ones are OUT of every model
        known = (signals.calibration or signals.references).get(self.logit_temperature)
        if known is None or len(known.logits) < 3:
            return None
        # evenly spaced, so that every kind of model of a mixed design takes part
        chosen = np.unique(np.linspace(0, len(known.logits) - 1, HELD_OUT).astype(int))
        scores = [self.compare(known.logits[model], known.without(model)) for model in chosen]
        return np.concatenate(scores), known.is_in[chosen].ravel()
