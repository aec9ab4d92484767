"""Fitted models as skops files: what goes in comes out, and nothing that was not allowed."""

import os
import pickle
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.errors import StoreError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import LabelSmoothing, Rounding, TopK, wrapped
from umbrameter.persistence import dump_model, load_model

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(80, 3)).astype(np.float32), RNG.integers(0, 3, 80)
MODELS: list[ClassifierMixin] = [
    LogisticRegression(),
    GaussianNB(),
    KNeighborsClassifier(3),
    RandomForestClassifier(3, random_state=0),
    HistGradientBoostingClassifier(max_iter=3, random_state=0),
    make_pipeline(StandardScaler(), LogisticRegression()),
]


MADE: list[int] = []
"""What was made from files of the class below."""


class Ours:
    """A class from outside the allowed prefixes, that a file may name."""

    def __init__(self, value: int = 1):
        self.value = value

    def __setstate__(self, state: dict[str, int]) -> None:
        MADE.append(state["value"])
        self.__dict__ |= state


def answers(model: Any) -> bytes:
    content: bytes = model.predict_proba(X).tobytes()
    return content


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_model_answers_the_same_after_it_was_stored(model: Any) -> None:
    model.fit(X, Y)
    stored = load_model(dump_model(model))
    assert type(stored) is type(model) and answers(stored) == answers(model)
    assert answers(load_model(dump_model(stored))) == answers(model)
    assert np.array_equal(stored.classes_, model.classes_)


def test_wrapped_models_are_stored_with_their_wrappings() -> None:
    model = wrapped(LogisticRegression(), [TopK(2), Rounding(2)]).fit(X, Y)
    stored = load_model(dump_model(model))
    assert answers(stored) == answers(model) and stored.mitigation == Rounding(2)


def test_networks_are_stored_with_their_weights() -> None:
    network = Estimator(kind="mlp", params={"hidden": [4], "epochs": 2}).build(0, binary=True)
    model = LabelSmoothing(0.2).wrap(network).fit(X, Y)
    assert answers(load_model(dump_model(model))) == answers(model)


def test_a_file_is_no_pickle() -> None:
    content = dump_model(LogisticRegression().fit(X, Y))
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert all(name.endswith((".json", ".npy")) for name in archive.namelist())


def test_types_that_nobody_allowed_are_named_and_not_made() -> None:
    content = dump_model(Ours(3))
    MADE.clear()
    text = r"a stored model holds .*test_persistence\.Ours, which is not trusted; remove it and run again"
    with pytest.raises(StoreError, match=text):
        load_model(content)
    assert MADE == []


def test_a_type_that_is_hidden_in_an_allowed_one_is_found() -> None:
    model = LogisticRegression().fit(X, Y)
    model.extra = {"deep": [Ours()]}
    with pytest.raises(StoreError, match="Ours"):
        load_model(dump_model(model))


def test_the_operator_allows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    content, prefix = dump_model(Ours(3)), Ours.__module__
    monkeypatch.setenv(PREFIXES_VARIABLE, f"other., {prefix}.")
    MADE.clear()
    assert load_model(content).value == 3 and MADE == [3]
    monkeypatch.setenv(PREFIXES_VARIABLE, "other.")
    with pytest.raises(StoreError):
        load_model(content)


def test_functions_of_other_modules_are_not_trusted() -> None:
    model = LogisticRegression().fit(X, Y)
    model.callback = os.system
    with pytest.raises(StoreError, match=r"(posix|nt|os)\.system"):
        load_model(dump_model(model))


@pytest.mark.parametrize("cut", [10, -1])
def test_half_a_file_is_refused(cut: int) -> None:
    content = dump_model(LogisticRegression().fit(X, Y))
    with pytest.raises(StoreError, match=r"cannot be read .* damaged"):
        load_model(content[:cut])
