"""The inputs of attacks: typed values for all they use besides the target's answers on the audited records.

Belongs here: the inputs and their settings. Does not belong here: how an input is made or read (`umbrameter.steps`).
An attack from another package may bring its own input: a frozen dataclass that inherits `Input`, with the functions
that make and read it registered in `umbrameter.steps.inputs`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from umbrameter.records.noise import Noise

AnyInput = TypeVar("AnyInput", bound="Input")

Sides = Literal["OUT", "IN and OUT"]
"""Which shadow models have to answer about an audited record: those not trained on it, or both kinds."""


@dataclass(frozen=True)
class Input:
    """An input of an attack."""

    label: ClassVar[str]
    """A short name, for the docs and error messages."""

    from_shadows: ClassVar[bool] = False
    """Whether it comes from shadow models: a static attacker then takes it from unmitigated ones."""

    asks_target: ClassVar[bool] = False
    """Whether it takes queries to the target beyond those about the audited records."""

    from_vectors: ClassVar[bool] = False
    """Whether it needs shadow models' answers merged class by class."""

    @property
    def needs_shadows(self) -> bool:
        """Whether an attack with this input cannot run without shadow models."""
        return self.from_shadows


@dataclass(frozen=True)
class ShadowVectors(Input):
    """Shadow models' prediction vectors, each marked IN or OUT.

    Parameters
    ----------
    is_required
        False if the attack only sets its threshold on them, and runs without them too.
    """

    label: ClassVar[str] = "shadow vectors"
    from_shadows: ClassVar[bool] = True
    from_vectors: ClassVar[bool] = True
    is_required: bool = True

    @property
    def needs_shadows(self) -> bool:
        """Whether an attack with this input cannot run without shadow models."""
        return self.is_required


@dataclass(frozen=True)
class AttackModels(Input):
    """Per-class classifiers, which the attack's `fit` trains on shadow vectors in a step of its own."""

    label: ClassVar[str] = "attack models"
    from_shadows: ClassVar[bool] = True
    from_vectors: ClassVar[bool] = True


@dataclass(frozen=True)
class ReferenceLogits(Input):
    """Shadow models' scaled logits of the audited records themselves.

    Parameters
    ----------
    temperature
        Temperature of the shadow models' and of the target's logits.
    sides
        Which shadow models are needed.
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
