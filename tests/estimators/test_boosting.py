"""XGBoost, LightGBM and CatBoost by their scikit-learn classes, where they are installed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from umbrameter.estimators import Estimator, recipe_of
from umbrameter.persistence import dump_model, load_model

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(120, 3)), np.arange(120) % 3
KINDS = {
    "xgboost": ("xgboost.XGBClassifier", {"n_estimators": 5, "max_depth": 3, "subsample": 0.7}),
    "lightgbm": ("lightgbm.LGBMClassifier", {"n_estimators": 5, "bagging_freq": 1, "bagging_fraction": 0.7}),
    "catboost": ("catboost.CatBoostClassifier", {"iterations": 5, "depth": 3}),
}


@pytest.fixture(params=KINDS)
def recipe(request: pytest.FixtureRequest) -> Estimator:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed: pip install 'umbrameter[boosting]'")
    kind, params = KINDS[request.param]
    return Estimator(kind=kind, params=params)


def test_it_learns_silently_and_the_seed_decides_all_of_it(
    recipe: Estimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, other = (recipe.build(seed).fit(X, Y).predict_proba(X) for seed in (7, 7, 8))
    assert one.shape == (120, 3) and np.array_equal(one, two) and not np.array_equal(one, other)
    assert capfd.readouterr() == ("", "") and [*tmp_path.iterdir()] == []


def test_an_object_and_a_spec_are_one_recipe(recipe: Estimator) -> None:
    given = recipe.make()
    again = recipe_of(given)
    assert again.facts == recipe.facts | {"takes": "frame"}
    assert again.make().get_params() == given.get_params()
    assert recipe.kind.partition(".")[0] in recipe.versions


def test_what_was_fitted_is_left_behind(recipe: Estimator) -> None:
    fitted = recipe.make().fit(X, Y)
    params = recipe_of(fitted).params
    params.pop("objective", None)  # which XGBoost's fit itself sets, by the number of classes
    assert params == recipe_of(recipe.make()).params
    assert recipe.answers_probabilities


def test_it_is_one_of_a_pipeline_s_steps(recipe: Estimator) -> None:
    given = make_pipeline(StandardScaler(), recipe.make())
    one, two = (recipe_of(given).build(3).fit(X, Y).predict_proba(X) for _ in range(2))
    assert np.array_equal(one, two)


def test_the_store_keeps_it(recipe: Estimator) -> None:
    recipe.check_storable()
    model = recipe.build(0).fit(X, Y)
    assert np.array_equal(load_model(dump_model(model)).predict_proba(X), model.predict_proba(X))


def test_gaps_reach_it(recipe: Estimator) -> None:
    table = pd.DataFrame(np.where(RNG.random(X.shape) < 0.2, np.nan, X), columns=["a", "b", "c"])
    model: Any = recipe.model_copy(update={"takes": "frame"}).build(0).fit(table, Y)
    assert np.isfinite(model.predict_proba(table)).all()


def test_a_thread_of_its_own_is_refused(recipe: Estimator) -> None:
    with pytest.raises(ValueError, match="n_jobs"):
        Estimator(kind=recipe.kind, params={"n_jobs": 4})


def test_a_library_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbrameter.estimators.kinds.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs xgboost, which is not installed: pip install xgboost"):
        Estimator(kind="xgboost.XGBClassifier")
