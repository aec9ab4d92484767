"""The scales that people store answers on: probabilities, percent, logits.

Belongs here: one scale into another, and which scale numbers look like. Does not belong here: what is refused, and in
which words (`parquet`, `probabilities`).
"""

from typing import Literal, TypeAlias

import numpy as np
from scipy.special import softmax

from umbrameter.predictions.probabilities import TOLERANCE, improbable, in_columns
from umbrameter.typing import Floats

Scale: TypeAlias = Literal["probabilities", "percent", "logits"]
"""What answers are: fractions of 1, fractions of 100, or the scores (or log-probabilities) before a softmax."""

ENOUGH = 0.1
"""Share of answers outside [0, 1] from which on they are taken for another scale, and not for single mistakes."""


def as_probabilities(numbers: Floats, scale: Scale) -> Floats:
    """Return stored numbers as prediction vectors.

    Parameters
    ----------
    numbers
        Shape (n_records, n_classes), or (n_records, 1): then of the second of two classes; a single logit is that of
        the second class against the first.
    scale
        What the numbers are.

    Returns
    -------
    Shape (n_records, n_classes), or (n_records, 2) for one number per record.

    Examples
    --------
    >>> as_probabilities(np.array([[75.0]]), "percent"), as_probabilities(np.array([[0.0, 0.0]]), "logits")
    (array([[0.25, 0.75]]), array([[0.5, 0.5]]))
    """
    if scale == "logits":
        # Not 1 - p, which has no digits left where p is near 1.
        both = np.hstack([np.zeros_like(numbers), numbers]) if numbers.shape[1] == 1 else numbers
        with np.errstate(invalid="ignore"):  # infinite logits give NaN, which is refused
            return np.asarray(softmax(both, axis=1))
    return np.asarray(in_columns(numbers / 100 if scale == "percent" else numbers, 2))


def scale_of(numbers: Floats) -> Scale | None:
    """Return which scale stored numbers look like, or None if they look like none of the three.

    Parameters
    ----------
    numbers
        As for `as_probabilities`.

    Examples
    --------
    >>> scale_of(np.array([[70.0, 30.0]])), scale_of(np.array([[-2.0, 3.0]])), scale_of(np.array([[0.3, 0.3]]))
    ('percent', 'logits', None)
    """
    finite = numbers[np.isfinite(numbers).all(axis=1)]
    if not len(finite):
        return None
    outside = ((finite < -TOLERANCE) | (finite > 1 + TOLERANCE)).any(axis=1)
    if outside.mean() < ENOUGH:
        unsummed = improbable(in_columns(finite, 2))[2]
        return None if (outside | unsummed).any() else "probabilities"
    # Percent may be rounded to whole numbers.
    slack = 0.1 + 0.5 * finite.shape[1]
    is_percent = (finite >= 0).all(axis=1) & (finite <= 100 + slack).all(axis=1)
    if finite.shape[1] > 1:
        is_percent &= np.abs(finite.sum(axis=1) - 100) <= slack
    return "percent" if is_percent.mean() > 1 - ENOUGH else "logits"
