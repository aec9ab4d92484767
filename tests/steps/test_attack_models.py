"""Attack models: fitted class by class on what the attacker has, stored, and loaded when they are wanted."""

from dataclasses import replace

import numpy as np
import pytest

from tests.steps.audits import N_CLASSES, Audit
from umbrameter.mitigations import PostHoc, Rounding
from umbrameter.persistence import load_model
from umbrameter.predictions.vectors import Vectors
from umbrameter.steps import attack_models
from umbrameter.steps.attack_data import AttackData, read_class, read_classes, through
from umbrameter.steps.attack_models import AttackFit, AttackModelsMetadata, fitted_labels, model_files, read_models
from umbrameter.steps.inputs import Available, steps_of
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.target_answers import TargetQuery, read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe


def fits(audit: Audit, mitigations: tuple[PostHoc, ...] = ()) -> list[AttackFit]:
    """Return the steps that fit the attack models of an unguarded target's answers, one a class."""
    (merge, *_) = audit.of(AttackData)
    path = merge.recipe.path
    return [step for step in audit.of(AttackFit) if (step.data, step.mitigations) == (path, mitigations)]


def answers(audit: Audit) -> Vectors:
    return read_answers(audit.made(audit.of(TargetQuery)[0])).vectors


@pytest.mark.parametrize("mitigations", [(), (Rounding(1),)], ids=["plain", "rounded"])
def test_a_stored_model_answers_as_one_fitted_by_hand(trained: Audit, mitigations: tuple[PostHoc, ...]) -> None:
    steps = fits(trained, mitigations)
    assert [label for step in steps for label in step.labels] == [*range(N_CLASSES)]
    asked = through(answers(trained), mitigations).predictions
    for step in steps:
        (label,) = step.labels
        shadow = through(read_class(trained.store.open(step.data), label), mitigations)
        by_hand = step.attack.fit({label: shadow}, step.seed)[label]
        stored = read_models([trained.made(step)])[label]
        assert np.array_equal(stored.predict_proba(asked), by_hand.predict_proba(asked))


def test_classes_fitted_together_are_those_fitted_alone(trained: Audit) -> None:
    alone = fits(trained)
    together = trained.remade(replace(alone[0], labels=tuple(range(N_CLASSES))))
    asked, whole = answers(trained).predictions, read_models([together])
    for step in alone:
        (label,) = step.labels
        one = read_models([trained.made(step)])[label]
        assert np.array_equal(one.predict_proba(asked), whole[label].predict_proba(asked))
    counts = [AttackModelsMetadata.read(trained.made(step)).n_vectors for step in alone]
    assert AttackModelsMetadata.read(together).n_vectors == sum(counts)


def test_files_and_models_are_of_the_same_classes(trained: Audit) -> None:
    artefacts = [trained.made(step) for step in fits(trained)]
    files, models, asked = model_files(artefacts), read_models(artefacts), answers(trained).predictions[:9]
    assert [*files] == [*models] == [*range(N_CLASSES)] and len(models) == N_CLASSES
    for label, content in files.items():
        assert np.array_equal(load_model(content).predict_proba(asked), models[label].predict_proba(asked))


@pytest.mark.parametrize("side", [True, False], ids=["IN alone", "OUT alone"])
def test_a_class_of_one_side_has_no_model(trained: Audit, side: bool) -> None:
    (step, *_) = fits(trained)
    shadow = {label: read_class(trained.store.open(step.data), label) for label in range(N_CLASSES)}
    shadow[1] = shadow[1].where(np.asarray(shadow[1].is_in) == side)
    assert [*step.attack.fit(shadow, 0)] == [0, 2]
    assert [*step.attack.fit({1: shadow[1]}, 0)] == []


def test_an_artefact_without_models_is_none_s_and_changes_nothing(trained: Audit) -> None:
    draft = Draft(trained.store, Recipe("attack_models", {"of": "nothing"}))
    AttackModelsMetadata(labels=(), n_vectors=0).write(draft)
    empty = Artefact(trained.store, "attack_models", draft.recipe.key, {}, draft.files, draft.meta)
    assert fitted_labels(empty) == () and model_files([empty]) == {} and len(read_models([empty])) == 0
    others = [trained.made(step) for step in fits(trained)]
    assert [*read_models([others[0], empty, *others[1:]])] == [*range(N_CLASSES)]


def test_a_small_model_is_kept_and_a_large_one_is_loaded_each_time(
    trained: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = read_models([trained.made(step) for step in fits(trained)])
    assert models[0] is models[0] and models[0] is not models[1]
    monkeypatch.setattr(attack_models, "SMALL_MODEL", 0)
    assert models[0] is not models[0]


def test_stored_vectors_are_the_same_after_models_were_fitted_on_mitigated_ones(trained: Audit) -> None:
    (step, *_) = fits(trained, (Rounding(1),))
    data = trained.store.open(step.data)
    trained.remade(step)
    kept = read_classes(data, step.labels)[step.labels[0]]
    assert np.array_equal(kept.predictions, read_class(data, step.labels[0]).predictions)
    assert not np.array_equal(kept.predictions, kept.predictions.round(1))


@pytest.mark.parametrize(("at_once", "chunks"), [(1, [(0,), (1,), (2,)]), (2, [(0, 1), (2,)]), (9, [(0, 1, 2)])])
def test_as_many_classes_are_fitted_together_as_the_attack_says(
    trained: Audit, at_once: int, chunks: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (step, *_), (plain, *_) = fits(trained), trained.variants
    monkeypatch.setattr(type(step.attack), "at_once", lambda attack, n_bytes: at_once)
    available = Available(
        attack=step.attack,
        target="",
        answers="",
        records="",
        split="",
        seed=5,
        mitigations=(),
        through=(Rounding(2),),
        population=(),
        noisy=(),
        trained=tuple(trained.of(ShadowFit)[:1]),
        shadows=(),
        merges=plain.merges,
        references=(),
    )
    (entry,) = step.attack.inputs
    made = steps_of(entry, available)
    assert [fit.labels for fit in made] == chunks
    assert {(fit.mitigations, fit.seed, fit.data) for fit in made} == {((Rounding(2),), 5, plain.merges[0].recipe.path)}
    assert steps_of(entry, replace(available, trained=())) == ()
