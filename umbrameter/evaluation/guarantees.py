"""What a private training claims beside what attacks prove: a proof of more than the claim is an alarm."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from umbrameter.mitigations import PrivacyClaim
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.typing import Bools, Floats

CONFIDENCE = 0.95
"""With which no guarantee that is kept raises the alarm, over all attacks on it together."""


class Guarantee(PrivacyClaim):
    """A claim of differential privacy, and the strongest evidence against it."""

    mitigation: str = Field(description="The mitigation that claims it.")
    epsilon_lower_bound: float = Field(description="What attacks prove epsilon to be at least; at the same delta.")
    confidence: float = Field(description="Of that bound, over all attacks together.")
    attack: str = Field(description="The attack that proves most.")
    n_attacks: int = Field(description="Attacks that the bound pays for.")

    @property
    def is_broken(self) -> bool:
        """Whether more was proved than was claimed."""
        return self.epsilon_lower_bound > self.epsilon


def held_against(label: str, claim: PrivacyClaim, scored: Sequence[tuple[str, Floats, Bools]]) -> Guarantee:
    """Return a claim with the largest lower bound of epsilon that any attack proves.

    Parameters
    ----------
    label
        The mitigation's.
    claim
        What its training guarantees.
    scored
        Of each attack its name, its scores, and which records are members; shape (n_records,) each.
    """
    confidence = 1 - (1 - CONFIDENCE) / len(scored)
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
    """Return the alarm of a guarantee that is not kept, in a sentence."""
    return (
        f"The guarantee of {guarantee.mitigation} is broken: it claims epsilon {guarantee.epsilon:.3f} at delta "
        f"{guarantee.delta:g}, and {guarantee.attack} proves at least {guarantee.epsilon_lower_bound:.3f} with "
        f"{guarantee.confidence:.0%} confidence; do not rely on it, and look for records outside its accounting."
    )
