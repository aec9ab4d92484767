"""Python objects as recipes: what is built from one has the object's parameters, and nothing that it learned."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.estimators import Estimator, recipe_of
from umbrameter.estimators.values import is_reserved

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), np.arange(60) % 2
FRAME = pd.DataFrame({"age": X[:, 0], "pay": X[:, 1], "job": np.array(["a", "b", "c"])[np.arange(60) % 3]})
NUMBERS = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
TABLE = ColumnTransformer(
    [
        ("numbers", NUMBERS, make_column_selector(dtype_include=np.number)),
        ("texts", OneHotEncoder(handle_unknown="ignore", dtype=np.float32), ["job"]),
        ("nothing", "drop", slice(0, 1)),
    ],
    remainder="passthrough",
    transformer_weights={"numbers": 2.0},
)
OBJECTS: dict[str, Any] = {
    "plain": RandomForestClassifier(max_depth=np.int64(3), max_features=np.float32(0.5)),
    "table": make_pipeline(TABLE, HistGradientBoostingClassifier(max_depth=3)),
    "text": make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()),
    "functions": make_pipeline(FunctionTransformer(np.log1p), SelectKBest(chi2, k=2), GaussianNB()),
    "grid": GridSearchCV(LogisticRegression(), {"C": [0.1, 1], "tol": (1e-3, 1e-4)}, cv=StratifiedKFold(3)),
    "ranges": GridSearchCV(RandomForestClassifier(), {"max_depth": range(1, 3)}),
    "grids": GridSearchCV(make_pipeline(NUMBERS, SVC()), [{"svc": [GaussianNB(), SVC(probability=True)]}, {}]),
    "voting": VotingClassifier([("a", RandomForestClassifier()), ("b", "drop")], voting="soft", weights=[1, 2]),
    "stacking": StackingClassifier([("a", RandomForestClassifier()), ("b", GaussianNB())]),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=3),
    "weights": LogisticRegression(class_weight={0: 1, 1: 5}),
    "text weights": LogisticRegression(class_weight={"no": 1, "yes": 5}),
    "arrays": GaussianNB(priors=np.array([0.25, 0.75])),
    "kernel": GaussianProcessClassifier(1.0 * RBF(0.5)),
    "not finite": make_pipeline(SimpleImputer(missing_values=np.nan, fill_value=-np.inf), AdaBoostClassifier()),
    "tuples": make_pipeline(OneHotEncoder(categories=[("a", "b")]), GaussianNB()),
}


class Loose(ClassifierMixin, BaseEstimator):
    """A classifier of somebody's own, outside the allowed prefixes."""

    def __init__(self, width: int = 1):
        self.width = width

    def fit(self, X: Any, y: Any) -> "Loose":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def shown(value: Any) -> Any:
    """Return a value so that equal ones compare equal: objects by their class and parameters."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return type(value), {n: shown(v) for n, v in value.get_params(deep=False).items() if not is_reserved(n)}
    if isinstance(value, make_column_selector | StratifiedKFold):
        return type(value), shown(vars(value))
    if isinstance(value, Mapping):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | range):
        return type(value), [shown(item) for item in value]
    return "nan" if isinstance(value, float) and np.isnan(value) else value


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_built_has_the_object_s_parameters(name: str) -> None:
    recipe = recipe_of(OBJECTS[name])
    assert shown(recipe.make()) == shown(OBJECTS[name])


@pytest.mark.parametrize("name", OBJECTS)
def test_a_recipe_comes_back_from_json_and_keeps_its_key(name: str) -> None:
    recipe = recipe_of(OBJECTS[name])
    again = Estimator.model_validate(json.loads(recipe.model_dump_json()))
    assert recipe.content is None and again == recipe
    assert again.facts == recipe.facts and shown(again.make()) == shown(recipe.make())


def test_a_recipe_lists_what_is_not_the_default() -> None:
    assert recipe_of(OBJECTS["calibrated"]).params == {
        "cv": 3,
        "estimator": {"kind": "sklearn.svm.LinearSVC", "params": {}},
    }
    assert recipe_of(LogisticRegression(C=1)).params == {"C": 1}  # an int, and the default is a float


def test_what_was_learned_stays_behind() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    assert recipe_of(model).params == recipe_of(make_pipeline(StandardScaler(), LogisticRegression())).params
    frozen = CalibratedClassifierCV(FrozenEstimator(LogisticRegression(C=2).fit(X, Y)))
    assert recipe_of(frozen).params == recipe_of(CalibratedClassifierCV(LogisticRegression(C=2))).params


def test_what_cannot_be_plain_data_is_a_skops_file_whose_key_is_its_content_s() -> None:
    def searched(upper: float) -> Estimator:
        return recipe_of(RandomizedSearchCV(LogisticRegression(), {"C": scipy.stats.loguniform(1e-3, upper)}, n_iter=3))

    one, again, other = searched(1), searched(1), searched(2)
    assert one.kind == "skops" and one.facts == again.facts != other.facts
    assert "content" not in one.facts
    search = one.make()
    assert isinstance(search, RandomizedSearchCV) and search.n_iter == 3
    drawn = search.param_distributions["C"].rvs(5, random_state=0)
    assert np.array_equal(drawn, scipy.stats.loguniform(1e-3, 1).rvs(5, random_state=0))
    assert Estimator.model_validate(one.model_dump(mode="json")).facts == one.facts


def test_a_fitted_one_by_skops_is_dumped_unfitted() -> None:
    search = RandomizedSearchCV(LogisticRegression(), {"C": scipy.stats.loguniform(1e-3, 1)}, n_iter=2, cv=2)
    assert not hasattr(recipe_of(search.fit(X, Y)).make(), "best_estimator_")


@pytest.mark.parametrize(
    ("fitted", "form", "columns"),
    [
        (LogisticRegression(), "frame", None),
        (LogisticRegression().fit(X, Y), "array", None),
        (LogisticRegression().fit(FRAME[["pay", "age"]], Y), "frame", ("pay", "age")),
        (make_pipeline(TABLE, GaussianNB()).fit(FRAME, Y), "frame", ("age", "pay", "job")),
    ],
)
def test_records_reach_the_recipe_as_they_reached_the_model(
    fitted: Any, form: str, columns: tuple[str, ...] | None
) -> None:
    recipe = recipe_of(fitted)
    assert (recipe.form, recipe.columns) == (form, columns)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (LinearRegression(), ["LinearRegression", "not a scikit-learn classifier"]),
        (StackingClassifier([("a", GaussianNB())], cv="prefit"), ["cv='prefit'", "folds"]),
        (object(), ["object", "get_params"]),
        (GaussianNB, ["get_params"]),
        (make_pipeline(FunctionTransformer(lambda X: X), GaussianNB()), ["Pipeline", "lambda", "module"]),
    ],
)
def test_what_has_no_recipe_is_refused(given: Any, parts: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        recipe_of(given)
    assert [part for part in parts if part not in str(caught.value)] == [], caught.value


def test_a_class_of_one_s_own_is_made_from_a_file_of_its_parameters() -> None:
    recipe = recipe_of(Loose(4).fit(X, Y))
    assert recipe.kind == "skops" and recipe.make().width == 4 and not hasattr(recipe.make(), "classes_")


def test_a_class_of_a_notebook_is_refused_since_workers_cannot_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loose, "__module__", "__main__")
    with pytest.raises(ValueError, match=r"Loose .*module"):
        recipe_of(Loose(4))


def test_a_class_of_one_s_own_below_an_allowed_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIXES_VARIABLE, f"{Loose.__module__}.")
    recipe = recipe_of(Loose(4))
    assert recipe.kind == f"{Loose.__module__}.Loose" and recipe.make().width == 4


def test_an_object_stands_for_its_recipe_in_a_spec() -> None:
    assert Estimator.model_validate(OBJECTS["table"]) == recipe_of(OBJECTS["table"])
    nested = Estimator(kind="calibrated", params={"estimator": LinearSVC(C=2.0)})
    assert nested.params["estimator"] == {"kind": "sklearn.svm.LinearSVC", "params": {"C": 2.0}}
    with pytest.raises(ValidationError, match="Loose"):  # nested in a spec, which is plain data
        Estimator(kind="calibrated", params={"estimator": Loose()})


# Seeds and threads


def test_every_seed_is_the_audit_s_and_every_model_has_one_thread() -> None:
    forests = [("a", RandomForestClassifier(n_jobs=-1, random_state=1)), ("b", make_pipeline(SGDClassifier(n_jobs=3)))]
    given = GridSearchCV(VotingClassifier(forests), {}, cv=StratifiedKFold(2, shuffle=True), n_jobs=8, verbose=0)
    built = recipe_of(given).build(7)
    params = built.get_params()
    seeds = {params[name] for name in params if name.endswith("random_state")}
    assert seeds == {7} and built.cv.random_state == 7
    assert {params[name] for name in params if name.endswith("n_jobs")} == {None}  # scikit-learn's one
    assert given.cv.random_state is None and given.n_jobs == 8  # the user's own object stays as it was


def test_a_cache_and_its_folder_are_not_used() -> None:
    cached = make_pipeline(StandardScaler(), LogisticRegression(), memory="/somewhere")
    assert recipe_of(cached).build(0).memory is None


def test_searches_are_drawn_again_from_the_seed() -> None:
    def best(seed: int) -> Any:
        search = RandomizedSearchCV(SGDClassifier(loss="log_loss"), {"alpha": scipy.stats.loguniform(1e-4, 1)}, cv=2)
        return recipe_of(search).build(seed).fit(X, Y).predict_proba(X)

    assert np.array_equal(best(1), best(1)) and not np.array_equal(best(1), best(2))
