"""Learned mitigations: fitted on shadow vectors, and guarded answers that differ from the others in nothing else."""

from pathlib import Path

import numpy as np
import pytest

from tests.steps.audits import Audit
from umbrameter.mitigations import LearnedPostHoc
from umbrameter.persistence import load_model
from umbrameter.seeds import integer
from umbrameter.steps.attack_data import AttackData, read_sample
from umbrameter.steps.guards import GuardedAnswers, GuardFit, guard_file, guard_seed, read_guard
from umbrameter.steps.shadow_models import COMPARED, ShadowFit, ShadowMetadata
from umbrameter.steps.target_answers import PREDICTIONS, PopulationQuery, TargetQuery, read_answers
from umbrameter.store.arrow import vectors
from umbrameter.store.steps import ensure, kind_of


class Jitter(LearnedPostHoc):
    """Answers that are made smaller at random, as the seed says; nothing is learned."""

    kind: str = "jitter"

    @property
    def label(self) -> str:
        return "jitter"

    def fit(self, shadow: object, seed: int) -> "Jittered":
        return Jittered(seed)

    def restore(self, model: object, seed: int) -> "Jittered":
        return Jittered(seed)


class Jittered:
    def __init__(self, seed: int):
        self.seed, self.model = seed, np.array([seed])

    def transform(self, predictions: np.ndarray) -> np.ndarray:
        share = np.random.default_rng(self.seed).random(predictions.shape[1]).astype(np.float32)
        return predictions * share


def test_a_guard_learns_from_all_shadow_vectors_with_its_own_seed(trained: Audit) -> None:
    (step,) = trained.of(GuardFit)
    data = [trained.store.open(path) for path in step.data]
    by_hand = step.mitigation.fit(read_sample(data), integer(step.seed, "guard"))
    predictions = read_answers(trained.made(trained.of(TargetQuery)[0])).vectors.predictions
    stored = read_guard(trained.store, step)
    assert np.array_equal(stored.transform(predictions), by_hand.transform(predictions))
    assert not np.array_equal(stored.transform(predictions), predictions)
    assert guard_file(trained.made(step)) == trained.made(step).data("guard.skops")
    assert load_model(guard_file(trained.made(step))).constant_.ravel() == pytest.approx(
        by_hand.model.constant_.ravel()
    )


def test_a_guard_learns_from_unmitigated_answers_of_the_target_s_own_shadow_models(trained: Audit) -> None:
    (step,), (plain, *_) = trained.of(GuardFit), trained.variants
    assert step.data == tuple(merge.recipe.path for merge in plain.merges)
    shadows = {path for merge in trained.of(AttackData)[:1] for path in merge.shadows}
    assert shadows == {fit.recipe.path for fit in plain.trained}


def test_guarded_answers_differ_from_the_others_in_predictions_alone(trained: Audit) -> None:
    steps = trained.of(GuardedAnswers)
    kinds = [kind_of(step.answers) for step in steps]
    assert sorted(set(kinds)) == ["population_predictions", "shadow_predictions", "target_predictions"]
    for step in steps:
        before, after = trained.store.open(step.answers), trained.made(step)
        fitted = read_guard(trained.store, step.guard)
        assert set(after.files) == set(before.files) & {PREDICTIONS, COMPARED}
        for name in after.files:
            one, two = before.table(name), after.table(name)
            assert one.schema == two.schema
            assert one.drop_columns("prediction").equals(two.drop_columns("prediction"))
            expected = fitted.transform(vectors(one["prediction"]))
            assert np.array_equal(vectors(two["prediction"]), expected)


def test_guarded_answers_keep_their_row_groups_and_what_is_known_of_the_model(trained: Audit) -> None:
    for step in trained.of(GuardedAnswers):
        before, after = trained.store.open(step.answers), trained.made(step)
        for name in after.files:
            with before.parquet(name) as one, after.parquet(name) as two:
                sizes = [[f.metadata.row_group(i).num_rows for i in range(f.num_row_groups)] for f in (one, two)]
            assert sizes[0] == sizes[1]
        if kind_of(step.answers) == "shadow_predictions":
            assert ShadowMetadata.read(after) == ShadowMetadata.read(before)


def test_guarded_answers_are_merged_and_read_like_any_others(trained: Audit) -> None:
    (guarded,) = [variant for variant in trained.variants if variant.guard is not None]
    plain = trained.variants[0]
    fitted = read_guard(trained.store, guarded.guard)
    one, two = (read_sample([trained.made(merge) for merge in v.merges]) for v in (plain, guarded))
    assert np.array_equal(fitted.transform(one.predictions), two.predictions)
    assert np.array_equal(one.labels, two.labels) and np.array_equal(one.is_in, two.is_in)
    assert trained.of(ShadowFit)[0].recipe.path not in {path for merge in guarded.merges for path in merge.shadows}


@pytest.mark.parametrize("seed", [3, 4])
def test_what_a_guard_draws_follows_from_the_audit_s_seed(trained: Audit, tmp_path: Path, seed: int) -> None:
    audit, (known,) = trained.copied(tmp_path), trained.of(GuardFit)
    fit = GuardFit(Jitter(), known.data, seed)
    answers = audit.of(TargetQuery)[0].recipe.path
    for step in (fit, guarded := GuardedAnswers(fit, answers)):
        ensure(audit.store, step)
    before, after = (read_answers(audit.store.open(path)).vectors for path in (answers, guarded.recipe.path))
    share = np.random.default_rng(integer(seed, "guard")).random(3).astype(np.float32)
    assert np.array_equal(after.predictions, before.predictions * share)
    assert guard_seed(seed) == integer(seed, "guard")


def test_only_population_and_target_answers_have_no_shadow_metadata(trained: Audit) -> None:
    told = {kind_of(step.answers): "labels" in trained.made(step).meta for step in trained.of(GuardedAnswers)}
    assert told == {"target_predictions": False, "population_predictions": False, "shadow_predictions": True}
    assert trained.of(PopulationQuery)[0].recipe.path in {step.answers for step in trained.of(GuardedAnswers)}
