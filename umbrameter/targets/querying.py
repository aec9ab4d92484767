"""Query any model for prediction vectors over the data's classes, in batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.predictions.probabilities import align_probabilities
from umbrameter.records.noise import Noise, robustness
from umbrameter.records.own import as_numbers
from umbrameter.records.reader import RecordReader
from umbrameter.seeds import integer
from umbrameter.typing import Answering, Floats, Ints

BATCH = 2**23
"""Feature values that a model is asked about at once, so that a large query holds one batch in memory."""


def robustness_to_noise(model: Answering, records: RecordReader, rows: Ints, noise: Noise, seed: int) -> Floats:
    """Return how well a model's labels withstand noise, computed in batches; see `records.noise.robustness`.

    Parameters
    ----------
    model
        Only its labels are used.
    records, rows
        The records, and the rows to ask about, shape (n_rows,).
    noise, seed
        How much to change the records, and the seed of the changes.

    Returns
    -------
    The share of each record's changed copies that keep its label, shape (n_rows,).
    """
    robustness_by_batch, meta = [], records.metadata
    n = max(1, BATCH // meta.n_features)
    for start in range(0, len(rows), n):
        records_asked, y = records.take(rows[start : start + n])
        is_table = isinstance(records_asked, pa.Table)
        X = as_numbers(records_asked, meta.categories).astype(np.float64) if is_table else records_asked
        batch_seed = integer(seed, "noise", start)
        robustness_by_batch.append(robustness(model, X, y, noise, meta.categorical, batch_seed, records_asked))
    return np.concatenate(robustness_by_batch)


def aligned_answers(model: Answering, n_classes: int) -> Callable[[Any], Floats]:
    """Return a function from features to the model's prediction vectors over all classes, float32.

    Classes that the model alone knows are behind the data's `n_classes`.

    A model whose answers are rounded or truncated has `is_coarse` set; they need not sum to 1.
    """
    is_coarse = bool(getattr(model, "is_coarse", False))

    def answer(X: Any) -> Floats:
        try:
            answers = model.predict_proba(X)
        except (MemoryError, UmbrameterError):
            raise  # another worker may have more memory; our own errors say what to do
        except Exception as error:
            raise DataError(
                f"{type(model).__name__} could not answer {len(X)} records: {type(error).__name__}: {error}; "
                "change its parameters"
            ) from error
        return align_probabilities(answers, model.classes_, n_classes, is_coarse).astype(np.float32)

    return answer


def ask(model: Answering, records: RecordReader, rows: Ints, n_classes: int | None = None) -> tuple[Floats, Ints]:
    """Return a model's prediction vectors on some records, asked in batches, and the records' labels.

    Parameters
    ----------
    model
        A classifier of some or all of the data's classes.
    records, rows
        The records, and the rows to ask about, shape (n_rows,).
    n_classes
        Least length of a prediction vector; the number of the data's classes if None.

    Returns
    -------
    predictions
        float32, shape (n_rows, n_classes); a class that the model does not know gets 0, and those that it alone knows
        are behind the data's.
    labels
        Shape (n_rows,).

    Raises
    ------
    DataError
        When the model fails, or does not return probabilities.
    """
    answers, labels, meta = [], [], records.metadata
    answer, n = aligned_answers(model, n_classes or len(meta.classes)), max(1, BATCH // meta.n_features)
    for start in range(0, len(rows), n):
        X, y = records.take(rows[start : start + n])
        answers.append(answer(X))
        labels.append(y)
    return np.concatenate(answers), np.concatenate(labels)
