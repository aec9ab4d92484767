"""Estimators by name: only allowed ones are imported, and all their randomness is seeded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from umbrameter.estimators import KINDS, PREFIXES_VARIABLE, SCALED, Estimator, seeded

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=(60, 2)), RNG.integers(0, 3, 60)])
Y = (X[:, 0] > 0).astype(int)
IMAGES = {"image": (4, 4, 1), "filters": (2, 2), "hidden": 4, "epochs": 3}
FAST = {"cnn": IMAGES, "mlp": {"epochs": 3}, "random_forest": {"n_estimators": 3}, "extra_trees": {"n_estimators": 3}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_kind_learns_and_the_seed_decides_all_of_it(kind: str) -> None:
    estimator = Estimator(kind=kind, params=FAST.get(kind, {}))
    data, categorical = (X, (2,)) if kind != "cnn" else (RNG.uniform(0, 255, (60, 16)), ())
    one, two = (estimator.build(7, categorical, binary=False).fit(data, Y).predict_proba(data) for _ in range(2))
    assert one.shape == (60, 2) and np.array_equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_scaling_only_where_it_helps(kind: str) -> None:
    built = Estimator(kind=kind).build(0, binary=False)
    assert (isinstance(built, Pipeline) and "standardscaler" in built.named_steps) == (kind in SCALED)
    assert not isinstance(Estimator(kind=kind).build(0, binary=True), Pipeline)


def test_categories_are_learned_from_the_training_data_alone() -> None:
    model = Estimator(kind="random_forest", params={"n_estimators": 3}).build(0, categorical=(2,))
    model.fit(X[X[:, 2] < 2], Y[X[:, 2] < 2])
    encoder = model.named_steps["columntransformer"].named_transformers_["onehotencoder"]
    assert encoder.categories_[0].tolist() == [0, 1]
    assert model.predict_proba(X).shape == (60, 2)


def test_a_dotted_path_below_an_allowed_prefix() -> None:
    assert isinstance(Estimator(kind="sklearn.tree.DecisionTreeClassifier").build(0), DecisionTreeClassifier)


@pytest.mark.parametrize(
    "kind",
    [
        "os.system",
        "subprocess.Popen",
        "sklearnevil.Thing",
        "sklearn",
        "sklearn.datasets.load_iris",
        "sklearn.utils.os.system",
        "sklearn.linear_model.LinearRegression",
        "umbrameter.cli.main",
        "umbrameter.estimators.KINDS",
        "sklearn.no.Such",
        "",
        ".",
    ],
)
def test_anything_else_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match=r"unknown kind|is not a scikit-learn classifier|there is no"):
        Estimator(kind=kind)


def test_a_spec_cannot_import_what_is_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    code = (
        "from umbrameter.estimators import Estimator\ntry:\n    Estimator(kind='trap.Model')\nexcept ValueError:\n    0"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[1]}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_operator_adds_prefixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "companymodels.py").write_text("from sklearn.dummy import DummyClassifier as Ours\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValidationError, match=PREFIXES_VARIABLE):
        Estimator(kind="companymodels.Ours")
    monkeypatch.setenv(PREFIXES_VARIABLE, "companymodels.")
    assert isinstance(Estimator(kind="companymodels.Ours").build(0), DummyClassifier)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ValidationError, match=r"random_forest has no parameter leaf; it has .*min_samples_leaf"):
        Estimator(kind="random_forest", params={"leaf": 1})
    with pytest.raises(ValidationError, match="has no parameter random_state"):
        Estimator(kind="random_forest", params={"random_state": 1})


def of_kind(kind: str) -> Estimator:
    return Estimator(kind=kind, params=FAST.get(kind, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_the_versions_that_decide_a_model_are_those_of_its_libraries(kind: str) -> None:
    versions = of_kind(kind).versions
    assert {"numpy", "scikit-learn"} <= {*versions} and all(versions.values())
    assert ({"jax", "numba"} <= {*versions}) == (kind in ("mlp", "cnn"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimator_comes_back_from_what_a_spec_holds(kind: str) -> None:
    estimator = of_kind(kind)
    again = Estimator.model_validate(estimator.model_dump(mode="json"))
    assert again.model_dump(mode="json") == estimator.model_dump(mode="json")
    assert type(again.build(0)) is type(estimator.build(0))
    assert estimator.describe().startswith(f"{kind}(")


def test_it_is_described_with_what_was_set() -> None:
    estimator = Estimator(kind="random_forest", params={"min_samples_leaf": 20, "max_depth": None})
    assert estimator.describe() == "random_forest(min_samples_leaf=20, max_depth=None)"
    assert Estimator(kind="decision_tree").describe() == "decision_tree()"


@pytest.mark.parametrize(
    ("kind", "params", "parts"),
    [
        ("random_forest", {"n_estimators": 0}, ["n_estimators", "0"]),
        ("random_forest", {"max_features": "all"}, ["max_features", "'all'"]),
        ("decision_tree", {"min_samples_leaf": -1}, ["min_samples_leaf", "-1"]),
        ("logistic_regression", {"C": "strong"}, ["C", "'strong'"]),
        ("k_neighbors", {"n_neighbors": 0}, ["n_neighbors", "0"]),
        ("mlp", {"epochs": 0}, ["epochs"]),
    ],
)
def test_a_parameter_out_of_range_is_refused_before_anything_is_trained(
    kind: str, params: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Estimator(kind=kind, params=params)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize("name", ["random_state", "n_jobs", "verbose"])
def test_what_the_audit_decides_is_not_offered_as_a_parameter(name: str) -> None:
    with pytest.raises(ValidationError, match=f"has no parameter {name}"):
        Estimator(kind="random_forest", params={name: 1})


def test_every_random_state_is_set_however_deep() -> None:
    inner = DecisionTreeClassifier(random_state=1)
    nested = Pipeline([("bag", BaggingClassifier(BaggingClassifier(inner, random_state=2)))])
    found = seeded(nested, 7).get_params()
    states = {name: value for name, value in found.items() if name.endswith("random_state")}
    assert len(states) == 3 and {*states.values()} == {7}


def test_an_estimator_without_randomness_stays_as_it_is() -> None:
    assert seeded(GaussianNB(), 7).get_params() == GaussianNB().get_params()


def test_another_seed_is_another_forest() -> None:
    forest = Estimator(kind="random_forest", params={"n_estimators": 5})
    one, two = (forest.build(seed).fit(X, Y).predict_proba(X) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("kind", ["logistic_regression", "k_neighbors"])
def test_a_scaled_classifier_does_not_care_for_units(kind: str) -> None:
    """Feet or metres: with the scaler inside, answers are the same."""
    estimator = Estimator(kind=kind)
    answers = [
        estimator.build(0, binary=False).fit(X * units, Y).predict_proba(X * units)
        for units in (np.ones(3), np.array([1000.0, 0.25, 64.0]))
    ]
    assert np.allclose(*answers, atol=1e-6)


@pytest.mark.parametrize("kind", ["random_forest", "hist_gradient_boosting", "logistic_regression"])
def test_categories_are_names_and_not_numbers(kind: str) -> None:
    """Codes may be dealt in any order: which category is which decides nothing for a classifier of one feature."""
    params = {"max_iter": 20} if kind == "hist_gradient_boosting" else {}
    estimator = Estimator(
        kind=kind, params=params | FAST.get(kind, {}) | ({"bootstrap": False} if kind == "random_forest" else {})
    )
    codes = RNG.integers(0, 4, (200, 1)).astype(np.float64)
    labels = (codes[:, 0] % 2).astype(int)
    other = np.array([2.0, 0.0, 3.0, 1.0])[codes.astype(int)]
    one = estimator.build(0, categorical=(0,)).fit(codes, labels).predict(codes)
    two = estimator.build(0, categorical=(0,)).fit(other, labels).predict(other)
    assert np.array_equal(one, two) and np.array_equal(one, labels)


def test_a_category_that_training_never_saw_is_answered_all_the_same() -> None:
    model = Estimator(kind="logistic_regression").build(0, categorical=(2,)).fit(X[X[:, 2] < 2], Y[X[:, 2] < 2])
    unseen = X[X[:, 2] == 2]
    assert np.allclose(model.predict_proba(unseen).sum(axis=1), 1)
