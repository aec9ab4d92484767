"""Whether what is to be trained takes text, and the values that records lack, found by training it on a few records."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from umbrameter.errors import DataError, UmbrameterError, in_one
from umbrameter.records.own import MISSING
from umbrameter.records.reader import Records
from umbrameter.shadow_data import AnyShadowData
from umbrameter.steps.training import Training
from umbrameter.typing import Array, Floats, Ints

FEW = 20
"""Records of each of the two largest classes that are trained on to find out."""


@dataclass(frozen=True)
class _Changed(Records):
    """Records with or without gaps: every second value of the columns that lack some, or none; with or without text."""

    has_gaps: bool
    has_text: bool

    @property
    def lacking(self) -> list[str]:
        """The columns that lack values, numbers and text."""
        texts = [name for name, values in self.metadata.categories.items() if MISSING in values]
        return [*self.metadata.missing, *texts]

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return the given rows' records and labels; see `Records.take`."""
        X, y = super().take(rows)
        X = np.nan_to_num(X)
        if self.has_gaps:
            X[::2, [self.metadata.feature_names.index(name) for name in self.metadata.missing]] = np.nan
        return X, y

    def own(self, rows: Sequence[int] | Ints) -> pa.Table:
        """Return the given rows' features as the source has them; see `Records.own`."""
        table = super().own(rows)
        for i, field in enumerate(table.schema):
            if field.name in self.lacking:
                table = table.set_column(i, field, self._changed(table[field.name]))
            if field.name in self.metadata.categories and not self.has_text:
                codes = table[field.name].combine_chunks().cast(pa.string()).dictionary_encode().indices
                table = table.set_column(i, field.name, codes.cast(pa.float64()))
        return table

    def _changed(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        is_there, places = np.asarray(column.is_valid()), np.arange(len(column))
        if self.has_gaps:
            return column.take(pa.array(places, mask=places % 2 == 0))
        return column.take(np.where(is_there, places, is_there.argmax()))


def refuse_values(training: Training, records: Records, shadow_data: AnyShadowData | None) -> None:
    """Refuse to train on text, or on records with missing values, what does not take them.

    Parameters
    ----------
    training
        How models are trained.
    records
        The records.
    shadow_data
        Where shadow models' records come from; None without shadow models.

    Raises
    ------
    DataError
        When it does not; the text has every such column, with the number of missing values.
    """
    missing, texts = records.metadata.missing, [*records.metadata.categories]
    if missing and shadow_data is not None and shadow_data.is_drawn:
        raise _gaps(missing, f"shadows.data.kind={shadow_data.kind} draws no records with missing values", "")
    fits = partial(_fits, training, records)
    has_text = bool(texts) and training.form != "matrix"  # in a matrix, it is encoded
    if not (missing or has_text) or fits(True, True) or not fits(False, False):
        return  # as it is; or training says what it cannot take
    faults: list[DataError | str] = []
    if missing and not fits(True, False):
        others = " choose an estimator that takes them, such as random_forest or hist_gradient_boosting,"
        faults.append(_gaps(missing, f"{training.describe()} cannot be trained on missing values", others))
    if has_text and not fits(False, True):
        faults.append(
            f"{training.describe()} cannot be trained on text, which {', '.join(texts)} hold; encode it in the recipe, "
            "set the estimator's takes to matrix to have it encoded, or list the columns under data.ignore"
        )
    if (error := in_one(faults, "the data")) is not None:
        raise error


def _gaps(missing: dict[str, int], reason: str, others: str) -> DataError:
    columns = ", ".join(f"{name} ({n})" for name, n in missing.items())
    return DataError(
        f"values are missing in {columns}, and {reason}; fill them in by the spec with data.missing: {{numbers: "
        f"median}},{others} or list the columns under data.ignore"
    )


def _fits(training: Training, records: Records, has_gaps: bool, has_text: bool) -> bool:
    """Return whether a model can be trained on a few records, and answers."""
    changed, labels = _Changed(records.artefact, has_gaps, has_text), records.labels()
    largest = np.argsort(-np.bincount(labels), kind="stable")[:2]
    rows: Array = np.sort(np.concatenate([np.flatnonzero(labels == label)[:FEW] for label in largest]))
    try:
        model = training.fit(changed, rows, 0)
        training.answering(model, changed).predict_proba(training.reader(changed).take(rows)[0])
    except (UmbrameterError, ValueError):
        return False
    return True
