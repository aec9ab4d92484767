"""Mitigations, one file each; a new one is a file here and a name in `AnyMitigation`."""

from typing import Annotated

from pydantic import Field

from umbrameter.mitigations.base import InTraining, MitigatedClassifier, Mitigation, PostHoc
from umbrameter.mitigations.label_only import LabelOnly
from umbrameter.mitigations.params import Params
from umbrameter.mitigations.rounding import Rounding
from umbrameter.mitigations.top_k import TopK

AnyMitigation = Annotated[Rounding | TopK | LabelOnly | Params, Field(discriminator="kind")]

__all__ = [
    "AnyMitigation",
    "InTraining",
    "LabelOnly",
    "MitigatedClassifier",
    "Mitigation",
    "Params",
    "PostHoc",
    "Rounding",
    "TopK",
]
