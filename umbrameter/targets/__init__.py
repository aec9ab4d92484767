"""What is audited; a new kind of target is a file here and a name in `AnyTarget`."""

from typing import Annotated

from pydantic import Field

from umbrameter.targets.endpoint import EndpointTarget
from umbrameter.targets.given import GivenTarget
from umbrameter.targets.registry import RegistryTarget
from umbrameter.targets.stored import StoredTarget
from umbrameter.targets.train import TrainedTarget

AnyTarget = Annotated[
    TrainedTarget | RegistryTarget | EndpointTarget | StoredTarget | GivenTarget, Field(discriminator="kind")
]

__all__ = ["AnyTarget", "EndpointTarget", "GivenTarget", "RegistryTarget", "StoredTarget", "TrainedTarget"]
