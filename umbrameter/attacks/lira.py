"""The likelihood-ratio attack (LiRA).

How likely is the target's answer about a record under models that were trained on it, and under models that were not?
With s the scaled logit, log p_y - log(1 - p_y):

- online: score = log N(s; mean and variance of IN) - log N(s; mean and variance of OUT);
- offline: score = the standard score of s among OUT, which orders records as P(OUT <= s) does, without its ties at 1.

Carlini, Chien, Nasr, Song, Terzis, Tramer (2022), "Membership Inference Attacks From First Principles",
arXiv 2112.03570, algorithm 1 and section V.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.references import ReferenceAttack
from umbrameter.attacks.signals import References
from umbrameter.typing import Bools, Floats

Variance = Literal["auto", "record", "global"]

ENOUGH = 32
"""Models per side from which on a record's own variance is a better estimate than the one pooled over records."""

SMALLEST = 1e-6
"""The smallest variance: models that all answer alike would make any other answer infinitely unlikely."""


class Lira(ReferenceAttack):
    """Score by a likelihood ratio under shadow models trained with and without the record.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> is_in = np.repeat([[True], [False]], 16, axis=0)
    >>> logits = rng.normal(np.where(is_in, 3.0, 0.0), 1.0, (32, 2))
    >>> scores = Lira().compare(np.array([3.0, 0.0]), References(logits, is_in * np.ones((1, 2), bool)))
    >>> bool(scores[0] > 0 > scores[1])
    True
    """

    kind: Literal["lira"] = Field("lira", description="Likelihood ratio under shadow models (Carlini et al. 2022).")
    mode: Literal["online", "offline"] = Field(
        "offline", description="`online` compares IN with OUT models, `offline` uses OUT models only."
    )
    variance: Variance = Field(
        "auto",
        description=f"`record`: each record's own; `global`: one for all records; `auto`: `record` with at least "
        f"{2 * ENOUGH} models, else `global`.",
    )

    sees: ClassVar[str] = "whole prediction vectors"

    def compare(self, logits: Floats, references: References) -> Floats:
        """Return the score of each record, shape (n_records,)."""
        return likelihood_ratio(logits, references, self.mode == "online", self.variance)


def likelihood_ratio(
    logits: Floats, references: References, online: bool = True, variance: Variance = "auto"
) -> Floats:
    """Return LiRA's score of each record.

    Parameters
    ----------
    logits
        The attacked model's scaled logits, shape (n_records,).
    references
        Shadow models' scaled logits of the same records.
    online
        Whether to compare IN with OUT models; false: OUT models only.
    variance
        Variance of the logits over models: `record` is each record's own, `global` one for all records, `auto` is
        `record` where every record has at least 32 models per side.

    Returns
    -------
    float64, shape (n_records,). A record without a model on one side gets that side's mean over all records.

    References
    ----------
    Carlini et al. (2022), arXiv 2112.03570, algorithm 1.

    Examples
    --------
    Four models, two trained on the one record, two on the other; the attacked model is surer of the first.

    >>> is_in = np.array([[True, False], [True, False], [False, True], [False, True]])
    >>> logits = np.array([[3.0, 0.1], [2.8, -0.1], [0.2, 3.1], [0.0, 2.9]])
    >>> likelihood_ratio(np.array([2.9, 0.0]), References(logits, is_in)).round()
    array([ 196., -225.])
    """
    s = logits.astype(np.float64)
    mean_out, variance_out = _moments(references.logits, ~references.is_in, variance)
    if not online:
        return (s - mean_out) / np.sqrt(variance_out)
    mean_in, variance_in = _moments(references.logits, references.is_in, variance)
    under_in = (s - mean_in) ** 2 / variance_in + np.log(variance_in)
    under_out = (s - mean_out) ** 2 / variance_out + np.log(variance_out)
    return np.asarray((under_out - under_in) / 2)  # log densities, in which log(2 pi) cancels


def _moments(logits: Floats, chosen: Bools, variance: Variance) -> tuple[Floats, Floats]:
    """Return mean and variance of each record's chosen logits, shape (n_records,) each."""
    n = chosen.sum(axis=0)
    values = np.where(chosen, logits, 0).astype(np.float64)
    overall = values.sum() / max(n.sum(), 1)
    means = np.where(n > 0, values.sum(axis=0) / np.maximum(n, 1), overall)
    squares = (np.where(chosen, values - means, 0) ** 2).sum(axis=0)
    freedom = np.maximum(n - 1, 0)  # each record's mean takes one degree of freedom, in the pooled variance too
    shared = squares.sum() / freedom.sum() if freedom.any() else np.var(values[chosen]) if chosen.any() else 1.0
    per_record = variance == "record" or (variance == "auto" and n.min() >= ENOUGH)
    variances = np.full(len(n), shared)
    if per_record:
        variances = np.where(freedom > 0, squares / np.maximum(freedom, 1), shared)
    return means, np.maximum(variances, SMALLEST)
