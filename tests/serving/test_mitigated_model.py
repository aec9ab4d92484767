"""A mitigated model in a folder: it answers as the model and its mitigations do, to records in any form."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from umbrameter.errors import DataError, StoreError
from umbrameter.mitigations import AnyMitigation, LabelOnly, MemGuard, Params, Rounding, TopK, answered
from umbrameter.mitigations.composition import Composition
from umbrameter.persistence import dump_model
from umbrameter.predictions.vectors import Vectors
from umbrameter.serving import mitigated_model
from umbrameter.serving.mitigated_model import GUARD, INDEX, MODEL, MitigatedModel, ModelIndex, load, write

CLASSES = ("no", "perhaps", "yes")
CATEGORIES = {"colour": ("blue", "green", "red")}
RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(0, 1, 90), RNG.integers(0, 3, 90), RNG.integers(0, 2, 90)]).astype(np.float32)
Y = (np.arange(90) + (X[:, 0] > 0)) % 3
FRAME = pd.DataFrame({"height": X[:, 0], "colour": np.take(CATEGORIES["colour"], X[:, 1].astype(int)), "flag": X[:, 2]})


def index(mitigation: AnyMitigation | None = None, **changes: Any) -> ModelIndex:
    columns = {"feature_names": ("height", "colour", "flag"), "categories": CATEGORIES, "precision": "float32"}
    return ModelIndex(**{"mitigation": mitigation, "guard_seed": 5, "classes": CLASSES, **columns, **changes})


def fitted(rows: Any = slice(None)) -> LogisticRegression:
    return LogisticRegression().fit(X[rows], Y[rows])


def served(folder: Path, mitigation: AnyMitigation | None = None, model: Any = None, **changes: Any) -> MitigatedModel:
    """Return a model that was written and loaded again."""
    write(folder, index(mitigation, **changes), dump_model(model or fitted()), None)
    return load(folder)


# What it answers


@pytest.mark.parametrize(
    "mitigation",
    [None, Rounding(1), LabelOnly(), Composition((TopK(2), Rounding(2))), Composition((Params({"C": 2}), Rounding(1)))],
    ids=["none", "one", "labels", "two in order", "one in the training"],
)
def test_answers_are_the_model_s_after_its_mitigations(tmp_path: Path, mitigation: Any) -> None:
    parts = () if mitigation is None else mitigation.parts
    through = [part for part in parts if not isinstance(part, Params)]  # acted when the model was trained
    expected = answered(fitted().predict_proba(X), through)
    assert np.array_equal(served(tmp_path, mitigation).predict(X), expected)


def test_a_learned_mitigation_is_restored_with_what_it_learned(tmp_path: Path) -> None:
    model = fitted()
    shadow = model.predict_proba(X).astype(np.float32)
    is_in = shadow.max(axis=1) > np.median(shadow.max(axis=1))  # surer of what it has seen
    guarded = MemGuard().fit(Vectors(shadow, Y, is_in), seed=5)
    write(tmp_path, index(MemGuard()), dump_model(model), dump_model(guarded.model))
    expected = guarded.transform(model.predict_proba(X))
    assert np.array_equal(load(tmp_path).predict(X), expected)
    assert not np.array_equal(expected, model.predict_proba(X))
    (tmp_path / GUARD).unlink()
    with pytest.raises(FileNotFoundError, match=GUARD):
        load(tmp_path)


@pytest.mark.parametrize(("known", "missing"), [([0, 1], 2), ([0, 2], 1), ([1, 2], 0)])
def test_a_class_that_the_training_did_not_have_is_never_answered(
    tmp_path: Path, known: list[int], missing: int
) -> None:
    model = fitted(np.isin(Y, known))
    answers = served(tmp_path, model=model).predict(X)
    assert answers.shape == (90, 3) and not answers[:, missing].any()
    assert np.array_equal(answers[:, known], model.predict_proba(X))


def test_mlflow_finds_the_same_model(tmp_path: Path) -> None:
    answers = served(tmp_path, Rounding(2)).predict(X)
    assert np.array_equal(mitigated_model._load_pyfunc(str(tmp_path)).predict(X, params={}), answers)


def test_no_record_decides_another_s_answer(tmp_path: Path) -> None:
    model = served(tmp_path, TopK(2), DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(X, Y))
    order = RNG.permutation(90)
    whole = model.predict(X)
    assert np.array_equal(model.predict(X[order]), whole[order])
    assert np.array_equal(np.concatenate([model.predict(X[[i]]) for i in range(9)]), whole[:9])
    assert model.predict(X[:1]).shape == (1, 3)


# Records in several forms


def test_a_frame_is_read_by_name_and_an_array_by_order(tmp_path: Path) -> None:
    model = served(tmp_path)
    by_name = model.encoded(FRAME[["flag", "colour", "height"]].assign(other="ignored"))
    assert np.array_equal(by_name, X) and by_name.dtype == np.float32
    assert np.array_equal(model.encoded(X.tolist()), X)
    assert np.array_equal(model.predict(FRAME), model.predict(X))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_records_are_given_in_the_precision_of_the_training(tmp_path: Path, precision: str) -> None:
    model = served(tmp_path, precision=precision)
    for records in (FRAME, X, X.astype(np.float64)):
        assert model.encoded(records).dtype == precision


def test_a_category_that_was_never_seen_has_a_code_of_its_own(tmp_path: Path) -> None:
    unseen = FRAME.iloc[:4].assign(colour=["red", "mauve", "blue", None])
    assert served(tmp_path).encoded(unseen)[:, 1].tolist() == [2, 3, 0, 3]


def test_categories_that_look_like_numbers_are_read_as_text(tmp_path: Path) -> None:
    model = served(tmp_path, categories={"colour": ("1", "10", "2")})
    codes = model.encoded(FRAME.iloc[:3].assign(colour=[2, 10, 3]))[:, 1]
    assert codes.tolist() == [2, 1, 3]


def test_a_vector_is_read_in_its_order_whatever_its_columns_are_called(tmp_path: Path) -> None:
    model = served(tmp_path, feature_names=("x[0]", "x[1]", "x[2]"), categories={})
    frame = pd.DataFrame(X, columns=["x[2]", "x[0]", "x[1]"])
    assert np.array_equal(model.encoded(frame), X)


# What cannot be read


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 4), (2, 3, 1)])
def test_an_array_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = served(tmp_path)
    with pytest.raises(DataError, match=r"records have shape \(.*\); expected \(n_records, 3\)"):
        model.predict(np.zeros(shape))


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    model = served(tmp_path)
    with pytest.raises(DataError, match=r"records lack colour, flag; expected the columns height, colour, flag"):
        model.predict(FRAME[["height"]])
    wide = served(tmp_path, feature_names=tuple(f"f{i}" for i in range(20)), categories={})
    with pytest.raises(
        DataError, match=r"records lack f0, .*f7 and 12 more; expected the columns f0, .*f7 and 12 more"
    ):
        wide.predict(FRAME)


def test_a_folder_holds_what_its_index_says(tmp_path: Path) -> None:
    known = index(Composition((TopK(2), Rounding(1))))
    write(tmp_path, known, b"model", b"guard")
    assert {file.name for file in tmp_path.iterdir()} == {INDEX, MODEL, GUARD}
    assert ModelIndex.model_validate_json((tmp_path / INDEX).read_text(encoding="utf8")) == known
    assert ((tmp_path / MODEL).read_bytes(), (tmp_path / GUARD).read_bytes()) == (b"model", b"guard")


def test_a_model_of_types_that_are_not_trusted_is_not_loaded(tmp_path: Path) -> None:
    write(tmp_path, index(), dump_model(Foreign()), None)
    with pytest.raises(StoreError, match=r"a stored model holds .*Foreign.* not trusted"):
        load(tmp_path)


class Foreign:
    """A model of a type that nobody allowed."""

    def predict_proba(self, records: Any) -> Any:
        raise AssertionError("it was asked")
