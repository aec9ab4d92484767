"""Whether what is to be trained takes the values that the records lack, found by training it on a few records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.records.reader import Records
from umbrameter.shadow_data import AnyShadowData
from umbrameter.steps.training import Training
from umbrameter.typing import Floats, Ints

FEW = 20
"""Records of each of the two largest classes that are trained on to find out."""


@dataclass(frozen=True)
class _WithMissing(Records):
    """Records with every second value of the columns that lack some missing, or all of them filled in."""

    is_filled: bool

    def take(self, rows: Sequence[int] | Ints) -> tuple[Floats, Ints]:
        """Return the given rows' records and labels; see `Records.take`."""
        X, y = super().take(rows)
        X = np.nan_to_num(X)
        if not self.is_filled:
            X[::2, [self.metadata.feature_names.index(name) for name in self.metadata.missing]] = np.nan
        return X, y


def refuse_missing(training: Training, records: Records, shadow_data: AnyShadowData | None) -> None:
    """Refuse to train on records with missing values what does not take them.

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
        When it does not; the text has every column that lacks values, with their number.
    """
    missing = records.metadata.missing
    if not missing:
        return
    if shadow_data is not None and shadow_data.is_drawn:
        raise _error(missing, f"shadows.data.kind={shadow_data.kind} draws no records with missing values", "")
    if training.form != "matrix":
        return  # its own parts see to them, or training says what it cannot take
    lacking, filled = (_WithMissing(records.artefact, is_filled) for is_filled in (False, True))
    if not _fits(training, lacking) and _fits(training, filled):
        others = " choose an estimator that takes them, such as random_forest or hist_gradient_boosting,"
        raise _error(missing, f"{training.describe()} cannot be trained on missing values", others)


def _error(missing: dict[str, int], reason: str, others: str) -> DataError:
    columns = ", ".join(f"{name} ({n})" for name, n in missing.items())
    return DataError(
        f"values are missing in {columns}, and {reason}; fill them in by the spec with data.missing: {{numbers: "
        f"median}},{others} or list the columns under data.ignore"
    )


def _fits(training: Training, records: _WithMissing) -> bool:
    """Return whether a model can be trained on a few records, and answers."""
    labels = records.labels()
    largest = np.argsort(-np.bincount(labels), kind="stable")[:2]
    rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[:FEW] for label in largest]))
    try:
        training.fit(records, rows, 0).predict_proba(records.take(rows)[0])
    except (UmbrameterError, ValueError):
        return False
    return True
