"""What a mitigation costs: how good its answers are, and how they differ from those of the target as it is."""

import math
from dataclasses import dataclass, fields

import numpy as np

from umbrameter.predictions.vectors import Vectors
from umbrameter.statistics import paired
from umbrameter.statistics.estimates import Metric
from umbrameter.statistics.intervals import proportion
from umbrameter.typing import Bools, Floats, Ints

MOST_LOSS = -math.log(np.finfo(np.float32).eps)
"""The largest log loss of one record: a smaller confidence counts as float32's epsilon."""


@dataclass(frozen=True)
class Seen:
    """What of answers decides their worth, shapes (n_records,).

    Parameters
    ----------
    called
        The class answered.
    is_right
        Whether it is the record's.
    sure
        The largest confidence.
    loss
        Log loss.
    """

    called: Ints
    is_right: Bools
    sure: Floats
    loss: Floats

    @classmethod
    def of(cls, vectors: Vectors) -> "Seen":
        """Return it of prediction vectors."""
        called = vectors.predictions.argmax(axis=1)
        loss = paired.log_loss(vectors.predictions, vectors.labels)
        return cls(called, called == vectors.labels, vectors.predictions.max(axis=1), loss)

    def where(self, rows: Bools) -> "Seen":
        """Return it of some records."""
        return Seen(*(getattr(self, field.name)[rows] for field in fields(self)))


def costs(
    seen: Seen, is_member: Bools, base: Seen | None = None, distances: Floats | None = None
) -> dict[str, dict[str, Metric]]:
    """Return what answers are worth, and how they differ from those of the target as it is.

    Parameters
    ----------
    seen, is_member
        Of all audited records.
    base, distances
        The target as it is, and the L1 distance of each answer from its; None for itself.

    Returns
    -------
    `utility` and `change`, each figure by name.
    """
    found, differs = utility(seen, is_member), {}
    if base is not None and distances is not None:
        found = found | nearness(seen, base, distances)
        differs = change(seen.where(~is_member), base.where(~is_member))
    return {"utility": found, "change": differs}


def utility(seen: Seen, is_member: Bools) -> dict[str, Metric]:
    """Return train and test accuracy (fractions), and of non-members log loss (nats) and calibration error."""
    others = seen.where(~is_member)
    return {
        "train_accuracy": _share(seen.is_right[is_member]),
        "test_accuracy": _share(others.is_right),
        "log_loss": paired.mean(others.loss, bounds=(0.0, MOST_LOSS)),
        "calibration_error": paired.calibration_error(others.sure, others.is_right),
    }


def accuracies(is_right: Bools, is_member: Bools) -> dict[str, float]:
    """Return the shares of members and of non-members that are answered right, as fractions."""
    return {"train_accuracy": is_right[is_member].mean().item(), "test_accuracy": is_right[~is_member].mean().item()}


def nearness(seen: Seen, base: Seen, distances: Floats) -> dict[str, Metric]:
    """Return label agreement (a fraction) and distortion (mean L1 distance) against the target as it is."""
    most = max(2.0, float(distances.max()))  # rounded vectors may sum to more than 1
    return {
        "label_agreement": _share(seen.called == base.called),
        "distortion": paired.mean(distances, bounds=(0.0, most)),
    }


def change(seen: Seen, base: Seen) -> dict[str, Metric]:
    """Return how the worth of answers differs from that of others on the same records."""
    return {
        "test_accuracy": paired.proportion_difference(base.is_right, seen.is_right),
        "log_loss": paired.mean_difference(base.loss, seen.loss, bounds=(-MOST_LOSS, MOST_LOSS)),
        "calibration_error": paired.calibration_error_difference(base.sure, base.is_right, seen.sure, seen.is_right),
    }


def _share(values: Bools) -> Metric:
    return proportion(int(np.count_nonzero(values)), len(values))
