"""The classic library against rows made by hand, one model at a time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from umbrameter import AttackModelBundle, ShadowModelBundle, prepare_attack_data
from umbrameter.errors import DataError, PlanError
from umbrameter.seeds import generator, integer
from umbrameter.typing import Floats, Ints


@pytest.fixture(scope="module")
def records() -> tuple[Floats, Ints]:
    return make_classification(900, 12, n_informative=6, n_classes=3, flip_y=0.2, random_state=0)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=10)


def test_shadow_rows_are_those_of_models_fitted_one_by_one(records: tuple[Floats, Ints]) -> None:
    X, y = records
    X_shadow, y_shadow = ShadowModelBundle(forest, shadow_dataset_size=100, num_models=2, seed=5).fit_transform(X, y)
    expected = []
    for i in range(2):
        rows = generator(5, "shadow-rows", i).permutation(len(X))[:200]
        model = RandomForestClassifier(n_estimators=10, random_state=integer(5, "shadow-model", i))
        model.fit(X[rows[:100]], y[rows[:100]])
        for place, row in enumerate(rows):
            expected.append([*model.predict_proba(X[[row]])[0], y[row], place < 100])
    assert np.array_equal(np.column_stack([X_shadow, y_shadow]), np.array(expected, dtype=float))


def test_number_of_jobs_changes_nothing(records: tuple[Floats, Ints]) -> None:
    one, two = (ShadowModelBundle(forest, 100, 3, n_jobs=n).fit_transform(*records)[0] for n in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_one_hot_labels_give_the_same_predictions(records: tuple[Floats, Ints]) -> None:
    X, y = records
    integers, _ = ShadowModelBundle(forest, 100, 2).fit_transform(X, y)
    one_hot, _ = ShadowModelBundle(forest, 100, 2).fit_transform(X, np.eye(3)[y])
    assert one_hot.shape == (400, 6) and integers.shape == (400, 4)
    assert np.array_equal(integers[:, :3], one_hot[:, :3])
    assert np.array_equal(integers[:, 3], one_hot[:, 3:].argmax(axis=1))
    marks = np.tile(np.repeat([1, 0], 100), 2)
    a, b = (AttackModelBundle(LogisticRegression, 3).fit(rows, marks).predict(rows) for rows in (integers, one_hot))
    assert np.array_equal(a, b)


Labelled = tuple[Floats, Ints, Floats]


def attacked(X: Floats, y: Any, labels: Any, data: Any = np.asarray) -> Labelled:
    """Return the shadow rows, the target's rows and the scores, with labels and records written in some way."""
    names = np.array(labels)[y]
    target = forest().set_params(random_state=1).fit(data(X[:150]), names[:150])
    X_shadow, y_shadow = ShadowModelBundle(forest, 150, num_models=3).fit_transform(data(X[300:]), names[300:])
    sides = (data(X[:150]), names[:150]), (data(X[150:300]), names[150:300])
    rows, _ = prepare_attack_data(target, *sides)
    attack = AttackModelBundle(LogisticRegression, num_classes=X_shadow.shape[1] - 1).fit(X_shadow, y_shadow)
    return X_shadow, rows, attack.predict_proba(rows)[:, 1]


@pytest.mark.parametrize(
    "labels", [[-1, 1], [-1.0, 1.0], [False, True], ["no", "yes"], ["0", "1"], [0.0, 1.0], [-7, -2]], ids=str
)
def test_classes_are_known_by_value_however_they_are_written(labels: list[Any]) -> None:
    X, y = make_classification(700, 6, flip_y=0.3, random_state=0)
    expected = attacked(X, y, [0, 1])
    for found, known in zip(attacked(X, y, labels), expected, strict=True):
        assert found.tobytes() == known.tobytes()
    assert roc_auc_score(np.repeat([1, 0], 150), expected[2]) > 0.65
    assert np.allclose(expected[1][:, :2].sum(axis=1), 1)


def test_data_frames_and_sparse_matrices_reach_the_model_as_they_are() -> None:
    X, y = make_classification(700, 6, flip_y=0.3, random_state=0)
    expected = attacked(X, y, [0, 1])

    def framed(rows: Floats) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=list("abcdef"), index=np.arange(len(rows))[::-1])

    for data in (framed, sparse.coo_matrix, sparse.csr_array):
        for found, known in zip(attacked(X, y, [0, 1], data), expected, strict=True):
            assert np.allclose(found, known)


def test_a_pipeline_on_named_columns() -> None:
    rng = np.random.default_rng(0)
    records = pd.DataFrame({"town": rng.choice(list("abc"), 300), "age": rng.integers(18, 90, 300)})
    y = (records["age"] > 50).to_numpy()
    encoder = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    target = make_pipeline(encoder, DecisionTreeClassifier()).fit(records, y)
    shadows = ShadowModelBundle(lambda: clone(target), 50, 2)
    assert shadows.fit_transform(records, y)[0].shape == (200, 3) and shadows.classes_ == [0, 1]
    rows, _ = prepare_attack_data(target, (records[:100], y[:100]), (records[100:], y[100:]))
    assert np.array_equal(rows[:, :2], target.predict_proba(records)) and np.array_equal(rows[:, 2], y)


class Weighed:
    """Keeps the weights that it is fitted with beside the records."""

    def fit(self, X: Floats, y: Ints, **options: Any) -> "Weighed":
        self.given, self.classes_ = (X, y, options), np.unique(y)
        return self

    def predict_proba(self, X: Floats) -> Floats:
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_what_has_an_entry_per_record_is_cut_down_to_the_rows() -> None:
    X, y = np.arange(40.0)[:, None], np.arange(40) % 2
    options: dict[str, Any] = {"sample_weight": X[:, 0].tolist(), "epochs": 3, "classes": [0, 1], "eval_set": [(X, y)]}
    shadows = ShadowModelBundle(Weighed, 10, num_models=2)
    X_shadow, y_shadow = shadows.fit_transform(X, y, fit_kwargs=options)
    for model in shadows.models_:
        rows, _, given = model.given
        assert given["sample_weight"].tolist() == rows[:, 0].tolist()
        assert given["epochs"] == 3 and given["classes"] == [0, 1] and given["eval_set"] is options["eval_set"]
    weights = np.arange(len(X_shadow))
    attack = AttackModelBundle(Weighed, 2).fit(X_shadow, y_shadow, fit_kwargs={"sample_weight": weights})
    for label, model in attack.models_.items():
        assert model.given[2]["sample_weight"].tolist() == weights[X_shadow[:, -1] == label].tolist()


class Fixed:
    """Answers the same vector whatever it is asked."""

    def __init__(self, vector: Any, classes: Any = None):
        self.vector = np.asarray(vector)
        if classes is not None:
            self.classes_ = np.asarray(classes)

    def predict_proba(self, X: Floats) -> Floats:
        return np.repeat(self.vector[None], len(X), axis=0)


def test_float16_answers_keep_every_class_s_number() -> None:
    vector = np.zeros(3000, np.float16)
    vector[0] = 1
    sides = (np.zeros((2, 1)), [2049, 2999]), (np.zeros((2, 1)), [2051, 5])
    rows, _ = prepare_attack_data(Fixed(vector, np.arange(3000)), *sides)
    assert rows[:, -1].tolist() == [2049, 2999, 2051, 5] and rows.dtype == np.float32
    even = np.full(1000, 1 / 1000, np.float16)  # which sum up to something else in float16
    assert prepare_attack_data(Fixed(even), (np.zeros((1, 1)), [999]), (np.zeros((1, 1)), [0]))[0].shape == (2, 1001)


@pytest.mark.parametrize("kind", ["int8", "float16", "Int64", "Float32", "object"])
def test_whole_numbers_are_places_in_the_vector_whatever_their_type(kind: str) -> None:
    sides = (np.zeros((2, 1)), pd.Series([3, 1]).astype(kind)), (np.zeros((1, 1)), [0])
    rows, _ = prepare_attack_data(Fixed([0.25] * 4), *sides)
    assert rows[:, -1].tolist() == [3, 1, 0]
    shadows = ShadowModelBundle(DecisionTreeClassifier, 2, num_models=1)
    assert shadows.fit_transform(np.zeros((4, 1)), pd.Series([0, 3, 0, 3]).astype(kind))[0].shape == (4, 5)


def test_a_target_s_classes_decide_and_one_that_it_lacks_is_named() -> None:
    vector, X = [0.5, 0.25, 0.25], np.zeros((2, 1))
    rows, _ = prepare_attack_data(Fixed(vector, ["c", "a", "b"]), (X, ["a", "b"]), (X, ["b", "b"]))
    assert rows[:2].tolist() == [[0.25, 0.25, 0.5, 0], [0.25, 0.25, 0.5, 1]]
    rows, _ = prepare_attack_data(Fixed(vector), (X, ["a", "b"]), (X, ["b", "b"]), classes=["c", "a", "b"])
    assert rows[:2].tolist() == [[*vector, 1], [*vector, 2]]
    with pytest.raises(DataError, match=r"label 'd' of record 1 is none of the classes a, b, c"):
        prepare_attack_data(Fixed(vector, ["c", "a", "b"]), (X, ["a", "b"]), (X, ["b", "d"]))
    with pytest.raises(DataError, match="the model does not know the class 1, which records have; it knows 0, 2, 3"):
        prepare_attack_data(Fixed(vector, [0, 2, 3]), (X, [0, 2]), (X, [3, 1]))
    with pytest.raises(DataError, match=r"label 0 of record 1 is none of the classes -1, 1"):
        prepare_attack_data(Fixed([0.5, 0.5], [-1, 1]), (X, [1, 0]), (X, [0, 1]))


def test_lecture_lines_find_an_overfitted_target(records: tuple[Floats, Ints]) -> None:
    X, y = records
    target = forest().set_params(random_state=1).fit(X[:200], y[:200])
    X_shadow, y_shadow = ShadowModelBundle(forest, 200, num_models=6).fit_transform(X[400:], y[400:])
    attack = AttackModelBundle(lambda: DecisionTreeClassifier(max_depth=4, random_state=0), num_classes=3)
    attack.fit(X_shadow, y_shadow)
    rows, is_member = prepare_attack_data(target, (X[:200], y[:200]), (X[200:400], y[200:400]))
    assert set(np.unique(attack.predict(rows))) <= {0, 1}
    assert attack.score(rows, is_member) > 0.65
    assert np.allclose(attack.predict_proba(rows).sum(axis=1), 1)


def test_class_that_a_shadow_never_sees_does_not_crash() -> None:
    X = np.arange(60.0)[:, None]
    y = np.zeros(60, dtype=int)
    y[0] = 2
    X_shadow, y_shadow = ShadowModelBundle(DecisionTreeClassifier, 10, num_models=2).fit_transform(X, y)
    assert X_shadow.shape == (40, 4)
    attack = AttackModelBundle(LogisticRegression, 3).fit(X_shadow, y_shadow)
    assert 1 not in attack.models_
    assert attack.predict_proba([[0.0, 1.0, 0.0, 1]]).tolist() == [[0.5, 0.5]]
    assert attack.predict([[0.0, 1.0, 0.0, 1]]).tolist() == [0]


def test_attack_of_fitted_models_survives_a_file(records: tuple[Floats, Ints]) -> None:
    X_shadow, y_shadow = ShadowModelBundle(forest, 100, 2).fit_transform(*records)
    fitted = AttackModelBundle(LogisticRegression, 3).fit(X_shadow, y_shadow)
    bundle = AttackModelBundle.from_models(fitted.models_, 3)
    content = skops.io.dumps(bundle)
    loaded = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    assert np.array_equal(loaded.predict_proba(X_shadow), fitted.predict_proba(X_shadow))
    with pytest.raises(DataError, match="give model_fn"):
        loaded.fit(X_shadow, y_shadow)


class OneColumn:
    """A network with one output, as Keras answers: no classes_, one column."""

    def fit(self, X: Floats, y: Ints) -> "OneColumn":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: Floats) -> Floats:
        return np.full((len(X), 1), 0.25)


def test_model_with_one_output_column() -> None:
    X, y = np.zeros((8, 1)), np.arange(8) % 2
    rows, _ = prepare_attack_data(OneColumn().fit(X, y), (X, y), (X, y))
    assert rows[0].tolist() == [0.75, 0.25, 0]


def test_bad_input_is_named(records: tuple[Floats, Ints]) -> None:
    X, y = records
    with pytest.raises(PlanError, match=r"shadow_dataset_size=451 needs 902 records.*lower it to at most 450"):
        ShadowModelBundle(forest, 451).fit_transform(X, y)
    with pytest.raises(DataError, match=r"label np\.float64\(1\.5\) of record 0 is not an integer"):
        ShadowModelBundle(forest, 10).fit_transform(X, y + 0.5)
    with pytest.raises(DataError, match=r"several types \(NoneType, int64\); give numbers alone"):
        ShadowModelBundle(forest, 10).fit_transform(X, np.array([None, *y[1:]], dtype=object))
    with pytest.raises(DataError, match=r"label 2 of record \d+ is none of the classes 0, 1; .*classes="):
        ShadowModelBundle(forest, 10, classes=[0, 1]).fit_transform(X, y)
    with pytest.raises(DataError, match="not one-hot"):
        ShadowModelBundle(forest, 10).fit_transform(X, np.ones((900, 3)))
    with pytest.raises(DataError, match=r"expected 4 columns .* or 6"):
        AttackModelBundle(LogisticRegression, 3).fit(np.zeros((4, 5)), [0, 1, 0, 1])
    with pytest.raises(DataError, match="X has 899 records and y has 900"):
        ShadowModelBundle(forest, 10).fit_transform(X[1:], y)
