"""What every target is, and what the rest of an audit may ask about one.

Belongs here: properties that hold for a kind of target, so that nobody else has to know its class. Does not belong
here: one kind of target (a file of its own), or how a target is asked (`querying`).
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
"""What a target does to its answers before anybody sees them, in order."""


class Target(BaseModel, ABC):
    """The audited model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trained_here: ClassVar[bool] = False
    """Whether the audit trains it, on the members."""

    can_be_queried: ClassVar[bool] = True
    """Whether it can be asked about any record."""

    @property
    def estimator_here(self) -> Estimator | None:
        """The recipe that it is trained by here; None where it was trained elsewhere."""
        return None

    @property
    def released_answers(self) -> tuple[PostHoc, ...]:
        """What it does to its answers before anybody sees them, in order."""
        return ()

    @property
    def membership(self) -> Membership | None:
        """The table that says which records are members, where the target itself brings one."""
        return None

    def connect(self, context: ConnectionContext) -> Connection:
        """Find a target that was trained elsewhere, and return it with what tells it from every other.

        Kinds that need a client library, such as one for HTTP, are connected in `tasks.external_targets` instead.

        Raises
        ------
        TargetError
            When there is no such target, or it does not answer.
        DataError
            When its answers do not fit the data.
        """
        kind = getattr(self, "kind", type(self).__name__)
        raise TargetError(f"target.kind={kind} is reached by the pipeline alone; run the audit with umbrameter audit")


class ExternalTarget(Target):
    """A target that was trained elsewhere."""

    answers: ReleasedAnswers = Field((), description="What the model is known to do to its answers, in order.")

    @property
    def released_answers(self) -> tuple[PostHoc, ...]:
        """What it does to its answers before anybody sees them, in order."""
        return self.answers

    def does(self, *kinds: type[PostHoc]) -> bool:
        """Return whether the target is known to do one of some things to its answers."""
        return any(isinstance(part, kinds) for part in self.answers)


class QueriedTarget(ExternalTarget):
    """An external target that is asked by the process that orders the work."""

    labels: tuple[Label, ...] | None = Field(
        None,
        min_length=2,
        description="The labels in the order of the answers' columns; those that the model itself names, if unset.",
    )
