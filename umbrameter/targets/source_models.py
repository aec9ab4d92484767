"""A model that the audit trained on records as their source has them, queried with any form of records."""

from collections.abc import Sequence
from typing import Any

from umbrameter.estimators import Form
from umbrameter.targets.columns import Columns, Rows, given
from umbrameter.typing import Answering, Array


class OnSource:
    """A model that takes data frames, or arrays of the source's types.

    Parameters
    ----------
    model
        The fitted classifier.
    columns
        The features' names and types.
    form, names
        What it takes, and the columns that it reads; see `umbrameter.estimators.Estimator`.
    """

    reads_source = True
    """Whether it is given records as their source has them, as tables of pyarrow."""

    def __init__(self, model: Answering, columns: Columns, form: Form, names: Sequence[str] | None = None):
        self.model, self.columns, self.form, self.names = model, columns, form, names
        self.classes_ = model.classes_

    def predict_proba(self, X: Rows) -> Array:
        """Return prediction vectors, shape (n_records, n_known)."""
        return self.model.predict_proba(self.input(X))

    def input(self, X: Rows) -> Any:
        """Return records, a table or a matrix with codes for text, in the form that the model takes."""
        return given(X, self.columns, self.names, as_frame=self.form == "frame")
