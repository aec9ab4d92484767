"""Thresholds are scores that were observed on shadow data, as they are published: ties, infinities and nobody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrameter.attacks import Confidence, Entropy, ModifiedEntropy, Signals, Vectors
from umbrameter.attacks.pointwise import ClassThresholds
from umbrameter.attacks.quantile import threshold_of_share
from umbrameter.typing import Bools, Floats, Ints


def vectors(seed: int, decimals: int, n: int = 17 * 5) -> Vectors:
    """Return answers of about 17 records in each of 5 classes, half of them IN and answered with more certainty."""
    rng = np.random.default_rng(seed)
    labels, is_in, raw = np.arange(n) % 5, rng.random(n) < 0.5, rng.normal(0, 1.5, (n, 5))
    raw[np.arange(n), labels] += 1 + 2 * is_in
    answers = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    return Vectors(answers.round(decimals), labels, is_in)


def song_and_mittal(shadow: Floats, is_in: Bools, labels: Ints, target: Floats, target_labels: Ints) -> list[bool]:
    """Return which records are called members, by plain loops over classes and scores (arXiv 2003.10595, section 3)."""
    called = []
    for score, label in zip(target, target_labels, strict=True):
        ins = [s for s, i, y in zip(shadow, is_in, labels, strict=True) if y == label and i]
        outs = [s for s, i, y in zip(shadow, is_in, labels, strict=True) if y == label and not i]
        best, most = np.inf, 0.5  # nobody is called, unless a threshold does better than guessing
        for value in sorted({*ins, *outs}, reverse=True):
            right = (sum(s >= value for s in ins) / len(ins) + sum(s < value for s in outs) / len(outs)) / 2
            if right > most + 1e-9:
                best, most = value, right
        called.append(bool(score >= best))
    return called


@pytest.mark.parametrize("decimals", [1, 2, 8])
@pytest.mark.parametrize("attack", [Confidence(), Entropy(), ModifiedEntropy()], ids=lambda a: a.label)
def test_decisions_are_those_of_song_and_mittal_ties_included(attack: ClassThresholds, decimals: int) -> None:
    target, shadow = vectors(1, decimals), vectors(2, decimals)
    signals, signal = Signals(target, shadow), attack.signal
    assert shadow.is_in is not None
    expected = song_and_mittal(signal(shadow), shadow.is_in, shadow.labels, signal(target), target.labels)
    called = attack.score(signals) >= attack.threshold(signals)
    assert called.tolist() == expected and 0 < sum(expected) < len(expected)


class Given(ClassThresholds):
    """A signal that is given as the first column of the answers."""

    def signal(self, vectors: Vectors) -> Floats:
        return vectors.predictions[:, 0].astype(np.float64)

    @property
    def assumption(self) -> str:
        return "a test"


def given_signals(values: list[float], is_in: Bools | None) -> Vectors:
    return Vectors(np.array([[value, 0.0] for value in values]), np.zeros(len(values), int), is_in)


@pytest.mark.parametrize(
    ("ins", "outs", "called"),
    [
        ([np.inf, 2.0], [1.0, 0.0], [True, True, False, False]),
        ([np.inf, np.inf], [2.0, 0.0], [True, False, False, False]),
        ([np.inf, 0.0], [1.0, -np.inf], [True, False, False, False]),
        ([-np.inf, 2.0], [np.inf, np.inf], [True, True, True, True]),  # none tells the sides apart, inf leaves nobody
        ([0.0, 1.0], [2.0, 3.0], [True, False, False, False]),  # above everything that was seen
    ],
)
def test_infinite_signals_are_called_as_their_threshold_says(
    ins: list[float], outs: list[float], called: list[bool]
) -> None:
    asked = given_signals([np.inf, 2.0, 0.5, -np.inf], None)
    scores = Given().score(Signals(asked, given_signals([*ins, *outs], np.arange(4) < 2)))
    assert not np.isnan(scores).any() and (scores >= 0).tolist() == called


@given(st.lists(st.sampled_from([-np.inf, 0.0, 0.5, 1.0, 2.0, np.inf]), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_no_more_than_the_share_reach_its_threshold_and_none_that_is_lower_would_do(
    values: list[float], share: float
) -> None:
    """Interpolation called a whole tie: a quarter of the non-members where an eighth was allowed."""
    scores = np.array(values)
    allowed = [t for t in sorted(set(values)) if sum(v >= t for v in values) <= share * len(values) + 1e-9]
    assert threshold_of_share(scores, share) == min(allowed, default=np.inf)
