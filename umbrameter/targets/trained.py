"""A target that the audit trains itself."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from umbrameter.estimators import Estimator
from umbrameter.mitigations import LabelOnly, PostHoc
from umbrameter.targets.base import Target


class TrainedTarget(Target):
    """A classifier trained by the audit on the members, so that membership is known for certain.

    Examples
    --------
    >>> TrainedTarget(estimator={"kind": "random_forest"}).trained_here
    True
    """

    trained_here: ClassVar[bool] = True

    kind: Literal["train"] = Field("train", description="Trained by the audit on the members.")
    estimator: Estimator = Field(description="The classifier to train; shadow models are of the same kind.")
    answers: tuple[LabelOnly, ...] = Field(
        (), max_length=1, description="`[{kind: label_only}]` if nobody sees more of the answers than the label."
    )

    @field_validator("estimator")
    @classmethod
    def _storable(cls, estimator: Estimator) -> Estimator:
        estimator.check_storable()
        return estimator

    @property
    def estimator_here(self) -> Estimator | None:
        """The estimator that the audit trains."""
        return self.estimator.resolved()

    @property
    def released_answers(self) -> tuple[PostHoc, ...]:
        """The mitigations that it applies to its answers before it releases them, in order."""
        return self.answers
