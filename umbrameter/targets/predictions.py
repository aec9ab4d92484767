"""A target whose answers are stored, and which is not queried."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field, field_validator

from umbrameter.errors import DataError
from umbrameter.mitigations import as_settings
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.predictions.probabilities import class_index, known_places, place_of
from umbrameter.predictions.roles import Role, SettingNames
from umbrameter.predictions.scales import Scale
from umbrameter.records.membership import Membership
from umbrameter.targets.base import ExternalTarget, ReleasedAnswers
from umbrameter.targets.connection import Connection, ConnectionContext
from umbrameter.typing import Floats, Ints

MEMBERSHIP: tuple[Role, Role] = ("record_id", "is_member")
"""The roles of the columns that say which records are members."""

SETTINGS = SettingNames(
    columns="target.columns: {{{role}: {name}}}",
    scale="set target.scale: {scale}",
    no_scale="leave target.scale: {scale} out",
    rounded="target.answers says",
)
"""How errors name the settings."""


class StoredTarget(ExternalTarget):
    """A target of which only the answers on members and non-members are available.

    The file or folder of Parquet, CSV or Feather has `prediction` (or `p_0`, `p_1`, ...), `label`, `is_member`, and
    `record_id`, whose values are those of the `data.id` column. Records that it does not name are the pool.

    Examples
    --------
    >>> StoredTarget(path="answers.parquet").kind
    'predictions'
    """

    can_be_queried: ClassVar[bool] = False

    kind: Literal["predictions"] = Field("predictions", description="Stored answers; the target is not queried.")
    path: str = Field(
        min_length=1,
        description="The file or folder of answers: Parquet, CSV or Feather.",
        examples=["answers.parquet"],
    )
    answers: ReleasedAnswers = Field(
        (), description="What was done to the answers, in order.", examples=[["label_only"]]
    )
    columns: dict[Role, str] = Field(
        {},
        description="Columns by role, where they have other names; see `columns` of `umbrameter score`.",
        examples=[{"record_id": "customer", "prediction": "proba_*"}],
    )
    scale: Scale = Field("probabilities", description="The scale of the stored numbers.", examples=["percent"])

    @field_validator("answers", mode="before")
    @classmethod
    def _no_scale(cls, answers: Any) -> Any:
        if answers in get_args(Scale):  # what `umbrameter score` calls it
            raise ValueError(f"answers lists what was done to the answers; say scale: {answers}")
        return answers

    @property
    def membership(self) -> Membership | None:
        """The file of answers itself, which says of each of its records whether it is a member."""
        ident, member = (self.columns.get(role, role) for role in MEMBERSHIP)
        return Membership(self.path, ident, "target.path", member)

    def connect(self, context: ConnectionContext) -> Connection:
        """Read the stored answers, which take the place of a model.

        Raises
        ------
        DataError
            When they cannot be read, or have fewer classes than the data.
        """
        records = context.records
        answers = self.read(records.classes)
        facts: dict[str, Any] = {"kind": self.kind, "answers": as_settings(self.answers)}
        facts |= {"records": records.artefact.key}
        facts |= {"columns": self.columns} if self.columns else {}
        facts |= {"scale": self.scale} if self.scale != "probabilities" else {}
        facts |= {"other_classes": answers.other_classes} if answers.other_classes else {}
        return Connection(facts, f"stored answers of {self.path.rpartition('/')[2]}", answers)

    def read(self, classes: Sequence[Any]) -> "StoredAnswers":
        """Return the stored answers, in the order of the data's classes.

        Raises
        ------
        DataError
            When they cannot be read, or lack a class.
        """
        stored = StoredPredictions(
            self.path, "target.path", bool(self.answers), self.columns, self.scale, settings=SETTINGS
        )
        n, n_stored, index = len(classes), stored.n_classes, class_index(classes)
        are_numbers = all(place_of(label, index) is None for label in stored.classes)
        if are_numbers or stored.classes == [*range(n_stored)]:
            if n_stored < n:
                raise DataError(
                    f"target.path={self.path!r} has answers of {n_stored} classes, and the data have {n}: columns "
                    f"{n_stored} to {n - 1} are missing; give the answers of a model of all classes"
                )
            return StoredAnswers(stored, np.arange(n_stored), [f"p_{i}" for i in range(n, n_stored)])
        remedy = "give the answers of a model of all classes"
        places = known_places(stored.classes, classes, f"target.path={self.path!r}", remedy)
        others = sorted((place, str(c)) for place, c in zip(places.tolist(), stored.classes, strict=True) if place >= n)
        return StoredAnswers(stored, places, [name for _, name in others])


class StoredAnswers:
    """Stored answers in memory.

    Parameters
    ----------
    stored
        The file.
    places
        The place of each of its classes among the data's, shape (n_classes,); others are behind these.
    other_classes
        The classes that no record has, in order.
    """

    def __init__(self, stored: StoredPredictions, places: Ints, other_classes: list[str]):
        parts = [*stored.answers()]
        self.path, self.other_classes = stored.path, other_classes
        order = np.argsort(places)
        self.predictions = np.concatenate([part.predictions for part in parts]).astype(np.float32)[:, order]
        self.labels = places[np.concatenate([part.labels for part in parts])]

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
