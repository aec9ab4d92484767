"""Stored predictions: read and check them in batches of rows.

They are a table with the columns `prediction`, lists of one length (or `p_0`, `p_1`, ..., or `p_no`, `p_yes`; of two
classes also one number, the second's probability), `label` and `is_member`; optionally `record_id`, and `model_id` for
shadow models' answers, where `is_in`, or else `is_member`, marks IN records. Other columns are slices. Folders below
the path whose names are such as `is_member=true` are columns.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.predictions.checks import PREDICTIONS, FaultError, first_bad, ids, labels, n_answers, numbers
from umbrameter.predictions.columns import no_slice, slice_of
from umbrameter.predictions.probabilities import class_index, improbable, listed, place_of
from umbrameter.predictions.roles import (
    COMMAND,
    ROLES,
    AnswerColumns,
    Role,
    SettingNames,
    answer_columns,
    numbered_classes,
    role_columns,
)
from umbrameter.predictions.scales import Scale, as_probabilities, scale_of
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.parquet import Source, open_source, refuse
from umbrameter.records.sides import WRITTEN, other_values, sides
from umbrameter.statistics.paired import distortion
from umbrameter.typing import Array, Bools, Floats, Ints

BATCH = 2**22
"""Confidences read at once: 16 MiB as float32."""


@dataclass(frozen=True)
class Batch:
    """Some rows of stored predictions."""

    vectors: Vectors
    is_member: Bools
    record_ids: Array
    model_ids: Array | None
    slices: dict[str, Array]
    distances: Floats
    """L1 distance of each answer from the stored one, shape (n_records,)."""


class StoredPredictions:
    """A file or folder of stored predictions.

    Parameters
    ----------
    path
        Path of the file or folder.
    name
        The user's name for it in error messages, such as the spec setting or the command-line argument.
    rounded
        Whether answers are rounded or cut off, and therefore need not sum to 1.
    columns
        The columns by role, where they have other names; of the answers also `proba_*`, with a star for the class.
    answers
        The scale that the answers are on.
    is_shadow
        Whether they are shadow models' answers, so that `is_in` marks IN records where there is such a column.
    settings
        How errors name the settings.

    Raises
    ------
    DataError
        When it cannot be read, or a column is missing or of the wrong type; with all that is wrong.
    """

    def __init__(
        self,
        path: str | Path,
        name: str = "PREDICTIONS",
        rounded: bool = False,
        columns: Mapping[Role, str] | None = None,
        answers: Scale = "probabilities",
        is_shadow: bool = False,
        settings: SettingNames = COMMAND,
    ):
        self.path, self.name, self.rounded, self.scale = str(path), name, rounded, answers
        self.settings = settings
        self._transform: Callable[[Floats], Floats] | None = None
        self._given = columns or {}
        self._source: Source = open_source(self.path, name)
        self.n_records, self._stored = self._source.n_rows, list(self._source.schema.names)
        self._check_files()
        self._role_columns = role_columns(self._stored, self._given, is_shadow)
        self._n_stored = self.n_classes = 2  # until it is known
        self._answers, unclear = self._find_answers()
        faults = [*self._absent(is_shadow), *unclear]
        if faults:
            refuse([*(str(self._error(fault)) for fault in faults), *self.faults()], PREDICTIONS)

    def _check_files(self) -> None:
        """Refuse files that have other columns than the first, which would be left out or filled up unseen."""
        for file in self._source.files:
            if odd := {*file.columns} ^ {*self._source.files[0].columns}:
                raise self._error(
                    f"has files of different columns: {', '.join(sorted(odd))} is not in both {file.path} and the "
                    "first file; write all files with the same columns"
                )

    def _find_answers(self) -> tuple[AnswerColumns, list[str]]:
        """Return the columns of answers, none if they are absent or not clear, and what is wrong with them."""
        try:
            known = self._distinct_labels if "label" in self._role_columns else []
        except FaultError:  # which `faults` names
            known = []
        found = answer_columns(self._source.schema, self._given.get("prediction"), known, self.settings)
        if not isinstance(found, AnswerColumns):
            return AnswerColumns(()), [found] if found and known else []
        try:
            self._n_stored = self._width(found)
        except FaultError as fault:
            return AnswerColumns(()), [str(fault)]
        self.n_classes = max(2, self._n_stored)
        return found, []

    def _absent(self, is_shadow: bool) -> Iterator[str]:
        """Yield which columns are not there."""
        lacking = [role for role in ("label", "is_member") if role not in self._role_columns]
        for role, name in self._given.items():
            is_there = name in self._stored or (is_shadow and role in self._role_columns)
            if role != "prediction" and not is_there and (is_shadow or role != "model_id"):
                lacking = [*(r for r in lacking if r != role), f"{name} ({self.settings.column(role, name)})"]
        given = self._given.get("prediction")
        if answer_columns(self._source.schema, given, []) is None:
            said = (
                f"{given} ({self.settings.column('prediction', given)})" if given else "prediction (or p_0, p_1, ...)"
            )
            lacking.append(said)
        if lacking:
            yield f"has no column {', '.join(lacking)}; it has {', '.join(self._stored)}"

    def through(self, transform: Callable[[Floats], Floats]) -> "StoredPredictions":
        """Return the same records with answers that pass through a mitigation."""
        changed = copy(self)  # shallow: the two share the files
        changed._transform = transform
        return changed

    def batches(self) -> Iterator[Batch]:
        """Yield all rows in order, checked.

        Raises
        ------
        DataError
            With the first bad row and what is wrong with it; `faults` returns all that is wrong.
        """
        for part, start in self._tables([*self._role_columns, *self._answers.columns, *self.slices]):
            with self._named_faults():
                batch = self._checked(part, start)
            yield batch

    def answers(self) -> Iterator[Vectors]:
        """Yield the answers and labels of all rows in order, checked; other columns are not read.

        Raises
        ------
        DataError
            With the first bad row and what is wrong with it.
        """
        for part, start in self._tables([*self._answers.columns, "label"]):
            with self._named_faults():
                vectors = self._vectors(part, start)
            yield vectors

    def faults(self) -> list[str]:
        """Return all that is wrong with the rows: for each column the first fault, in the order of the rows."""
        checks: dict[str, Callable[[pa.Table, int], Any]] = {
            "label": self._codes if self._answers.columns else labels,
            "is_member": self._membership,
            "record_id": lambda table, start: ids(table, "record_id", start),
            "model_id": lambda table, start: ids(table, "model_id", start),
        }
        checks = {role: check for role, check in checks.items() if role in self._role_columns}
        checks |= {"prediction": self._predictions} if self._answers.columns else {}
        found: dict[str, str] = {}
        for part, start in self._tables([*self._role_columns, *self._answers.columns]):
            for name, check in checks.items():
                try:
                    None if name in found else check(part, start)
                except FaultError as fault:
                    found[name] = str(self._error(str(fault)))
        return [*found.values()]

    def _tables(self, columns: list[str]) -> Iterator[tuple[pa.Table, int]]:
        """Yield batches of rows, with the number of each batch's first row; columns with a role are named by it."""
        names = {column: self._role_columns.get(column, column) for column in columns}  # type: ignore[call-overload]
        start = 0
        for part in self._source.batches([*names.values()], max(1, BATCH // self.n_classes)):
            if part.num_rows:
                yield pa.Table.from_batches([part]).rename_columns([*names]), start
                start += part.num_rows

    @property
    def format(self) -> str:
        """The format of the files, with the dialect of CSV."""
        return self._source.describe()

    @property
    def columns(self) -> list[str]:
        """The roles that have a column, the columns of answers, and all others."""
        return [*self._role_columns, *self._answers.columns, *self._further]

    @property
    def has_ids(self) -> bool:
        """Whether there is a column `record_id`."""
        return "record_id" in self._role_columns

    def record_ids(self) -> Array | None:
        """Return the records' ids in order, see `ids`; or None without a column of them.

        Raises
        ------
        DataError
            When an id is there twice, or is none; see `ids`.
        """
        if not self.has_ids:
            return None
        with self._named_faults():
            named = np.concatenate([ids(part, "record_id", start) for part, start in self._tables(["record_id"])])
        counts = pc.value_counts(pa.array(named))
        most = np.asarray(counts.field("counts"))
        if len(most) < len(named):
            twice = counts.field("values")[int(most.argmax())]
            raise self._error(f"has record_id {twice} {most.max()} times; expected each once")
        return named

    @cached_property
    def _distinct_labels(self) -> list[Any]:
        parts = [pc.unique(labels(part, start)) for part, start in self._tables(["label"])]
        return sorted({label for part in parts for label in part.to_pylist()})

    @cached_property
    def classes(self) -> list[Any]:
        """The classes in the order of the confidences.

        They are those that the columns of answers name, else those of `numbered_classes`.

        Raises
        ------
        DataError
            When it is not clear which confidence is whose.
        """
        with self._named_faults():
            return self._classes

    @cached_property
    def _classes(self) -> list[Any]:
        if self._answers.classes is not None:
            return sorted(self._answers.classes)
        return numbered_classes(self._distinct_labels, self.n_classes, self._n_stored == 1)

    @property
    def notes(self) -> list[str]:
        """What was read in a way that the file does not spell out, in sentences."""
        if self._n_stored > 1:
            return []
        column, named = self._answers.columns[0], self._answers.classes
        if named is None:
            return [f"{column} is read as the probability of the class {self.classes[1]}, which sorts last of the two"]
        return [f"{column} is read as the probability of the class {named[1]}, and the rest as that of {named[0]}"]

    def _codes(self, table: pa.Table, start: int) -> Ints:
        """Return the place of each record's label among the classes."""
        stored = labels(table, start)
        values, index = pc.unique(stored), class_index(self._classes)
        places = [place_of(value, index) for value in values.to_pylist()]
        known = np.array([-1 if place is None else place for place in places], dtype=np.int64)
        codes: Ints = known[np.asarray(pc.index_in(stored, value_set=values))]
        expected = f"labels 0 .. {self.n_classes - 1}, by the order of the confidences"
        if self._answers.classes is not None:
            expected = f"one of {listed(self._classes)}"
        first_bad(codes < 0, start, np.asarray(stored), expected)
        return codes

    def _vectors(self, table: pa.Table, start: int) -> Vectors:
        codes = self._codes(table, start)
        return Vectors(self._predictions(table, start), codes)

    def _membership(self, table: pa.Table, start: int) -> Bools:
        is_member = sides(table["is_member"])
        if is_member.null_count:
            name = self._role_columns["is_member"]
            kind, others = table["is_member"].type, other_values(self._source.to_table([name])[name])
            raise FaultError(
                f"has {name} of type {kind} with the values {listed(others)}, which say neither; expected {WRITTEN}, "
                "and no others"
            )
        return np.asarray(is_member)

    def _checked(self, table: pa.Table, start: int) -> Batch:
        is_member = self._membership(table, start)
        vectors = self._vectors(table, start)
        stored, codes = vectors.predictions, vectors.labels
        predictions = stored if self._transform is None else self._transform(stored)
        return Batch(
            Vectors(predictions, codes),
            is_member,
            ids(table, "record_id", start) if self.has_ids else np.arange(start, start + len(codes)),
            ids(table, "model_id", start) if "model_id" in self._role_columns else None,
            {name: slice_of(table[name]) for name in self.slices},
            distortion(predictions, stored),
        )

    @property
    def slices(self) -> list[str]:
        """The columns without a role whose values make slices."""
        return [name for name in self._further if name not in self.no_slices]

    @cached_property
    def no_slices(self) -> dict[str, str]:
        """Why the other columns without a role make no slices, by column."""
        answers = self._answers.columns
        is_beside = "prediction" in self._stored and "prediction" not in answers
        beside = f"{answers[0]} ... are the answers" if len(answers) > 1 else f"{answers[0]} is the answer"
        fields = [self._source.schema.field(name) for name in self._further]
        reasons = {field.name: no_slice(field, lambda n: (t[n] for t, _ in self._tables([n]))) for field in fields}
        found = {name: reason for name, reason in reasons.items() if reason is not None}
        return ({"prediction": beside} if is_beside else {}) | found

    @property
    def _further(self) -> list[str]:
        used = {*ROLES, *self._role_columns.values(), *self._answers.columns}
        return [name for name in self._stored if name not in used]

    def _width(self, answers: AnswerColumns) -> int:
        """Return the number of answers per record; refuse one number per record if all are 0 or 1: labels."""
        if len(answers.columns) > 1:
            return len(answers.columns)
        (name,) = answers.columns
        first = next(part for part, _ in self._tables([name]))
        width = n_answers(first[name], name)
        if width > 1:
            return width
        kind = self._source.schema.field(name).type
        columns = (numbers(part, [name], 1, pa.float64(), start) for part, start in self._tables([name]))
        if all(np.isin(column, (0, 1)).all() for column in columns):
            raise FaultError(
                f"has {name} of type {kind}, one number per record and all 0 or 1: labels; expected lists of numbers, "
                "or the probability of the second of two classes"
            )
        return width

    def _predictions(self, table: pa.Table, start: int) -> Floats:
        # In float32, 1 - p would round the first class's small probabilities to 0.
        kind = pa.float32() if self._n_stored > 1 and self.scale == "probabilities" else pa.float64()
        stored = numbers(table, [*self._answers.columns], self._n_stored, kind, start)
        predictions = as_probabilities(stored, self.scale)
        if self._answers.is_single and self._answers.classes is not None:
            predictions = predictions[:, np.argsort(np.array(self._answers.classes))]
        predictions = predictions.astype(np.float32, copy=False)
        infinite, outside, unsummed = improbable(predictions)
        bad = infinite | outside | (unsummed & (not self.rounded))
        if bad.any() or (start == 0 and self.scale != "probabilities"):
            self._check_scale(stored, bad, start)
        first_bad(infinite, start, predictions, "finite confidences")
        first_bad(outside, start, predictions, "confidences in [0, 1]")
        if not self.rounded:
            expected = f"confidences that sum to 1 within 0.001 ({self.settings.rounded} rounded or cut-off ones)"
            if self._answers.classes is not None:
                expected += f"; the answers are {listed(self._answers.columns)}"
            first_bad(unsummed, start, predictions.sum(axis=1), expected)
        return predictions

    def _check_scale(self, stored: Floats, bad: Bools, start: int) -> None:
        """Refuse answers that are on another scale, with what mends them."""
        scale = scale_of(stored)
        if scale is None or scale == self.scale or (scale != "probabilities" and not bad.any()):
            return
        remedy = self.settings.scale.format(scale=scale)
        if scale == "probabilities":
            remedy = self.settings.no_scale.format(scale=self.scale)
        shown = np.array2string(stored[bad.argmax()], precision=4, threshold=8)
        raise FaultError(f"has {shown} in row {start + int(bad.argmax())}: {scale}, not {self.scale}; {remedy}")

    @contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except FaultError as fault:
            raise self._error(str(fault)) from None

    def _error(self, text: str) -> DataError:
        return DataError(f"{self.name}={self.path!r} {text}")
