"""Classifiers by name: only what is allowed is imported, and everything in them is seeded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from umbrameter.estimators import KINDS, PREFIXES_VARIABLE, SCALED, Estimator

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


def test_a_parameter_that_is_none_of_its_is_named() -> None:
    with pytest.raises(ValidationError, match=r"random_forest has no parameter leaf; it has .*min_samples_leaf"):
        Estimator(kind="random_forest", params={"leaf": 1})
    with pytest.raises(ValidationError, match="has no parameter random_state"):
        Estimator(kind="random_forest", params={"random_state": 1})
