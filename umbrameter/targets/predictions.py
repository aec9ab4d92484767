"""A target whose answers are stored: nobody asks it."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import DataError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.targets.external import Answers
from umbrameter.typing import Floats, Ints


class StoredTarget(BaseModel):
    """A target of which only its answers on members and non-members are there.

    The Parquet file or folder has `prediction` (or `p_0`, `p_1`, ...), `label`, `is_member`, and `record_id`, which is
    what `data.id` calls the record. Records that it does not name are the pool.

    Examples
    --------
    >>> StoredTarget(path="answers.parquet").kind
    'predictions'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["predictions"] = Field("predictions", description="Stored answers; the target is not asked.")
    path: str = Field(min_length=1, description="The Parquet file or folder of answers.")
    answers: Answers = Field((), description="What was done to the answers, in order.")

    def read(self, n_classes: int) -> "StoredAnswers":
        """Return the answers.

        Raises
        ------
        DataError
            When they cannot be read, or are of another number of classes.
        """
        coarse = any(isinstance(part, TopK | Rounding | LabelOnly) for part in self.answers)
        stored = StoredPredictions(self.path, "target.path", coarse)
        if stored.n_classes != n_classes:
            raise DataError(
                f"target.path={self.path!r} has answers of {stored.n_classes} classes, and the data have {n_classes}; "
                "give the answers of a model of these classes"
            )
        return StoredAnswers(stored)


class StoredAnswers:
    """Stored answers, in memory."""

    def __init__(self, stored: StoredPredictions):
        parts = [*stored.answers()]
        self.path = stored.path
        self.predictions = np.concatenate([part.predictions for part in parts]).astype(np.float32)
        self.labels = np.concatenate([part.labels for part in parts])

    def at(self, places: Ints, labels: Ints) -> Floats:
        """Return the answers of some rows, shape (n_rows, n_classes).

        Raises
        ------
        DataError
            When a row's label is not that of the record.
        """
        other = np.flatnonzero(self.labels[places] != labels)
        if len(other):
            row = int(places[other[0]])
            raise DataError(
                f"target.path={self.path!r}: row {row} has label {self.labels[row]}, and the record of its record_id "
                f"is of class {labels[other[0]]} ({len(other)} such rows); classes are numbered in sorted order from 0"
            )
        return np.asarray(self.predictions[places])
