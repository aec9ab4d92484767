"""Dropout: each training step leaves out hidden units at random (Srivastava et al. 2014, "Dropout").

Salem et al. (2019), arXiv 1806.01246, section V, measure how well it hinders membership inference.
"""

from typing import Any, Literal

from pydantic import Field

from umbrameter.mitigations.base import InTraining, with_params


class Dropout(InTraining):
    """Train a network with dropout.

    Examples
    --------
    >>> from umbrameter.networks import MLPClassifier
    >>> Dropout(0.5).wrap(MLPClassifier())
    MLPClassifier(dropout=0.5)
    """

    kind: Literal["dropout"] = Field("dropout", description="The network trained with dropout.")
    rate: float = Field(gt=0, lt=1, description="Share of hidden units left out of each step.", examples=[0.5])

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"dropout({self.rate:g})"

    def wrap(self, estimator: Any) -> Any:
        """Return a clone with dropout.

        Raises
        ------
        SpecError
            When the estimator has no dropout.
        """
        return with_params(estimator, "dropout", {"dropout": self.rate})
