"""Other parameters: the same estimator trained with parameters that overfit less.

Membership inference feeds on overfitting (Yeom et al. 2018, arXiv 1709.01604), so the parameters that limit it (leaf
sizes, depths, penalties) are the first mitigation to try.
"""

from typing import Any, Literal

from pydantic import Field

from umbrameter.mitigations.base import InTraining, with_params


class Params(InTraining):
    """Train with other parameters.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> Params(params={"min_samples_leaf": 20}).wrap(DecisionTreeClassifier())
    DecisionTreeClassifier(min_samples_leaf=20)
    """

    kind: Literal["params"] = Field("params", description="The target trained with other parameters.")
    params: dict[str, Any] = Field(
        min_length=1,
        description="Parameters of the classifier by name; in a pipeline, of its last step.",
        examples=[{"min_samples_leaf": 20}],
    )

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"params({', '.join(f'{name}={value}' for name, value in self.params.items())})"

    def wrap(self, estimator: Any) -> Any:
        """Return a clone with the parameters set.

        Raises
        ------
        SpecError
            When the estimator has no such parameter, or refuses the value.
        """
        return with_params(estimator, "params", self.params)
