"""Models' answers, validated at the border."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrameter.errors import DataError
from umbrameter.predictions.probabilities import align_probabilities, as_integer_labels


@given(st.sets(st.integers(0, 7), min_size=2), st.integers(0, 2**32 - 1))
def test_columns_land_under_their_classes(known: set[int], seed: int) -> None:
    classes = np.random.default_rng(seed).permutation(sorted(known))
    answers = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), 5)
    aligned = align_probabilities(answers, classes, 8)
    for row in range(5):
        for label in range(8):
            column = np.flatnonzero(classes == label)
            assert aligned[row, label] == (answers[row, column[0]] if len(column) else 0)


def test_complete_answers_are_not_copied() -> None:
    answers = np.full((3, 2), 0.5, dtype=np.float32)
    assert align_probabilities(answers, [0, 1], 2) is answers


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([0.5, np.nan], r"answered \[0.5, nan\] for record 1 \(1 such"),
        ([0.7, 0.7], "record 1"),
        ([1.2, -0.2], "record 1"),
        ([np.inf, 0.0], "record 1"),
    ],
)
def test_nonsense_is_refused_with_its_record(bad: list[float], text: str) -> None:
    with pytest.raises(DataError, match=text):
        align_probabilities([[0.5, 0.5], bad], [0, 1], 2)


def test_wrong_number_of_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(1, 3\); expected one column for each of the 2"):
        align_probabilities([[0.2, 0.3, 0.5]], [0, 1], 2)


@pytest.mark.parametrize("labels", [[0, 2, 1], [0.0, 2.0, 1.0], [[1, 0, 0], [0, 0, 1], [0, 1, 0]], [[0], [2], [1]]])
def test_labels_of_every_form(labels: list[float]) -> None:
    assert as_integer_labels(labels).tolist() == [0, 2, 1]


def test_labels_that_are_no_integers_or_too_large() -> None:
    with pytest.raises(DataError, match=r"0\.5.*record 1 is not an integer"):
        as_integer_labels([0, 0.5])
    with pytest.raises(DataError, match=r"record 1 is not one of 0 \.\. 2"):
        as_integer_labels([0, 3], n_classes=3)
    with pytest.raises(DataError, match="2 columns, expected n_classes=3"):
        as_integer_labels([[0, 1]], n_classes=3)
