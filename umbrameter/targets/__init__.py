"""What is audited; a new kind of target is a file here and a name in `AnyTarget`."""

from typing import Annotated

from pydantic import Field

from umbrameter.targets.endpoint import EndpointTarget
from umbrameter.targets.predictions import StoredTarget
from umbrameter.targets.python_object import GivenTarget
from umbrameter.targets.registry import RegistryTarget
from umbrameter.targets.trained import TrainedTarget

AnyTarget = Annotated[
    TrainedTarget | RegistryTarget | EndpointTarget | StoredTarget | GivenTarget, Field(discriminator="kind")
]

__all__ = ["AnyTarget", "EndpointTarget", "GivenTarget", "RegistryTarget", "StoredTarget", "TrainedTarget"]
