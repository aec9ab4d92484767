"""The classic library against rows made by hand, one model at a time."""

import numpy as np
import pytest
import skops.io
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
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
    with pytest.raises(DataError, match=r"label np\.int64\(-1\) of record 0"):
        ShadowModelBundle(forest, 10).fit_transform(X, y - y[0] - 1)
    with pytest.raises(DataError, match="LabelEncoder"):
        ShadowModelBundle(forest, 10).fit_transform(X, y.astype(str))
    with pytest.raises(DataError, match="not one-hot"):
        ShadowModelBundle(forest, 10).fit_transform(X, np.ones((900, 3)))
    with pytest.raises(DataError, match=r"expected 4 columns .* or 6"):
        AttackModelBundle(LogisticRegression, 3).fit(np.zeros((4, 5)), [0, 1, 0, 1])
    with pytest.raises(DataError, match="X has 899 records and y has 900"):
        ShadowModelBundle(forest, 10).fit_transform(X[1:], y)
