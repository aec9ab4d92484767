"""The figures that an audit reports per attack, from its scores, the membership and its yes-or-no decisions.

Belongs here: which figures, their names, the ROC curve, and the choice of a threshold on shadow data. Does not belong
here: how an interval is computed (`intervals`). A record is called a member if its score is at or above the threshold.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel

from umbrameter.errors import DataError
from umbrameter.statistics import intervals
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.intervals import checked_scores
from umbrameter.typing import Array, Bools, Floats, Ints

FPRS = (0.1, 0.01, 0.001)
"""The false-positive rates at which the true-positive rate is reported."""

PRIORS = (0.1, 0.01)
"""The shares of members at which the precision is reported, besides one half."""

METRICS = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "advantage",
    *(f"tpr_at_fpr_{fpr}" for fpr in FPRS),
    "epsilon_lower_bound",
    *(f"precision_at_prior_{prior}" for prior in PRIORS),
)
"""The names of the figures that `measure` returns, in the order of a report."""

NO_THRESHOLD = "the attack has no threshold from shadow data"


class ClassMetrics(BaseModel, frozen=True, extra="forbid"):
    """An attack's figures on the records of one class.

    Parameters
    ----------
    label
        The class's name.
    n_members, n_nonmembers
        Numbers of audited records of the class.
    accuracy, precision, recall, auc
        See `measure`; computed on these records alone.
    """

    label: str
    n_members: int
    n_nonmembers: int
    accuracy: Metric
    precision: Metric
    recall: Metric
    auc: Metric


def measure(scores: ArrayLike, is_member: ArrayLike, is_predicted_member: ArrayLike | None) -> dict[str, Metric]:
    """Return every figure of one attack, each with a 95 % interval or the reason why it was not measured.

    `accuracy`, `precision`, `recall` and `advantage` judge the attack's own decisions as if there were as many members
    as non-members: accuracy is (TPR + 1 - FPR) / 2, whatever the numbers of audited records.

    Parameters
    ----------
    scores
        Shape (n_records,), higher for more likely a member; infinities are legal.
    is_member
        Boolean, shape (n_records,).
    is_predicted_member
        Boolean, shape (n_records,): which records the attack calls members, by a threshold chosen on shadow data only.
        None when the attack has no threshold.

    Returns
    -------
    dict
        Keys `METRICS`, in that order.

    Raises
    ------
    DataError
        When lengths differ, a mask is not boolean, or a score is NaN.

    Examples
    --------
    >>> metrics = measure([0.9, 0.8, 0.4, 0.1], np.array([True, True, False, False]), None)
    >>> metrics["auc"].value, metrics["accuracy"]
    (1.0, NotMeasured(not_measured='the attack has no threshold from shadow data'))
    """
    checked = checked_scores("scores", scores)
    member = checked_mask("is_member", is_member, len(checked))
    decisions = None
    if is_predicted_member is not None:
        decisions = checked_mask("is_predicted_member", is_predicted_member, len(checked))
    if reason := _missing(member):
        return dict.fromkeys(METRICS, NotMeasured(not_measured=reason))
    metrics = {"auc": intervals.auc(checked[member], checked[~member])} | _of_decision(member, decisions)
    for fpr in FPRS:
        metrics[f"tpr_at_fpr_{fpr}"] = intervals.tpr_at_fpr(checked[member], checked[~member], fpr)
    metrics["epsilon_lower_bound"] = epsilon_lower_bound(checked[member], checked[~member])
    return {name: metrics[name] for name in METRICS}


def measure_by_class(
    scores: ArrayLike,
    is_member: ArrayLike,
    is_predicted_member: ArrayLike | None,
    labels: ArrayLike,
    classes: Sequence[str],
) -> list[ClassMetrics]:
    """Return an attack's figures per class; a class without members or non-members is listed as not measured.

    Parameters
    ----------
    scores, is_member, is_predicted_member
        See `measure`.
    labels
        Integers 0 .. n_classes - 1, shape (n_records,).
    classes
        The names of the classes; entry i names label i.

    Raises
    ------
    DataError
        When lengths differ, a mask is not boolean, a score is NaN, or a label has no name.

    Examples
    --------
    >>> yes, no = np.array([True, False, True]), np.array([False, True, False])
    >>> [(c.label, c.n_members) for c in measure_by_class([2, 1, 0], yes, no, [0, 0, 1], ["cat", "dog"])]
    [('cat', 1), ('dog', 1)]
    """
    checked = checked_scores("scores", scores)
    member = checked_mask("is_member", is_member, len(checked))
    decisions = None
    if is_predicted_member is not None:
        decisions = checked_mask("is_predicted_member", is_predicted_member, len(checked))
    codes = _labels(labels, len(checked), len(classes))
    rows = [np.flatnonzero(codes == label) for label in range(len(classes))]
    return [
        _of_class(name, checked[row], member[row], None if decisions is None else decisions[row])
        for name, row in zip(classes, rows, strict=True)
    ]


def roc_curve(scores: ArrayLike, is_member: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the ROC curve's achievable points: one for each distinct score, so that no threshold splits a tie.

    Parameters
    ----------
    scores
        Shape (n_records,); infinities are legal.
    is_member
        Boolean, shape (n_records,), with both members and non-members.

    Returns
    -------
    fpr, tpr, thresholds
        Shape (n_distinct + 1,) each, from (0, 0) to (1, 1). The first threshold, inf, stands for calling nobody.

    Raises
    ------
    DataError
        When lengths differ, the mask is not boolean, a score is NaN, or there are no members or no non-members.

    Examples
    --------
    >>> fpr, tpr, thresholds = roc_curve([3, 2, 2, 1], np.array([True, True, False, False]))
    >>> fpr, tpr, thresholds
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 1. , 1. ]), array([inf,  3.,  2.,  1.]))
    """
    checked, member = _two_sides(scores, "is_member", is_member)
    fp, tp, thresholds = _roc_counts(checked, member)
    return fp / fp[-1], tp / tp[-1], thresholds


def best_threshold(scores: ArrayLike, is_in: ArrayLike) -> float:
    """Return the threshold with the best balanced accuracy on shadow scores; of equals, the one with the smallest FPR.

    Records with at least this score are called members. The threshold is itself a shadow score, the smallest that is so
    called. One half-way to the next lower score would call more: of a model that is certain of all its members, these
    are non-members alone.

    Parameters
    ----------
    scores
        Scores of shadow records, shape (n_records,); infinities are legal.
    is_in
        Boolean, shape (n_records,), with both IN and OUT.

    Returns
    -------
    float
        The smallest shadow score that is called. It is inf when calling nobody is best: then the scores do not tell IN
        from OUT.

    Raises
    ------
    DataError
        When lengths differ, the mask is not boolean, a score is NaN, or all records are IN or all OUT.

    References
    ----------
    Song, Mittal (2021), arXiv 2003.10595, section 3.

    Examples
    --------
    >>> best_threshold([0.9, 0.8, 0.3, 0.1], np.array([True, True, False, False]))
    0.8
    """
    checked, member = _two_sides(scores, "is_in", is_in)
    fp, tp, thresholds = _roc_counts(checked, member)
    gain = tp * fp[-1] - fp * tp[-1]  # TPR - FPR in whole numbers, so that ties are ties
    first = int(thresholds[1] == np.inf)  # with a score of inf no threshold calls nobody
    return float(thresholds[first + np.argmax(gain[first:])])


def _of_class(label: str, scores: Floats, is_member: Bools, is_predicted_member: Bools | None) -> ClassMetrics:
    n_members = int(is_member.sum())
    if reason := _missing(is_member):
        metrics: Mapping[str, Metric] = dict.fromkeys(METRICS, NotMeasured(not_measured=reason))
    else:
        auc = intervals.auc(scores[is_member], scores[~is_member])
        metrics = {"auc": auc} | _of_decision(is_member, is_predicted_member)
    return ClassMetrics(
        label=label,
        n_members=n_members,
        n_nonmembers=len(is_member) - n_members,
        accuracy=metrics["accuracy"],
        precision=metrics["precision"],
        recall=metrics["recall"],
        auc=metrics["auc"],
    )


def _of_decision(is_member: Bools, is_predicted_member: Bools | None) -> dict[str, Metric]:
    """Return the figures that need the attack's own yes or no."""
    at_prior = {f"precision_at_prior_{prior}": prior for prior in PRIORS}
    if is_predicted_member is None:
        names = ("accuracy", "precision", "recall", "advantage", *at_prior)
        return dict.fromkeys(names, NotMeasured(not_measured=NO_THRESHOLD))
    n_members, n_nonmembers = int(is_member.sum()), int((~is_member).sum())
    tp, fp = int(is_predicted_member[is_member].sum()), int(is_predicted_member[~is_member].sum())
    advantage = intervals.difference(tp, n_members, fp, n_nonmembers)
    return {
        "accuracy": _halfway_up(advantage),
        "recall": intervals.proportion(tp, n_members),
        "advantage": advantage,
        **{
            name: intervals.precision(tp, n_members, fp, n_nonmembers, prior)
            for name, prior in ({"precision": 0.5} | at_prior).items()
        },
    }


def _halfway_up(advantage: Interval) -> Interval:
    """Return the balanced accuracy, (1 + advantage) / 2."""
    bounds = {name: (1 + getattr(advantage, name)) / 2 for name in ("value", "low", "high")}
    return advantage.model_copy(update=bounds)


def _roc_counts(scores: Floats, is_member: Bools) -> tuple[Ints, Ints, Floats]:
    """Return how many non-members and members are called at each distinct score, from nobody to everybody."""
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    # No threshold splits a tie, so only the last record of each run of equal scores gives a point.
    last_of_tie = np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(descending) - 1)
    tp = np.cumsum(is_member[order])[last_of_tie]
    fp = last_of_tie + 1 - tp
    return np.append(0, fp), np.append(0, tp), np.append(np.inf, descending[last_of_tie])


def _two_sides(scores: ArrayLike, name: str, mask: ArrayLike) -> tuple[Floats, Bools]:
    checked = checked_scores("scores", scores)
    sides = checked_mask(name, mask, len(checked))
    if not sides.any() or sides.all():
        text = f"{name} is true for {sides.sum():,} of {len(sides):,} records (needs some, not all)"
        raise DataError(f"{text}: pass the scores of both sides")
    return checked, sides


def checked_mask(name: str, mask: ArrayLike, n_records: int) -> Bools:
    """Return a mask as an array of shape (n_records,).

    Parameters
    ----------
    name
        The caller's name of the mask, for error messages.
    mask
        Boolean, one entry per record.
    n_records
        The length that it must have.

    Raises
    ------
    DataError
        When it is not boolean or of another length.
    """
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise DataError(f"{name} has dtype {array.dtype} (needs bool): pass {name}.astype(bool)")
    _check_length(name, array, n_records)
    return array


def _labels(labels: ArrayLike, n_records: int, n_classes: int) -> Ints:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise DataError(f"labels has dtype {array.dtype} (needs integers): pass each record's class as its index")
    _check_length("labels", array, n_records)
    unnamed = array[(array < 0) | (array >= n_classes)]
    if len(unnamed):
        text = f"labels holds {unnamed[0]} (needs 0 .. {n_classes - 1}, as there are {n_classes} classes)"
        raise DataError(f"{text}: name every class in `classes`")
    return array


def _check_length(name: str, array: Array, n_records: int) -> None:
    if array.shape != (n_records,):
        text = f"{name} has shape {array.shape} (needs ({n_records},), one entry per score)"
        raise DataError(f"{text}: pass arrays over the same records")


def _missing(is_member: Bools) -> str | None:
    """Return why nothing can be measured, or None."""
    sides = {"members": is_member, "non-members": ~is_member}
    absent = [name for name, side in sides.items() if not side.any()]
    return f"there are no {' and no '.join(absent)}" if absent else None
