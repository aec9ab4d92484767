"""Privacy claims held against attacks: an attack that proves a larger epsilon than claimed raises an alarm."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from umbrameter.mitigations import PrivacyClaim
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.typing import Bools, Floats

CONFIDENCE = 0.95
"""Probability that a guarantee that holds raises no alarm, over all attacks on it together."""


class Guarantee(PrivacyClaim):
    """A claim of differential privacy, and the strongest evidence against it."""

    mitigation: str = Field(description="The mitigation that makes the claim.")
    epsilon_lower_bound: float = Field(description="Lower bound of epsilon that attacks prove, at the same delta.")
    confidence: float = Field(description="Confidence of that bound, over all attacks together.")
    attack: str = Field(description="The attack with the largest bound.")
    n_attacks: int = Field(description="Number of attacks that the bound is corrected for.")

    @property
    def is_broken(self) -> bool:
        """Whether attacks prove a larger epsilon than the claimed one."""
        return self.epsilon_lower_bound > self.epsilon


def held_against(label: str, claim: PrivacyClaim, scored: Sequence[tuple[str, Floats, Bools]]) -> Guarantee:
    """Return a claim with the largest lower bound of epsilon that any attack proves.

    Parameters
    ----------
    label
        Label of the mitigation.
    claim
        The guarantee of its training.
    scored
        For each attack its name, its scores, and which records are members; arrays of shape (n_records,).
    """
    confidence = 1 - (1 - CONFIDENCE) / len(scored)  # Bonferroni, since the largest bound is picked
    bounds = [
        epsilon_lower_bound(scores[is_member], scores[~is_member], claim.delta, confidence).value
        for _, scores, is_member in scored
    ]
    best = int(np.argmax(bounds))
    return Guarantee(
        mitigation=label,
        **claim.model_dump(),
        epsilon_lower_bound=bounds[best],
        confidence=CONFIDENCE,
        attack=scored[best][0],
        n_attacks=len(scored),
    )


def broken(guarantee: Guarantee) -> str:
    """Return the alarm about a broken guarantee, in a sentence."""
    return (
        f"The guarantee of {guarantee.mitigation} is broken: it claims epsilon {guarantee.epsilon:.3f} at delta "
        f"{guarantee.delta:g}, and {guarantee.attack} proves at least {guarantee.epsilon_lower_bound:.3f} with "
        f"{guarantee.confidence:.0%} confidence; do not rely on it, and look for records outside its accounting."
    )
