"""The kinds of shadow data, one file each; a new one is a file here and a name in `AnyShadowData`."""

from typing import Annotated

from pydantic import Field, SerializeAsAny, WrapValidator

from umbrameter.dotted_paths import NamedKind, or_from_outside
from umbrameter.shadow_data.base import Drawing, ShadowData
from umbrameter.shadow_data.marginal import Marginal, Marginals
from umbrameter.shadow_data.model_based import ModelBased
from umbrameter.shadow_data.noisy import Noisy
from umbrameter.shadow_data.real import Real

AnyShadowData = Annotated[
    Real | Noisy | Marginal | ModelBased,
    Field(discriminator="kind"),
    SerializeAsAny(),
    WrapValidator(or_from_outside(ShadowData)),
    NamedKind(),
]
"""Any shadow data; classes of other packages are named by their dotted path."""

__all__ = ["AnyShadowData", "Drawing", "Marginal", "Marginals", "ModelBased", "Noisy", "Real", "ShadowData"]
