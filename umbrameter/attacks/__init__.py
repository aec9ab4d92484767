"""Attacks, one file each; a new one is a file here and a name in `AnyAttack` (and `SingleAttack`)."""

from typing import Annotated

from pydantic import Field

from umbrameter.attacks.base import Attack
from umbrameter.attacks.combined import Combined
from umbrameter.attacks.confidence import Confidence
from umbrameter.attacks.entropy import Entropy
from umbrameter.attacks.gap import Gap
from umbrameter.attacks.label_only import LabelOnly
from umbrameter.attacks.lira import Lira
from umbrameter.attacks.loss import Loss
from umbrameter.attacks.modified_entropy import ModifiedEntropy
from umbrameter.attacks.quantile import Quantile
from umbrameter.attacks.rmia import Rmia
from umbrameter.attacks.shokri import Shokri
from umbrameter.attacks.signals import References, Signals
from umbrameter.predictions.vectors import Vectors

SingleAttack = Annotated[
    Gap | Loss | Confidence | Entropy | ModifiedEntropy | Shokri | Lira | Rmia | Quantile | LabelOnly,
    Field(discriminator="kind"),
]
AnyAttack = Annotated[
    Gap | Loss | Confidence | Entropy | ModifiedEntropy | Shokri | Lira | Rmia | Quantile | LabelOnly | Combined,
    Field(discriminator="kind"),
]
Combined.model_rebuild(_types_namespace={"SingleAttack": SingleAttack})

__all__ = [
    "AnyAttack",
    "Attack",
    "Combined",
    "Confidence",
    "Entropy",
    "Gap",
    "LabelOnly",
    "Lira",
    "Loss",
    "ModifiedEntropy",
    "Quantile",
    "References",
    "Rmia",
    "Shokri",
    "Signals",
    "SingleAttack",
    "Vectors",
]
