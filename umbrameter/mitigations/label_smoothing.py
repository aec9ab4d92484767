"""Label smoothing: training asks for less than certainty (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

from typing import Any, Literal

from pydantic import Field

from umbrameter.mitigations.base import InTraining, with_params


class LabelSmoothing(InTraining):
    """Train a network on labels mixed with equal shares of all classes.

    Examples
    --------
    >>> from umbrameter.networks import MLPClassifier
    >>> LabelSmoothing(0.1).wrap(MLPClassifier())
    MLPClassifier(label_smoothing=0.1)
    """

    kind: Literal["label_smoothing"] = Field("label_smoothing", description="The network trained on smoothed labels.")
    amount: float = Field(gt=0, lt=1, description="Share of the label that is spread over all classes.", examples=[0.1])

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"label_smoothing({self.amount:g})"

    def wrap(self, estimator: Any) -> Any:
        """Return a clone that smooths labels.

        Raises
        ------
        SpecError
            When the estimator has no label smoothing.
        """
        return with_params(estimator, "label_smoothing", {"label_smoothing": self.amount})
