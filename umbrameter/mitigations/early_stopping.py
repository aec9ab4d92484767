"""Early stopping: training ends when the score on held-out records stops improving.

Prechelt (1998), "Early Stopping - but when?", in Neural Networks: Tricks of the Trade.
"""

from typing import Any, Literal

from pydantic import Field

from umbrameter.mitigations.base import InTraining, last_step, with_params


class EarlyStopping(InTraining):
    """Hold out part of the training records, and stop when their score has not improved for `patience` passes.

    Examples
    --------
    >>> from umbrameter.networks import MLPClassifier
    >>> EarlyStopping(patience=5).wrap(MLPClassifier())
    MLPClassifier(early_stopping=True, patience=5)
    """

    kind: Literal["early_stopping"] = Field("early_stopping", description="Training that stops early.")
    patience: int = Field(10, ge=1, description="Passes (boosting rounds) without improvement.", examples=[5])
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of the training records held out.", examples=[0.2]
    )

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        share = "" if self.validation_fraction == 0.1 else f", validation_fraction={self.validation_fraction:g}"
        return f"early_stopping({self.patience}{share})"

    def wrap(self, estimator: Any) -> Any:
        """Return a clone that stops early.

        Raises
        ------
        SpecError
            When the estimator cannot stop early.
        """
        known = last_step(estimator).get_params()
        patience = "n_iter_no_change" if "n_iter_no_change" in known else "patience"
        params = {patience: self.patience, "validation_fraction": self.validation_fraction}
        # GradientBoostingClassifier has no early_stopping: it stops early whenever n_iter_no_change is set
        if "early_stopping" in known or patience == "patience":
            params["early_stopping"] = True
        return with_params(estimator, "early_stopping", params)
