"""Ask any model for prediction vectors over the data's classes."""

from collections.abc import Callable

import numpy as np

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.predictions.probabilities import align_probabilities
from umbrameter.records.noise import Noise, robustness
from umbrameter.records.reader import Records
from umbrameter.seeds import integer
from umbrameter.typing import Answering, Floats, Ints

BATCH = 2**23
"""Values of features that a model is asked about at once, so that a large query holds one batch of them."""


def holds(model: Answering, records: Records, rows: Ints, noise: Noise, seed: int) -> Floats:
    """Return how well a model's label of some records holds under noise, in batches; as of `noise.robustness`."""
    held, n = [], max(1, BATCH // records.n_features)
    for start in range(0, len(rows), n):
        X, y = records.take(rows[start : start + n])
        held.append(robustness(model, X, y, noise, records.categorical, integer(seed, "noise", start)))
    return np.concatenate(held)


def aligned_answers(model: Answering, records: Records) -> Callable[[Floats], Floats]:
    """Return a model as a function from features to prediction vectors over all classes, float32.

    One whose answers are rounded or cut off says so by `is_coarse`; they need not sum to 1.
    """
    is_coarse = bool(getattr(model, "is_coarse", False))

    def answer(X: Floats) -> Floats:
        try:
            found = model.predict_proba(X)
        except (MemoryError, UmbrameterError):
            raise
        except Exception as error:
            raise DataError(
                f"{type(model).__name__} could not answer {len(X)} records: {type(error).__name__}: {error}; "
                "change its parameters"
            ) from error
        return align_probabilities(found, model.classes_, len(records.classes), is_coarse).astype(np.float32)

    return answer


def ask(model: Answering, records: Records, rows: Ints) -> tuple[Floats, Ints]:
    """Return a model's prediction vectors on some records, in batches, and the records' labels.

    Returns
    -------
    predictions
        float32, shape (n_records, n_classes); a class that the model has never seen gets 0.
    labels
        Shape (n_records,).
    """
    answers, labels, n = [], [], max(1, BATCH // records.n_features)
    answer = aligned_answers(model, records)
    for start in range(0, len(rows), n):
        X, y = records.take(rows[start : start + n])
        answers.append(answer(X))
        labels.append(y)
    return np.concatenate(answers), np.concatenate(labels)
