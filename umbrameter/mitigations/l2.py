"""L2: large weights cost, so that the training fits single records less (Shokri et al. 2017, section IX).

The loss is mean cross entropy + λ · sum of squared weights, biases free: one meaning of λ for every estimator. What an
estimator calls its penalty follows when the number of training records n is known:

- our networks and scikit-learn's `MLPClassifier`, whose step on b records has alpha / (2 b) before the sum: 2 λ b;
- `LogisticRegression`, C · summed loss + half the sum: C = 1 / (2 λ n);
- `SGDClassifier`, alpha / 2 before the sum: alpha = 2 λ.
"""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import InTraining, last_step
from umbrameter.typing import Array, Floats

Penalty = Callable[[Any, float, int], dict[str, float]]
"""From an estimator, λ and the number of records to the parameter that means it."""


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
    weight: float = Field(gt=0, description="λ: mean cross entropy + λ · sum of squared weights is minimised.")

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"l2({self.weight:g})"

    def wrap(self, estimator: Any) -> "L2Classifier":
        """Return a classifier that is trained with the penalty.

        Raises
        ------
        SpecError
            When the estimator has no penalty on its weights.
        """
        penalty(estimator)
        return L2Classifier(estimator, self.weight)


def penalty(estimator: Any) -> Penalty:
    """Return what an estimator's parameter is for λ.

    Raises
    ------
    SpecError
        When it has none.
    """
    last = last_step(estimator)
    for parent in type(last).__mro__:
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
    batch = 200 if network.batch_size == "auto" else int(network.batch_size)
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


def _has_proba(wrapper: "L2Classifier") -> bool:
    return hasattr(getattr(wrapper, "estimator_", wrapper.estimator), "predict_proba")


class L2Classifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier whose penalty on squared weights is set when the number of its records is known.

    Parameters
    ----------
    estimator
        The classifier, or a pipeline that ends in one.
    weight
        λ, as of `L2`.
    """

    def __init__(self, estimator: Any, weight: float = 0.001):
        self.estimator = estimator
        self.weight = weight

    def fit(self, X: Array, y: Array) -> "L2Classifier":
        """Fit a clone of the estimator with the penalty."""
        fitted = clone(self.estimator)
        last = last_step(fitted)
        last.set_params(**penalty(fitted)(last, self.weight, len(y)))
        self.estimator_ = fitted.fit(X, y)
        self.classes_ = self.estimator_.classes_
        return self

    @available_if(_has_proba)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Array) -> Floats:
        """Return prediction vectors, shape (n_records, n_classes)."""
        check_is_fitted(self)
        answers: Floats = self.estimator_.predict_proba(X)
        return answers

    def predict(self, X: Array) -> Array:
        """Return the most likely class of each record, shape (n_records,)."""
        check_is_fitted(self)
        labels: Array = self.estimator_.predict(X)
        return labels
