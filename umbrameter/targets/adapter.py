"""Any classifier's answers, brought into one form."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from umbrameter.errors import DataError, TargetError, brief
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.targets.base import ReleasedAnswers
from umbrameter.targets.columns import Columns, frame, masked
from umbrameter.typing import Array, Floats


class Adapted:
    """Somebody's classifier, asked for prediction vectors over the data's classes.

    Works with scikit-learn's interface (`predict_proba`, `classes_`) and skorch's, and with Keras's, where `predict`
    answers probabilities. Tables go in as data frames where the model wants names or there are categories, vectors as
    arrays.

    Parameters
    ----------
    model
        The fitted classifier.
    columns
        What the features are called.
    classes
        The data's classes.
    labels
        The labels of the answers' columns; the model's own `classes_` if None.
    answers
        What is known to happen to the answers.
    name
        What the model is called, for errors.
    """

    def __init__(
        self,
        model: Any,
        columns: Columns,
        classes: Sequence[Any],
        labels: Sequence[Any] | None = None,
        answers: ReleasedAnswers = (),
        name: str = "the model",
    ):
        self.model, self.columns, self.classes, self.name = model, columns, list(classes), name
        self.is_coarse = any(isinstance(part, TopK | Rounding) for part in answers)
        self._is_label_only = any(isinstance(part, LabelOnly) for part in answers)
        own = getattr(model, "classes_", None) if labels is None else labels
        columns_of = self.classes if own is None else np.asarray(own, dtype=object).tolist()
        known = [self._code(label) for label in columns_of]
        twice = [self.classes[code] for code in known if known.count(code) > 1]
        if twice:
            raise DataError(f"{name} has two columns of answers for the class {twice[0]!r}; correct target.labels")
        self.classes_ = np.array(known)
        if not callable(getattr(model, "predict_proba", None)) and not callable(getattr(model, "predict", None)):
            raise TargetError(f"{name} has neither predict_proba nor predict; give a fitted classifier")

    def predict_proba(self, X: Array) -> Floats:
        """Return answers, shape (n_records, n_known), one column for each of `classes_`.

        Raises
        ------
        TargetError
            When the model cannot be asked, or does not answer one vector of probabilities a record.
        """
        try:
            found = self._answered(self._given(X))
        except Exception as error:  # whatever somebody's model raises
            if isinstance(error, TargetError | MemoryError):
                raise
            texts = [text for values in self.columns.categories.values() for text in values]
            said = masked(brief(error, 5000), [np.unique(X).tolist(), texts])[:300]
            raise TargetError(
                f"{self.name} could not answer {len(X)} records: {type(error).__name__}: {said}; check that the data "
                "have the features it was trained on, of the same names and types"
            ) from None  # its own text may repeat the records
        return self._vectors(found, len(X))

    def _answered(self, given: Any) -> Array:
        if not self._is_label_only and callable(getattr(self.model, "predict_proba", None)):
            return np.asarray(self.model.predict_proba(given))
        return np.asarray(self.model.predict(given))

    def _given(self, X: Array) -> Any:
        """Return records as the model reads them."""
        names = getattr(self.model, "feature_names_in_", None)
        if not self.columns.categories and names is None:
            return X
        table = frame(X, self.columns)
        return table if names is None or not {*names} <= {*table.columns} else table[[*names]]

    def _vectors(self, found: Array, n: int) -> Floats:
        if self._is_label_only and (found.shape == (n,) or (found.shape == (n, 1) and found.dtype.kind != "f")):
            return self._of_labels(found.ravel().tolist())
        is_table = found.ndim == 2 or (found.ndim == 1 and len(self.classes_) == 2)
        if not is_table or len(found) != n or found.dtype.kind != "f":
            raise TargetError(
                f"{self.name} answered {found.dtype} of shape {found.shape} for {n} records; expected probabilities, "
                "one for each class: log or give it so that it answers predict_proba, or say target.answers: "
                "[{kind: label_only}] where it answers labels alone"
            )
        return found

    def _of_labels(self, labels: Sequence[Any]) -> Floats:
        """Return vectors with 1 at the labels."""
        places = {code: i for i, code in enumerate(self.classes_.tolist())}
        codes = [self._code(label) for label in labels]
        other = [label for label, code in zip(labels, codes, strict=True) if code not in places]
        if other:
            raise DataError(f"{self.name} answered the label {other[0]!r}, which is not in target.labels; add it there")
        return np.eye(len(self.classes_), dtype=np.float32)[[places[code] for code in codes]]

    def _code(self, label: Any) -> int:
        """Return which of the data's classes a label is: by its value, else by its text."""
        if label in self.classes:
            return self.classes.index(label)
        texts = [str(known) for known in self.classes]
        if str(label) not in texts:
            raise DataError(
                f"{self.name} knows the class {label!r}, which no record has; the data have {', '.join(texts[:8])}: "
                "correct data.label, or say in target.labels what the answers' columns stand for"
            )
        return texts.index(str(label))
