"""Differentially private training: each record moves the weights only a little, and noise hides how much.

Each record's gradient is clipped to a norm, and Gaussian noise in proportion to that norm is added to their sum.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang (2016), "Deep Learning with Differential Privacy",
arXiv 1607.00133, algorithm 1.
"""

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import InTraining, PrivacyClaim


class DPSGD(InTraining):
    """Train a network with (epsilon, delta)-differential privacy.

    Examples
    --------
    >>> from umbrameter.networks import MLPClassifier
    >>> DPSGD(epsilon=4, sampling_rate=0.5).wrap(MLPClassifier(epochs=30))
    PrivateMLPClassifier(epochs=30, epsilon=4.0, sampling_rate=0.5)
    """

    # None of its settings is required, but one of two.
    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "dp_sgd", "epsilon": 4.0}]})

    claims_privacy: ClassVar[bool] = True
    kind: Literal["dp_sgd"] = Field("dp_sgd", description="The network trained with differential privacy.")
    epsilon: float | None = Field(
        None, gt=0, description="Largest epsilon of the guarantee; or give noise_multiplier.", examples=[4.0]
    )
    delta: float = Field(
        1e-5, gt=0, lt=1, description="Delta of the guarantee; well below 1 / n_records.", examples=[1e-06]
    )
    noise_multiplier: float | None = Field(
        None, gt=0, description="Standard deviation of the noise, in clipping norms; or give epsilon.", examples=[1.1]
    )
    clip_norm: float = Field(1.0, gt=0, description="The largest norm of one record's gradient.", examples=[0.5])
    sampling_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Probability that a record is in a step's batch; follows from batch_size if unset.",
        examples=[0.05],
    )
    epochs: int | None = Field(
        None, ge=1, description="Passes over the records, on average; the network's if unset.", examples=[30]
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Adam's step size; the network's if unset.", examples=[0.01]
    )
    reproducible: bool = Field(
        False,
        description="Draw the target's noise from the spec's seed, for reruns that are equal to the last bit: whoever "
        "knows the seed then knows the noise, and the claim of privacy is withdrawn.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "DPSGD":
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError(
                f"epsilon={self.epsilon}, noise_multiplier={self.noise_multiplier}: give the one or the other"
            )
        return self

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        settings = {
            n: v for n in type(self).model_fields if (v := getattr(self, n)) != type(self).model_fields[n].default
        }
        words = ("reproducible" if v is True else f"{name}={v:g}" for name, v in settings.items())
        return f"dp_sgd({', '.join(words)})"

    @property
    def needs_secret(self) -> bool:
        """Whether the target's noise and batches are drawn with a secret from the operating system."""
        return not self.reproducible

    def wrap(self, estimator: Any) -> Any:
        """Return a network of the same shape that trains privately.

        Raises
        ------
        SpecError
            When the estimator is not one of our networks, or follows steps that learn from records without privacy.
        """
        from umbrameter.networks import CNNClassifier, MLPClassifier
        from umbrameter.networks.private import PrivateCNNClassifier, PrivateMLPClassifier

        if hasattr(estimator, "steps"):
            raise SpecError(
                f"mitigation dp_sgd: {estimator.steps[0][0]} comes before the network and would learn from the records "
                "outside the guarantee; use features that need no such step, such as bits"
            )
        kinds: dict[type, Any] = {MLPClassifier: PrivateMLPClassifier, CNNClassifier: PrivateCNNClassifier}
        if type(estimator) not in kinds:  # exact types: a subclass may train in ways that are not accounted for
            raise SpecError(
                f"mitigation dp_sgd: {type(estimator).__name__} cannot be trained privately here; it is for the "
                "networks mlp and cnn"
            )
        settings = self.model_dump(exclude={"kind", "reproducible"})
        shared = {n: settings.pop(n) or getattr(estimator, n) for n in ("epochs", "learning_rate")}
        return kinds[type(estimator)](**estimator.get_params() | shared | settings)

    def guarantee(self, model: Any) -> PrivacyClaim | None:
        """Return the guarantee of a fitted network's training; epsilon is the accountant's, never the request."""
        if not hasattr(model, "accountant_"):
            return None
        return PrivacyClaim(**{name: getattr(model, f"{name}_") for name in PrivacyClaim.model_fields})
