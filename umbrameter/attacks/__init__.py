"""The attacks, one per file; to add one, write its file here and add its class to `_Single`."""

from typing import Annotated, TypeAlias

from pydantic import Field, SerializeAsAny, WrapValidator

from umbrameter.attacks.base import Attack
from umbrameter.attacks.combined import Combined
from umbrameter.attacks.confidence import Confidence
from umbrameter.attacks.entropy import Entropy
from umbrameter.attacks.gap import Gap
from umbrameter.attacks.inputs import AttackModels, Input, NoisyLabels, Population, ReferenceLogits, ShadowVectors
from umbrameter.attacks.label_only import LabelOnly
from umbrameter.attacks.lira import Lira
from umbrameter.attacks.loss import Loss
from umbrameter.attacks.modified_entropy import ModifiedEntropy
from umbrameter.attacks.quantile import Quantile
from umbrameter.attacks.rmia import Rmia
from umbrameter.attacks.shokri import Shokri
from umbrameter.attacks.signals import References, Signals
from umbrameter.dotted_paths import NamedKind, or_from_outside
from umbrameter.predictions.vectors import Vectors

_Single: TypeAlias = Gap | Loss | Confidence | Entropy | ModifiedEntropy | Shokri | Lira | Rmia | Quantile | LabelOnly

SingleAttack = Annotated[
    _Single, Field(discriminator="kind"), SerializeAsAny(), WrapValidator(or_from_outside(Attack)), NamedKind()
]
"""Any attack but `Combined`; a class from another package is named by its dotted path."""

AnyAttack = Annotated[
    _Single | Combined,
    Field(discriminator="kind"),
    SerializeAsAny(),
    WrapValidator(or_from_outside(Attack)),
    NamedKind(),
]
"""Any attack."""

Combined.model_rebuild(_types_namespace={"SingleAttack": SingleAttack})

__all__ = [
    "AnyAttack",
    "Attack",
    "AttackModels",
    "Combined",
    "Confidence",
    "Entropy",
    "Gap",
    "Input",
    "LabelOnly",
    "Lira",
    "Loss",
    "ModifiedEntropy",
    "NoisyLabels",
    "Population",
    "Quantile",
    "ReferenceLogits",
    "References",
    "Rmia",
    "ShadowVectors",
    "Shokri",
    "Signals",
    "SingleAttack",
    "Vectors",
]
