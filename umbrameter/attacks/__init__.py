"""Attacks, one file each; a new one is a file here and a name in `AnyAttack`."""

from typing import Annotated

from pydantic import Field

from umbrameter.attacks.base import Attack, Signals, Vectors
from umbrameter.attacks.loss import Loss
from umbrameter.attacks.shokri import Shokri

AnyAttack = Annotated[Loss | Shokri, Field(discriminator="kind")]

__all__ = ["AnyAttack", "Attack", "Loss", "Shokri", "Signals", "Vectors"]
