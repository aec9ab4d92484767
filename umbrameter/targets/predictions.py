"""A target whose answers are stored, and which is not queried."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import DataError
from umbrameter.mitigations import as_settings
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.records.membership import Membership
from umbrameter.targets.base import ExternalTarget, ReleasedAnswers
from umbrameter.targets.connection import Connection, ConnectionContext
from umbrameter.typing import Floats, Ints


class StoredTarget(ExternalTarget):
    """A target of which only the answers on members and non-members are available.

    The Parquet file or folder has `prediction` (or `p_0`, `p_1`, ...), `label`, `is_member`, and `record_id`, whose
    values are those of the `data.id` column. Records that it does not name are the pool.

    Examples
    --------
    >>> StoredTarget(path="answers.parquet").kind
    'predictions'
    """

    can_be_queried: ClassVar[bool] = False

    kind: Literal["predictions"] = Field("predictions", description="Stored answers; the target is not queried.")
    path: str = Field(min_length=1, description="The Parquet file or folder of answers.", examples=["answers.parquet"])
    answers: ReleasedAnswers = Field(
        (), description="What was done to the answers, in order.", examples=[["label_only"]]
    )

    @property
    def membership(self) -> Membership | None:
        """The file of answers itself, which says of each of its records whether it is a member."""
        return Membership(self.path, "record_id", "target.path")

    def connect(self, context: ConnectionContext) -> Connection:
        """Read the stored answers, which take the place of a model.

        Raises
        ------
        DataError
            When they cannot be read, or have fewer classes than the data.
        """
        records = context.records
        answers = self.read(len(records.classes))
        others = range(len(records.classes), answers.predictions.shape[1])
        facts = {"kind": self.kind, "answers": as_settings(self.answers), "records": records.artefact.key}
        facts |= {"other_classes": [f"p_{i}" for i in others]} if others else {}
        return Connection(facts, f"stored answers of {self.path.rpartition('/')[2]}", answers)

    def read(self, n_classes: int) -> "StoredAnswers":
        """Return the stored answers.

        Raises
        ------
        DataError
            When they cannot be read, or have fewer classes.
        """
        stored = StoredPredictions(self.path, "target.path", rounded=bool(self.answers))
        if stored.n_classes < n_classes:
            raise DataError(
                f"target.path={self.path!r} has answers of {stored.n_classes} classes, and the data have {n_classes}: "
                f"columns {stored.n_classes} to {n_classes - 1} are missing; give the answers of a model of all classes"
            )
        return StoredAnswers(stored)


class StoredAnswers:
    """Stored answers in memory."""

    def __init__(self, stored: StoredPredictions):
        parts = [*stored.answers()]
        self.path = stored.path
        self.predictions = np.concatenate([part.predictions for part in parts]).astype(np.float32)
        self.labels = np.concatenate([part.labels for part in parts])

    def at(self, places: Ints, labels: Ints) -> Floats:
        """Return the answers at some rows of the file, shape (n_rows, n_classes); `labels` are the records' labels.

        Raises
        ------
        DataError
            When a row's label differs from the record's.
        """
        mismatches = np.flatnonzero(self.labels[places] != labels)
        if len(mismatches):
            row = int(places[mismatches[0]])
            raise DataError(
                f"target.path={self.path!r}: row {row} has label {self.labels[row]}, and the record of its record_id "
                f"is of class {labels[mismatches[0]]} ({len(mismatches)} such rows); classes are numbered in sorted "
                "order from 0"
            )
        return np.asarray(self.predictions[places])
