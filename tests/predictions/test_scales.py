"""Percent, logits and probabilities: one into another, and which of them numbers look like."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from umbrameter.predictions.scales import as_probabilities, scale_of

RNG = np.random.default_rng(0)
VECTORS = RNG.dirichlet(np.ones(4), 200)
SINGLE = RNG.uniform(size=(200, 1))


@pytest.mark.parametrize("shift", [0.0, 7.0, -300.0])
def test_logits_are_known_up_to_a_constant(shift: float) -> None:
    assert np.allclose(as_probabilities(np.log(VECTORS) + shift, "logits"), VECTORS)


def test_a_single_logit_leaves_both_classes_their_digits() -> None:
    logits = np.array([[40.0], [-40.0], [0.0]])
    expected = np.hstack([expit(-logits), expit(logits)])
    assert np.allclose(as_probabilities(logits, "logits"), expected, rtol=1e-12, atol=0)
    assert np.allclose(as_probabilities(100 * SINGLE, "percent"), np.hstack([1 - SINGLE, SINGLE]))
    assert as_probabilities(VECTORS, "probabilities") is VECTORS


@pytest.mark.parametrize(
    ("numbers", "scale"),
    [
        (VECTORS, "probabilities"),
        (SINGLE, "probabilities"),
        (100 * VECTORS, "percent"),
        (np.rint(100 * VECTORS), "percent"),
        (100 * SINGLE, "percent"),
        (RNG.normal(size=(200, 4)), "logits"),
        (RNG.normal(size=(200, 1)), "logits"),
        (log_softmax(RNG.normal(size=(200, 4)), axis=1), "logits"),
        (RNG.uniform(0, 9, (200, 4)), "logits"),
        (RNG.uniform(0, 1000, (200, 1)), "logits"),
        (RNG.uniform(size=(200, 4)), None),  # such as one sigmoid per class
        (np.vstack([VECTORS, [[1.1, -0.1, 0, 0]]]), None),  # a single mistake
        (np.full((3, 4), np.nan), None),
    ],
)
def test_what_numbers_look_like(numbers, scale: str | None) -> None:
    assert scale_of(numbers) == scale
