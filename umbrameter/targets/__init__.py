"""The kinds of target, one file each; a new one is a file here and a name in `AnyTarget`."""

from typing import Annotated

from pydantic import Field, SerializeAsAny, WrapValidator

from umbrameter.dotted_paths import or_from_outside
from umbrameter.targets.base import ExternalTarget, QueriedTarget, Target
from umbrameter.targets.endpoint import EndpointTarget
from umbrameter.targets.model_file import FileTarget
from umbrameter.targets.predictions import StoredTarget
from umbrameter.targets.python_object import GivenTarget
from umbrameter.targets.registry import RegistryTarget
from umbrameter.targets.trained import TrainedTarget

AnyTarget = Annotated[
    TrainedTarget | RegistryTarget | EndpointTarget | StoredTarget | GivenTarget | FileTarget,
    Field(discriminator="kind"),
    SerializeAsAny(),
    WrapValidator(or_from_outside(Target)),
]
"""Any target; classes of other packages are named by their dotted path."""

__all__ = [
    "AnyTarget",
    "EndpointTarget",
    "ExternalTarget",
    "FileTarget",
    "GivenTarget",
    "QueriedTarget",
    "RegistryTarget",
    "StoredTarget",
    "Target",
    "TrainedTarget",
]
