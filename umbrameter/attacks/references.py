"""Attacks that hold a record's answer against other models' answers about the same record."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import Input, ReferenceLogits
from umbrameter.attacks.signals import References, Signals
from umbrameter.typing import Bools, Floats

HELD_OUT = 16
"""Shadow models that are attacked in turn to choose a threshold, at most: more would move it by little."""


class ReferenceAttack(Attack):
    """An attack that needs shadow models' answers about the audited records themselves."""

    mode: str
    sees: ClassVar[str]
    """What of the answer the attack looks at, in words."""

    @property
    def label(self) -> str:
        """The attack's name with its mode, such as `lira(online)`."""
        return f"{super().label}({self.mode})"

    @property
    def logits(self) -> ReferenceLogits:
        """The shadow models' logits that the target's are compared with; online attacks need both sides."""
        return ReferenceLogits(self.logit_temperature, "IN and OUT" if self.mode == "online" else "OUT")

    @property
    def inputs(self) -> frozenset[Input]:
        """The same, as a set."""
        return frozenset({self.logits})

    @property
    def compares_records(self) -> bool:
        """Whether a record's score depends on the other audited records: it does."""
        return True

    @property
    def assumption(self) -> str:
        """Which knowledge the attack assumes in its mode."""
        whose = (
            "trains shadow models with and without each audited record, as an auditor of one's own model can"
            if self.mode == "online"
            else "trains shadow models on other records of the same distribution"
        )
        return f"the attacker sees {self.sees}, knows the record's true label and the kind of model, and {whose}"

    @property
    def logit_temperature(self) -> float:
        """The temperature at which answers are compared."""
        return 1.0

    @abstractmethod
    def compare(self, logits: Floats, references: References) -> Floats:
        """Return the scores of records with these scaled logits under the attacked model, shape (n_records,).

        Those of `references` are taken at the same temperature, `logit_temperature`.
        """

    def score(self, signals: Signals) -> Floats:
        """Return the score of each audited record, shape (n_records,).

        Raises
        ------
        ValueError
            When there are no references.
        """
        t = self.logit_temperature
        if t not in signals.references:
            text = f"{self.label} needs signals.references[{t:g}]: shadow models' logits of the audited records"
            raise ValueError(text)
        return self.compare(signals.logit(t), signals.references[t])

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Turn the attack on shadow models, each held against all the others."""
        known = (signals.calibration or signals.references).get(self.logit_temperature)
        if known is None or len(known.logits) < 3:
            return None
        chosen = np.unique(np.linspace(0, len(known.logits) - 1, HELD_OUT).astype(int))
        scores = [self.compare(known.logits[model], known.without(model)) for model in chosen]
        return np.concatenate(scores), known.is_in[chosen].ravel()
