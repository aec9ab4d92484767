"""Models' answers, validated at the border."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.errors import DataError
from umbrameter.predictions.probabilities import (
    align_probabilities,
    as_integer_labels,
    check_labels,
    class_places,
    improbable,
)

few = settings(max_examples=30, deadline=None, derandomize=True)


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


@given(st.integers(0, 2**16))
@few
def test_a_single_column_is_the_second_of_two_classes(seed: int) -> None:
    p = np.random.default_rng(seed).random(6)
    for answers in (p, p[:, None]):
        assert np.allclose(align_probabilities(answers, [0, 1], 2), np.column_stack([1 - p, p]))
    assert np.allclose(align_probabilities(p, [2, 0], 3), np.column_stack([p, np.zeros(6), 1 - p]))


@given(st.integers(0, 2**16), st.sampled_from([np.nan, np.inf, -1e-3, 1.002, 2e-3]))
@few
def test_vectors_are_judged_one_at_a_time(seed: int, wrong: float) -> None:
    rng = np.random.default_rng(seed)
    answers = rng.dirichlet(np.ones(3), 10)
    row = int(rng.integers(10))
    answers[row, 0] = wrong if wrong != 2e-3 else answers[row, 0] + wrong
    infinite, outside, unsummed = improbable(answers)
    for i, p in enumerate(answers.tolist()):
        assert infinite[i] == (not all(map(np.isfinite, p)))
        assert outside[i] == any(x < -1e-6 or x > 1 + 1e-6 for x in p)
        assert unsummed[i] == (abs(sum(p) - 1) > 1e-3)
    assert (infinite | outside | unsummed).tolist() == [i == row for i in range(10)]


def test_coarse_answers_may_sum_to_anything_between() -> None:
    coarse = [[0.3, 0.3], [0.0, 0.0]]
    assert align_probabilities(coarse, [0, 1], 2, is_coarse=True).tolist() == coarse
    with pytest.raises(DataError, match=r"\[0\.3, 0\.3\] for record 0 \(2 such"):
        align_probabilities(coarse, [0, 1], 2)
    with pytest.raises(DataError, match="record 0"):
        align_probabilities([[1.5, 0.0]], [0, 1], 2, is_coarse=True)


@pytest.mark.parametrize(
    ("labels", "n_classes", "text"),
    [
        ([[1, 1], [0, 1]], None, r"row 0 .*\[1, 1\].*one-hot"),
        ([[0, 1], [0, 0]], None, "row 1 .*one-hot"),
        (["a", "b"], None, "<U1"),
        (np.zeros((2, 2, 2)), None, r"\(2, 2, 2\)"),
        ([0, -1], None, "-1.* of record 1"),
        ([0.0, np.inf], None, "inf.* of record 1 "),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_labels_that_are_none_are_named(labels: Any, n_classes: int | None, text: str) -> None:
    with pytest.raises(DataError, match=text):
        as_integer_labels(labels, n_classes)


def test_labels_in_range_are_let_through_and_booleans_are_two_classes() -> None:
    check_labels([0, 4, 2], 5)
    check_labels([], 1)
    assert as_integer_labels([True, False]).tolist() == [1, 0]
    assert as_integer_labels(np.zeros((0,))).tolist() == [] and as_integer_labels([[0, 1, 0]], 3).tolist() == [1]
