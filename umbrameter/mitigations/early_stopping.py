"""Early stopping: the training ends when records held out of it stop gaining.

Prechelt (1998), "Early Stopping - but when?", in Neural Networks: Tricks of the Trade.
"""

from typing import Any, Literal

from pydantic import Field

from umbrameter.mitigations.base import InTraining, last_step, with_params


class EarlyStopping(InTraining):
    """Hold out some of the training records, and stop when they have not gained for some passes.

    Examples
    --------
    >>> from umbrameter.networks import MLPClassifier
    >>> EarlyStopping(patience=5).wrap(MLPClassifier())
    MLPClassifier(early_stopping=True, patience=5)
    """

    kind: Literal["early_stopping"] = Field("early_stopping", description="The training ended early.")
    patience: int = Field(10, ge=1, description="Passes (rounds of boosting) without a gain after which it ends.")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="Share of the training records held out.")

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
            When the estimator cannot.
        """
        there = last_step(estimator).get_params()
        patience = "n_iter_no_change" if "n_iter_no_change" in there else "patience"
        params = {patience: self.patience, "validation_fraction": self.validation_fraction}
        if "early_stopping" in there or patience == "patience":  # gradient boosting stops wherever it has a patience
            params["early_stopping"] = True
        return with_params(estimator, "early_stopping", params)
