"""A model file as a target and as a recipe: skops alone, by its content, and with what to do about anything else."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from umbrameter.errors import TargetError
from umbrameter.estimators import Estimator
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.steps.target import TargetIdentity
from umbrameter.store.artefacts import Store
from umbrameter.targets import FileTarget
from umbrameter.targets.connection import Connection, ConnectionContext

TABLE = pa.table({"pay": np.linspace(0, 1, 40), "job": ["clerk", "nurse"] * 20, "y": ["no", "yes", "yes", "no"] * 10})


class Loose(ClassifierMixin, BaseEstimator):
    """A classifier of a module that skops does not know."""

    def fit(self, X: Any, y: Any) -> "Loose":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    pq.write_table(TABLE, tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    return Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)


def pipeline() -> Any:
    columns = ColumnTransformer([("jobs", OneHotEncoder(), ["job"]), ("pay", SimpleImputer(), ["pay"])])
    return make_pipeline(columns, LogisticRegression(C=0.5))


def connect(records: Records, path: Path, **settings: Any) -> Connection:
    context = ConnectionContext(records.artefact.store, records, records.own(np.arange(4)))
    return FileTarget(path=str(path), **settings).connect(context)


def dumped(path: Path, model: Any) -> Path:
    skops.io.dump(model, path)
    return path


def test_a_file_answers_as_the_model_did(records: Records, tmp_path: Path) -> None:
    model = pipeline().fit(TABLE.to_pandas(), TABLE["y"].to_numpy(zero_copy_only=False))
    connection = connect(records, dumped(tmp_path / "model.skops", model))
    answers = connection.model.predict_proba(records.own(np.arange(40)))
    assert np.array_equal(answers, model.predict_proba(TABLE.to_pandas()))
    assert connection.description == "Pipeline in model.skops"


def test_its_content_is_its_identity_and_not_its_path(records: Records, tmp_path: Path) -> None:
    model = pipeline().fit(TABLE.to_pandas(), TABLE["y"].to_numpy(zero_copy_only=False))
    path = dumped(tmp_path / "model.skops", model)
    moved = Path(shutil.copy(path, tmp_path / "moved.skops"))
    one, two = connect(records, path), connect(records, moved)
    assert one.facts == two.facts and "path" not in one.facts
    dumped(path, model.set_params(logisticregression__C=1.0))
    assert connect(records, path).facts != one.facts


def test_shadow_models_get_its_recipe(records: Records, tmp_path: Path) -> None:
    model = pipeline().fit(TABLE.to_pandas(), TABLE["y"].to_numpy(zero_copy_only=False))
    identity = TargetIdentity.of(connect(records, dumped(tmp_path / "model.skops", model)))
    assert identity.estimator is not None and identity.estimator.columns is not None
    assert {*identity.estimator.columns} == {"pay", "job", "y"}  # as the frame that it was fitted on
    assert identity.estimator.make().get_params()["logisticregression__C"] == 0.5


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (pickle.dumps(LogisticRegression()), ["pickle", "skops.io.dump(joblib.load('model.joblib'), 'model.skops')"]),
        (pickle.dumps(LogisticRegression(), protocol=0), ["no skops file", "skops.io.dump"]),
        (b"PK nothing", ["no skops file", "skops.io.dump(model, 'model.skops')"]),
        (b"", ["no skops file"]),
        (None, ["No such file", "skops"]),
    ],
)
def test_another_file_is_refused_with_what_to_do(
    records: Records, tmp_path: Path, content: bytes | None, parts: list[str]
) -> None:
    path = tmp_path / "model.pkl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        connect(records, path)
    with pytest.raises(ValueError) as recipe:
        Estimator(kind="file", path=str(path)).resolved()
    for message in (str(caught.value), str(recipe.value)):
        assert [part for part in (*parts, str(path)) if part not in message] == [], message


@pytest.mark.parametrize("compress", [0, 3, "gzip", "bz2", "xz"])
def test_files_of_joblib_are_pickles_however_they_are_compressed(
    records: Records, tmp_path: Path, compress: Any
) -> None:
    joblib.dump(LogisticRegression(), tmp_path / "model.joblib", compress=compress)
    with pytest.raises(TargetError, match="is a pickle"):
        connect(records, tmp_path / "model.joblib")


def test_the_advice_for_pickles_works(records: Records, tmp_path: Path) -> None:
    model = pipeline().fit(TABLE.to_pandas(), TABLE["y"].to_numpy(zero_copy_only=False))
    joblib.dump(model, tmp_path / "model.joblib")
    skops.io.dump(joblib.load(tmp_path / "model.joblib"), tmp_path / "model.skops")
    assert connect(records, tmp_path / "model.skops").model.predict_proba(records.own([0])).shape == (1, 2)


def test_types_that_skops_does_not_know_need_trust(records: Records, tmp_path: Path) -> None:
    path = dumped(tmp_path / "model.skops", Loose().fit(None, ["no", "yes"]))
    with pytest.raises(TargetError, match=r"Loose, .* set trusted: true"):
        connect(records, path)
    with pytest.raises(ValueError, match=r"Loose, .* set trusted: true"):
        Estimator(kind="file", path=str(path)).resolved()
    assert connect(records, path, trusted=True).model.predict_proba(records.own([0])).tolist() == [[0.5, 0.5]]
    recipe = Estimator(kind="file", path=str(path), trusted=True).resolved()
    assert type(recipe.make()).__name__ == "Loose" and not hasattr(recipe.make(), "classes_")


# As a recipe


def test_a_file_as_a_recipe_is_what_it_would_be_as_an_object(tmp_path: Path) -> None:
    model = LogisticRegression(C=0.5).fit([[0.0], [1.0]], [0, 1])
    recipe = Estimator(kind="file", path=str(dumped(tmp_path / "model.skops", model)))
    assert recipe.facts == {"kind": "sklearn.linear_model.LogisticRegression", "params": {"C": 0.5}, "takes": "array"}
    assert recipe.build(3).get_params() == LogisticRegression(C=0.5, random_state=3).get_params()
    assert recipe.resolved().path is None and recipe.answers_probabilities


def test_what_the_spec_says_counts_more(tmp_path: Path) -> None:
    path = dumped(tmp_path / "model.skops", LogisticRegression())
    assert Estimator(kind="file", path=str(path), takes="matrix").facts.get("takes") is None
    assert Estimator(kind="file", path=str(path), takes="frame", columns=("a",)).facts["columns"] == ["a"]


def test_the_key_is_of_the_content(tmp_path: Path) -> None:
    one = Estimator(kind="file", path=str(dumped(tmp_path / "a.skops", LogisticRegression(C=2))))
    two = Estimator(kind="file", path=str(dumped(tmp_path / "b.skops", LogisticRegression(C=2))))
    assert one != two and one.facts == two.facts
    dumped(tmp_path / "b.skops", LogisticRegression(C=3))
    assert one.facts != two.facts
