"""Records as an external target expects them, and its answers and messages: compared, and masked."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from umbrameter.records.reader import Records
from umbrameter.typing import Array, Floats


@dataclass(frozen=True)
class Columns:
    """The columns of a feature matrix as an external target knows them.

    Parameters
    ----------
    names
        The name of every column, in order.
    categories
        The texts that the codes 0, 1, ... of each categorical column stand for, by the column's name.
    integral
        Whether each column is sent as integers.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    integral: tuple[bool, ...]

    @classmethod
    def of(cls, records: Records) -> "Columns":
        """Return the columns of some records."""
        is_whole = records.domain.is_whole.tolist()
        return cls(records.metadata.feature_names, records.metadata.categories, tuple(is_whole))


def frame(X: Array, columns: Columns) -> Any:
    """Return records as a pandas data frame: categories as text, whole numbers as integers."""
    import pandas as pd

    values = {}
    for i, name in enumerate(columns.names):
        texts = columns.categories.get(name)
        if texts is not None:
            values[name] = np.array(texts, dtype=object)[X[:, i].astype(np.int64)]
        else:
            is_whole = columns.integral[i] and bool((np.rint(X[:, i]) == X[:, i]).all())
            values[name] = X[:, i].astype(np.int64) if is_whole else X[:, i]
    return pd.DataFrame(values)


def same(a: Floats, b: Floats) -> bool:
    """Return whether two sets of answers come from one model: equal labels, and numbers within 1e-4 for rounding.

    Examples
    --------
    >>> same(np.array([[0.4, 0.6]]), np.array([[0.40001, 0.59999]]))
    True
    """
    return a.shape == b.shape and bool((np.abs(a - b) <= 1e-4).all() and (a.argmax(axis=1) == b.argmax(axis=1)).all())


def masked(text: str, rows: Iterable[Iterable[Any]]) -> str:
    """Return a text with the values of some records replaced by #, since a model's message may repeat them.

    All numbers with a fraction are replaced, because a message may round them.

    Examples
    --------
    >>> masked('age 37 is not in 18 .. 30, pay 0.25, "engineer"', [[37, 0.2500001, "engineer"]])
    'age # is not in 18 .. 30, pay #, "#"'
    """
    values = {value for row in rows for value in row}
    words = {form for value in values if isinstance(value, str) for form in (value, json.dumps(value)[1:-1]) if form}
    numbers = {value for value in values if not isinstance(value, str)}
    if words:
        # Longest first, or a word that begins a longer one would leave the rest of it in the text.
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        text = re.sub(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", "#", text)
    text = re.sub(r"-?\d*\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+", "#", text)
    return re.sub(r"(?<!\w)-?\d+(?!\w)", lambda match: "#" if int(match[0]) in numbers else match[0], text)
