"""The base classes of all targets.

Belongs here: the properties of a kind of target, so that no other code has to know its class. Does not belong here:
one kind of target (a file of its own), or how a target is queried (`querying`).
"""

from abc import ABC
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import TargetError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import LabelOnly, PostHoc, Rounding, TopK
from umbrameter.records.membership import Membership
from umbrameter.targets.connection import Connection, ConnectionContext

Label: TypeAlias = str | int | bool

ReleasedAnswers: TypeAlias = tuple[Annotated[TopK | Rounding | LabelOnly, Field(discriminator="kind")], ...]
"""The mitigations that a target applies to its answers before it releases them, in order."""


class Target(BaseModel, ABC):
    """The audited model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trained_here: ClassVar[bool] = False
    """Whether the audit trains it, on the members."""

    can_be_queried: ClassVar[bool] = True
    """Whether it can be asked about any record."""

    brings_recipe: ClassVar[bool] = False
    """Whether the shadow models' estimator may be read off it, once it is connected."""

    @property
    def estimator_here(self) -> Estimator | None:
        """The estimator that the audit trains; None for a target trained elsewhere."""
        return None

    @property
    def released_answers(self) -> tuple[PostHoc, ...]:
        """The mitigations that it applies to its answers before it releases them, in order."""
        return ()

    @property
    def membership(self) -> Membership | None:
        """The table that says which records are members, if the target itself provides one."""
        return None

    def connect(self, context: ConnectionContext) -> Connection:
        """Connect to a target trained elsewhere, and establish which model it is.

        Kinds that need a client library, such as one for HTTP, are connected in `tasks.external_targets` instead.

        Raises
        ------
        TargetError
            When there is no such target, or it does not answer.
        DataError
            When its answers do not fit the data.
        """
        kind = getattr(self, "kind", type(self).__name__)
        raise TargetError(
            f"target.kind={kind} can only be reached by the pipeline; run the audit with umbrameter audit"
        )


class ExternalTarget(Target):
    """A target trained elsewhere."""

    answers: ReleasedAnswers = Field((), description="What the model is known to do to its answers, in order.")

    @property
    def released_answers(self) -> tuple[PostHoc, ...]:
        """The mitigations that it applies to its answers before it releases them, in order."""
        return self.answers

    def does(self, *kinds: type[PostHoc]) -> bool:
        """Return whether the target is known to apply any of these kinds of mitigation to its answers."""
        return any(isinstance(part, kinds) for part in self.answers)


class QueriedTarget(ExternalTarget):
    """An external target that the orchestrating process queries, not the workers."""

    labels: tuple[Label, ...] | None = Field(
        None,
        min_length=2,
        description="The labels in the order of the answers' columns; the model's own if unset.",
    )
