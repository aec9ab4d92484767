"""Recipes as somebody writes them into a spec: parts within parts, short names, steps, deep names."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from umbrameter.estimators import PARTS, Estimator
from umbrameter.estimators.kinds import class_of

COLUMNS = """
steps:
  - kind: columns
    params:
      transformers:
        - [numbers, {steps: [imputer, scaler]}, [age, pay]]
        - [texts, {kind: one_hot, params: {handle_unknown: ignore}}, {kind: selector, params: {dtype_exclude: number}}]
      remainder: drop
  - {kind: random_forest, params: {n_estimators: 5}}
params: {random_forest__max_depth: 3}
"""
GRID = """
kind: grid_search
params:
  estimator: {kind: calibrated, params: {estimator: {kind: sklearn.svm.LinearSVC}, cv: 2}}
  param_grid: {estimator__C: [0.1, 1.0]}
  cv: {kind: sklearn.model_selection.StratifiedKFold, params: {n_splits: 2, shuffle: true}}
"""
VOTING = """
kind: voting
params:
  estimators: [[forest, {kind: random_forest, params: {n_estimators: 3}}], [bayes, {kind: gaussian_nb}]]
  voting: soft
"""
TRANSFORMED = """
steps:
  - {kind: sklearn.preprocessing.FunctionTransformer, params: {func: {kind: function, path: PATH}}}
  - gaussian_nb
"""
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": np.where(np.arange(40) % 7 == 0, np.nan, RNG.normal(size=40)),
        "pay": RNG.normal(size=40),
        "job": np.array(["clerk", "nurse"])[np.arange(40) % 2],
    }
)
Y = np.arange(40) % 2


def written(text: str) -> Estimator:
    return Estimator.model_validate(yaml.safe_load(text))


def refusal(text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        written(text)
    return str(caught.value)


def test_a_table_with_text_and_gaps_is_learned_by_name() -> None:
    recipe = written(COLUMNS)
    model: Any = recipe.build(3).fit(FRAME, Y)
    assert isinstance(model, Pipeline) and isinstance(model.named_steps["columns"], ColumnTransformer)
    forest = model.named_steps["random_forest"]
    assert (forest.max_depth, forest.n_estimators, forest.random_state) == (3, 5, 3)
    assert model.predict_proba(FRAME).shape == (40, 2) and recipe.form == "frame"
    assert model[:-1].transform(FRAME).shape == (40, 4)


@pytest.mark.parametrize("text", [GRID, VOTING])
def test_parts_within_parts_learn_and_the_seed_decides(text: str) -> None:
    X = FRAME[["pay"]]
    one, two = (written(text).build(5).fit(X, Y).predict_proba(X) for _ in range(2))
    assert one.shape == (40, 2) and np.array_equal(one, two)


@pytest.mark.parametrize("text", [COLUMNS, GRID, VOTING])
def test_what_a_run_writes_down_reads_back(text: str) -> None:
    recipe = written(text)
    again = Estimator.model_validate(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)))
    assert again == recipe and again.facts == recipe.facts and again.describe() == recipe.describe()


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        (["scaler", "gaussian_nb"], ["scaler", "gaussian_nb"]),
        (["scaler", "scaler", "gaussian_nb"], ["scaler", "scaler-2", "gaussian_nb"]),
        ([["first", "scaler"], ["clf", {"kind": "gaussian_nb"}]], ["first", "clf"]),
        (["passthrough", {"kind": "sklearn.naive_bayes.GaussianNB"}], ["passthrough", "gaussiannb"]),
        ([StandardScaler(), {"steps": ["scaler", "gaussian_nb"]}], ["standardscaler", "pipeline"]),
    ],
)
def test_steps_have_names(steps: list[Any], names: list[str]) -> None:
    assert [name for name, _ in Estimator(steps=steps).build(0).steps] == names


def test_a_kind_alone_is_a_recipe() -> None:
    assert Estimator.model_validate("random_forest") == Estimator(kind="random_forest")


@pytest.mark.parametrize("kind", PARTS)
def test_each_short_name_is_a_class(kind: str) -> None:
    assert class_of(kind).__name__ == PARTS[kind].rpartition(".")[2]


def test_a_list_is_a_tuple_where_the_class_has_one() -> None:
    steps = [
        {"kind": "sklearn.feature_extraction.text.TfidfVectorizer", "params": {"ngram_range": [1, 2]}},
        "gaussian_nb",
    ]
    assert Estimator(steps=steps).build(0).steps[0][1].ngram_range == (1, 2)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{kind: calibrated, params: {estimator: {kind: os.system}}}", ["os.system", "sklearn."]),
        ("{kind: calibrated, params: {estimator: {kind: sklearn.datasets.load_iris}}}", ["load_iris"]),
        ("{kind: calibrated, params: {estimator: {kind: gaussian_nb, prior: 1}}}", ["prior", "params"]),
        (
            "{kind: calibrated, params: {estimator: {kind: random_forest, params: {max_deep: 1}}}}",
            ["max_deep", "max_depth"],
        ),
        ("{steps: [scaler, gaussian_nb], params: {gaussian_nb__smooth: 1}}", ["smooth", "var_smoothing"]),
        ("{steps: [scaler, random_forest], params: {random_forest__random_state: 1}}", ["random_forest__random_state"]),
        ("{steps: [scaler, {kind: random_forest, params: {n_jobs: 2}}]}", ["n_jobs"]),
        ("{steps: [scaler, {kind: random_forest, params: {n_estimators: 0}}]}", ["n_estimators", "0"]),
        ("{steps: [scaler]}", ["classifier"]),
        ("{kind: voting}", ["voting", "estimators"]),
        ("{kind: grid_search}", ["grid_search", "estimator", "param_grid"]),
        ("{kind: grid_search, params: {estimator: random_forest, param_grid: {}}}", ["classifier"]),
        ("{kind: sklearn.semi_supervised.SelfTrainingClassifier}", ["SelfTrainingClassifier", "classifier"]),
        ("{kind: sklearn.linear_model.LinearRegression}", ["LinearRegression", "classifier"]),
        ("{kind: columns, params: {transformers: []}}", ["classifier"]),
        ("{kind: random_forest, steps: [scaler]}", ["random_forest", "steps"]),
        ("{kind: random_forest, path: x.skops}", ["path", "file"]),
        ("{kind: file}", ["path"]),
        ("{kind: random_forest, columns: [a]}", ["columns", "frame"]),
        ("{kind: random_forest, takes: list}", ["takes", "matrix"]),
        (
            TRANSFORMED.replace("PATH", "numpy.load"),
            ["numpy.load", "element by element"],
        ),
        (
            TRANSFORMED.replace("PATH", "os.system"),
            ["os.system"],
        ),
        ("{steps: [{kind: one_hot, params: {dtype: {kind: type, name: numpy.load}}}, gaussian_nb]}", ["numpy.load"]),
    ],
)
def test_what_is_wrong_is_named_however_deep(text: str, parts: list[str]) -> None:
    message = refusal(text)
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(
    ("recipe", "has"),
    [
        ({"kind": "sklearn.svm.LinearSVC"}, False),
        ({"kind": "sklearn.svm.SVC"}, False),
        ({"kind": "sklearn.linear_model.SGDClassifier"}, False),
        ({"kind": "sklearn.linear_model.SGDClassifier", "params": {"loss": "log_loss"}}, True),
        ({"steps": ["scaler", {"kind": "sklearn.svm.LinearSVC"}]}, False),
        ({"kind": "calibrated", "params": {"estimator": {"kind": "sklearn.svm.LinearSVC"}}}, True),
        ({"kind": "voting", "params": {"estimators": [["a", {"kind": "gaussian_nb"}]]}}, False),
        ({"kind": "stacking", "params": {"estimators": [["a", {"kind": "gaussian_nb"}]]}}, True),
        (
            {
                "kind": "grid_search",
                "params": {"estimator": {"kind": "sklearn.svm.LinearSVC"}, "param_grid": {"C": [1]}},
            },
            False,
        ),
        ({"kind": "grid_search", "params": {"estimator": {"kind": "gaussian_nb"}, "param_grid": {}}}, True),
    ],
)
def test_whether_it_answers_probabilities_is_known_before_it_is_fitted(recipe: dict[str, Any], has: bool) -> None:
    estimator = Estimator.model_validate(recipe)
    assert estimator.answers_probabilities == has
    assert hasattr(estimator.build(0).fit(FRAME[["pay"]], Y), "predict_proba") == has


@pytest.mark.parametrize(
    ("recipe", "takes"),
    [("hist_gradient_boosting", True), ("random_forest", True), ("mlp", False), ("logistic_regression", False)],
)
def test_whether_gaps_may_reach_it(recipe: str, takes: bool) -> None:
    assert Estimator(kind=recipe).takes_missing == takes
    assert written(COLUMNS).takes_missing


def test_what_existed_before_has_the_key_that_it_had() -> None:
    """The facts of a single class are its kind and its parameters, and records reach it as a matrix."""
    for kind in ("random_forest", "sklearn.tree.DecisionTreeClassifier"):
        recipe = Estimator(kind=kind, params={"max_depth": 3})
        assert recipe.facts == recipe.model_dump(mode="json") == {"kind": kind, "params": {"max_depth": 3}}
        assert recipe.form == "matrix" and recipe.versions.keys() == {"numpy", "scikit-learn"}


def test_a_wrapped_one_is_calibrated() -> None:
    assert isinstance(written(GRID).make().estimator, CalibratedClassifierCV)
