"""The mitigations, one per file; to add one, write its file here and add its class to `_Single`."""

from typing import Annotated, TypeAlias

from pydantic import Field, SerializeAsAny, WrapValidator

from umbrameter.dotted_paths import NamedKind, or_from_outside
from umbrameter.mitigations.base import (
    FittedPostHoc,
    InTraining,
    LearnedPostHoc,
    MitigatedClassifier,
    Mitigation,
    PostHoc,
    PrivacyClaim,
    answered,
    as_settings,
    wrapped,
)
from umbrameter.mitigations.composition import Composition
from umbrameter.mitigations.dp_sgd import DPSGD
from umbrameter.mitigations.dropout import Dropout
from umbrameter.mitigations.early_stopping import EarlyStopping
from umbrameter.mitigations.l2 import L2
from umbrameter.mitigations.label_only import LabelOnly
from umbrameter.mitigations.label_smoothing import LabelSmoothing
from umbrameter.mitigations.memguard import MemGuard
from umbrameter.mitigations.params import Params
from umbrameter.mitigations.rounding import Rounding
from umbrameter.mitigations.temperature import Temperature
from umbrameter.mitigations.top_k import TopK

_Single: TypeAlias = (
    TopK
    | LabelOnly
    | Rounding
    | Temperature
    | MemGuard
    | L2
    | Params
    | EarlyStopping
    | Dropout
    | LabelSmoothing
    | DPSGD
)

SingleMitigation = Annotated[
    _Single, Field(discriminator="kind"), SerializeAsAny(), WrapValidator(or_from_outside(Mitigation)), NamedKind()
]
"""Any mitigation but `Composition`; a class from another package is named by its dotted path."""

Composition.model_rebuild(_types_namespace={"SingleMitigation": SingleMitigation})

AnyMitigation = Annotated[
    _Single | Composition,
    Field(discriminator="kind"),
    SerializeAsAny(),
    WrapValidator(or_from_outside(Mitigation)),
    NamedKind(),
]
"""Any mitigation."""

__all__ = [
    "DPSGD",
    "L2",
    "AnyMitigation",
    "Composition",
    "Dropout",
    "EarlyStopping",
    "FittedPostHoc",
    "InTraining",
    "LabelOnly",
    "LabelSmoothing",
    "LearnedPostHoc",
    "MemGuard",
    "MitigatedClassifier",
    "Mitigation",
    "Params",
    "PostHoc",
    "PrivacyClaim",
    "Rounding",
    "SingleMitigation",
    "Temperature",
    "TopK",
    "answered",
    "as_settings",
    "wrapped",
]
