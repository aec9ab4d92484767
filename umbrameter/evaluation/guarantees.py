"""Privacy claims held against attacks: an attack that proves a larger epsilon than claimed raises an alarm."""

from collections.abc import Sequence

from pydantic import Field

from umbrameter.mitigations import PrivacyClaim
from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
from umbrameter.typing import Bools, Floats

CONFIDENCE = 0.95
"""Probability that a guarantee that holds raises no alarm, over all attacks on it together; and that of each bound."""


class Guarantee(PrivacyClaim):
    """A claim of differential privacy, and the strongest evidence against it: three bounds, by what they assume."""

    mitigation: str = Field(description="The mitigation that makes the claim.")
    one_run_epsilon_lower_bound: float = Field(
        description="Lower bound of epsilon that attacks on this one training prove, at the same delta."
    )
    epsilon_lower_bound: float = Field(
        description="Lower bound of epsilon at the same delta if records leak independently of each other."
    )
    gaussian_epsilon_lower_bound: float | None = Field(
        description="The same if, besides, the trade-off is that of Gaussian noise; null where delta is 0."
    )
    confidence: float = Field(description="Confidence of each bound, over all attacks together.")
    attack: str = Field(description="The attack that proves most.")
    n_attacks: int = Field(description="Number of attacks that the bounds are corrected for.")

    @property
    def is_broken(self) -> bool:
        """Whether attacks on this one training prove a larger epsilon than the claimed one."""
        return self.one_run_epsilon_lower_bound > self.epsilon

    @property
    def is_doubtful(self) -> bool:
        """Whether attacks show a larger epsilon than the claimed one, but only if records leak independently."""
        return not self.is_broken and self.epsilon_lower_bound > self.epsilon


def held_against(label: str, claim: PrivacyClaim, scored: Sequence[tuple[str, Floats, Bools]]) -> Guarantee:
    """Return a claim with the largest lower bounds of epsilon that any attack proves.

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
    sides = [(scores[is_member], scores[~is_member]) for _, scores, is_member in scored]
    one_run = [one_run_epsilon_lower_bound(*side, claim.delta, confidence).value for side in sides]
    independent = [epsilon_lower_bound(*side, claim.delta, confidence).value for side in sides]
    # At delta 0, Gaussian noise has no finite epsilon.
    compared = sides if claim.delta else []
    gaussian = [gaussian_epsilon_lower_bound(*side, claim.delta, confidence).value for side in compared]
    best = max(range(len(scored)), key=lambda i: (one_run[i], independent[i]))
    return Guarantee(
        mitigation=label,
        **claim.model_dump(),
        one_run_epsilon_lower_bound=max(one_run),
        epsilon_lower_bound=max(independent),
        gaussian_epsilon_lower_bound=max(gaussian, default=None),
        confidence=CONFIDENCE,
        attack=scored[best][0],
        n_attacks=len(scored),
    )


def broken(guarantee: Guarantee) -> str:
    """Return the alarm about a broken guarantee, in a sentence."""
    claims = "with secret noise, it would claim" if guarantee.is_reproducible else "it claims"
    return (
        f"The guarantee of {guarantee.mitigation} is broken: {claims} epsilon {guarantee.epsilon:.3f} at delta "
        f"{guarantee.delta:g}, and {guarantee.attack} proves at least {guarantee.one_run_epsilon_lower_bound:.3f} "
        f"with {guarantee.confidence:.0%} confidence; do not rely on it, and look for records outside its accounting."
    )
