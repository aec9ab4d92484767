"""Shadow models: who is IN, what they answer, and how it lies in files, against models fitted one by one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.steps.audits import N_SHADOWS, NOISE, Audit
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, pool_rows, rows_of
from umbrameter.records.reader import with_drawn
from umbrameter.seeds import integer
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.steps import shadow_models
from umbrameter.steps.shadow_models import (
    COMPARED,
    ShadowFit,
    ShadowFitMetadata,
    read_shadow_robustness,
    unusable_shadow_data,
)
from umbrameter.steps.shadow_records import ShadowRecords
from umbrameter.steps.target_answers import PREDICTIONS
from umbrameter.store.arrow import vectors
from umbrameter.store.steps import ensure, perform
from umbrameter.targets.querying import aligned_answers, robustness_to_noise
from umbrameter.typing import Classifier


@pytest.fixture(scope="module", params=["trained", "drawn"])
def audit(request: pytest.FixtureRequest) -> Audit:
    """Return an audit whose shadow models are of the pool, and one of drawn records."""
    found: Audit = request.getfixturevalue(request.param)
    return found


def by_hand(audit: Audit, step: ShadowFit) -> Classifier:
    """Return the shadow model, fitted here and now."""
    records = with_drawn(audit.store, step.training.records, step.drawn)
    X, y = records.take(step.rows(audit.store).rows_in)
    seed = integer(step.training.seed, "shadow-model", step.model_id)
    model: Classifier = step.training.build(records, seed).fit(X, y)
    return model


def test_every_answer_is_that_of_the_model_fitted_alone(audit: Audit) -> None:
    for step in audit.of(ShadowFit)[:N_SHADOWS]:
        artefact, model = audit.made(step), by_hand(audit, step)
        records = with_drawn(audit.store, step.training.records, step.drawn)
        for name in (PREDICTIONS, COMPARED):
            table = artefact.table(name)
            X, y = records.take(np.asarray(table["record_id"]))
            assert np.array_equal(vectors(table["prediction"]), aligned_answers(model, 3)(X))
            assert np.array_equal(np.asarray(table["label"]), y)
            assert table["model_id"].unique().to_pylist() == [step.model_id]


def test_no_model_of_the_pool_has_seen_an_audited_record(audit: Audit) -> None:
    audited, n_records = set(audited_rows(audit.split).tolist()), audit.records.n_records
    pool = set(rows_of(audit.split, "pool").tolist())
    for step in audit.of(ShadowFit):
        table = audit.made(step).table(PREDICTIONS)
        ids, is_in = np.asarray(table["record_id"]), np.asarray(table["is_in"])
        assert len(set(ids)) == len(ids) and not audited & set(ids)
        assert (min(ids) >= n_records) if step.drawn else set(ids) <= pool
        assert set(ids[is_in]) == set(step.rows(audit.store).rows_in)
        assert is_in.sum() == ShadowFitMetadata.read(audit.made(step)).n_in


def test_answers_lie_class_by_class(audit: Audit) -> None:
    for step in audit.of(ShadowFit)[:N_SHADOWS]:
        artefact = audit.made(step)
        labels = ShadowFitMetadata.read(artefact).labels
        with artefact.parquet(PREDICTIONS) as file:
            groups = [set(file.read_row_group(i)["label"].to_pylist()) for i in range(file.num_row_groups)]
        assert groups == [{label} for label in sorted(labels)]


def test_accuracies_are_counted_on_the_stored_answers(audit: Audit) -> None:
    for step in audit.of(ShadowFit)[:N_SHADOWS]:
        artefact = audit.made(step)
        rows = artefact.table(PREDICTIONS).to_pylist()
        hits: dict[bool, list[bool]] = {True: [], False: []}
        for row in rows:
            hits[row["is_in"]].append(int(np.argmax(row["prediction"])) == row["label"])
        metadata = ShadowFitMetadata.read(artefact)
        assert metadata.train_accuracy == pytest.approx(np.mean(hits[True]))
        assert metadata.test_accuracy == pytest.approx(np.mean(hits[False]))
        assert metadata.train_accuracy > metadata.test_accuracy  # trees learn records by heart


def test_models_are_compared_on_the_audited_records_and_the_same_others(audit: Audit) -> None:
    audited, first = audited_rows(audit.split).tolist(), audit.of(ShadowFit)[0]
    n_pool = len(pool_rows(audit.store, audit.split, first.drawn))
    others: set[tuple[int, ...]] = set()
    for step in audit.of(ShadowFit)[:N_SHADOWS]:
        table = audit.made(step).table(COMPARED)
        ids = table["record_id"].to_pylist()
        assert ids[: len(audited)] == audited and not any(table["is_in"].to_pylist()[: len(audited)])
        others.add(tuple(ids[len(audited) :]))
    assert len(others) == 1 and len(others.pop()) == min(first.plan.n_calibration or 0, n_pool)


def test_models_that_are_not_compared_answer_nothing_more(trained: Audit) -> None:
    step = replace(trained.of(ShadowFit)[0], plan=ShadowPlan("disjoint", 1, 60, 60, 3), noises=())
    assert set(trained.remade(step).files) == {PREDICTIONS}
    with_noise = replace(step, noises=(NOISE, Noise(copies=1)))
    assert set(trained.remade(with_noise).files) == {PREDICTIONS, "noisy-0.parquet", "noisy-1.parquet"}


@pytest.mark.parametrize("model_id", [0, 1])
def test_a_model_of_the_audited_records_is_trained_on_one_half(trained: Audit, model_id: int) -> None:
    plan = ShadowPlan.of("audit", 2, 60, 120, 0, 3)
    step = replace(trained.of(ShadowFit)[0], plan=plan, model_id=model_id, noises=())
    table = trained.remade(step).table(PREDICTIONS)
    assert sorted(table["record_id"].to_pylist()) == sorted(audited_rows(trained.split).tolist())
    assert sum(table["is_in"].to_pylist()) == 60
    other = trained.remade(replace(step, model_id=1 - model_id)).table(PREDICTIONS)
    is_in, elsewhere = ({row["record_id"]: row["is_in"] for row in half.to_pylist()} for half in (table, other))
    assert all(is_in[row] != elsewhere[row] for row in is_in)


# Labels under noise


def test_robustness_of_shadow_models_is_counted_model_by_model(trained: Audit) -> None:
    steps = trained.of(ShadowFit)[:N_SHADOWS]
    ((noise, (robustness, is_in)),) = read_shadow_robustness([trained.made(step) for step in steps]).items()
    expected, marks = [], []
    for step in steps:
        rows = step.rows(trained.store)
        sample = np.concatenate([rows.rows_in, rows.rows_out])
        expected += robustness_to_noise(by_hand(trained, step), trained.records, sample, NOISE, 3).tolist()
        marks += [True] * len(rows.rows_in) + [False] * len(rows.rows_out)
    assert noise == NOISE and robustness.tolist() == expected and is_in.tolist() == marks
    assert robustness[is_in].mean() > robustness[~is_in].mean()


def test_of_many_records_as_many_in_as_out_are_changed(trained: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_models, "MOST_NOISY", 10)
    step = trained.of(ShadowFit)[0]
    artefact, rows = trained.remade(step), step.rows(trained.store)
    table = artefact.table("noisy-0.parquet")
    assert table["record_id"].to_pylist() == [*rows.rows_in[:10], *rows.rows_out[:10]]
    assert table["is_in"].to_pylist() == [True] * 10 + [False] * 10


def test_noises_are_told_apart_and_joined_over_models(trained: Audit) -> None:
    noises = (Noise(copies=1, rate=0.01, scale=0.01), Noise(copies=1, rate=0.9, scale=9.0))
    steps = [replace(step, noises=noises) for step in trained.of(ShadowFit)[:2]]
    by_noise = read_shadow_robustness([trained.remade(step) for step in steps])
    assert [*by_noise] == [*noises]
    little, much = (by_noise[noise][0] for noise in noises)
    assert len(little) == len(much) == 4 * 60 and little.mean() > much.mean() + 0.1
    assert read_shadow_robustness([]) == {}


# Models that are given, or trained side by side


class Uniform:
    """A model that answers all classes alike."""

    classes_ = np.arange(3)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((len(X), 3), 1 / 3)


def test_a_model_that_is_given_is_asked_and_not_trained(trained: Audit) -> None:
    step = trained.of(ShadowFit)[0]
    table = trained.remade(replace(step, model=Uniform())).table(PREDICTIONS)
    assert np.array_equal(vectors(table["prediction"]), np.full((120, 3), 1 / 3, dtype=np.float32))
    assert replace(step, model=Uniform()) == step


def test_without_a_gpu_or_networks_steps_stay_as_they_are(trained: Audit) -> None:
    steps = trained.of(ShadowFit)[:3]
    yielded = [*ShadowFit.together(trained.store, steps)]
    assert all(one is other for one, other in zip(yielded, steps, strict=True))


def test_missing_models_alone_are_made_together(
    trained: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit, asked = trained.copied(tmp_path), list[int]()

    def together(store: object, steps: Sequence[ShadowFit]) -> Iterator[ShadowFit]:
        asked.extend(step.model_id for step in steps)
        yield from (replace(step, model=Uniform()) for step in steps)

    plan = replace(audit.of(ShadowFit)[0].plan, n_models=7, size=20)
    steps = [replace(audit.of(ShadowFit)[0], plan=plan, model_id=i, noises=()) for i in range(4)]
    ensure(audit.store, steps[1])
    monkeypatch.setattr(ShadowFit, "together", staticmethod(together))
    assert perform(audit.store.root, steps) == [step.recipe.path for step in steps]
    assert asked == [0, 2, 3]
    uniform = [np.ptp(vectors(audit.made(step).table(PREDICTIONS)["prediction"])) == 0 for step in steps]
    assert uniform == [True, False, True, True]


# Drawn records


def test_drawn_records_are_usable_where_every_model_sees_two_classes(drawn: Audit) -> None:
    (step,) = drawn.of(ShadowRecords)
    shadows = drawn.of(ShadowFit)
    assert unusable_shadow_data(drawn.store, step.recipe.path, shadows) is None
    tiny = [replace(shadow, plan=replace(shadow.plan, size=1)) for shadow in shadows]
    text = r"only \d+ of \d+ records of shadow data .* that shadow model 0 would be trained on a single one"
    assert re.fullmatch(text, unusable_shadow_data(drawn.store, step.recipe.path, tiny) or "")


def test_a_model_s_rows_are_those_of_the_plan(audit: Audit) -> None:
    step = audit.of(ShadowFit)[1]
    n_real, audited = audit.records.n_records, audited_rows(audit.split)
    n_drawn = 0 if step.drawn is None else audit.store.open(step.drawn).meta["n_records"]
    pool = rows_of(audit.split, "pool") if step.drawn is None else np.arange(n_real, n_real + n_drawn)
    rows, expected = step.rows(audit.store), step.plan.rows(audited, pool, 1)
    for name in ("rows_in", "rows_out", "compared_rows"):
        assert np.array_equal(getattr(rows, name), getattr(expected, name))
