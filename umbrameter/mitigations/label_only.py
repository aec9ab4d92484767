"""Label only: the answer is the predicted class and nothing else (Shokri et al. 2017, section IX)."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.mitigations.base import PostHoc, WrappedClassifier
from umbrameter.typing import Array, Floats


class LabelOnly(PostHoc):
    """Answer 1 for the predicted class and 0 for the others; in a tie the earlier class wins.

    Examples
    --------
    >>> import numpy as np
    >>> LabelOnly().transform(np.array([[0.2, 0.7, 0.1]]))
    array([[0., 1., 0.]])
    """

    hides_confidences: ClassVar[bool] = True
    kind: Literal["label_only"] = Field("label_only", description="Answers that hold the predicted class only.")

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return "label_only"

    def transform(self, predictions: Floats) -> Floats:
        """Return one-hot vectors of the predicted classes."""
        out = np.zeros_like(predictions)
        out[np.arange(len(predictions)), predictions.argmax(axis=1)] = 1
        return out


class LabelClassifier(WrappedClassifier):
    """A classifier that answers labels alone, with the interface of one that answers probabilities.

    Parameters
    ----------
    estimator
        A classifier without `predict_proba`.

    Examples
    --------
    >>> from sklearn.linear_model import Perceptron
    >>> LabelClassifier(Perceptron()).fit([[0.0], [1.0]], [3, 5]).predict_proba([[2.0], [-1.0]])
    array([[0., 1.],
           [1., 0.]])
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def predict_proba(self, X: Array) -> Floats:
        """Return 1 for the predicted class and 0 for the others, shape (n_records, n_classes)."""
        return np.asarray(np.asarray(self.predict(X))[:, None] == self.classes_, dtype=np.float64)
