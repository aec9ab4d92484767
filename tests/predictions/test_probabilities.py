"""Models' answers, validated at the border."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrameter.errors import DataError
from umbrameter.predictions.probabilities import align_probabilities, as_integer_labels, class_places


@given(st.sets(st.integers(0, 7), min_size=2), st.integers(0, 2**32 - 1))
def test_columns_land_under_their_classes(known: set[int], seed: int) -> None:
    classes = np.random.default_rng(seed).permutation(sorted(known))
    answers = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), 5)
    aligned = align_probabilities(answers, classes, 8)
    for row in range(5):
        for label in range(8):
            column = np.flatnonzero(classes == label)
            assert aligned[row, label] == (answers[row, column[0]] if len(column) else 0)


WRITINGS = (int, float, str, np.int16, np.float32, np.str_, lambda value: f"{value}.0")


@given(
    st.lists(st.integers(-30, 30), min_size=2, max_size=8, unique=True),
    st.sampled_from([int, str]),
    st.lists(st.sampled_from(WRITINGS), min_size=8, max_size=8),
    st.integers(0, 7),
    st.randoms(),
)
def test_a_label_is_its_class_however_it_is_written(
    values: list[int], stored: Any, writings: list[Any], n_more: int, random: Any
) -> None:
    n_data = max(1, len(values) - n_more)
    classes = [stored(value) for value in values[:n_data]]
    order = random.sample(range(len(values)), len(values))
    knows = [write(values[i]) for i, write in zip(order, writings, strict=False)]
    places = class_places(knows, classes)
    assert sorted(places.tolist()) == list(range(len(values)))
    assert [place for place in places if place < n_data] == [i for i in order if i < n_data]
    assert [place for place in places if place >= n_data] == list(range(n_data, len(values)))
    answers = np.random.default_rng(0).dirichlet(np.ones(len(values)), 3)
    aligned = align_probabilities(answers, places, n_data)
    assert np.allclose(aligned.sum(axis=1), 1) and aligned.shape == answers.shape
    assert all(np.array_equal(aligned[:, i], answers[:, order.index(i)]) for i in range(n_data))


@pytest.mark.parametrize("places", [[-1, 1], [0, 0], [0.5, 1]])
def test_places_that_would_lose_a_column_are_refused(places: list[float]) -> None:
    with pytest.raises(DataError, match=r"columns stand for the classes .*; expected distinct places from 0 on"):
        align_probabilities([[0.25, 0.75]], places, 2)


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
