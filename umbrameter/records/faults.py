"""What is wrong with a table, found in one look at it, and said in sentences that end with what to do.

Belongs here: which values are refused and why. Does not belong here: the passes over the table (`encoding`, `build`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np

from umbrameter.records.columns import Columns
from umbrameter.records.own import MISSING
from umbrameter.records.sources import TableData

MANY_CATEGORIES = 1000
"""A text column with more distinct values than this, and than half the rows, is taken for an identifier."""

MANY_CLASSES = 20
"""Up to so many different numbers are classes, whatever else they look like."""

FEW_ALIKE = 10
"""Records that share a number on average; below, numbers look like measurements."""

ROUGH = 0.5
"""The least mean squared step from one number's count to the next, in variances of the counts, of class numbers.

In any order that has nothing to do with the counts it is about 2, with a standard deviation of 2 / sqrt(n_values) (von
Neumann, 1941). The counts of a measurement rise and fall with it, so that it is near 0.
"""

SORTED = 0.9
"""Rank correlation of numbers with their counts from which on classes were numbered by size, and steps are small."""


@dataclass(frozen=True)
class Survey:
    """What one pass over a source says about its values.

    Parameters
    ----------
    n_rows
        Number of rows.
    labels
        How often each label occurs; missing ones are not counted.
    missing
        The first row with a missing value and the number of such rows, by column; no entry for complete columns.
    texts
        The values of each column of text; None among them where some are missing.
    levels
        The values of columns that are dictionaries, in the source's order, used or not.
    """

    n_rows: int
    labels: Counter[Any]
    missing: Mapping[str, Sequence[int]]
    texts: Mapping[str, set[Any]]
    levels: Mapping[str, tuple[str, ...]]


def bin_names(edges: Sequence[float]) -> list[str]:
    """Return the names of the classes that a numeric label is cut into.

    Examples
    --------
    >>> bin_names([10, 20.5])
    ['below 10', '10 to 20.5', '20.5 and above']
    """
    shown = [f"{edge:g}" for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"below {shown[0]}", *inner, f"{shown[-1]} and above"]


def faults_of(survey: Survey, columns: Columns, settings: TableData) -> list[str]:
    """Return what is wrong with a table's values, a sentence each.

    Parameters
    ----------
    survey
        What a pass over the table said.
    columns
        The roles of its columns.
    settings
        How the table is to be read.
    """
    missing = _missing_faults(survey, columns, settings)
    return [*missing, *label_faults(survey, settings), *_text_faults(survey)]


def _missing_faults(survey: Survey, columns: Columns, settings: TableData) -> list[str]:
    """Return a sentence per column in which no value may be missing."""
    required = [columns.label] if settings.missing.label == "error" else []
    required += [name for name in (columns.id, *columns.slices, columns.vector) if name is not None]
    faults = []
    for name in dict.fromkeys(required):
        if name in survey.missing:
            first, count = survey.missing[name]
            mend = "fill them in, drop the rows, or list the column under data.ignore"
            if name == columns.label:
                mend = "fill them in, or leave these records out with data.missing: {label: drop}"
            faults.append(
                f"column {name!r} has missing values (null or NaN), the first in row {first}, {count} in all; {mend}"
            )
    return faults


def label_faults(survey: Survey, settings: TableData) -> list[str]:
    """Return what is wrong with the labels, a sentence each."""
    labels, name = survey.labels, settings.label
    are_classes = settings.numeric_label == "classes"
    broken = [v for v in labels if isinstance(v, float) and not (isfinite(v) if are_classes else is_whole(v))]
    if broken or not (are_classes or are_class_numbers(labels)):
        held = f"holds {broken[0]!r}" if broken else f"holds {len(labels)} different numbers"
        return [
            f"data.label={name!r} {held}; expected classes (integers or text), not measurements: {len(labels)} "
            f"different values in {labels.total()} records look like regression, and only classifiers are audited. Cut "
            f"them into classes with data.bins: {quartiles(labels)}, or say that each is a class with "
            "data.numeric_label: classes (from Python, give them as text)"
        ]
    kept = [value for value, n in labels.items() if n >= settings.smallest_class]
    if len(kept) > 1:
        return []
    only = f" ({next(iter(kept))!r})" if kept else ""
    rare = f" with at least {settings.smallest_class} records" if settings.smallest_class > 1 else ""
    how_many = "one class" if kept else "no class"
    return [f"data.label={name!r} has only {how_many}{rare}{only}; a classifier needs two or more"]


def is_whole(value: float) -> bool:
    """Return whether a float is a whole number of 64 bits."""
    return value.is_integer() and abs(value) < 2**63


def are_class_numbers(labels: Counter[Any]) -> bool:
    """Return whether labels, given with the number of their records, are no numbers or look like numbers of classes.

    Few numbers are. Many are if they run from 0 or 1 without a gap, each for many records, and if their counts do not
    rise and fall smoothly with them, as those of ages or marks do.

    Examples
    --------
    >>> are_class_numbers(Counter({i: 30 + i * 7 % 11 for i in range(100)}))
    True
    >>> are_class_numbers(Counter({i: 30 + i * 7 % 11 for i in range(17, 117)}))
    False
    """
    values = sorted(value for value in labels if isinstance(value, int | float) and not isinstance(value, bool))
    if len(values) < len(labels) or len(values) <= MANY_CLASSES:
        return True
    first, n = int(values[0]), len(values)
    if values != [*range(first, first + n)] or first not in (0, 1) or labels.total() < FEW_ALIKE * n:
        return False
    counts = np.array([labels[value] for value in values], dtype=np.float64)
    if counts.std() == 0:
        return True
    is_by_size = abs(np.corrcoef(values, counts.argsort().argsort())[0, 1]) > SORTED
    return bool(is_by_size) or float(np.mean(np.diff(counts) ** 2) / counts.var()) >= ROUGH


def quartiles(labels: Counter[Any]) -> list[float]:
    """Return edges that cut numbers into classes of about a quarter of the records each.

    Examples
    --------
    >>> quartiles(Counter([0.5, 1.5, 2.5, 3.5]))
    [1.5, 2.5, 3.5]
    """
    values = sorted(value for value in labels.elements() if abs(value) < float("inf"))
    quarters = [values[len(values) * i // 4] for i in (1, 2, 3)]
    return sorted({float(f"{value:.4g}") for value in quarters if value > values[0]})


def _text_faults(survey: Survey) -> list[str]:
    faults = []
    for name, values in survey.texts.items():
        if len(values) > max(MANY_CATEGORIES, survey.n_rows / 2):
            faults.append(
                f"column {name!r} has {len(values)} different values in {survey.n_rows} rows, which looks like an "
                f"identifier; set data.id={name}, or list it under data.ignore"
            )
        if name in survey.missing and MISSING in values:
            faults.append(
                f"column {name!r} has missing values, and others that are {MISSING!r}, which umbrameter calls them; "
                "rename these"
            )
    return faults


def infinite_faults(infinite: Mapping[str, Sequence[int]], precision: str) -> list[str]:
    """Return a sentence per column with infinite values, given the first row with one and their number."""
    return [
        f"column {name!r} is infinite, or too large for {precision}, in row {first}"
        f"{f' and {count - 1} more' if count > 1 else ''}; correct the value, or list the column under data.ignore"
        for name, (first, count) in infinite.items()
    ]
