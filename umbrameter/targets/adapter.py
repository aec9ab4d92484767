"""An adapter that gives any classifier's answers one form."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from umbrameter.errors import DataError, TargetError, brief
from umbrameter.estimators import Estimator, recipe_of
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.predictions.probabilities import (
    check_single,
    class_index,
    in_columns,
    known_places,
    listed,
    place_of,
)
from umbrameter.targets.base import ReleasedAnswers
from umbrameter.targets.columns import Columns, Rows, given, masked, values
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
        The labels in the order of the answers' columns; the model's own `classes_` if None. Those that no record has
        get columns behind the data's classes.
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
        self._labels = self.classes if named is None else np.asarray(named, dtype=object).tolist()
        self.classes_ = known_places(self._labels, self.classes, name)
        self._gave_probabilities = False
        if not callable(getattr(model, "predict_proba", None)) and not callable(getattr(model, "predict", None)):
            raise TargetError(f"{name} has neither predict_proba nor predict; give a fitted classifier")

    @property
    def other_classes(self) -> list[str]:
        """The classes that only the model knows, in the order of their columns behind the data's."""
        pairs = sorted(zip(self.classes_.tolist(), map(str, self._labels), strict=True))
        return [label for place, label in pairs if place >= len(self.classes)]

    def recipe(self) -> Estimator:
        """Return the recipe by which the model can be trained again.

        Raises
        ------
        ValueError
            When it has none; see `umbrameter.estimators.recipe_of`.
        """
        return recipe_of(self.model)

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
                f"data have the features it was trained on, of the same names and types{_precision(message)}"
            ) from None  # the model's own text may repeat the records
        return self._vectors(answers, len(X))

    def _answered(self, X: Any) -> Array:
        if not self._is_label_only and callable(getattr(self.model, "predict_proba", None)):
            return np.asarray(self.model.predict_proba(X))
        return np.asarray(self.model.predict(X))

    def _model_input(self, X: Rows) -> Any:
        """Return records in the form that the model expects."""
        return given(X, self.columns, getattr(self.model, "feature_names_in_", None))

    def _vectors(self, answers: Array, n: int) -> Floats:
        """Return answers as vectors, labels as one-hot ones; refuse any other shape or type."""
        is_single, is_real = answers.shape in ((n,), (n, 1)), answers.dtype.kind == "f"
        if self._is_label_only and is_single:
            return self._one_hot(answers.ravel().tolist())
        if is_single and is_real and not self._gave_probabilities:
            check_single(answers.ravel(), self._labels, self.name)
            # Later answers may all be 0 or 1: some batches are small, and some models sure.
            self._gave_probabilities = n > 0
        columns = in_columns(answers, len(self.classes_)) if is_real else answers
        if columns.ndim != 2 or len(columns) != n or not is_real or columns.shape == (n, 1):
            raise TargetError(
                f"{self.name} answered {answers.dtype} of shape {answers.shape} for {n} records; expected "
                "probabilities, one per class: use a model with predict_proba, or set target.answers: "
                "[{kind: label_only}] if it returns labels only"
            )
        return columns

    def _one_hot(self, labels: Sequence[Any]) -> Floats:
        index = class_index(self._labels)
        places = [place_of(label, index) for label in labels]
        unknown = [label for label, place in zip(labels, places, strict=True) if place is None]
        if unknown:
            raise DataError(
                f"{self.name} answered the label {unknown[0]!r}, which is none of {listed(self._labels)}; list every "
                "label that it answers in target.labels, or, if it answers probabilities, take label_only out of "
                "target.answers"
            )
        return np.eye(len(self._labels), dtype=np.float32)[np.array(places, dtype=np.int64)]


def _precision(message: str) -> str:
    """Return what to do where a network complains about the type of its numbers; else nothing."""
    return ": give numbers as float32, which networks of torch read" if "dtype" in message else ""
