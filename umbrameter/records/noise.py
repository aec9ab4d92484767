"""Robustness to noise: how often a model still predicts a record's label when the record is changed a little."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from umbrameter.seeds import generator
from umbrameter.typing import Answering, Bools, Floats, Ints


class Noise(BaseModel):
    """How records are changed, by the type of their features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: int = Field(
        20, ge=1, le=1000, description="Changed copies of each record; each is one more query.", examples=[50]
    )
    rate: float = Field(
        0.1, gt=0, lt=1, description="The share of bits flipped, and of categories replaced.", examples=[0.05]
    )
    scale: float = Field(
        0.3,
        gt=0,
        description="Noise on numbers, in standard deviations of the feature; whole numbers stay whole.",
        examples=[0.1],
    )


def changed(X: Floats, noise: Noise, categorical: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return one changed copy of each record.

    Parameters
    ----------
    X
        Shape (n_records, n_features). A feature that holds only 0 and 1 is changed as a bit.
    noise
        How much to change.
    categorical
        Indices of the features that are categories: a changed one takes another record's value.
    rng
        Generator of the changes.

    Returns
    -------
    Shape and type of `X`.

    Examples
    --------
    >>> bits = np.zeros((1000, 10), np.float32)
    >>> flipped = changed(bits, Noise(rate=0.2), (), np.random.default_rng(0))
    >>> bool(0.19 < flipped.mean() < 0.21), sorted({*flipped.ravel().tolist()})
    (True, [0.0, 1.0])
    """
    is_category = np.isin(np.arange(X.shape[1]), categorical)
    is_bit: Bools = ((X == 0) | (X == 1)).all(axis=0) & ~is_category
    is_number = ~is_category & ~is_bit
    out = X.copy()
    hit = rng.random(X.shape) < noise.rate
    out[:, is_bit] = np.where(hit[:, is_bit], 1 - X[:, is_bit], X[:, is_bit])
    donors = rng.integers(len(X), size=(len(X), int(is_category.sum())))
    others = np.take_along_axis(X[:, is_category], donors, axis=0)
    out[:, is_category] = np.where(hit[:, is_category], others, X[:, is_category])
    spread = noise.scale * np.nanstd(X[:, is_number], axis=0) if is_number.any() else np.empty(0)
    out[:, is_number] += (rng.standard_normal((len(X), len(spread))) * spread).astype(X.dtype)
    is_whole = is_number & (np.rint(X) == X).all(axis=0)  # such as an age: no target expects a fraction of a year
    out[:, is_whole] = np.rint(out[:, is_whole])
    return out


def robustness(
    model: Answering, X: Floats, y: Ints, noise: Noise, categorical: tuple[int, ...], seed: int, unchanged: Any = None
) -> Floats:
    """Return the share of each record's changed copies for which the model still predicts the record's label.

    Parameters
    ----------
    model
        Only its labels are used: the largest element of each answer.
    X, y
        Records and labels, shapes (n_records, n_features) and (n_records,).
    noise, categorical
        How much to change, and indices of the features that are categories; see `changed`.
    seed
        Seed of the changes: the same for every model that is asked about the same records.
    unchanged
        The records as the model reads them; `X` if None.

    Returns
    -------
    Shape (n_records,); 0 for a record that the model misclassifies unchanged.

    References
    ----------
    Choquette-Choo, Tramer, Carlini, Papernot (2021), arXiv 2007.14321, section IV.
    """
    classes = np.asarray(model.classes_)
    held = np.zeros(len(X))
    for copy in range(noise.copies):
        noisy = changed(X, noise, categorical, generator(seed, "noise", copy))
        held += classes[model.predict_proba(noisy).argmax(axis=1)] == y
    is_correct = classes[model.predict_proba(X if unchanged is None else unchanged).argmax(axis=1)] == y
    return np.asarray(np.where(is_correct, held / noise.copies, 0.0))
