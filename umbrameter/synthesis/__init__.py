"""Where shadow models' records come from, one file each; a new one is a file here and a name in `AnyShadowData`."""

from typing import Annotated

from pydantic import Field

from umbrameter.synthesis.base import Drawing, ShadowData
from umbrameter.synthesis.marginal import Marginal, Marginals
from umbrameter.synthesis.model_based import ModelBased
from umbrameter.synthesis.noisy import Noisy
from umbrameter.synthesis.real import Real

AnyShadowData = Annotated[Real | Noisy | Marginal | ModelBased, Field(discriminator="kind")]

__all__ = ["AnyShadowData", "Drawing", "Marginal", "Marginals", "ModelBased", "Noisy", "Real", "ShadowData"]
