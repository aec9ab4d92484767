"""What targets that were trained elsewhere share, and how any classifier's answers are brought into one form."""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.mitigations import LabelOnly, Rounding, TopK

Label: TypeAlias = str | int | bool

Answers = tuple[Annotated[TopK | Rounding | LabelOnly, Field(discriminator="kind")], ...]
"""What a target does to its answers before anybody sees them."""


class ExternalTarget(BaseModel):
    """A target that was trained elsewhere and is asked by this process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[Label, ...] | None = Field(
        None,
        min_length=2,
        description="The labels in the order of the answers' columns; those that the model itself names, if unset.",
    )
    answers: Answers = Field((), description="What the model is known to do to its answers, in order.")

    def does(self, *kinds: type) -> bool:
        """Return whether the target is known to do one of some things to its answers."""
        return any(isinstance(part, kinds) for part in self.answers)
