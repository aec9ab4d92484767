"""Model classes and scripts that were written for the package `mia` (0.1.2) run as they are."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from umbrameter import AttackModelBundle, ShadowModelBundle, prepare_attack_data
from umbrameter.errors import DataError

N_CLASSES = 3
X, Y = make_classification(900, 20, n_informative=6, n_classes=N_CLASSES, flip_y=0.3, random_state=0)
X, ONE_HOT = X.astype("float32"), np.eye(N_CLASSES, dtype="float32")[Y]
MEMBERS, OTHERS, POOL = slice(0, 150), slice(150, 300), slice(300, None)


class Network:
    """A network with Keras's interface, and no other: `fit` returns a history, `predict` probabilities."""

    def __init__(self, n_outputs: int):
        self.n_outputs, self.seen = n_outputs, []

    def fit(self, X, y, epochs=1, verbose=False, validation_data=None):
        assert X.dtype == y.dtype == np.float32
        self.seen.append((X.shape, y.shape, epochs, verbose))
        labels = y.argmax(axis=1) if self.n_outputs > 1 else y.ravel().astype(int)
        self.model = MLPClassifier((64,), max_iter=epochs, random_state=0).fit(X, labels)
        return {"loss": []}

    def predict(self, X):
        assert X.dtype == np.float32
        answers = self.model.predict_proba(X).astype(np.float32)
        return answers if self.n_outputs > 1 else answers[:, 1:]


def target_model_fn() -> Network:
    return Network(N_CLASSES)


def attack_model_fn() -> Network:
    return Network(1)


class Shelf:
    """A serializer as the package's: `save(model_id, model)`, `load(model_id)`."""

    def __init__(self):
        self.models: dict[str, Any] = {}

    def save(self, model_id, model):
        self.models[model_id] = model

    def load(self, model_id):
        return self.models[model_id]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("serializer", [None, Shelf()], ids=["memory", "serializer"])
def test_the_package_s_example_runs_as_it_is(serializer: Shelf | None) -> None:
    """The steps of its examples/cifar10.py, on made data and with smaller networks."""
    target_model = target_model_fn()
    target_model.fit(X[MEMBERS], ONE_HOT[MEMBERS], epochs=100, verbose=True)
    smb = ShadowModelBundle(target_model_fn, 150, 3, 42, serializer)
    fit_kwargs = {"epochs": 100, "verbose": True, "validation_data": (X[:5], ONE_HOT[:5])}
    X_shadow, y_shadow = smb.fit_transform(X[POOL], ONE_HOT[POOL], fit_kwargs=fit_kwargs)
    assert X_shadow.shape == (900, 2 * N_CLASSES) and X_shadow.dtype == np.float32
    amb = AttackModelBundle(attack_model_fn, num_classes=N_CLASSES, serializer=serializer, class_one_hot_coded=True)
    amb.fit(X_shadow, y_shadow, verbose=True, fit_kwargs={"epochs": 100, "verbose": True})
    data_in, data_out = (X[MEMBERS], ONE_HOT[MEMBERS]), (X[OTHERS], ONE_HOT[OTHERS])
    attack_test_data, real_membership_labels = prepare_attack_data(target_model, data_in, data_out)
    attack_guesses = amb.predict(attack_test_data)
    assert np.mean(attack_guesses == real_membership_labels) > 0.65
    assert roc_auc_score(real_membership_labels, amb.predict_proba(attack_test_data)[:, 1]) > 0.7
    assert [smb.shadow_models_[i].seen for i in range(3)] == [[((150, 20), (150, 3), 100, True)]] * 3
    assert [len(amb.attack_models_[label].seen) for label in range(N_CLASSES)] == [1, 1, 1]
    if serializer is not None:
        assert {*serializer.models} == {f"{kind}_{i}" for kind in ("shadow", "attack") for i in range(3)}


def test_the_rows_of_each_model_are_known() -> None:
    smb = ShadowModelBundle(DecisionTreeClassifier, 40, num_models=2)
    X_shadow, y_shadow = smb.fit_transform(X, Y)
    for i, model in enumerate(smb.models_):
        for part, indices in ((1, smb.shadow_train_indices_), (0, smb.shadow_test_indices_)):
            rows = X_shadow[80 * i : 80 * i + 80][y_shadow[:80] == part]
            assert (
                np.array_equal(rows[:, :3], model.predict_proba(X[indices[i]])) and (rows[:, 3] == Y[indices[i]]).all()
            )
    assert clone(smb).get_params()["shadow_dataset_size"] == 40


class OneHotMLP(MLPClassifier):
    """A scikit-learn class that was made to take the package's one-hot labels."""

    def __init__(self):
        super().__init__((16,), max_iter=40, random_state=0)

    def fit(self, X, y):
        return super().fit(X, y.argmax(axis=1))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_scikit_learn_class_for_one_hot_labels_gets_them() -> None:
    smb = ShadowModelBundle(OneHotMLP, 150, num_models=1)
    X_shadow, _ = smb.fit_transform(X, ONE_HOT)
    rows = smb.shadow_train_indices_[0]
    model = MLPClassifier((16,), max_iter=40, random_state=0).fit(X[rows], Y[rows])
    assert np.allclose(X_shadow[:150, :3], model.predict_proba(X[rows])) and X_shadow.shape[1] == 6


# Labels and records


TOWNS = np.array(["Aa", "By", "Cy"])
FRAME = pd.DataFrame(X, columns=[f"x{i}" for i in range(20)]).assign(town=TOWNS[np.arange(900) % 3])
PEOPLE = FRAME.set_index(np.arange(900)[::-1])


def recipe():
    columns = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["x0", "x1", "x2"]))
    return make_pipeline(columns, DecisionTreeClassifier(random_state=0))


@pytest.mark.parametrize(
    "labels",
    [
        TOWNS[Y],
        pd.Series(TOWNS[Y], index=PEOPLE.index),
        pd.Series(TOWNS[Y]).astype("category"),
        pd.get_dummies(TOWNS[Y]),
        ONE_HOT,
    ],
    ids=["text", "series", "categories", "dummies", "one-hot"],
)
def test_data_frames_by_column_name_and_labels_of_any_kind(labels: Any) -> None:
    expected, _ = ShadowModelBundle(recipe, 100, num_models=2).fit_transform(FRAME, Y)
    X_shadow, y_shadow = ShadowModelBundle(recipe, 100, num_models=2).fit_transform(PEOPLE, labels)
    assert np.array_equal(X_shadow[:, :3], expected[:, :3])
    coded = X_shadow[:, 3:].argmax(axis=1) if X_shadow.shape[1] == 6 else X_shadow[:, 3]
    assert np.array_equal(coded, expected[:, 3])
    attack = AttackModelBundle(LogisticRegression, N_CLASSES, class_one_hot_coded=X_shadow.shape[1] == 6)
    assert attack.fit(X_shadow, y_shadow).score(X_shadow, y_shadow) > 0.5


@pytest.mark.parametrize(("is_one_hot", "width"), [(True, 4), (False, 6)])
def test_rows_that_are_not_as_class_one_hot_coded_says_are_refused(is_one_hot: bool, width: int) -> None:
    """In the package, all records with a class number were of class 0, which no message said."""
    attack = AttackModelBundle(LogisticRegression, 3, class_one_hot_coded=is_one_hot)
    with pytest.raises(
        DataError, match=rf"num_classes=3 and class_one_hot_coded={is_one_hot} expected {10 - width} col"
    ):
        attack.fit(np.zeros((4, width)), [0, 1, 0, 1])


class Weighted(LogisticRegression):
    """Needs weights."""

    def fit(self, X, y, sample_weight):
        self.total_ = sample_weight.sum()
        return super().fit(X, y, sample_weight)


def test_estimators_that_need_weights_get_those_of_their_records() -> None:
    weights = np.arange(900.0)
    smb = ShadowModelBundle(Weighted, 100, num_models=2)
    smb.fit_transform(X, Y, fit_kwargs={"sample_weight": weights})
    totals = [weights[rows].sum() for rows in smb.shadow_train_indices_]
    assert [model.total_ for model in smb.models_] == totals
    piped = ShadowModelBundle(lambda: make_pipeline(StandardScaler(), Weighted()), 100, num_models=2)
    piped.fit_transform(X, Y, fit_kwargs={"weighted__sample_weight": pd.Series(weights)})
    assert [model[-1].total_ for model in piped.models_] == totals
    for bundle, data in ((smb, (X, Y)), (AttackModelBundle(Weighted, 1), (np.array([[1.0, 0], [0.5, 0]]), [1, 0]))):
        with pytest.raises(DataError, match=r"Weighted\.fit cannot be called: missing a required argument: 'sample_we"):
            (bundle.fit_transform if bundle is smb else bundle.fit)(*data)


def test_arguments_of_fit_in_the_place_of_verbose_are_not_lost() -> None:
    with pytest.raises(DataError, match=r"verbose=\{'sample_weight': 1\} is not a switch; name .* fit_kwargs=\{'samp"):
        ShadowModelBundle(DecisionTreeClassifier, 40, 1).fit_transform(X, Y, {"sample_weight": 1})


class Answers:
    """Answers what it is given, by a method of a given name."""

    def __init__(self, answers: Any, method: str = "predict_proba"):
        self.answers = answers
        setattr(self, method, lambda X: np.asarray(self.answers)[: len(X)])


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Answers([[2.0, -1.0], [0.5, 3.0]]), r"predict_proba answered \[ 2\. -1\.\] .*logits.*softmax\(answers"),
        (Answers([[70.0, 30.0], [5.0, 95.0]], "predict"), r"Answers.predict answered .*: percent.*answers / 100"),
        (Answers([0, 1], "predict"), r"Answers.predict answered 0 .* a label, not prob.*CalibratedClassifierCV"),
        (Answers(["a", "b"], "predict"), r"Answers.predict answered .*'a'.* a label"),
        (Answers([0, 1], "ask"), "Answers has neither predict_proba nor predict; wrap it"),
        (LinearSVC().fit(X, Y > 0), "LinearSVC.predict answered .* a label"),
    ],
)  # fmt: skip
def test_models_that_answer_no_probabilities_say_what_mends_them(model: Any, text: str) -> None:
    y = np.array([False, True])
    with pytest.raises(DataError, match=text):
        prepare_attack_data(model, (X[:2], y), (X[2:4], y))


def test_attack_models_may_answer_labels() -> None:
    """The package took `predict` for the probability of a member, and so do we where there is no other."""

    class Threshold:
        def fit(self, X, y):
            return "nothing"

        def predict(self, X):
            return X.max(axis=1) > 0.9

    rows = np.array([[0.95, 0.05, 0], [0.6, 0.4, 0], [0.99, 0.01, 0], [0.3, 0.7, 1]])
    attack = AttackModelBundle(Threshold, 2, class_one_hot_coded=False).fit(rows, [1, 0, 1, 0])
    assert attack.predict(rows).tolist() == [1, 0, 1, 0] and attack.predict_proba(rows)[3].tolist() == [0.5, 0.5]
