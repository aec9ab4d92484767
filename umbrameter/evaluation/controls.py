"""Controls: checks that every audit makes of itself. If one fails, the figures cannot be trusted.

Belongs here: one function per control, from arrays to its outcome. Does not belong here: the consequences of a failed
control (`verdict`). All randomness comes from a seed; a control fails in about one sound audit of a thousand.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtri
from scipy.stats import binom

from umbrameter.predictions.vectors import Vectors
from umbrameter.seeds import generator
from umbrameter.statistics import intervals
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.statistics.estimates import NotMeasured
from umbrameter.statistics.metrics import FPRS
from umbrameter.statistics.placements import aucs_of
from umbrameter.typing import Array, Bools, Floats, Ints

STRICT = 0.998
"""Confidence of the two-sided intervals that raise an alarm on one side: in one sound audit of a thousand."""

Z = -float(ndtri((1 - STRICT) / 2))
"""Standard errors from an estimate to the bounds of such an interval."""

ALIKE = 1e-9
"""Variance of a record's probabilities, summed over classes, below which all answers count as the same."""

USELESS = 0.2
"""Share of what a target claims to know below which nothing that it knows is to be seen."""

PLANTED = 0.05
"""Share of members that the planted leak gives away."""

N_NULL = 200
"""Number of permutations of membership."""

AT_ONCE = 50
"""Permutations whose intervals are computed together, few enough to stay in the cache."""

SAMPLE = 2_000
"""Records per side that the blind baseline learns from or is tested on, at most."""

PERMUTED = 500
"""Records per side whose membership is permuted, at most."""

FEWEST = 25
"""Records below which a control that counts or learns is too uncertain to say anything."""

MOST_FEATURES = 500
"""Features that the blind baseline and the search for near copies use, at most, drawn at random."""

NEIGHBOURS = 5_000
"""Members among which the nearest one is searched for, at most."""

COPIES = 0.01
"""Share of non-members that may be copies of members."""


class Control(BaseModel):
    """How one control came out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["pass", "fail", "not_measured"] = Field(description="How it came out.")
    reason: str = Field(description="What the control found, in a sentence.")
    figures: dict[str, float] = Field(default={}, description="The figures behind the outcome.")


def permuted_labels(scores: Floats, is_member: Bools, rng: np.random.Generator) -> Control:
    """Check that about 5 % of the AUC's 95 % intervals miss .5 when membership is permuted at random.

    Where few records differ in score, permutations give few distinct AUCs, and the share of intervals that miss jumps;
    up to twice 5 % is therefore sound. Intervals half as wide as they should be miss in a third.

    Parameters
    ----------
    scores
        An attack's scores, shape (n_records,).
    is_member
        Shape (n_records,).
    rng
        Draws the sample and the permutations.
    """
    rows = some_of_each(is_member, rng, PERMUTED)
    scores, is_member = scores[rows], is_member[rows]
    order = scores.argsort()
    first, n_tied = np.unique(scores[order], return_index=True, return_counts=True)[1:]
    alarms = 0
    for _ in range(N_NULL // AT_ONCE):
        permuted = np.stack([rng.permutation(is_member) for _ in range(AT_ONCE)])[:, order]
        members = np.add.reduceat(permuted, first, axis=1, dtype=np.int64)
        bounds = (auc.bounds(0.05) for auc in aucs_of(members, n_tied - members))
        alarms += sum(not low <= 0.5 <= high for low, high, _ in bounds)
    # the number of intervals that miss is about binomial; a sound audit exceeds `most` once in a thousand
    share, most = alarms / N_NULL, binom.ppf(0.999, N_NULL, 2 * 0.05) / N_NULL
    text = f"{share:.1%} of {N_NULL} audits with membership permuted at random find a leak; about 5 % should"
    return _outcome(share <= most, text, alarm_rate=share)


def planted_leak(scores: Floats, is_member: Bools, rng: np.random.Generator) -> Control:
    """Check that a leak is found when membership is permuted and 5 % of the members are given away.

    Parameters
    ----------
    scores, is_member, rng
        See `permuted_labels`.
    """
    member = rng.permutation(is_member)
    n_planted, n_nonmembers = round(PLANTED * int(member.sum())), int((~member).sum())
    if n_planted < FEWEST or n_nonmembers < FEWEST / PLANTED:
        return _too_few(f"{PLANTED:.0%} of the members are {n_planted} records, too few to be found reliably")
    planted = scores.astype(np.float64)
    planted[np.flatnonzero(member)[:n_planted]] = np.inf  # membership is random, so these members are, too
    above, below = planted[member], planted[~member]
    epsilon = epsilon_lower_bound(above, below).low
    rates = [(fpr, intervals.tpr_at_fpr(above, below, fpr)) for fpr in FPRS]
    by_rate = [fpr for fpr, rate in rates if not isinstance(rate, NotMeasured) and rate.low > fpr]
    is_found = epsilon > 0 or bool(by_rate)
    text = f"a leak of {PLANTED:.0%} of the members, planted where there was none, is {'' if is_found else 'not '}found"
    return _outcome(is_found, text, epsilon_lower_bound=epsilon)


def swapped_sides(scores: Floats, is_member: Bools) -> Control:
    """Check that the AUC and its interval mirror when members and non-members are exchanged.

    Parameters
    ----------
    scores, is_member
        See `permuted_labels`.
    """
    auc = intervals.auc(scores[is_member], scores[~is_member])
    mirrored = intervals.auc(scores[~is_member], scores[is_member])
    gap = max(abs(auc.value + mirrored.value - 1), abs(auc.low + mirrored.high - 1), abs(auc.high + mirrored.low - 1))
    text = f"with members and non-members exchanged the AUC is {mirrored.value:.3f} instead of {auc.value:.3f}"
    return _outcome(gap < 1e-6, text, auc=auc.value, swapped_auc=mirrored.value)


def orientation(confidence: Floats, is_member: Bools) -> Control:
    """Check that the target is not less sure of members than of non-members, as if the sides were exchanged.

    Parameters
    ----------
    confidence
        The target's confidence in the label, shape (n_records,).
    is_member
        Shape (n_records,).
    """
    auc = intervals.auc(confidence[is_member], confidence[~is_member], STRICT)
    text = (
        f"the target is {'less' if auc.high < 0.5 else 'not less'} sure of members than of non-members (AUC of its "
        f"confidence {auc.value:.3f})"
    )
    is_right = auc.high >= 0.5
    return _outcome(is_right, text if is_right else f"{text}: is_member may be inverted", auc=auc.value)


def answers_fit_labels(answers: Vectors) -> Control:
    """Check that a class is more probable where it is the label than elsewhere; else rows may be shuffled.

    Answers that claim next to nothing, as those of a constant model, cannot be told from shuffled ones.

    Parameters
    ----------
    answers
        The target's answers with labels, of two records or more.
    """
    n, counts = len(answers.labels), np.bincount(answers.labels, minlength=answers.predictions.shape[1])
    predicted = answers.predictions.argmax(axis=1)
    right = float((predicted == answers.labels).mean())
    by_chance = float(np.bincount(predicted, minlength=len(counts)) @ counts) / n**2
    figures = {"accuracy": right, "by_chance": by_chance}
    text = f"the target is right on {right:.3f} of the records, and by chance on {by_chance:.3f}"
    gain, claimed, spread = _gain(answers, counts)
    if claimed <= ALIKE * n or counts.max() == n:
        return _undecided(f"not applicable: {text}, and all its answers, or all labels, are alike", **figures)
    known, reach = gain / claimed, Z * spread / claimed
    figures |= {"known": known, "known_low": known - reach, "known_high": known + reach}
    text += f"; it knows {known:.2f} of what its probabilities claim above chance"
    if known - reach > 0:
        return _outcome(True, text, **figures)
    if known + reach >= USELESS:
        return _undecided(f"{text}: too little to tell its answers from shuffled ones", **figures)
    return _outcome(False, f"{text}: answers and labels may not belong to the same records", **figures)


def _gain(answers: Vectors, counts: Ints) -> tuple[float, float, float]:
    """Return by how much the labels' probabilities exceed chance in sum, by how much they claim to, and chance's sd.

    Chance deals the labels to the records at random; mean and variance of the sum are then known exactly (Hoeffding,
    1951, "A combinatorial central limit theorem", Annals of Mathematical Statistics 22). The claim is what the excess
    would be if labels followed the probabilities: n_records times their variance over records, summed over classes.
    """
    n, predictions = len(answers.labels), answers.predictions.astype(np.float64)
    deviations = predictions - predictions.mean(axis=0)
    gain, claimed = deviations[np.arange(n), answers.labels].sum(), (deviations**2).sum()
    deviations -= deviations @ counts[:, None] / n  # a record's own mean is the same however labels are dealt
    return float(gain), float(claimed), float(np.sqrt((deviations**2 @ counts).sum() / (n - 1)))


def blind_baseline(features: Array, is_member: Bools, rng: np.random.Generator) -> Control:
    """Check that the records alone do not tell members from non-members; else the sides differ in distribution.

    A gradient-boosted classifier learns on one half of the records and scores the other. The reverse is not added: the
    scores of two halves that learn from each other are dependent, and the interval would be too narrow.

    Parameters
    ----------
    features
        Records, shape (n_records, n_features); categories as numbers.
    is_member
        Shape (n_records,).
    rng
        Draws the sample, the features and the halves.

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
    from sklearn.ensemble import HistGradientBoostingClassifier  # here, since showing a report loads this module

    learnt = rng.permutation(len(member)) % 2 == 0
    model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=4, random_state=0).fit(X[learnt], member[learnt])
    scores, truth = model.predict_proba(X[~learnt])[:, 1], member[~learnt]
    auc = intervals.auc(scores[truth], scores[~truth], STRICT)
    is_alike = auc.low <= 0.5
    text = f"from the records alone, without the target, members are told from non-members with AUC {auc.value:.3f}"
    return _outcome(is_alike, text if is_alike else f"{text}: the sides differ in distribution", auc=auc.value)


def copies(keys: Array, is_member: Bools) -> Control:
    """Check that next to no non-member is an exact copy of a member, since such a copy is as good as trained on.

    Parameters
    ----------
    keys
        A key per record, equal for equal records, such as a digest of features and label, shape (n_records,).
    is_member
        Shape (n_records,).
    """
    share = float(np.isin(keys[~is_member], keys[is_member]).mean())
    return _outcome(share <= COPIES, f"{share:.1%} of the non-members are copies of members", share=share)


def near_copies(others: Floats, members: Floats, what: str, rng: np.random.Generator) -> Control:
    """Check that hardly more of the other records than of the members themselves nearly equal a member.

    Nearly equal means nearer than a quarter of the median distance from a member to its nearest fellow member.

    Parameters
    ----------
    others
        Records that are not members, shape (n_others, n_features), scaled so that features count alike.
    members
        The members, shape (n_members, n_features).
    what
        What to call the others in the reason, such as "non-members".
    rng
        Draws the samples and the features.

    References
    ----------
    Barz, Denzler (2020), "Do we train on test data? Purging CIFAR of near-duplicates", arXiv 1902.00423.
    """
    if min(len(others), len(members)) < FEWEST:
        return _too_few(f"there are fewer than {FEWEST} members or {what}")
    from sklearn.neighbors import NearestNeighbors  # here, since showing a report loads this module

    columns = rng.permutation(members.shape[1])[:MOST_FEATURES]
    base = members[rng.permutation(len(members))[:NEIGHBOURS]][:, columns]
    asked = others[rng.permutation(len(others))[:PERMUTED]][:, columns]
    search = NearestNeighbors(algorithm="brute").fit(base)
    usual = search.kneighbors(base[:PERMUTED], 2)[0][:, 1]  # the nearest is the member itself, or a copy
    near = float(np.median(usual)) / 4
    if near == 0:
        return _too_few("half of the members have a copy among the members, so distances say nothing")
    counts = [int((distances < near).sum()) for distances in (search.kneighbors(asked, 1)[0][:, 0], usual)]
    across, within = (
        intervals.proportion(n, size, STRICT) for n, size in zip(counts, (len(asked), len(usual)), strict=True)
    )
    text = f"{across.value:.1%} of the {what} nearly equal a member; of the members {within.value:.1%} do"
    is_good = across.low - within.high <= COPIES
    return _outcome(
        is_good,
        text if is_good else f"{text}: they are copies with small changes",
        share=across.value,
        usual=within.value,
    )


def row_order(kept: bool) -> Control:
    """Check that each audited record keeps its score when the records come in another order.

    Parameters
    ----------
    kept
        Whether each record does, under every attack.
    """
    return _outcome(kept, f"with records in another order, {'each keeps its score' if kept else 'some scores change'}")


def failures(controls: dict[str, Control]) -> list[str]:
    """Return a sentence for each failed control."""
    return [f"The control {name} failed: {c.reason}." for name, c in controls.items() if c.status == "fail"]


def some_of_each(is_member: Bools, rng: np.random.Generator, most: int) -> Ints:
    """Return the positions of a random sample of members, then of non-members.

    Parameters
    ----------
    is_member
        Shape (n_records,).
    rng
        Draws the sample.
    most
        Largest number of records per side.
    """
    return np.concatenate([rng.permutation(np.flatnonzero(side))[:most] for side in (is_member, ~is_member)])


def _outcome(is_good: bool, reason: str, **figures: float) -> Control:
    return Control(status="pass" if is_good else "fail", reason=reason, figures=figures)


def _too_few(reason: str) -> Control:
    return Control(status="not_measured", reason=reason)


def _undecided(reason: str, **figures: float) -> Control:
    return Control(status="not_measured", reason=reason, figures=figures)


def of_scores(scores: Sequence[Floats], is_member: Bools, seed: int) -> dict[str, Control]:
    """Return the controls that need only scores, each with its worst outcome over the attacks.

    Parameters
    ----------
    scores
        Each attack's scores, shape (n_records,).
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


def _worst(controls: Sequence[Control]) -> Control:
    if not controls:
        return Control(status="not_measured", reason="no attack on the unmitigated target was measured")
    return min(controls, key=lambda control: ("fail", "not_measured", "pass").index(control.status))
