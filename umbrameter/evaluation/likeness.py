"""How alike shadow models and target are, and two controls that need shadow models' answers on the audited records.

Belongs here: comparisons of the target with models that were trained on other records, from arrays. Does not belong
here: where the answers come from (`steps`, `stored_predictions`), or the consequences (`verdict`, `report`).
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit
from scipy.stats import permutation_test
from scipy.stats import t as student

from umbrameter.evaluation.controls import FEWEST, STRICT, Control
from umbrameter.seeds import generator
from umbrameter.typing import Bools, Floats, Ints

FEWEST_MODELS = 4
"""Shadow models below which their spread is too uncertain to judge a difference by."""

SLIGHT = 0.05
"""Difference in accuracy, confidence or agreement up to which models count as alike; a fraction."""

MOST_MODELS = 16
"""Shadow models that the target is compared with, at most: more would hardly move the figures."""

MOST_OVERLAP = 0.9
"""Overlap of training sets that is allowed for, at most; beyond, models say next to nothing of each other's spread."""

N_DEALT = 1_999
"""How often records are dealt to the two sides at random: the rarest outcome then has a chance of one in a thousand."""

BATCH = 1_000_000
"""Records that are dealt at a time."""

ROUNDING = 1e-9
"""Difference in confidence below which all answers count as the same."""

Name = Literal["accuracy", "confidence"]


@dataclass(frozen=True)
class ShadowAnswers:
    """Shadow models' answers on the audited records, and how they answer on the records that they were trained on.

    Parameters
    ----------
    logits, predicted, is_in
        Scaled logit, predicted class, and whether the record was in the training set, shape (n_models, n_records).
    trained
        Mean of each figure over each model's IN records, shape (n_models,); empty where these are not known.
    n_in
        Number of IN records of the model that has fewest.
    overlap
        Share of a model's IN records that another model has too; the mean over pairs of models.
    """

    logits: Floats
    predicted: Ints
    is_in: Bools
    trained: dict[Name, Floats]
    n_in: int
    overlap: float


class Comparison(BaseModel):
    """One figure of the target and of shadow models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(description="The target's figure, a fraction.")
    shadows: float = Field(description="The figure that a model like the shadow models would have: their mean.")
    reach: float | None = Field(description="How far one more such model may lie away; null for too few models.")

    @property
    def is_alike(self) -> bool | None:
        """Whether the target could be one more such model, or differs from them slightly only; None for too few."""
        return None if self.reach is None else abs(self.target - self.shadows) <= max(self.reach, SLIGHT)


class Likeness(BaseModel):
    """How alike shadow models and target are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_models: int = Field(description="Number of shadow models compared.")
    nonmembers: dict[Name, Comparison] = Field(description="On non-members, which shadow models were not trained on.")
    members: dict[Name, Comparison] = Field(
        description="The target's figures on members, and shadow models' on their IN records; empty if not known."
    )
    agreement: Comparison | None = Field(
        description="Share of non-members of which the target and a shadow model say the same class, and two shadow "
        "models with disjoint training sets would; null for a single model."
    )


def overlap(counts: Ints, n_models: int) -> float:
    """Return the share of a model's IN records that another model has too, the mean over pairs of models.

    Parameters
    ----------
    counts
        Number of models that each record is IN of, 1 or more.
    n_models
        Number of models.

    Examples
    --------
    >>> overlap(np.array([2, 2, 1, 1]), 2)  # two models of three records, of which they share two
    0.6666666666666666
    """
    return float((counts * (counts - 1)).sum() / (counts.sum() * max(1, n_models - 1)))


def compare(logits: Floats, predicted: Ints, labels: Ints, is_member: Bools, shadows: ShadowAnswers) -> Likeness:
    """Compare the target with shadow models.

    Were the target one more model like them, its mean would be one more draw from the distribution of theirs: each
    difference has the prediction interval of Student's t. Models that share training records vary together, which the
    interval allows for: their variance is 1 - overlap of that between models that share none.

    Parameters
    ----------
    logits, predicted
        The target's scaled logits and predicted classes of the audited records, shape (n_records,).
    labels, is_member
        Shape (n_records,).
    shadows
        Shadow models' answers on the same records.
    """
    mine: dict[Name, Floats] = {"accuracy": (predicted == labels).astype(np.float64), "confidence": expit(logits)}
    right = (shadows.predicted == labels).astype(np.float64)
    theirs: dict[Name, Floats] = {"accuracy": right, "confidence": expit(shadows.logits)}
    out = ~shadows.is_in & ~is_member
    rows = out.any(axis=1)
    return Likeness(
        n_models=len(out),
        nonmembers={name: _unseen(mine[name], theirs[name][rows], out[rows], shadows.overlap) for name in mine},
        members={name: _seen(mine[name][is_member], values, shadows) for name, values in shadows.trained.items()},
        agreement=_agreement(predicted, shadows.predicted[rows], out[rows], shadows.overlap),
    )


def _unseen(mine: Floats, theirs: Floats, out: Bools, overlap: float) -> Comparison:
    """Compare on the same records, so that how hard these are does not matter."""
    gaps = np.mean(mine - theirs, axis=1, where=out)
    value = float(mine[out.any(axis=0)].mean())
    return Comparison(target=value, shadows=value - float(gaps.mean()), reach=_reach(gaps, overlap))


def _seen(mine: Floats, theirs: Floats, shadows: ShadowAnswers) -> Comparison:
    """Compare on each model's own training set; these are other records, whose choice adds to the variance."""
    value, usual = float(mine.mean()), float(theirs.mean())
    # a fraction's variance is largest where it is 0 or 1
    sampling = value * (1 - value) / len(mine) + usual * (1 - usual) / shadows.n_in
    return Comparison(target=value, shadows=usual, reach=_reach(theirs, shadows.overlap, sampling))


def _agreement(mine: Ints, theirs: Ints, out: Bools, overlap: float) -> Comparison | None:
    """Compare how often the target says the same class as a shadow model with how often two of them do."""
    if len(theirs) < 2:
        return None
    among = np.array(
        [_agreed(theirs[i], np.delete(theirs, i, 0), out[i] & np.delete(out, i, 0)) for i in range(len(theirs))]
    )
    value, usual = _agreed(mine, theirs, out), float(among.mean())
    reach = _reach(among, overlap)
    # models that share training records agree more often than the target, which shares none, can
    shared = min(overlap, MOST_OVERLAP)
    return Comparison(
        target=value, shadows=usual, reach=None if reach is None else reach + (1 - usual) * shared / (1 - shared)
    )


def _agreed(one: Ints, others: Ints, where: Bools) -> float:
    """Return how often a model says the same class as others; the two models of a pair share no OUT records."""
    shared = where.any(axis=1)
    return float(np.mean(one == others[shared], axis=1, where=where[shared]).mean())


def _reach(values: Floats, overlap: float, sampling: float = 0.0) -> float | None:
    """Return how far the mean of one more model may lie from the mean of these."""
    n, shared = len(values), min(overlap, MOST_OVERLAP)
    if n < FEWEST_MODELS:
        return None
    variance = float(values.var(ddof=1)) * ((1 + shared) / (1 - shared) + 1 / n)
    return float(student.ppf((1 + STRICT) / 2, n - 1)) * sqrt(variance + sampling)


def label_drift(logits: Floats, is_in: Bools, is_member: Bools, rng: np.random.Generator) -> Control:
    """Check that members are as easy as non-members to models that were trained on neither; else labels have drifted.

    Members whose labels are cleaner, or that come from another time, look like members to every attack that trusts the
    label. Confidences are averaged over the OUT models. The sides' means are compared with those of the same records,
    dealt to the sides at random. An interval of Welch would not do: where few records are hard, a small
    side that happens to have none of them looks surer than it is.

    Parameters
    ----------
    logits, is_in
        Shadow models' scaled logits of the audited records, and whether the record was IN, shape (n_models, n_records).
    is_member
        Shape (n_records,).
    rng
        Deals the records.

    References
    ----------
    Pitman (1937), "Significance tests which may be applied to samples from any populations", Supplement to the Journal
    of the Royal Statistical Society 4.
    """
    known = ~is_in.all(axis=0)
    sides = [known & side for side in (is_member, ~is_member)]
    if min(side.sum() for side in sides) < FEWEST:
        return _unchecked(f"fewer than {FEWEST} members or non-members are OUT of a shadow model")
    confidence = [np.mean(expit(logits[:, s].astype(np.float64)), axis=0, where=~is_in[:, s]) for s in sides]
    if np.ptp(np.concatenate(confidence)) < ROUNDING:
        return _unchecked("the shadow models answer alike on all records")
    means = [float(values.mean()) for values in confidence]
    batch = max(1, BATCH // len(logits[0]))
    dealt = permutation_test(confidence, _gap, vectorized=True, n_resamples=N_DEALT, batch=batch, rng=rng)
    chance = float(dealt.pvalue)
    text = f"models trained on neither give the label {means[0]:.3f} on members and {means[1]:.3f} on non-members"
    is_alike = chance > 1 - STRICT
    return Control(
        status="pass" if is_alike else "fail",
        reason=text if is_alike else f"{text}: the labels of one side are cleaner, or its records are of another kind",
        figures={"members": means[0], "nonmembers": means[1], "chance": chance},
    )


def _gap(one: Floats, other: Floats, axis: int) -> Floats:
    return np.asarray(one.mean(axis=axis) - other.mean(axis=axis))


def unseen_nonmembers(likeness: Likeness) -> Control:
    """Check that the target does not answer on non-members as shadow models do on the records they were trained on.

    It fails if the target is as good on members as shadow models on their IN records, and on non-members lies a third
    or more of the way from their OUT to their IN records, farther than one more such model would. A target that learnt
    from far more records than shadow models did can look the same.

    Parameters
    ----------
    likeness
        How alike the target and shadow models are.
    """
    gaps = {
        name: seen.shadows - likeness.nonmembers[name].shadows
        for name, seen in likeness.members.items()
        if seen.shadows - likeness.nonmembers[name].shadows > SLIGHT
    }
    if likeness.n_models < FEWEST_MODELS:
        return _unchecked(f"there are {likeness.n_models} shadow models, and this takes {FEWEST_MODELS}")
    if not gaps:
        return _unchecked("shadow models answer alike on IN and OUT records, or it is not known which are IN")
    is_seen = all(_is_seen(likeness.members[name], likeness.nonmembers[name], gap) for name, gap in gaps.items())
    texts = [
        f"{name} {likeness.nonmembers[name].target:.3f} on non-members, where shadow models have "
        f"{likeness.nonmembers[name].shadows:.3f}, and {likeness.members[name].shadows:.3f} on their IN records"
        for name in gaps
    ]
    return Control(
        status="fail" if is_seen else "pass",
        reason=f"the target has {'; '.join(texts)}{': it may have been trained on non-members' if is_seen else ''}",
        figures={name: likeness.nonmembers[name].target - likeness.nonmembers[name].shadows for name in gaps},
    )


def _is_seen(members: Comparison, nonmembers: Comparison, gap: float) -> bool:
    excess = nonmembers.target - nonmembers.shadows
    return nonmembers.is_alike is False and excess >= gap / 3 and members.target >= members.shadows - gap / 3


def of_shadows(likeness: Likeness, shadows: ShadowAnswers, is_member: Bools, seed: int) -> dict[str, Control]:
    """Return the controls that need shadow models' answers on the audited records; the audit's seed decides draws."""
    drift = label_drift(shadows.logits, shadows.is_in, is_member, generator(seed, "label-drift"))
    return {"label_drift": drift, "unseen_nonmembers": unseen_nonmembers(likeness)}


def unchecked(reason: str) -> dict[str, Control]:
    """Return these controls as not measured.

    Parameters
    ----------
    reason
        Why shadow models' answers are missing.
    """
    return dict.fromkeys(("label_drift", "unseen_nonmembers"), _unchecked(reason))


def _unchecked(reason: str) -> Control:
    return Control(status="not_measured", reason=f"not checked: {reason}")
