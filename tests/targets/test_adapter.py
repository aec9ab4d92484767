"""Any classifier as prediction vectors over the data's classes, whatever its interface and labels."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tests.targets.fixed import PEOPLE, ROWS, VECTORS, Fixed, N, X, adapted, answers, of_three, stored
from umbrameter.errors import DataError, TargetError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.targets.adapter import Adapted

# The labels


@pytest.mark.parametrize(
    "names", [["red", "blue", "green"], [30, 10, 20], [-1, 7, 3]], ids=["text", "integers", "from below 0"]
)
def test_columns_go_where_their_labels_are(tmp_path: Path, names: list[Any]) -> None:
    records = stored(tmp_path, of_three(names))
    assert records.classes == sorted(names)
    features, y = records.take(np.arange(N))
    model = DecisionTreeClassifier(random_state=0).fit(features, np.array(of_three(names)))
    assert (answers(model, records).argmax(axis=1) == y).all()
    turned = Fixed("predict_proba", lambda X: model.predict_proba(X)[:, ::-1], model.classes_[::-1])
    assert np.array_equal(answers(turned, records), answers(model, records))


def test_booleans_in_either_order(tmp_path: Path) -> None:
    labels = [i % 3 == 0 for i in range(N)]
    records = stored(tmp_path, labels)
    features, y = records.take(np.arange(N))
    model = DecisionTreeClassifier(random_state=0).fit(features, labels)
    found = answers(model, records)
    assert (found.argmax(axis=1) == y).all()
    turned = Fixed("predict_proba", lambda X: model.predict_proba(X)[:, ::-1])
    assert np.array_equal(answers(turned, records, labels=(True, False)), found)
    assert np.array_equal(answers(turned, records, labels=("True", "False")), found)


@pytest.mark.parametrize("known", [["2", "1", "0"], [2.0, 1.0, 0.0], np.array([2, 1, 0], np.int8)])
def test_labels_that_are_written_otherwise(known: Sequence[Any]) -> None:
    model = Fixed("predict_proba", VECTORS, known)
    assert adapted(model, [0, 1, 2]).classes_.tolist() == [2, 1, 0]


def test_said_labels_go_before_the_model_s() -> None:
    model = Fixed("predict_proba", VECTORS, [0, 1, 2])
    assert adapted(model, labels=("yes", "maybe", "no")).classes_.tolist() == [1, 2, 0]
    assert adapted(Fixed("predict", VECTORS)).classes_.tolist() == [0, 1, 2]


def test_a_class_of_the_data_that_the_model_does_not_know() -> None:
    text = r"churn does not know the class maybe, which records have; it knows no, never, yes: .* data\.label"
    with pytest.raises(DataError, match=text):
        adapted(Fixed("predict_proba", VECTORS, ["no", "never", "yes"]), name="churn")
    with pytest.raises(DataError, match=r"does not know the class 0, which records have; it knows -1, 1:"):
        adapted(Fixed("predict_proba", VECTORS, [-1, 1]), [0, 1])


def test_a_class_that_no_record_has_is_behind_the_data_s(tmp_path: Path) -> None:
    records = stored(tmp_path, of_three(["a", "b", "c"]))
    knows = ["d", "c", "0", "a", "b"]
    vectors = np.random.default_rng(1).dirichlet(np.ones(5), N)
    found = answers(Fixed("predict_proba", vectors, knows), records)
    expected = [[row[knows.index(name)] for name in ("a", "b", "c", "d", "0")] for row in vectors.tolist()]
    assert np.array_equal(found, np.array(expected, np.float32))
    assert np.array_equal(found, answers(Fixed("predict", vectors), records, labels=knows))
    assert adapted(Fixed("predict_proba", vectors, knows), ["a", "b", "c"]).other_classes == ["d", "0"]


@pytest.mark.parametrize(
    ("classes", "knows"),
    [
        ([-1, 1], [1, -1]),
        ([-1, 1], np.array([1.0, -1.0], np.float32)),
        ([3, 70], ["70", "3.0"]),
        ([0, 1], [True, False]),
        ([0, 1], np.array([1, 0], np.uint8)),
        ([False, True], [1.0, 0.0]),
        ([False, True], ["1", "0"]),
        ([False, True], ["true", "False"]),
        (["0", "1"], [True, False]),
        (["0", "1"], [1.0, 0.0]),
        (["01", "1"], ["1", "01"]),
        (["1.5", "2"], [2, 1.5]),
        (["a", "b"], [np.str_("b"), np.str_("a")]),
    ],
)
def test_labels_are_compared_by_value_then_by_text(classes: list[Any], knows: Any) -> None:
    assert adapted(Fixed("predict_proba", VECTORS[:, :2], knows), classes).classes_.tolist() == [1, 0]


@pytest.mark.parametrize("known", [["no", "yes", "no"], [0, "0", 1], [False, 0]])
def test_a_label_twice(known: list[Any]) -> None:
    with pytest.raises(DataError, match=r"has two columns of answers for the class (0|'no'); correct target\.labels"):
        adapted(Fixed("predict_proba", VECTORS, known), ["no", "yes", 0, 1])


# Interfaces


def test_predict_alone_answers_probabilities() -> None:
    keras = Fixed("predict", VECTORS)
    assert np.array_equal(adapted(keras).predict_proba(X), VECTORS)
    assert keras.given[0] is X


@pytest.mark.parametrize("shape", [(2, 1), (2,)])
def test_one_number_is_the_second_of_two_classes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    records = stored(tmp_path, ["no", "yes"])
    one = np.array([0.2, 0.9], np.float32).reshape(shape)
    assert np.allclose(answers(Fixed("predict", one), records), [[0.8, 0.2], [0.1, 0.9]])
    turned = answers(Fixed("predict", one), records, labels=("yes", "no"))
    assert np.allclose(turned, [[0.2, 0.8], [0.9, 0.1]])


@pytest.mark.parametrize("shape", [(4, 1), (4,)])
@pytest.mark.parametrize(
    ("classes", "labels"), [([0, 1], [0.0, 1, 1, 0]), ([-1, 1], [-1.0, 1, 1, -1]), ([1, 2], [1.0, 2, 2, 1])]
)
def test_labels_of_floats_are_no_probabilities_and_the_advice_works(
    classes: list[int], labels: list[float], shape: tuple[int, ...]
) -> None:
    rows, model = np.zeros((4, 2), np.float32), Fixed("predict", np.array(labels).reshape(shape))
    text = r"one number for each of 4 records, .* labels, not .* target\.answers: \[{kind: label_only}\], or"
    with pytest.raises(TargetError, match=text):
        adapted(model, classes).predict_proba(rows)
    followed = adapted(model, classes, answers=(LabelOnly(),)).predict_proba(rows)
    assert followed.tolist() == [[float(label == known) for known in classes] for label in labels]


def test_bits_for_classes_of_text_are_refused_with_what_to_answer() -> None:
    model = Fixed("predict", np.array([0.0, 1.0]))
    with pytest.raises(TargetError, match=r"label_only}\], and let it answer labels as the data have them \(no, yes\)"):
        adapted(model, ["no", "yes"]).predict_proba(X)


def test_scores_are_no_probabilities() -> None:
    with pytest.raises(TargetError, match=r"answered -2\.5, one number per record and outside \[0, 1\]: a score"):
        adapted(Fixed("predict", np.array([0.5, -2.5])), ["no", "yes"]).predict_proba(X)


def test_a_model_that_answered_a_probability_may_be_sure_of_later_records() -> None:
    model = Fixed("predict", lambda X: X[:, 0])
    found = adapted(model, ["no", "yes"])
    assert found.predict_proba(np.array([[0.25], [1.0]])).tolist() == [[0.75, 0.25], [0, 1]]
    assert found.predict_proba(np.array([[1.0], [0.0]])).tolist() == [[0, 1], [1, 0]]
    assert adapted(DecisionTreeClassifier().fit(X, [0, 1]), [0, 1]).predict_proba(X).tolist() == [[1, 0], [0, 1]]


def test_arrays_stay_float32() -> None:
    def strict(given: Any) -> np.ndarray:
        if given.dtype != np.float32:
            raise RuntimeError("expected Float")
        return VECTORS

    assert np.array_equal(adapted(Fixed("predict_proba", strict, [0, 1, 2]), [0, 1, 2]).predict_proba(X), VECTORS)


def test_a_table_with_categories_goes_in_as_a_data_frame() -> None:
    model = Fixed("predict_proba", VECTORS, ["no", "yes", "maybe"])
    Adapted(model, PEOPLE, ["no", "yes", "maybe"]).predict_proba(ROWS)
    (given,) = model.given
    assert given.to_dict("list") == {"pay": [0.5, 0.25], "age": [37, 40], "colour": ["red", "blue"]}
    assert given["age"].dtype == np.int64 and given["pay"].dtype == np.float32


@pytest.mark.parametrize("has_names", [False, True])
def test_a_table_of_numbers_does_where_the_model_has_names(has_names: bool) -> None:
    model = Fixed("predict_proba", VECTORS)
    if has_names:
        model.feature_names_in_ = np.array(["a", "b"])  # type: ignore[attr-defined]
    adapted(model).predict_proba(X)
    assert isinstance(model.given[0], pd.DataFrame) == has_names
    assert np.array_equal(np.asarray(model.given[0]), X)


def test_columns_come_in_the_order_that_the_model_knows(tmp_path: Path) -> None:
    records = stored(tmp_path, of_three([0, 1, 2]))
    original = pd.read_parquet(tmp_path / "data.parquet")
    model = DecisionTreeClassifier(random_state=0).fit(original[["b", "a"]], original["y"])
    assert (answers(model, records).argmax(axis=1) == records.labels()).all()
    model = DecisionTreeClassifier(random_state=0).fit(
        original.rename(columns={"a": "other"})[["other", "b"]], original["y"]
    )
    with pytest.raises(
        TargetError, match=r"could not answer 90 records: ValueError: .* other; check that the data have"
    ):
        answers(model, records)


def test_a_pipeline_on_names(tmp_path: Path) -> None:
    colours, labels = ["red", "blue", "blue", "green", "red"] * 18, of_three([10, 20, 30])
    records = stored(tmp_path, labels, colour=colours, age=np.arange(N))
    original = pd.read_parquet(tmp_path / "data.parquet")[["colour", "age", "b", "a"]]  # in an order of its own
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["colour"])], remainder="passthrough")
    model = make_pipeline(encoder, DecisionTreeClassifier(random_state=0)).fit(original, labels)
    found = answers(model, records)
    assert np.array_equal(found, model.predict_proba(original).astype(np.float32))
    assert (found.argmax(axis=1) == records.labels()).all()


# What is known to happen to the answers


def test_labels_alone(tmp_path: Path) -> None:
    names = of_three(["red", "blue", "green"])
    records = stored(tmp_path, names)
    features, y = records.take(np.arange(N))
    for model in (LinearSVC(random_state=0), DecisionTreeClassifier(random_state=0)):
        model.fit(features, names)
        found = answers(model, records, answers=(LabelOnly(),))
        assert set(found.ravel().tolist()) == {0.0, 1.0}
        assert np.array_equal(np.array(records.classes)[found.argmax(axis=1)], model.predict(features))
    assert (found.argmax(axis=1) == y).all()


def test_labels_alone_in_a_column() -> None:
    model = Fixed("predict", np.array([["yes"], ["no"]], dtype=object))
    assert adapted(model, ["no", "yes"], answers=(LabelOnly(),)).predict_proba(X).tolist() == [[0, 1], [1, 0]]


def test_a_label_that_no_record_has_or_that_was_not_said() -> None:
    model = Fixed("predict", np.array(["yes", "never"]))
    with pytest.raises(DataError, match=r"answered the label 'never', which is none of no, yes; .* target\.labels"):
        adapted(model, ["no", "yes"], answers=(LabelOnly(),)).predict_proba(X)
    model = Fixed("predict", np.array(["yes", "maybe"]))
    with pytest.raises(DataError, match=r"answered the label 'maybe', .* target\.labels"):
        adapted(model, ["no", "yes"], answers=(LabelOnly(),), labels=("no", "yes")).predict_proba(X)
    followed = adapted(model, ["no", "yes"], answers=(LabelOnly(),), labels=("no", "yes", "maybe"))
    assert followed.predict_proba(X).tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("part", [Rounding(decimals=1), TopK(k=1)])
def test_coarse_answers_are_taken_where_it_is_said(tmp_path: Path, part: Any) -> None:
    records = stored(tmp_path, ["a", "b", "c"])
    rough = np.array([[0.3, 0.3, 0.3], [0.7, 0, 0], [0.5, 0.4, 0]], np.float32)
    assert np.array_equal(answers(Fixed("predict", rough), records, answers=(part,)), rough)
    with pytest.raises(DataError, match="summing to 1"):
        answers(Fixed("predict", rough), records)


# Networks that are there


def test_a_network_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Classifier:
        def __init__(self, module: Any, classes: Sequence[Any]):
            self.module, self.classes_ = module, classes

        def predict_proba(self, X: Any) -> Any:
            self.module.eval()
            with torch.no_grad():
                return torch.softmax(self.module(torch.from_numpy(X)), dim=1).numpy()

    records = stored(tmp_path, of_three(["red", "blue", "green"]))
    module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))
    found = answers(Classifier(module, ["red", "blue", "green"]), records)
    with torch.no_grad():
        direct = torch.softmax(module(torch.from_numpy(records.take(np.arange(N))[0])), dim=1).numpy()
    assert np.allclose(found[:, [2, 0, 1]], direct, atol=1e-6)  # sorted: blue, green, red


def test_a_classifier_of_skorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    records = stored(tmp_path, of_three([0, 1, 2]))
    features, y = records.take(np.arange(N))
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softmax(dim=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = skorch.NeuralNetClassifier(module, max_epochs=2, train_split=None, verbose=0).fit(features, y)
    assert np.allclose(answers(net, records), net.predict_proba(features), atol=1e-6)
