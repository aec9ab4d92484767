"""What is no answer of a classifier is refused, with what was expected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.targets.fixed import PEOPLE, ROWS, VECTORS, Fixed, X, adapted, answers, stored
from umbrameter.errors import DataError, TargetError
from umbrameter.targets.adapter import Adapted


def test_an_object_that_cannot_be_asked() -> None:
    for thing in (object(), Fixed("transform", VECTORS), None):
        with pytest.raises(TargetError, match=r"churn has neither predict_proba nor predict; give a fitted classifier"):
            adapted(thing, name="churn")


def test_what_a_model_raises_is_told_in_a_line() -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("mat1 and mat2\nshapes cannot be multiplied")

    text = r"^churn could not answer 2 records: RuntimeError: mat1 and mat2 shapes cannot be multiplied; check that"
    with pytest.raises(TargetError, match=text):
        adapted(Fixed("predict_proba", fail), name="churn").predict_proba(X)


def test_records_are_not_repeated_in_errors() -> None:
    def fail(given: Any) -> None:
        raise ValueError(f"no column age in {given.to_dict('list')} of {len(given)} rows")

    with pytest.raises(TargetError, match=r"'pay': \[#, #\], 'age': \[#, #\], 'colour': \['#', '#'\]") as caught:
        Adapted(Fixed("predict", fail), PEOPLE, ["no", "yes"]).predict_proba(ROWS)
    assert caught.value.__suppress_context__
    assert "no column age in" in str(caught.value) and "of 2 rows" in str(caught.value)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (np.array([0, 1]), r"int64 of shape \(2,\)"),
        (np.array(["yes", "no"]), r"<U3 of shape \(2,\)"),
        (VECTORS[:1], r"float32 of shape \(1, 3\)"),
        (np.stack([VECTORS, VECTORS]), r"float32 of shape \(2, 2, 3\)"),
        (np.array([0.2, 0.9]), r"float64 of shape \(2,\)"),
        (np.eye(2, 3, dtype=int), r"int64 of shape \(2, 3\)"),
        (None, r"object of shape \(\)"),
        (0.5, r"float64 of shape \(\)"),
    ],
)
def test_what_is_not_one_vector_per_record(found: Any, shown: str) -> None:
    with pytest.raises(TargetError, match=rf"the model answered {shown} for 2 records; expected probabilities"):
        adapted(Fixed("predict", found)).predict_proba(X)


def test_answers_of_unequal_length() -> None:
    with pytest.raises(TargetError, match="could not answer 2 records: ValueError"):
        adapted(Fixed("predict_proba", [[0.5, 0.5], [1.0]])).predict_proba(X)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([0.5, 0.5], r"shape \(3, 2\); expected one column for each of the 3 classes"),
        ([-0.5, 0.5, 1], r"in \[0, 1\]"),
        ([np.nan, 0.5, 0.5], "finite"),
        ([0.5, 0.5, 0.5], "summing to 1"),
    ],
)
def test_vectors_that_are_no_probabilities(tmp_path: Path, row: list[float], text: str) -> None:
    with pytest.raises(DataError, match=text):
        answers(Fixed("predict", np.array([row] * 3)), stored(tmp_path, ["a", "b", "c"]))


def test_a_classifier_that_is_not_fitted() -> None:
    with pytest.raises(TargetError, match="could not answer 2 records: NotFittedError"):
        adapted(LogisticRegression()).predict_proba(X)
