"""The robust membership-inference attack (RMIA).

A record x is likely a member if the target prefers it to other records z more than reference models do:
score = share of z with [p(x | target) / p(x)] / [p(z | target) / p(z)] >= gamma, where p(. | model) is the confidence
in the label and p(.) its mean over models. The records z are the audited ones. Confidences are softened first: at
temperature 1 a network that has seen a record, and one that finds it easy, both say 1.

Zarifzadeh, Liu, Shokri (2024), "Low-Cost High-Power Membership Inference Attacks", arXiv 2312.03262, section 3.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.references import ReferenceAttack
from umbrameter.attacks.signals import References
from umbrameter.typing import Bools, Floats


class Rmia(ReferenceAttack):
    """Score by how many records a record beats, relative to reference models.

    Examples
    --------
    >>> references = References(np.zeros((4, 3)), np.zeros((4, 3), bool))
    >>> Rmia(gamma=1.5).compare(np.array([3.0, 0.0, -3.0]), references).round(2)
    array([0.67, 0.33, 0.  ])
    """

    kind: Literal["rmia"] = Field("rmia", description="Pairwise likelihood ratios (Zarifzadeh et al. 2024).")
    mode: Literal["online", "offline"] = Field(
        "offline", description="`online` uses IN and OUT reference models, `offline` OUT models only."
    )
    a: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Offline: p(x) = ((1 + a) p_OUT + (1 - a)) / 2; lower it where members stand out more.",
        examples=[0.5],
    )
    gamma: float = Field(
        1.0, gt=0, description="How many times as likely a record must be to beat another.", examples=[2.0]
    )
    temperature: float = Field(
        2.0,
        gt=0,
        description="Of the softmax: at 1, a network is as certain of easy records as of members.",
        examples=[1.0],
    )

    sees: ClassVar[str] = "the model's confidence in the true label"

    @property
    def logit_temperature(self) -> float:
        """The temperature at which answers are compared."""
        return self.temperature

    def compare(self, logits: Floats, references: References) -> Floats:
        """Return the score of each record, shape (n_records,)."""
        ratios = log_ratios(logits, references, self.mode == "online", self.a)
        return dominated(ratios, self.gamma)


def log_ratios(logits: Floats, references: References, online: bool = True, a: float = 0.3) -> Floats:
    """Return log p(x | target) - log p(x) of each record x.

    Parameters
    ----------
    logits
        The attacked model's scaled logits, shape (n_records,).
    references
        Reference models' scaled logits of the same records.
    online
        Whether p(x) is the mean of IN and OUT models' confidences; false: it is estimated from OUT models' alone.
    a
        Offline only, a fraction: p(x) = ((1 + a) p_OUT + (1 - a)) / 2.

    Returns
    -------
    float64, shape (n_records,). A record without a model on one side gets that side's mean over all records.

    References
    ----------
    Zarifzadeh et al. (2024), arXiv 2312.03262, equations 3 and 8.

    Examples
    --------
    >>> is_in = np.array([[True, False], [False, True]])
    >>> log_ratios(np.array([2.0, 0.0]), References(np.array([[2.0, 0.0], [0.0, 2.0]]), is_in)).round(2)
    array([ 0.24, -0.32])
    """
    p_out = _mean_confidence(references.logits, ~references.is_in)
    p = (p_out + _mean_confidence(references.logits, references.is_in)) / 2 if online else ((1 + a) * p_out + 1 - a) / 2
    log_confidence = -np.logaddexp(0, -logits.astype(np.float64))  # log of the sigmoid, without underflow
    return np.asarray(log_confidence - np.log(p))


def dominated(log_ratios: Floats, gamma: float = 1.0) -> Floats:
    """Return the share of all records that each record beats by a factor of `gamma`, in O(n log n).

    Parameters
    ----------
    log_ratios
        log p(x | target) - log p(x), shape (n_records,).
    gamma
        Above 0. Up to 1 every record also beats itself, which adds 1 / n_records to all scores alike.

    Returns
    -------
    Fractions, shape (n_records,).

    Examples
    --------
    >>> dominated(np.array([0.5, -0.5, 0.0, 0.1]), gamma=1.2)
    array([0.75, 0.  , 0.25, 0.25])
    """
    # "right": a ratio of exactly gamma counts as beaten
    beaten = np.searchsorted(np.sort(log_ratios), log_ratios - np.log(gamma), side="right")
    return np.asarray(beaten / len(log_ratios))


def _mean_confidence(logits: Floats, chosen: Bools) -> Floats:
    """Return each record's mean confidence over the chosen models, shape (n_records,)."""
    n = chosen.sum(axis=0)
    confidences = np.where(chosen, 1 / (1 + np.exp(-logits.astype(np.float64))), 0)
    overall = confidences.sum() / max(n.sum(), 1)
    return np.asarray(np.where(n > 0, confidences.sum(axis=0) / np.maximum(n, 1), overall))
