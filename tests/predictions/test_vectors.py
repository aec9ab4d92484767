"""Prediction vectors with their labels: confidences, and rows taken together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.predictions.vectors import Vectors

few = settings(max_examples=30, deadline=None, derandomize=True)


@given(st.integers(0, 2**16))
@few
def test_a_confidence_is_that_of_the_label_and_rows_are_taken_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = Vectors(rng.dirichlet(np.ones(4), 9), rng.integers(0, 4, 9), rng.random(9) < 0.5)
    assert vectors.confidence().tolist() == [p[y] for p, y in zip(vectors.predictions, vectors.labels, strict=True)]
    rows = rng.integers(9, size=5)
    some = vectors.where(rows)
    assert np.array_equal(some.predictions, vectors.predictions[rows]) and some.is_in is not None
    assert np.array_equal(some.is_in, np.asarray(vectors.is_in)[rows]) and np.array_equal(
        some.labels, vectors.labels[rows]
    )
    assert Vectors(vectors.predictions, vectors.labels).where(rows).is_in is None
    before = vectors.predictions.copy()
    vectors.logit(2.0)
    assert np.array_equal(vectors.predictions, before)
