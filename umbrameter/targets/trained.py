"""A target that is trained here, from a recipe."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.estimators import Estimator
from umbrameter.mitigations import Mitigation, wrapped
from umbrameter.typing import Classifier


class TrainedTarget(BaseModel):
    """A classifier trained by the audit on the members, so that membership is known for certain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["train"] = Field("train", description="Trained here on the members.")
    estimator: Estimator = Field(description="The classifier to train; shadow models are of the same kind.")

    def build(
        self,
        seed: int,
        mitigations: Sequence[Mitigation] = (),
        categorical: tuple[int, ...] = (),
        binary: bool = True,
    ) -> Classifier:
        """Return the unfitted classifier, mitigated.

        Parameters
        ----------
        seed
            Set as every `random_state` in it.
        mitigations
            What wraps it, in order.
        categorical, binary
            As of `Estimator.build`.
        """
        built: Classifier = wrapped(self.estimator.build(seed, categorical, binary), mitigations)
        return built
