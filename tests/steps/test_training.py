"""Training: the model that is built by hand, and whose errors are whose."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.steps.audits import LINEAR, TREE, Audit
from umbrameter.errors import DataError, SpecError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import InTraining, Params
from umbrameter.records.parts import rows_of
from umbrameter.steps.training import Training

ERRORS: dict[str, type[Exception]] = {"memory": MemoryError, "spec": SpecError, "index": IndexError}


class Failing(InTraining):
    """A training that ends with an error of some kind."""

    kind: Literal["failing"] = Field("failing", description="Fails.")
    error: str

    @property
    def label(self) -> str:
        return "failing"

    def wrap(self, estimator: Any) -> Any:
        return Unfittable(self.error)


class Unfittable(ClassifierMixin, BaseEstimator):
    """A classifier that cannot be fitted."""

    def __init__(self, error: str):
        self.error = error

    def fit(self, X: Any, y: Any) -> None:
        raise ERRORS[self.error]("out of luck")


@pytest.fixture(scope="module")
def training(trained: Audit) -> Training:
    return Training(trained.records.artefact.path, trained.split.path, TREE, (), 3)


def test_a_model_is_the_estimator_fitted_on_these_rows_with_this_seed(training: Training, trained: Audit) -> None:
    records, rows = trained.records, rows_of(trained.split, "nonmember")
    X, y = records.take(rows)
    by_hand = TREE.build(11, records.categorical, records.metadata.binary).fit(X, y)
    assert np.array_equal(training.fit(records, rows, 11).predict_proba(X), by_hand.predict_proba(X))


def test_the_seed_of_the_model_is_not_that_of_the_audit(training: Training, trained: Audit) -> None:
    records, rows = trained.records, rows_of(trained.split, "pool")
    forest = replace(training, estimator=Estimator(kind="random_forest", params={"n_estimators": 3}))
    X, _ = records.take(rows)
    one, again, other = (forest.fit(records, rows[:60], seed).predict_proba(X) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    later = replace(forest, seed=99).fit(records, rows[:60], 1).predict_proba(X)
    assert np.array_equal(one, later)


def test_mitigations_of_the_training_act_in_their_order(training: Training, trained: Audit) -> None:
    leaves, more = Params({"min_samples_leaf": 20}), Params({"min_samples_leaf": 5})
    built = replace(training, mitigations=(leaves, more)).build(trained.records, 0)
    assert built.steps[-1][1].min_samples_leaf == 5
    assert training.build(trained.records, 0).steps[-1][1].min_samples_leaf == 2


def test_an_estimator_that_cannot_be_trained_is_named_with_the_cause(training: Training, trained: Audit) -> None:
    binary = replace(training, estimator=Estimator(kind="logistic_regression", params={"solver": "liblinear"}))
    text = r"estimator=.*liblinear.* could not be trained on 60 records: ValueError: .*; change its parameters"
    with pytest.raises(DataError, match=text) as caught:
        binary.fit(trained.records, rows_of(trained.split, "member"), 0)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("error", ["memory", "spec"])
def test_errors_that_say_what_to_do_are_left_as_they_are(training: Training, trained: Audit, error: str) -> None:
    failing = replace(training, mitigations=(Failing(error=error),))
    with pytest.raises(ERRORS[error], match=r"^out of luck$"):
        failing.fit(trained.records, np.arange(9), 0)


def test_any_other_error_of_an_estimator_is_the_user_s_to_mend(training: Training, trained: Audit) -> None:
    failing = replace(training, mitigations=(Failing(error="index"),))
    with pytest.raises(DataError, match=r"could not be trained on 9 records: IndexError: out of luck"):
        failing.fit(trained.records, np.arange(9), 0)


def test_a_fit_that_does_not_converge_is_no_warning(training: Training, trained: Audit) -> None:
    hasty = replace(training, estimator=Estimator(kind="logistic_regression", params={"max_iter": 1}))
    model = hasty.fit(trained.records, rows_of(trained.split, "member"), 0)
    assert model.predict_proba(trained.records.take([0])[0]).shape == (1, 3)


def test_without_an_estimator_there_is_nothing_to_train(training: Training, trained: Audit) -> None:
    untrained = replace(training, estimator=None)
    for use in (untrained.describe, lambda: untrained.facts, lambda: untrained.build(trained.records, 0)):
        with pytest.raises(ValueError, match="no estimator to train"):
            use()


def test_facts_name_what_decides_a_model_and_the_versions_that_fit_it(training: Training) -> None:
    assert training.describe() == TREE.describe()
    assert set(training.facts) == {"records", "split", "estimator", "mitigations", "seed", "versions"}
    assert training.facts["versions"] == TREE.versions and "scikit-learn" in " ".join(TREE.versions)
    assert replace(training, estimator=LINEAR).facts["estimator"]["kind"] == "logistic_regression"
