"""L2: a penalty on large weights makes training fit single records less (Shokri et al. 2017, section IX).

The loss is mean cross entropy + λ · sum of squared weights, biases free: λ means the same for every estimator.
Each estimator's own parameter follows from λ and the number of training records n:

- scikit-learn's `MLPClassifier`, and our networks, weight the sum by alpha / (2 b) in a step on b records:
  alpha (`l2` in ours) = 2 λ b;
- `LogisticRegression` minimises C · summed loss + half the sum: C = 1 / (2 λ n);
- `SGDClassifier` weights the sum by alpha / 2: alpha = 2 λ.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import InTraining, WrappedClassifier, last_step
from umbrameter.typing import Array, Floats

Penalty = Callable[[Any, float, int], dict[str, float]]
"""Maps an estimator, λ and the number of training records to the estimator's own penalty parameter."""


class L2(InTraining):
    """Train with a penalty on squared weights.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> L2(0.01).wrap(LogisticRegression(max_iter=1000)).fit(X, y).estimator_.C
    0.333...
    """

    kind: Literal["l2"] = Field("l2", description="The target trained with a penalty on squared weights.")
    weight: float = Field(
        gt=0, description="λ: mean cross entropy + λ · sum of squared weights is minimised.", examples=[0.001]
    )

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"l2({self.weight:g})"

    def wrap(self, estimator: Any) -> "L2Classifier":
        """Return a classifier that trains with the penalty.

        Raises
        ------
        SpecError
            When the estimator has no penalty on its weights.
        """
        penalty(estimator)  # refuses now, rather than in the middle of an audit
        return L2Classifier(estimator, self.weight)


def penalty(estimator: Any) -> Penalty:
    """Return the function that computes an estimator's own penalty parameter from λ.

    Raises
    ------
    SpecError
        When the estimator has no penalty on squared weights.
    """
    last = last_step(estimator)
    for parent in type(last).__mro__:  # by name, so that no estimator's module is loaded just to compare types
        name = f"{parent.__module__.partition('.')[0]}.{parent.__name__}"
        if name in _PENALTIES and getattr(last, "loss", "log_loss") == "log_loss":
            return _PENALTIES[name]
    raise SpecError(
        f"mitigation l2: {type(last).__name__} has no penalty on the squares of its weights; it is for "
        "mlp, cnn, logistic_regression, and scikit-learn's MLPClassifier and SGDClassifier(loss='log_loss')"
    )


def _of_network(network: Any, weight: float, n_records: int) -> dict[str, float]:
    return {"l2": 2 * weight * network.records_a_step(n_records)}


def _of_sklearn_network(network: Any, weight: float, n_records: int) -> dict[str, float]:
    batch = 200 if network.batch_size == "auto" else int(network.batch_size)  # "auto" is min(200, n_records)
    return {"alpha": 2 * weight * min(batch, n_records)}


def _of_logistic_regression(_model: Any, weight: float, n_records: int) -> dict[str, float]:
    return {"C": 1 / (2 * weight * n_records)}


def _of_sgd(_model: Any, weight: float, _n_records: int) -> dict[str, float]:
    return {"alpha": 2 * weight}


_PENALTIES: dict[str, Penalty] = {
    "umbrameter.NetworkClassifier": _of_network,
    "sklearn.MLPClassifier": _of_sklearn_network,
    "sklearn.LogisticRegression": _of_logistic_regression,
    "sklearn.SGDClassifier": _of_sgd,
}


class L2Classifier(WrappedClassifier):
    """A classifier whose penalty on squared weights is set once the number of training records is known.

    Parameters
    ----------
    estimator
        The classifier, or a pipeline that ends in one.
    weight
        λ; see `L2`.
    """

    def __init__(self, estimator: Any, weight: float = 0.001):
        self.estimator = estimator
        self.weight = weight

    def predict_proba(self, X: Array) -> Floats:
        """Return prediction vectors, shape (n_records, n_classes)."""
        answers: Floats = self._fitted.predict_proba(X)
        return answers

    def _prepared(self, estimator: Any, X: Array) -> Any:
        # sparse matrices have a shape but no length
        last, n_records = last_step(estimator), X.shape[0] if hasattr(X, "shape") else len(np.asarray(X))
        last.set_params(**penalty(estimator)(last, self.weight, max(1, n_records)))
        return estimator
