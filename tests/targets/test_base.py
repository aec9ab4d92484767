"""What holds of every kind of target, and what the settings of each kind refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.targets.people import Softmax, context, people
from umbrameter.errors import DataError, TargetError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.records.membership import Membership
from umbrameter.records.reader import Records
from umbrameter.targets import (
    AnyTarget,
    EndpointTarget,
    ExternalTarget,
    GivenTarget,
    RegistryTarget,
    StoredTarget,
    Target,
    TrainedTarget,
)
from umbrameter.targets.connection import MutableConnection
from umbrameter.targets.secrets import keys, looks_like_secret

TREE = {"kind": "decision_tree"}
KINDS: list[Target] = [
    TrainedTarget(estimator=TREE),  # type: ignore[arg-type]
    RegistryTarget(model="models:/churn/3"),
    EndpointTarget(url="https://h/x"),
    StoredTarget(path="answers.parquet"),
    GivenTarget(),
]
EXTERNAL = [target for target in KINDS if isinstance(target, ExternalTarget)]


def ids(target: Target) -> str:
    return str(getattr(target, "kind", ""))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return people(tmp_path)


# Every kind


@pytest.mark.parametrize("target", KINDS, ids=ids)
def test_a_target_comes_back_from_what_a_spec_holds(target: Target) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyTarget)
    assert adapter.validate_python(adapter.dump_python(target, mode="json")) == target


@pytest.mark.parametrize("target", KINDS, ids=ids)
def test_a_target_is_a_value_that_nobody_changes_and_has_no_other_settings(target: Target) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        target.kind = "other"  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="pace"):
        type(target).model_validate(target.model_dump() | {"pace": 1})


@pytest.mark.parametrize("target", KINDS, ids=ids)
def test_only_a_target_that_is_trained_here_has_an_estimator(target: Target) -> None:
    assert (target.estimator_here is not None) == target.trained_here == isinstance(target, TrainedTarget)


@pytest.mark.parametrize("target", KINDS, ids=ids)
def test_only_stored_answers_cannot_be_asked_and_say_who_is_member(target: Target) -> None:
    is_stored = isinstance(target, StoredTarget)
    assert target.can_be_queried == (not is_stored)
    assert target.membership == (Membership("answers.parquet", "record_id", "target.path") if is_stored else None)


@pytest.mark.parametrize("target", EXTERNAL, ids=ids)
def test_what_is_done_to_answers_is_known_in_order(target: ExternalTarget) -> None:
    parts = (TopK(k=2), Rounding(decimals=1))
    known = target.model_copy(update={"answers": parts})
    assert known.released_answers == parts and target.released_answers == ()
    assert known.does(TopK) and known.does(LabelOnly, Rounding)
    assert not known.does(LabelOnly) and not known.does() and not target.does(TopK)


def test_a_target_that_is_trained_here_changes_no_answer() -> None:
    assert KINDS[0].released_answers == ()


@pytest.mark.parametrize("kind", ["temperature", "memguard", "params", "dropout"])
def test_what_no_target_is_known_to_do_to_its_answers_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match=kind):
        GivenTarget(answers=[{"kind": kind}])  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [target for target in KINDS if "labels" in type(target).model_fields], ids=ids)
def test_one_label_alone_is_no_classifier(target: Target) -> None:
    with pytest.raises(ValidationError, match="labels"):
        type(target).model_validate(target.model_dump() | {"labels": ["yes"]})


# A registered model


@pytest.mark.parametrize("model", ["models:/churn@champion", "models:/churn/12", "models:/a b/1", "models:/ü@x"])
def test_a_model_is_named_by_alias_or_version(model: str) -> None:
    assert RegistryTarget(model=model).model == model


@pytest.mark.parametrize("model", ["churn", "models:/churn", "models:/churn@a@b", "models:/a/b/1", "runs:/1/model", ""])
def test_what_names_no_registered_model_is_refused(model: str) -> None:
    with pytest.raises(ValidationError, match="model"):
        RegistryTarget(model=model)


def test_a_password_in_the_registry_s_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="MLFLOW_TRACKING_USERNAME"):
        RegistryTarget(model="models:/m/1", tracking_uri="https://me:s3cret@mlflow.example")
    plain = RegistryTarget(model="models:/m/1", tracking_uri="https://mlflow.example/a@b")
    assert plain.tracking_uri == "https://mlflow.example/a@b"


# An object


def test_a_given_object_is_met_by_its_answers_and_is_nobody_from_before(records: Records) -> None:
    facts = []
    for _ in range(2):
        model = Softmax()
        connection = GivenTarget(name="soft").connect(context(records, model))
        assert isinstance(connection, MutableConnection) and model.n_asked == 16
        facts.append(connection.facts)
    assert facts[0] != facts[1] and facts[0].keys() == facts[1].keys()
    assert {facts[0]["run"], facts[1]["run"]} > {facts[0]["run"]}


def test_an_object_s_answers_come_in_the_order_of_the_data_s_classes(records: Records) -> None:
    said = ("top", "low", "middle")
    model = Softmax()
    connection = GivenTarget(labels=said).connect(context(records, model))
    assert connection.model.classes_.tolist() == [2, 0, 1]
    assert connection.facts["labels"] == [*said] and connection.description == "the model"


def test_the_canaries_are_asked_about_with_what_is_known_of_the_answers(records: Records) -> None:
    connection = GivenTarget(answers=({"kind": "label_only"},)).connect(context(records, _Labels()))  # type: ignore[arg-type]
    answers = connection.model.predict_proba(records.take(np.arange(9))[0])
    assert {*np.unique(answers)} == {0.0, 1.0}
    assert connection.facts["answers"] == [{"kind": "label_only"}]


class _Labels:
    """Answers labels alone."""

    def predict(self, X: Any) -> Any:
        return np.array(["low", "top"])[(np.asarray(X)[:, 0] > 170).astype(int)]


def test_an_object_with_unknown_classes_is_refused_before_it_is_asked(records: Records) -> None:
    model = Softmax()
    model.classes_ = np.array(["low", "middle", "huge"])
    with pytest.raises(DataError, match="does not know the class top, which records have; it knows low, middle, huge"):
        GivenTarget().connect(context(records, model))
    assert model.n_asked == 0


def test_an_object_that_fails_is_told_by_name(records: Records) -> None:
    class Broken(Softmax):
        def predict_proba(self, X: Any) -> Any:
            raise KeyError("no such column")

    with pytest.raises(TargetError, match="my model could not answer 16 records: KeyError"):
        GivenTarget(name="my model").connect(context(records, Broken()))


# Names of secrets


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def all_keys(content: Any) -> list[str]:
    """Return all keys of all mappings, one level after the other."""
    if isinstance(content, dict):
        return [*content, *(key for value in content.values() for key in all_keys(value))]
    return [key for value in content for key in all_keys(value)] if isinstance(content, list) else []


@settings(deadline=None, derandomize=True, max_examples=80)
@given(JSON)
def test_every_key_of_a_body_is_looked_at(content: Any) -> None:
    assert sorted(keys(content)) == sorted(all_keys(content))


@pytest.mark.parametrize("style", [str.lower, str.upper, str.title, str.capitalize], ids=lambda style: style.__name__)
@pytest.mark.parametrize("word", ["key", "token", "secret", "password", "pwd", "credentials", "jwt", "authorization"])
@pytest.mark.parametrize("around", ["{}", "x-{}", "{}_of_mine"])
def test_a_secret_is_known_in_every_way_of_writing(style: Any, word: str, around: str) -> None:
    assert looks_like_secret(style(around.format(word)))


@pytest.mark.parametrize(
    "name", ["keynote", "monkey", "passenger", "tokens_per_second", "codec", "compassion", "", "7"]
)
def test_a_word_that_only_holds_one_is_no_secret(name: str) -> None:
    assert not looks_like_secret(name)
