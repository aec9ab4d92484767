"""An adapter that gives any classifier's answers one form."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from umbrameter.errors import DataError, TargetError, brief
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.targets.base import ReleasedAnswers
from umbrameter.targets.columns import Columns, Rows, frame, masked, matrix, values
from umbrameter.typing import Array, Floats


class Adapted:
    """A user's classifier, queried for prediction vectors over the data's classes.

    Works with the interfaces of scikit-learn and skorch (`predict_proba`, `classes_`) and of Keras, where `predict`
    returns probabilities. Records are passed as data frames if the model expects names or the data have categories,
    otherwise as arrays; in either case with the source's own values and types, in its order of columns.

    Parameters
    ----------
    model
        The fitted classifier.
    columns
        The features' names and types.
    classes
        The data's classes, in order.
    labels
        The labels in the order of the answers' columns; the model's own `classes_` if None.
    answers
        The mitigations that the answers are known to have passed through.
    name
        The model's name, for errors.
    """

    reads_source = True
    """Whether it is given records as their source has them, as tables of pyarrow."""

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
        named = getattr(model, "classes_", None) if labels is None else labels
        # As objects, so that labels keep their Python types.
        answer_labels = self.classes if named is None else np.asarray(named, dtype=object).tolist()
        codes = [self._code(label) for label in answer_labels]
        twice = [self.classes[code] for code in codes if codes.count(code) > 1]
        if twice:
            raise DataError(f"{name} has two columns of answers for the class {twice[0]!r}; correct target.labels")
        self.classes_ = np.array(codes)
        if not callable(getattr(model, "predict_proba", None)) and not callable(getattr(model, "predict", None)):
            raise TargetError(f"{name} has neither predict_proba nor predict; give a fitted classifier")

    def predict_proba(self, X: Rows) -> Floats:
        """Return answers, shape (n_records, n_known), one column per entry of `classes_`.

        Raises
        ------
        TargetError
            When the model fails, or does not return one probability vector per record.
        """
        try:
            answers = self._answered(self._model_input(X))
        except Exception as error:  # a user's model may raise anything
            if isinstance(error, TargetError | MemoryError):
                raise
            message = masked(brief(error, 5000), values(X, self.columns))[:300]
            raise TargetError(
                f"{self.name} could not answer {len(X)} records: {type(error).__name__}: {message}; check that the "
                "data have the features it was trained on, of the same names and types"
            ) from None  # the model's own text may repeat the records
        return self._vectors(answers, len(X))

    def _answered(self, X: Any) -> Array:
        if not self._is_label_only and callable(getattr(self.model, "predict_proba", None)):
            return np.asarray(self.model.predict_proba(X))
        return np.asarray(self.model.predict(X))

    def _model_input(self, X: Rows) -> Any:
        """Return records in the form that the model expects."""
        names = getattr(self.model, "feature_names_in_", None)
        if not self.columns.categories and names is None:
            return matrix(X, self.columns)
        table = frame(X, self.columns)
        return table if names is None or not {*names} <= {*table.columns} else table[[*names]]

    def _vectors(self, answers: Array, n: int) -> Floats:
        """Return answers as vectors, labels as one-hot ones; refuse any other shape or type."""
        is_column = answers.shape == (n, 1) and answers.dtype.kind != "f"
        if self._is_label_only and (answers.shape == (n,) or is_column):
            return self._one_hot(answers.ravel().tolist())
        # A binary classifier of Keras returns one number per record: the probability of the second class.
        is_table = answers.ndim == 2 or (answers.ndim == 1 and len(self.classes_) == 2)
        if not is_table or len(answers) != n or answers.dtype.kind != "f":
            raise TargetError(
                f"{self.name} answered {answers.dtype} of shape {answers.shape} for {n} records; expected "
                "probabilities, one per class: use a model with predict_proba, or set target.answers: "
                "[{kind: label_only}] if it returns labels only"
            )
        return answers

    def _one_hot(self, labels: Sequence[Any]) -> Floats:
        positions = {code: i for i, code in enumerate(self.classes_.tolist())}
        codes = [self._code(label) for label in labels]
        unknown = [label for label, code in zip(labels, codes, strict=True) if code not in positions]
        if unknown:
            raise DataError(
                f"{self.name} answered the label {unknown[0]!r}, which is not in target.labels; add it there"
            )
        return np.eye(len(self.classes_), dtype=np.float32)[[positions[code] for code in codes]]

    def _code(self, label: Any) -> int:
        """Return the position of a label among the data's classes, by its value or else by its text."""
        if label in self.classes:
            return self.classes.index(label)
        texts = [str(name) for name in self.classes]
        if str(label) not in texts:
            raise DataError(
                f"{self.name} knows the class {label!r}, which no record has; the data have {', '.join(texts[:8])}: "
                "correct data.label, or say in target.labels what the answers' columns stand for"
            )
        return texts.index(str(label))
