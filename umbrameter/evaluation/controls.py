"""Controls: checks of the audit itself, in every audit. One that fails says that the figures cannot be trusted.

Belongs here: one function a control, from arrays to an outcome in words. Does not belong here: what follows from a
failed control (`verdict`). All chance is of a seed; alarms are so strict that one of a thousand sound audits has them.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binom

from umbrameter.seeds import generator
from umbrameter.statistics import intervals
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.statistics.estimates import NotMeasured
from umbrameter.statistics.metrics import FPRS
from umbrameter.typing import Array, Bools, Floats, Ints

STRICT = 0.998
"""Confidence of the intervals that raise an alarm: on one side, one sound audit of a thousand."""

PLANTED = 0.05
"""The share of members that the planted leak gives away."""

N_NULL = 200
"""How often membership is permuted."""

SAMPLE = 2_000
"""Records a side that the blind baseline learns from or is asked about, at most."""

PERMUTED = 500
"""Records a side whose membership is permuted, at most."""

FEWEST = 25
"""Records below which a control that counts or learns says nothing."""

MOST_FEATURES = 500
"""Features that the blind baseline looks at, at most, drawn at random."""

NEIGHBOURS = 5_000
"""Members among which the nearest is looked for, at most."""

COPIES = 0.01
"""The share of non-members that may be copies of members."""


class Control(BaseModel):
    """How one control came out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["pass", "fail", "not_measured"] = Field(description="How it came out.")
    reason: str = Field(description="What was found, in a sentence.")
    figures: dict[str, float] = Field(default={}, description="The figures behind it.")


def permuted_labels(scores: Floats, is_member: Bools, rng: np.random.Generator) -> Control:
    """With membership permuted at random, 95 % intervals of the AUC must miss .5 about as often as they may.

    Parameters
    ----------
    scores
        An attack's, shape (n_records,).
    is_member
        Shape (n_records,).
    rng
        Of the permutations.
    """
    rows = some_of_each(is_member, rng, PERMUTED)
    scores, is_member = scores[rows], is_member[rows]
    alarms = 0
    for _ in range(N_NULL):
        permuted = rng.permutation(is_member)
        found = intervals.auc(scores[permuted], scores[~permuted])
        alarms += not found.low <= 0.5 <= found.high
    share, most = alarms / N_NULL, binom.ppf(0.999, N_NULL, 0.05) / N_NULL
    text = f"{share:.1%} of {N_NULL} audits with membership permuted at random see a leak; about 5 % may"
    return _outcome(share <= most, text, alarm_rate=share)


def planted_leak(scores: Floats, is_member: Bools, rng: np.random.Generator) -> Control:
    """With membership permuted and 5 % of the members given away, the leak must be found.

    Parameters
    ----------
    scores, is_member, rng
        As of `permuted_labels`.
    """
    member = rng.permutation(is_member)
    n_planted, n_nonmembers = round(PLANTED * int(member.sum())), int((~member).sum())
    if n_planted < FEWEST or n_nonmembers < FEWEST / PLANTED:
        return _too_few(f"{PLANTED:.0%} of the members are {n_planted} records, too few to be found for certain")
    planted = scores.astype(np.float64)
    planted[np.flatnonzero(member)[:n_planted]] = np.inf
    above, below = planted[member], planted[~member]
    epsilon = epsilon_lower_bound(above, below).low
    rates = [(fpr, intervals.tpr_at_fpr(above, below, fpr)) for fpr in FPRS]
    by_rate = [fpr for fpr, rate in rates if not isinstance(rate, NotMeasured) and rate.low > fpr]
    is_found = epsilon > 0 or bool(by_rate)
    text = f"a leak of {PLANTED:.0%} of the members, planted where there was none, is {'' if is_found else 'not '}found"
    return _outcome(is_found, text, epsilon_lower_bound=epsilon)


def swapped_sides(scores: Floats, is_member: Bools) -> Control:
    """With members and non-members exchanged, the AUC and its interval must mirror.

    Parameters
    ----------
    scores, is_member
        As of `permuted_labels`.
    """
    found = intervals.auc(scores[is_member], scores[~is_member])
    mirrored = intervals.auc(scores[~is_member], scores[is_member])
    gap = max(
        abs(found.value + mirrored.value - 1), abs(found.low + mirrored.high - 1), abs(found.high + mirrored.low - 1)
    )
    text = f"with members and non-members exchanged the AUC is {mirrored.value:.3f}, for {found.value:.3f} before"
    return _outcome(gap < 1e-6, text, auc=found.value, swapped_auc=mirrored.value)


def orientation(confidence: Floats, is_member: Bools) -> Control:
    """See that the target is not less sure of members than of non-members: then the two sides were exchanged.

    Parameters
    ----------
    confidence
        The target's confidence in the label, shape (n_records,).
    is_member
        Shape (n_records,).
    """
    found = intervals.auc(confidence[is_member], confidence[~is_member], STRICT)
    text = (
        f"the target is {'less' if found.high < 0.5 else 'not less'} sure of members than of non-members (AUC of its "
        f"confidence {found.value:.3f})"
    )
    is_right = found.high >= 0.5
    return _outcome(is_right, text if is_right else f"{text}: is_member may be exchanged", auc=found.value)


def answers_fit_labels(predicted: Ints, labels: Ints, n_classes: int) -> Control:
    """See that the target is right more often than answers dealt to records at random: else rows were shuffled.

    Parameters
    ----------
    predicted
        The class that the target answers, shape (n_records,).
    labels
        Shape (n_records,).
    n_classes
        Of the target.
    """
    shares = [np.bincount(x, minlength=n_classes) / len(labels) for x in (predicted, labels)]
    by_chance, right = float(np.dot(*shares)), int((predicted == labels).sum())
    p = float(binom.sf(right - 1, len(labels), by_chance))
    is_better = p < (1 - STRICT) / 2
    text = f"the target is right on {right / len(labels):.3f} of the audited records, by chance on {by_chance:.3f}"
    text += "" if is_better else ": answers and labels may not belong to the same records"
    return _outcome(is_better, text, accuracy=right / len(labels), by_chance=by_chance)


def blind_baseline(features: Array, is_member: Bools, rng: np.random.Generator) -> Control:
    """Members must not be told from non-members by the records alone: else the two sides differ in distribution.

    A gradient-boosted classifier learns on one half of the records and is asked about the other. Not the reverse, too:
    two halves that score each other agree by chance, and the interval would be too narrow.

    Parameters
    ----------
    features
        Records, shape (n_records, n_features); categories as numbers.
    is_member
        Shape (n_records,).
    rng
        Of the sample.

    References
    ----------
    Das, Zhang, Tramer (2024), "Blind Baselines Beat Membership Inference Attacks for Foundation Models",
    arXiv 2406.16201.
    """
    if min(is_member.sum(), (~is_member).sum()) < 2 * FEWEST:
        return _too_few(f"there are fewer than {2 * FEWEST} members or non-members to learn from")
    columns = rng.permutation(features.shape[1])[:MOST_FEATURES]
    rows = some_of_each(is_member, rng, SAMPLE)
    X, member = features[rows][:, columns], is_member[rows]
    from sklearn.ensemble import HistGradientBoostingClassifier  # here, since whoever shows a report loads this module

    learnt = rng.permutation(len(member)) % 2 == 0
    model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=4, random_state=0).fit(X[learnt], member[learnt])
    asked, truth = model.predict_proba(X[~learnt])[:, 1], member[~learnt]
    found = intervals.auc(asked[truth], asked[~truth], STRICT)
    is_alike = found.low <= 0.5
    text = f"from the records alone, without the target, members are told from non-members with AUC {found.value:.3f}"
    return _outcome(is_alike, text if is_alike else f"{text}: the sides differ in distribution", auc=found.value)


def copies(keys: Array, is_member: Bools) -> Control:
    """Next to no non-member may be an exact copy of a member: it is as good as trained on.

    Parameters
    ----------
    keys
        What tells records apart, such as a digest of features and label, shape (n_records,).
    is_member
        Shape (n_records,).
    """
    share = float(np.isin(keys[~is_member], keys[is_member]).mean())
    return _outcome(share <= COPIES, f"{share:.1%} of the non-members are copies of members", share=share)


def near_copies(others: Floats, members: Floats, what: str, rng: np.random.Generator) -> Control:
    """See that records apart from the members are no nearer to them than members are to each other.

    Near means: nearer than a quarter of the usual distance from a member to the member next to it.

    Parameters
    ----------
    others
        Records that are no members, shape (n_others, n_features), on a scale on which features count alike.
    members
        The members, shape (n_members, n_features).
    what
        What the others are, in words.
    rng
        Of the sample.

    References
    ----------
    Barz, Denzler (2020), "Do we train on test data? Purging CIFAR of near-duplicates", arXiv 1902.00423.
    """
    if min(len(others), len(members)) < FEWEST:
        return _too_few(f"there are fewer than {FEWEST} members or {what}")
    from sklearn.neighbors import NearestNeighbors  # here, since whoever shows a report loads this module

    columns = rng.permutation(members.shape[1])[:MOST_FEATURES]
    base = members[rng.permutation(len(members))[:NEIGHBOURS]][:, columns]
    asked = others[rng.permutation(len(others))[:PERMUTED]][:, columns]
    search = NearestNeighbors(algorithm="brute").fit(base)
    usual = search.kneighbors(base[:PERMUTED], 2)[0][:, 1]  # the nearest is the member itself, or its equal
    near = float(np.median(usual)) / 4
    if near == 0:
        return _too_few("half of the members have a copy among the members, so that nearness says nothing")
    counts = [int((distances < near).sum()) for distances in (search.kneighbors(asked, 1)[0][:, 0], usual)]
    across, within = (
        intervals.proportion(n, size, STRICT) for n, size in zip(counts, (len(asked), len(usual)), strict=True)
    )
    text = f"{across.value:.1%} of the {what} nearly equal a member, as {within.value:.1%} of the members do"
    is_good = across.low - within.high <= COPIES
    return _outcome(
        is_good,
        text if is_good else f"{text}: they are copies with small changes",
        share=across.value,
        usual=within.value,
    )


def row_order(kept: bool) -> Control:
    """With the audited records in another order, each must keep its score.

    Parameters
    ----------
    kept
        Whether each did, under every attack.
    """
    return _outcome(kept, f"with the records in another order, scores {'' if kept else 'do not '}follow them")


def failures(controls: dict[str, Control]) -> list[str]:
    """Return a sentence for each control that failed."""
    return [f"The control {name} failed: {c.reason}." for name, c in controls.items() if c.status == "fail"]


def some_of_each(is_member: Bools, rng: np.random.Generator, most: int) -> Ints:
    """Return the places of some members, then of some non-members, at most so many a side."""
    return np.concatenate([rng.permutation(np.flatnonzero(side))[:most] for side in (is_member, ~is_member)])


def _outcome(is_good: bool, reason: str, **figures: float) -> Control:
    return Control(status="pass" if is_good else "fail", reason=reason, figures=figures)


def _too_few(reason: str) -> Control:
    return Control(status="not_measured", reason=reason)


def of_scores(scores: Sequence[Floats], is_member: Bools, seed: int) -> dict[str, Control]:
    """Return the controls that need scores alone, each the worst over the attacks.

    Parameters
    ----------
    scores
        Each attack's, shape (n_records,).
    is_member
        Shape (n_records,).
    seed
        The audit's seed.
    """
    rng = generator(seed, "controls")
    return {
        "permuted_labels": _worst([permuted_labels(s, is_member, rng) for s in scores]),
        "planted_leak": _worst([planted_leak(s, is_member, rng) for s in scores]),
        "swapped_sides": _worst([swapped_sides(s, is_member) for s in scores]),
    }


def _worst(found: Sequence[Control]) -> Control:
    if not found:
        return Control(status="not_measured", reason="no attack on the target as it is was measured")
    return min(found, key=lambda control: ("fail", "not_measured", "pass").index(control.status))
