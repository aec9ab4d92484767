"""The combined attack: which of several attacks it chooses on shadow models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from umbrameter.attacks import Combined, Gap, Loss, Signals, Vectors
from umbrameter.typing import Bools, Floats

SIGNALS = Signals(Vectors(np.full((60, 4), 0.25), np.zeros(60, int)))


class Given(Loss):
    """An attack that separates IN from OUT as well as it is told to."""

    strength: float
    is_blind: bool = False

    @property
    def label(self) -> str:
        return f"given({self.strength:g})"

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        if self.is_blind:
            return None
        is_in = np.arange(200) % 2 == 0
        return self.strength * is_in + np.random.default_rng(0).normal(size=200), is_in


def best_of(attacks: Sequence[Any]) -> Combined:
    return Combined.model_construct(attacks=tuple(attacks))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_attack_of_highest_auc_on_shadow_models_is_chosen_wherever_it_is_listed(order: tuple[int, ...]) -> None:
    several = [Given(strength=s) for s in (0.1, 2.0, 0.5)]
    assert best_of([several[i] for i in order]).chosen(SIGNALS) == several[1]


def test_of_equal_attacks_the_first_is_chosen_and_those_that_cannot_be_turned_are_passed_over() -> None:
    equal = [Given(strength=1.0), Given(strength=1.0)]
    assert best_of(equal).chosen(SIGNALS) is equal[0]
    weak, blind = Given(strength=-1.0), Given(strength=9.0, is_blind=True)
    assert best_of([blind, weak]).chosen(SIGNALS) is weak
    with pytest.raises(ValueError, match="none of the attacks"):
        best_of([blind, blind]).chosen(SIGNALS)


def test_one_attack_is_no_choice() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Combined(attacks=(Loss(),))
    with pytest.raises(ValueError, match="combined"):
        Combined(attacks=(Loss(), Combined(attacks=(Loss(), Gap()))))
