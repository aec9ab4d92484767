"""Utility: how good a model's answers are, and how a mitigation changes that."""

import math
from dataclasses import dataclass, fields

import numpy as np

from umbrameter.predictions.vectors import Vectors
from umbrameter.statistics import paired
from umbrameter.statistics.estimates import Metric
from umbrameter.statistics.intervals import proportion
from umbrameter.typing import Bools, Floats, Ints

MOST_LOSS = -math.log(np.finfo(np.float32).eps)
"""The largest log loss of one record, in nats: smaller confidences count as float32's epsilon."""


@dataclass(frozen=True)
class AnswerQuality:
    """How good answers are, record by record; arrays of shape (n_records,).

    Parameters
    ----------
    predicted
        The predicted class.
    is_correct
        Whether the predicted class is the record's.
    confidence
        The largest confidence, a fraction.
    log_loss
        The log loss, in nats.
    """

    predicted: Ints
    is_correct: Bools
    confidence: Floats
    log_loss: Floats

    @classmethod
    def of(cls, vectors: Vectors) -> "AnswerQuality":
        """Return the quality of prediction vectors."""
        predicted = vectors.predictions.argmax(axis=1)
        log_loss = paired.log_loss(vectors.predictions, vectors.labels)
        return cls(predicted, predicted == vectors.labels, vectors.predictions.max(axis=1), log_loss)

    def where(self, rows: Bools) -> "AnswerQuality":
        """Return the quality of the selected records' answers."""
        return AnswerQuality(*(getattr(self, field.name)[rows] for field in fields(self)))


def utility_and_change(
    quality: AnswerQuality,
    is_member: Bools,
    unmitigated: AnswerQuality | None = None,
    distances: Floats | None = None,
) -> dict[str, dict[str, Metric]]:
    """Return the utility of answers, and its change against the unmitigated target's.

    Parameters
    ----------
    quality, is_member
        For all audited records.
    unmitigated, distances
        The quality of the unmitigated target's answers, and the L1 distance of each answer from the unmitigated one,
        shape (n_records,); None for the unmitigated target itself.

    Returns
    -------
    `utility` and `change`, each a dictionary of figures by name.
    """
    figures, change = utility(quality, is_member), {}
    if unmitigated is not None and distances is not None:
        figures = figures | nearness(quality, unmitigated, distances)
        change = quality_change(quality.where(~is_member), unmitigated.where(~is_member))
    return {"utility": figures, "change": change}


def utility(quality: AnswerQuality, is_member: Bools) -> dict[str, Metric]:
    """Return train and test accuracy (fractions), and log loss (nats) and calibration error on non-members."""
    nonmembers = quality.where(~is_member)
    return {
        "train_accuracy": _share(quality.is_correct[is_member]),
        "test_accuracy": _share(nonmembers.is_correct),
        "log_loss": paired.mean(nonmembers.log_loss, bounds=(0.0, MOST_LOSS)),
        "calibration_error": paired.calibration_error(nonmembers.confidence, nonmembers.is_correct),
    }


def accuracies(is_correct: Bools, is_member: Bools) -> dict[str, float]:
    """Return train and test accuracy as fractions, without intervals."""
    return {
        "train_accuracy": is_correct[is_member].mean().item(),
        "test_accuracy": is_correct[~is_member].mean().item(),
    }


def nearness(quality: AnswerQuality, unmitigated: AnswerQuality, distances: Floats) -> dict[str, Metric]:
    """Return label agreement (a fraction) and distortion (mean L1 distance) against the unmitigated target.

    Parameters
    ----------
    quality, unmitigated
        For the same records.
    distances
        L1 distance between the two answers on each record, shape (n_records,).
    """
    most = max(2.0, float(distances.max()))  # rounded vectors may sum to more than 1
    return {
        "label_agreement": _share(quality.predicted == unmitigated.predicted),
        "distortion": paired.mean(distances, bounds=(0.0, most)),
    }


def quality_change(quality: AnswerQuality, unmitigated: AnswerQuality) -> dict[str, Metric]:
    """Return the paired differences in quality on the same records; positive where `quality` has the higher figure."""
    return {
        "test_accuracy": paired.proportion_difference(unmitigated.is_correct, quality.is_correct),
        "log_loss": paired.mean_difference(unmitigated.log_loss, quality.log_loss, bounds=(-MOST_LOSS, MOST_LOSS)),
        "calibration_error": paired.calibration_error_difference(
            unmitigated.confidence, unmitigated.is_correct, quality.confidence, quality.is_correct
        ),
    }


def _share(values: Bools) -> Metric:
    return proportion(int(np.count_nonzero(values)), len(values))
