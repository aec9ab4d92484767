"""Asking a target: the answers against records asked about one by one, and what it costs."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.steps.audits import N_CLASSES, NOISE, Audit
from umbrameter.errors import DataError, StoreError, TargetError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.records.noise import Noise, changed
from umbrameter.records.parts import audited_rows, rows_of
from umbrameter.seeds import generator, integer
from umbrameter.steps import target_answers
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis
from umbrameter.steps.target import MODEL, TargetFit, TargetMetadata
from umbrameter.steps.target_answers import (
    NoisyQuery,
    PopulationQuery,
    QueryMetadata,
    QueryStep,
    StoredQuery,
    TargetQuery,
    check_target,
    read_answers,
    read_robustness,
)
from umbrameter.store.schemas import target_predictions
from umbrameter.targets import querying
from umbrameter.targets.connection import Connection
from umbrameter.typing import Array, Floats


@dataclass
class Counting:
    """A model that notes how many records it is asked about in each call; by the first feature, over two classes."""

    classes_: Array = field(default_factory=lambda: np.array([0, 2]))
    calls: list[int] = field(default_factory=list)

    def predict_proba(self, X: Array) -> Floats:
        self.calls.append(len(X))
        one = 1 / (1 + np.exp(-(X[:, 0] - 175) / 9))
        return np.column_stack([1 - one, one])


def asking(step: Any, model: object) -> Any:
    """Return a step with another model to ask."""
    return replace(step, connection=Connection({}, "a model", model))


def test_answers_are_those_to_each_record_asked_about_alone(trained: Audit) -> None:
    (query, *_), (fit, *_) = trained.of(TargetQuery), trained.of(TargetFit)
    answers, model = read_answers(trained.made(query)), query.model(trained.store)
    members, others = (rows_of(trained.split, part).tolist() for part in ("member", "nonmember"))
    assert answers.rows.tolist() == [*members, *others] == audited_rows(trained.split).tolist()
    assert answers.is_member.tolist() == [True] * len(members) + [False] * len(others)
    assert query.target == fit.recipe.path and answers.vectors.labels.dtype == np.int64
    for row, prediction, label in zip(answers.rows, answers.vectors.predictions, answers.vectors.labels, strict=True):
        X, y = trained.records.take([row])
        assert np.array_equal(prediction, model.predict_proba(X)[0].astype(np.float32)) and label == y[0]


def test_answers_are_stored_in_their_schema(trained: Audit) -> None:
    for step in (*trained.of(TargetQuery), *trained.of(PopulationQuery)):
        assert trained.made(step).table("predictions.parquet").schema == target_predictions(N_CLASSES)


@pytest.mark.parametrize("through", [(), (Rounding(1),), (TopK(2), Rounding(1)), (Rounding(0), LabelOnly())])
def test_answers_are_read_through_mitigations_in_order(trained: Audit, through: tuple[Any, ...]) -> None:
    artefact = trained.made(trained.of(TargetQuery)[0])
    expected = read_answers(artefact)
    predictions = expected.vectors.predictions
    for mitigation in through:
        predictions = mitigation.transform(predictions)
    answers = read_answers(artefact, through)
    assert np.array_equal(answers.vectors.predictions, predictions)
    assert np.array_equal(answers.rows, expected.rows) and np.array_equal(answers.is_member, expected.is_member)


def test_a_class_that_a_target_does_not_know_is_never_answered(trained: Audit) -> None:
    step = asking(trained.of(TargetQuery)[0], Counting())
    predictions = read_answers(trained.remade(step)).vectors.predictions
    assert predictions.shape[1] == N_CLASSES and not predictions[:, 1].any()
    assert predictions.sum(axis=1) == pytest.approx(1)


def test_records_of_the_pool_are_no_members(trained: Audit) -> None:
    answers = read_answers(trained.made(trained.of(PopulationQuery)[0]))
    assert answers.rows.tolist() == rows_of(trained.split, "pool").tolist()
    assert not answers.is_member.any()


def test_of_a_large_pool_some_are_asked_about_as_the_seed_says(trained: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_answers, "MOST_POPULATION", 50)
    step, pool = trained.of(PopulationQuery)[0], set(rows_of(trained.split, "pool").tolist())
    samples = [read_answers(trained.remade(replace(step, seed=seed))).rows for seed in (0, 0, 1)]
    for rows in samples:
        assert len(rows) == 50 == step.n_queries(trained.store)
        assert set(rows.tolist()) <= pool and (np.diff(rows) > 0).all()
    assert np.array_equal(samples[0], samples[1]) and not np.array_equal(samples[0], samples[2])


@pytest.mark.parametrize("per_batch", [1, 7, 60, 10_000])
def test_batches_decide_nothing_and_are_no_more_than_announced(
    trained: Audit, per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = trained.of(TargetQuery)[0]
    whole = read_answers(trained.remade(asking(step, Counting()))).vectors.predictions
    monkeypatch.setattr(target_answers, "BATCH", per_batch * trained.records.n_features)
    monkeypatch.setattr(querying, "BATCH", per_batch * trained.records.n_features)
    model = Counting()
    cut = read_answers(trained.remade(asking(step, model))).vectors.predictions
    assert np.array_equal(cut, whole)
    assert max(model.calls) <= per_batch and sum(model.calls) == step.n_queries(trained.store)
    assert len(model.calls) == step.most_calls(trained.store, sum(model.calls))


def test_a_step_asks_about_as_many_records_as_it_announced_and_noted(trained: Audit, external: Audit) -> None:
    for audit in (trained, external):
        for step in audit.of(QueryStep):
            model = Counting(classes_=np.arange(2))
            artefact = audit.remade(asking(step, model))
            n = sum(model.calls)
            assert n == QueryMetadata.read(artefact).queries == step.n_queries(audit.store)
            assert len(model.calls) <= step.most_calls(audit.store, n)


def test_searches_ask_no_more_than_they_announce(drawn: Audit, marginal: Audit) -> None:
    (search,), (whole,), (labelled,) = drawn.of(Synthesis), drawn.of(ShadowRecords), marginal.of(ShadowRecords)
    for audit, step in ((drawn, search), (marginal, labelled)):
        model = Counting(classes_=np.arange(2))
        artefact = audit.remade(asking(step, model))
        n = sum(model.calls)
        assert n == QueryMetadata.read(artefact).queries <= step.n_queries(audit.store)
        assert 0 < len(model.calls) <= step.most_calls(audit.store, step.n_queries(audit.store))
    assert whole.n_queries(drawn.store) == QueryMetadata.read(drawn.made(whole)).queries == 0


def test_purposes_of_queries_are_told_apart() -> None:
    purposes = [step.purpose for step in (TargetQuery, PopulationQuery, NoisyQuery, Synthesis, ShadowRecords)]
    assert len(set(purposes)) == len(purposes) and all(purposes)


# Labels of changed copies


def naive_robustness(audit: Audit, model: Any, noise: Noise, seed: int) -> list[float]:
    """Return the share of each audited record's copies that keep its label, counted copy by copy."""
    X, y = audit.records.take(audited_rows(audit.split))
    batch_seed = integer(seed, "noise", 0)
    copies = [
        changed(X, noise, audit.records.categorical, generator(batch_seed, "noise", i)) for i in range(noise.copies)
    ]
    shares = []
    for row, label in enumerate(y):
        labels = [model.classes_[model.predict_proba(copy[[row]])[0].argmax()] for copy in copies]
        is_right = model.classes_[model.predict_proba(X[[row]])[0].argmax()] == label
        shares.append(is_right * sum(found == label for found in labels) / noise.copies)
    return shares


@pytest.mark.parametrize("noise", [NOISE, Noise(copies=3, rate=0.5, scale=2.0)])
def test_robustness_is_counted_copy_by_copy(trained: Audit, noise: Noise) -> None:
    step = replace(trained.of(NoisyQuery)[0], noise=noise)
    expected = naive_robustness(trained, step.model(trained.store), noise, step.seed)
    artefact = trained.remade(step)
    assert read_robustness(artefact).tolist() == expected and 0 < np.mean(expected) < 1
    assert artefact.table("robustness.parquet")["record_id"].to_pylist() == audited_rows(trained.split).tolist()


# Stored answers


def test_stored_answers_are_looked_up_record_by_record(stored: Audit) -> None:
    (query,) = stored.of(StoredQuery)
    answers, known = read_answers(stored.made(query)), query.connection.model
    places = stored.records.places()
    for row, prediction, label in zip(answers.rows, answers.vectors.predictions, answers.vectors.labels, strict=True):
        assert np.array_equal(prediction, known.predictions[places[row]]) and label == known.labels[places[row]]
    assert len(answers.rows) == 90 and answers.is_member.sum() == 45
    assert query.n_queries(stored.store) == QueryMetadata.read(stored.made(query)).queries == 0


def test_stored_answers_of_another_class_are_refused(stored: Audit) -> None:
    (query,) = stored.of(StoredQuery)
    known = query.connection.model
    other = type(known).__new__(type(known))
    other.path, other.predictions, other.labels = known.path, known.predictions, (known.labels + 1) % N_CLASSES
    with pytest.raises(DataError, match=r"target\.path=.*answers\.parquet.*row \d+ has label \d.*\(90 such rows\)"):
        stored.remade(asking(query, other))


def test_without_stored_answers_there_is_nothing_to_look_up(stored: Audit, trained: Audit) -> None:
    (query,) = stored.of(StoredQuery)
    with pytest.raises(ValueError, match="no stored answers"):
        stored.remade(replace(query, connection=None))
    unknown = StoredQuery(query.target, trained.records.artefact.path, trained.split.path, connection=query.connection)
    with pytest.raises(ValueError, match="no stored answers"):
        trained.remade(unknown)


# Models that misbehave


@dataclass
class Broken:
    """A model that raises an error, or answers what is no probability."""

    error: Exception | None = None
    classes_: Array = field(default_factory=lambda: np.arange(N_CLASSES))

    def predict_proba(self, X: Array) -> Floats:
        if self.error is not None:
            raise self.error
        return np.full((len(X), N_CLASSES), 0.5)


@pytest.mark.parametrize(
    ("model", "kind", "text"),
    [
        (
            Broken(KeyError("x")),
            DataError,
            r"Broken could not answer 120 records: KeyError: 'x'; change its parameters",
        ),
        (Broken(TargetError("gone")), TargetError, "^gone$"),
        (Broken(MemoryError("full")), MemoryError, "^full$"),
        (
            Broken(),
            DataError,
            r"answered \[0\.5, 0\.5, 0\.5\] for record 0 \(120 such answers\); expected prob",
        ),
    ],
    ids=["an error", "one of ours", "memory", "no probabilities"],
)
def test_a_model_that_misbehaves_is_told(trained: Audit, model: Broken, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        trained.remade(asking(trained.of(TargetQuery)[0], model))


def test_a_connection_decides_neither_equality_nor_inputs(trained: Audit) -> None:
    step = trained.of(TargetQuery)[0]
    assert asking(step, Counting()) == step and asking(step, Counting()).inputs == step.inputs
    assert hash(asking(step, Counting())) == hash(step)


# Which target was asked


def test_answers_of_a_target_that_was_trained_again_are_not_taken_for_the_new_one_s(
    trained: Audit, tmp_path: Path
) -> None:
    audit = trained.copied(tmp_path)
    query, fit = audit.of(TargetQuery)[0], audit.of(TargetFit)[0]
    model = audit.store.open(query.target).data(MODEL)

    def train_in_secret(training_id: str) -> None:
        with audit.store.write(fit.recipe) as draft:
            draft.data(MODEL, model)
            TargetMetadata(description="a target", is_trained_here=True, training_id=training_id).write(draft)

    check_target(audit.store, query.target, query.recipe.path)
    train_in_secret("first")
    with audit.store.write(query.recipe) as draft:
        query.make(audit.store, draft)
    check_target(audit.store, query.target, query.recipe.path)
    train_in_secret("second")
    with pytest.raises(StoreError, match=r"trained again, with other secret noise.*delete .*/store, or give another"):
        check_target(audit.store, query.target, query.recipe.path)


def test_a_target_trained_elsewhere_has_no_file_to_compare(external: Audit) -> None:
    query = external.of(TargetQuery)[0]
    assert QueryMetadata.read(external.store.open(query.recipe.path)).training_id is None
    check_target(external.store, query.target, query.recipe.path)
