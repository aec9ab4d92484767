"""A real MLflow registry: which version is loaded, what may be loaded, and the order of classes."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]
from mlflow.types import Schema, TensorSpec
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from tasks.mlflow_client.registry import Pyfunc, _is_safe_class, load
from umbrameter.errors import DataError, TargetError
from umbrameter.mitigations import LabelOnly
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.store.artefacts import Store
from umbrameter.targets import RegistryTarget
from umbrameter.targets.columns import Columns
from umbrameter.targets.querying import aligned_answers

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

N = 60
RNG = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {"colour": RNG.choice(["red", "blue", "green"], N), "age": RNG.integers(18, 90, N), "pay": RNG.normal(size=N)}
)
LABELS = np.where(PEOPLE["pay"] + RNG.normal(size=N) > 0, "yes", np.where(PEOPLE["age"] > 50, "maybe", "no"))
NUMBERS = PEOPLE[["age", "pay"]]


class Answering(PythonModel):
    """Answers probabilities of yes, no, maybe, in this order."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> np.ndarray:
        pay = np.asarray(model_input)[:, -1].astype(np.float64)
        yes = 1 / (1 + np.exp(-pay))
        return np.column_stack([yes, 0.75 * (1 - yes), 0.25 * (1 - yes)])


class Odd(LogisticRegression):
    """A class that nobody but its owner knows."""


class Bomb:
    """Becomes a classifier when it is unpickled, and leaves a mark."""

    def __init__(self, mark: Path, model: Any):
        self.mark, self.model = str(mark), model

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("[__import__('pathlib').Path(mark).touch(), model][1]", {"mark": self.mark, "model": self.model})


def mixed_pipeline() -> Any:
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["colour"])], remainder="passthrough")
    return make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(PEOPLE, LABELS)


def of_numbers() -> LogisticRegression:
    """Return a model that knows its classes in the order yes, no, maybe."""
    model = LogisticRegression(max_iter=1000).fit(NUMBERS, LABELS)
    order = [2, 1, 0]
    model.classes_, model.coef_, model.intercept_ = model.classes_[order], model.coef_[order], model.intercept_[order]
    return model


class Registry:
    """A registry in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.uri = folder, f"sqlite:///{folder / 'mlflow.db'}"
        self.mark = folder / "mark"
        mlflow.set_tracking_uri(self.uri)
        place = str(folder / "artifacts")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("models", artifact_location=place))

    def sklearn(self, name: str, model: Any, X: Any = NUMBERS, **options: Any) -> Any:
        given = {"signature": infer_signature(X), "pip_requirements": ["scikit-learn"], "name": "model"} | options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mlflow.sklearn.log_model(model, registered_model_name=name, **given)

    def pyfunc(self, name: str, X: Any = NUMBERS, **options: Any) -> None:
        given = {"python_model": Answering(), "pip_requirements": ["mlflow"], "name": "model"} | options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.pyfunc.log_model(registered_model_name=name, signature=infer_signature(X), **given)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    before = mlflow.get_tracking_uri()
    found = Registry(tmp_path_factory.mktemp("registry"))
    with mlflow.start_run():
        found.sklearn("people", mixed_pipeline(), PEOPLE)
        found.sklearn("people", DummyClassifier(strategy="prior").fit(PEOPLE, LABELS), PEOPLE)
        found.sklearn("turned", of_numbers())
        found.sklearn("svc", LinearSVC().fit(NUMBERS, LABELS))
        found.sklearn("wide", of_numbers(), np.zeros((3, 4)), signature=infer_signature(np.zeros((3, 4))))
        found.sklearn("odd", Odd().fit(NUMBERS, LABELS), skops_trusted_types=[f"{Odd.__module__}.Odd"])
        (found.folder / "code").mkdir()
        (found.folder / "code" / "helper.py").write_text("")
        found.sklearn("coded", of_numbers(), code_paths=[str(found.folder / "code")])
        bomb = Bomb(found.mark, of_numbers())
        found.sklearn("bomb", bomb, serialization_format="cloudpickle")
        disguised = found.sklearn("disguised", bomb, serialization_format="cloudpickle")
        found.pyfunc("told", metadata={"classes": ["yes", "no", "maybe"]})
        found.pyfunc("untold")
        floats = NUMBERS.astype(float)
        found.pyfunc("floats", floats, metadata={"classes": ["yes", "no", "maybe"]})
        found.pyfunc("tensors", floats.to_numpy(), metadata={"classes": ["yes", "no", "maybe"]})
    disguise(found, disguised.model_id)
    mlflow.MlflowClient().set_registered_model_alias("people", "champion", "1")
    mlflow.set_tracking_uri(before)
    found.mark.unlink(missing_ok=True)
    yield found


def disguise(registry: Registry, model_id: str) -> None:
    """Say of a pickle that it is read by ours."""
    (file,) = registry.folder.glob(f"artifacts/**/{model_id}/**/MLmodel")
    content = yaml.safe_load(file.read_text())
    content["flavors"]["python_function"] = {"loader_module": "umbrameter.serving.attack_models"}
    file.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return stored(tmp_path_factory.mktemp("people"), PEOPLE)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return stored(tmp_path_factory.mktemp("numbers"), NUMBERS)


def stored(folder: Path, features: pd.DataFrame) -> Records:
    pq.write_table(pa.Table.from_pandas(features.assign(y=LABELS), preserve_index=False), folder / "data.parquet")
    store = Store(folder / "root")
    return Records.open(store, build(ParquetData(path=str(folder / "data.parquet"), label="y"), store).path)


def found(registry: Registry, records: Records, model: str, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a model's answers on all records, and what tells it from others."""
    target = RegistryTarget(model=f"models:/{model}", **options)
    asked, facts = load(target, Columns.of(records), records.classes, records.artefact.store.root, registry.uri)
    return aligned_answers(asked, len(records.classes))(records.take(np.arange(N))[0]), facts


# Which model


def test_by_version_and_by_alias(registry: Registry, people: Records) -> None:
    answers, facts = found(registry, people, "people@champion")
    assert np.allclose(answers, mixed_pipeline().predict_proba(PEOPLE), atol=1e-4)
    assert (facts["name"], facts["version"]) == ("people", 1)
    assert found(registry, people, "people/1")[1] == facts
    other, its = found(registry, people, "people/2")
    assert len(np.unique(other, axis=0)) == 1 and its["version"] == 2 and its["model"] != facts["model"]


def test_an_alias_that_moved_is_another_target(registry: Registry, people: Records) -> None:
    client = mlflow.MlflowClient(registry.uri)
    client.set_registered_model_alias("people", "moving", "1")
    first = found(registry, people, "people@moving")[1]
    client.set_registered_model_alias("people", "moving", "2")
    assert found(registry, people, "people@moving")[1] != first


@pytest.mark.parametrize("model", ["nobody/1", "nobody@champion", "people/9", "people@nobody", "people/latest"])
def test_no_such_model(registry: Registry, people: Records, model: str) -> None:
    text = rf"target\.model='models:/{model}': the registry at sqlite:.* has no such model \(.*\); check the name, and"
    with pytest.raises(TargetError, match=text) as caught:
        found(registry, people, model)
    assert len(str(caught.value).splitlines()) == 1


def test_no_registry_there(
    registry: Registry, people: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri, shown in (
        ("http://127.0.0.1:9", r"http://127\.0\.0\.1:9"),
        (f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}", "sqlite:"),
    ):
        with pytest.raises(TargetError, match=rf"target\.model='models:/people/1': the registry at {shown}") as caught:
            found(registry, people, "people/1", tracking_uri=uri)
        assert "secret" not in str(caught.value)


def test_mlflow_points_where_it_did(registry: Registry, people: Records) -> None:
    before = mlflow.get_tracking_uri()
    found(registry, people, "people/1")
    with pytest.raises(TargetError):
        found(registry, people, "nobody/1")
    assert mlflow.get_tracking_uri() == before


def test_files_that_are_gone(registry: Registry, numbers: Records) -> None:
    for file in registry.folder.glob("artifacts/**/model.skops"):
        file.rename(file.with_suffix(".away"))
    try:
        with pytest.raises(TargetError, match=r"target\.model='models:/turned/1' could not be loaded .*; install what"):
            found(registry, numbers, "turned/1")
    finally:
        for file in registry.folder.glob("artifacts/**/model.away"):
            file.rename(file.with_suffix(".skops"))


# What its answers are of


def test_classes_in_an_order_of_its_own(registry: Registry, numbers: Records) -> None:
    answers, _ = found(registry, numbers, "turned/1")
    assert numbers.classes == ["maybe", "no", "yes"]
    assert np.allclose(answers, of_numbers().predict_proba(NUMBERS)[:, ::-1], atol=1e-4)


def test_a_model_without_probabilities(registry: Registry, numbers: Records) -> None:
    text = r"target\.model='models:/svc/1' is a LinearSVC, which answers no probabilities .* \[\{kind: label_only\}\]"
    with pytest.raises(TargetError, match=text):
        found(registry, numbers, "svc/1")
    answers, _ = found(registry, numbers, "svc/1", answers=(LabelOnly(),))
    assert np.array_equal(
        np.array(numbers.classes)[answers.argmax(axis=1)], LinearSVC().fit(NUMBERS, LABELS).predict(NUMBERS)
    )


def test_a_python_function_s_classes_are_told(registry: Registry, numbers: Records) -> None:
    expected = Answering().predict(None, NUMBERS)[:, [2, 1, 0]]
    assert np.allclose(found(registry, numbers, "told/1", trusted=True)[0], expected, atol=1e-6)
    text = r"target\.model='models:/untold/1' does not say which class .* list them in target\.labels"
    with pytest.raises(TargetError, match=text):
        found(registry, numbers, "untold/1", trusted=True)
    answers, facts = found(registry, numbers, "untold/1", trusted=True, labels=("yes", "no", "maybe"))
    assert np.allclose(answers, expected, atol=1e-6) and facts["labels"] == ["yes", "no", "maybe"]


@pytest.mark.parametrize("model", ["floats/1", "tensors/1"])
def test_numbers_become_what_the_signature_says(registry: Registry, numbers: Records, model: str) -> None:
    expected = Answering().predict(None, NUMBERS)[:, [2, 1, 0]]
    assert np.allclose(found(registry, numbers, model, trusted=True)[0], expected, atol=1e-6)


def test_a_signature_decides_the_types_of_numbers_and_calls_categories_text() -> None:
    class Kept:
        def predict(self, records: Any) -> Any:
            self.given = records
            return np.full((len(records), 2), 0.5)

    signed = pd.DataFrame({"c": ["u"], "f": np.float32([1]), "i": [1.0], "w": [1], "b": [1]})
    text = pd.Categorical(["u", "v"])
    records = pd.DataFrame({"c": text, "f": [0.1, 0.2], "i": [3, 2**53], "w": [1.0, 2.5], "b": [True, False]})
    model = Kept()
    Pyfunc(model, infer_signature(signed)).predict(records)
    assert model.given["c"].tolist() == ["u", "v"] and model.given["c"].dtype != "category"
    assert {name: str(model.given[name].dtype) for name in "fiwb"} == {
        "f": "float32",
        "i": "float64",
        "w": "float64",  # an integer would be another number, so MLflow refuses it
        "b": "int64",
    }
    wide = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 2))]))
    Pyfunc(model, wide).predict(np.array([[0.1, 2.0]]))
    assert model.given.dtype == np.float32


# What does not fit


def test_a_column_that_the_data_do_not_have(registry: Registry, numbers: Records) -> None:
    text = r"target\.model='models:/people/1' reads colour, which the data do not have; name the columns as"
    with pytest.raises(TargetError, match=text):
        found(registry, numbers, "people/1")


def test_records_of_another_width(registry: Registry, numbers: Records) -> None:
    text = r"target\.model='models:/wide/1' reads records of 4 values, and the data have 2 features; correct data\."
    with pytest.raises(TargetError, match=text):
        found(registry, numbers, "wide/1")


# What may be loaded


@pytest.mark.parametrize("model", ["bomb/1", "disguised/1", "told/1", "odd/1", "coded/1"])
def test_what_may_run_code_is_refused_before_it_does(registry: Registry, numbers: Records, model: str) -> None:
    text = rf"target\.model='models:/{model}' is stored in a form \(.*\) that runs whatever code is in it .*\.trusted"
    with pytest.raises(TargetError, match=text):
        found(registry, numbers, model)
    assert not registry.mark.exists()


@pytest.mark.parametrize("model", ["bomb/1", "odd/1", "coded/1"])
def test_what_is_trusted_is_loaded(registry: Registry, numbers: Records, model: str) -> None:
    try:
        answers, _ = found(registry, numbers, model, trusted=True)
        assert answers.shape == (N, 3)
        assert registry.mark.exists() == (model == "bomb/1")
    finally:
        registry.mark.unlink(missing_ok=True)


def test_said_labels_that_the_data_do_not_have(registry: Registry, numbers: Records) -> None:
    with pytest.raises(
        DataError, match=r"target\.model='models:/turned/1' does not know the class maybe, .* it knows yes, no, never"
    ):
        found(registry, numbers, "turned/1", labels=("yes", "no", "never"))


@pytest.mark.parametrize(
    ("name", "is_safe"),
    [
        ("sklearn.tree._tree.Tree", True),
        ("numpy.testing._private.utils.measure", False),  # runs what it is given
        ("sklearn.nowhere.Tree", False),
        ("sklearnish.Tree", False),
        ("os.system", False),
        ("", False),
    ],
)
def test_only_classes_of_the_libraries_are_read_without_trust(name: str, is_safe: bool) -> None:
    assert _is_safe_class(name) is is_safe


def test_the_recipe_is_read_off_a_model_of_scikit_learn(registry: Registry, people: Records) -> None:
    target = RegistryTarget(model="models:/people@champion")
    adapted, _ = load(target, Columns.of(people), people.classes, people.artefact.store.root, registry.uri)
    recipe = adapted.recipe()
    assert recipe.form == "frame" and recipe.make().get_params().keys() == mixed_pipeline().get_params().keys()
