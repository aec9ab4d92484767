"""What an attack looks at beside the target's answers on the audited records: typed values, declared once.

Belongs here: the inputs and what each says. Does not belong here: how an input is made or read (`umbrameter.steps`).
An attack from outside may bring an input of its own: a frozen dataclass that inherits `Input`, with the functions that
make and read it registered in `umbrameter.steps.inputs`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from umbrameter.records.noise import Noise

AnyInput = TypeVar("AnyInput", bound="Input")

Sides = Literal["OUT", "IN and OUT"]
"""Which shadow models answer about an audited record: those not trained on it, or those and others that were."""


@dataclass(frozen=True)
class Input:
    """Something that an attack looks at."""

    label: ClassVar[str]
    """The input in a few words, for the docs."""

    from_shadows: ClassVar[bool] = False
    """Whether it comes from shadow models, so that an attacker who ignores a mitigation has another one."""

    asks_target: ClassVar[bool] = False
    """Whether the target is asked about more than the audited records for it."""

    from_vectors: ClassVar[bool] = False
    """Whether shadow models' answers have to be merged class by class for it."""

    @property
    def needs_shadows(self) -> bool:
        """Whether the attack cannot be made without shadow models."""
        return self.from_shadows


@dataclass(frozen=True)
class ShadowVectors(Input):
    """Shadow models' prediction vectors, each marked IN or OUT.

    Parameters
    ----------
    is_required
        False where the attack only sets a threshold by them, if there are any.
    """

    label: ClassVar[str] = "shadow vectors"
    from_shadows: ClassVar[bool] = True
    from_vectors: ClassVar[bool] = True
    is_required: bool = True

    @property
    def needs_shadows(self) -> bool:
        """Whether the attack cannot be made without shadow models."""
        return self.is_required


@dataclass(frozen=True)
class AttackModels(Input):
    """A classifier for each class, fitted on shadow vectors in a step of its own by the attack's `fit`."""

    label: ClassVar[str] = "attack models"
    from_shadows: ClassVar[bool] = True
    from_vectors: ClassVar[bool] = True


@dataclass(frozen=True)
class ReferenceLogits(Input):
    """Shadow models' scaled logits of the audited records themselves.

    Parameters
    ----------
    temperature
        At which logits are taken; the target's are taken at the same.
    sides
        Which models are needed.
    """

    label: ClassVar[str] = "reference logits"
    from_shadows: ClassVar[bool] = True
    temperature: float = 1.0
    sides: Sides = "OUT"


@dataclass(frozen=True)
class Population(Input):
    """The target's answers on records that are not members, and the features of all records."""

    label: ClassVar[str] = "population"
    asks_target: ClassVar[bool] = True


@dataclass(frozen=True)
class NoisyLabels(Input):
    """How well the target's and the shadow models' labels withstand noise on the records.

    Parameters
    ----------
    noise
        How records are changed.
    """

    label: ClassVar[str] = "noisy labels"
    asks_target: ClassVar[bool] = True
    from_shadows: ClassVar[bool] = True
    noise: Noise


def of_kind(inputs: Iterable[Input], kind: type[AnyInput]) -> list[AnyInput]:
    """Return the inputs of one kind, in an order that does not depend on hashing.

    Examples
    --------
    >>> of_kind({Population(), ReferenceLogits(2.0), ReferenceLogits(1.0)}, ReferenceLogits)
    [ReferenceLogits(temperature=1.0, sides='OUT'), ReferenceLogits(temperature=2.0, sides='OUT')]
    """
    return sorted((entry for entry in inputs if isinstance(entry, kind)), key=repr)
