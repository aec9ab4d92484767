"""What a private training claims beside what attacks prove: a proof of more than the claim is an alarm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from umbrameter.statistics.epsilon import epsilon_lower_bound

CONFIDENCE = 0.95
"""With which no guarantee that is kept raises the alarm, over all attacks on it together."""


class Guarantee(BaseModel):
    """A claim of differential privacy, and the strongest evidence against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mitigation: str = Field(description="The mitigation that claims it.")
    epsilon: float = Field(description="The claim, by the accountant; not what was asked for.")
    delta: float = Field(description="Of the claim.")
    noise_multiplier: float = Field(description="Standard deviation of the noise, in clipping norms.")
    clip_norm: float = Field(description="The largest norm of one record's gradient.")
    sampling_rate: float = Field(description="With which each record is in a step's batch.")
    n_steps: int = Field(description="Steps of the training.")
    accountant: str = Field(description="Who computed epsilon, and under which assumptions.")
    epsilon_lower_bound: float = Field(description="What attacks prove epsilon to be at least; at the same delta.")
    confidence: float = Field(description="Of that bound, over all attacks together.")
    attack: str = Field(description="The attack that proves most.")
    n_attacks: int = Field(description="Attacks that the bound pays for.")

    @property
    def is_broken(self) -> bool:
        """Whether more was proved than was claimed."""
        return self.epsilon_lower_bound > self.epsilon


def held_against(label: str, claim: dict[str, Any], scored: Sequence[tuple[str, Any, Any]]) -> Guarantee:
    """Return a claim with the largest lower bound of epsilon that any of some attacks proves.

    Parameters
    ----------
    label
        The mitigation's.
    claim
        As `mitigations.dp_sgd.guarantee` returns it.
    scored
        Of each attack its name, its scores and who is a member, shapes (n_records,).
    """
    each = 1 - (1 - CONFIDENCE) / len(scored)
    bounds = [epsilon_lower_bound(s[m], s[~m], claim["delta"], each).value for _, s, m in scored]
    best = int(np.argmax(bounds))
    return Guarantee(
        mitigation=label,
        **claim,
        epsilon_lower_bound=bounds[best],
        confidence=CONFIDENCE,
        attack=scored[best][0],
        n_attacks=len(scored),
    )


def broken(found: Guarantee) -> str:
    """Return the alarm of a guarantee that is not kept, in a sentence."""
    return (
        f"The guarantee of {found.mitigation} is broken: it claims epsilon {found.epsilon:.3f} at delta "
        f"{found.delta:g}, and {found.attack} proves at least {found.epsilon_lower_bound:.3f} with "
        f"{found.confidence:.0%} confidence; do not rely on it, and look for records outside its accounting."
    )
