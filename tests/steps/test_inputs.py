"""An attack's inputs: which steps make each, and what is read of them."""

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.outside import Stretch, StretchedConfidence, StretchedQuery
from tests.steps.audits import N_SHADOWS, NOISE, Audit
from umbrameter.attacks import (
    AttackModels,
    Input,
    LabelOnly,
    Lira,
    Loss,
    NoisyLabels,
    Population,
    ReferenceLogits,
    ShadowVectors,
    Signals,
)
from umbrameter.mitigations import Rounding
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows
from umbrameter.steps.attack_data import read_sample
from umbrameter.steps.inputs import Available, Reading, read_input, read_signals, source_facts, sources_of, steps_of
from umbrameter.steps.reference_answers import read_references
from umbrameter.steps.scores import Scoring
from umbrameter.steps.target_answers import read_answers, read_robustness
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import key_of, paths_of

INPUTS = [
    ShadowVectors(),
    ShadowVectors(is_required=False),
    AttackModels(),
    ReferenceLogits(),
    Population(),
    NoisyLabels(NOISE),
    StretchedConfidence(1.5),
]


@dataclass(frozen=True)
class Unheard(Input):
    """An input that nobody has registered."""

    label: ClassVar[str] = "unheard of"


@dataclass(frozen=True)
class Misread(Input):
    """An input whose reader names no field of the signals."""

    label: ClassVar[str] = "misread"


@read_input.register
def _read_misread(entry: Misread, artefacts: Any, reading: Reading) -> dict[str, Any]:
    return {"targets": 1}


def available(audit: Audit, variant: TrainedVariant, **changes: Any) -> Available:
    """Return what there is for an adaptive attack on a variant."""
    training, whole = variant.training, variant.measurements[0].attack
    known = Available(
        attack=whole,
        target=variant.target.recipe.path,
        answers=variant.query.recipe.path,
        records=training.records,
        split=training.split,
        seed=training.seed,
        mitigations=(),
        through=(),
        population=variant.population,
        noisy=variant.noisy,
        trained=variant.trained,
        shadows=paths_of(variant.shadows),
        merges=variant.merges,
        references=variant.references,
    )
    return replace(known, **changes)


def scoring_of(audit: Audit, attack: type[Any], mitigations: tuple[Any, ...] = ()) -> Scoring:
    """Return the step that scores the unguarded target's answers by an attack of a class."""
    answers = audit.variants[0].query.recipe.path
    return next(
        step
        for step in audit.of(Scoring)
        if isinstance(step.attack, attack) and (step.answers, step.mitigations) == (answers, mitigations)
    )


def signals_of(audit: Audit, step: Scoring) -> Signals:
    target = read_answers(audit.store.open(step.answers), step.mitigations)
    return read_signals(
        step.sources, Reading(audit.store, target, step.mitigations, step.through, step.records, step.seed)
    )


# Which steps make an input


@pytest.mark.parametrize("entry", INPUTS, ids=repr)
def test_every_input_is_made_by_steps_and_read_into_fields_of_the_signals(trained: Audit, entry: Input) -> None:
    plain = trained.variants[0]
    steps = steps_of(entry, available(trained, plain))
    artefacts = [trained.made(step) for step in steps]
    assert artefacts
    target = read_answers(trained.made(plain.query))
    reading = Reading(trained.store, target, (), (), plain.training.records, 3)
    values = read_input(entry, artefacts, reading)
    assert values and set(values) <= {field.name for field in fields(Signals)}


def test_shared_inputs_are_the_variant_s_own_steps(trained: Audit) -> None:
    plain = trained.variants[0]
    known = available(trained, plain)
    assert steps_of(ShadowVectors(), known) == plain.merges
    assert steps_of(Population(), known) == plain.population
    assert steps_of(NoisyLabels(NOISE), known) == plain.noisy + plain.trained
    assert steps_of(NoisyLabels(Noise(copies=9)), known) == plain.trained  # the target was not asked so
    (made,) = steps_of(StretchedConfidence(2.0), known)
    assert made == StretchedQuery(known.target, known.records, known.split, 2.0)


def test_references_are_those_of_the_attacker_s_mitigations_and_the_temperature(trained: Audit) -> None:
    plain = trained.variants[0]
    for reference in plain.references:
        known = available(trained, plain, through=reference.mitigations)
        assert steps_of(ReferenceLogits(reference.temperature), known) == (reference,)
        assert steps_of(ReferenceLogits(reference.temperature, "IN and OUT"), known) == (reference,)
        assert steps_of(ReferenceLogits(reference.temperature + 1), known) == ()
    assert steps_of(ReferenceLogits(), available(trained, plain, through=(Rounding(6),))) == ()


def test_steps_that_are_there_for_all_attacks_are_not_the_attack_s_own(trained: Audit) -> None:
    plain = trained.variants[0]
    for attack, n_own in ((Loss(), 0), (Lira(), 0), (LabelOnly(noise=NOISE), 0), (Stretch(), 1)):
        sources, own = sources_of(available(trained, plain, attack=attack))
        assert len(own) == n_own and {entry for entry, _ in sources} == set(attack.inputs)
        paths = {path for _, paths in sources for path in paths}
        assert set(paths_of(own)) <= paths


def test_without_shadow_models_there_is_nothing_to_learn_from(trained: Audit) -> None:
    bare = available(trained, trained.variants[0], trained=(), merges=(), references=(), shadows=())
    for entry in (ShadowVectors(is_required=False), AttackModels(), ReferenceLogits()):
        assert steps_of(entry, bare) == ()
    sources, own = sources_of(replace(bare, attack=Loss()))
    assert own == () and source_facts(sources) == []


def test_facts_of_inputs_are_labels_and_keys_in_an_order_of_their_own(trained: Audit) -> None:
    for step in trained.of(Scoring):
        entries = [repr(entry) for entry, _ in step.sources]
        assert entries == sorted(entries)
        expected = [[entry.label, [key_of(path) for path in paths]] for entry, paths in step.sources if paths]
        assert source_facts(step.sources) == expected == trained.made(step).facts["inputs"]


# What is read


def test_an_attack_sees_the_target_s_answers_through_its_mitigations(trained: Audit) -> None:
    for step in trained.of(Scoring)[::5]:
        signals, answers = signals_of(trained, step), read_answers(trained.store.open(step.answers), step.mitigations)
        assert np.array_equal(signals.target.predictions, answers.vectors.predictions)
        assert signals.seed == step.seed == 3


def test_an_attack_sees_nothing_that_it_did_not_declare(trained: Audit) -> None:
    by_input = {
        ShadowVectors: {"shadow"},
        AttackModels: {"models"},
        ReferenceLogits: {"references", "calibration"},
        Population: {"features", "population", "population_features"},
        NoisyLabels: {"robustness", "shadow_robustness"},
        StretchedConfidence: {"extra"},
    }
    empty = Signals(read_answers(trained.made(trained.variants[0].query)).vectors)
    for step in trained.of(Scoring):
        signals = signals_of(trained, step)
        names = {f.name for f in fields(Signals)} - {"target", "seed"}
        filled = {name for name in names if not same(getattr(signals, name), getattr(empty, name))}
        assert filled == set[str]().union(*(by_input[type(entry)] for entry, paths in step.sources if paths))


def same(one: Any, other: Any) -> bool:
    """Return whether a field of the signals is as empty as another."""
    return one is other or (isinstance(one, dict) and one == other == {})


def test_shadow_vectors_pass_through_what_the_attacker_knows_of(trained: Audit) -> None:
    step = scoring_of(trained, Loss, (Rounding(1),))
    assert step.through == (Rounding(1),)
    (paths,) = (paths for entry, paths in step.sources if isinstance(entry, ShadowVectors))
    shadow = signals_of(trained, step).shadow
    raw = read_sample([trained.store.open(path) for path in paths])
    assert shadow is not None and np.array_equal(shadow.predictions, Rounding(1).transform(raw.predictions))
    static = signals_of(trained, replace(step, through=()))
    assert static.shadow is not None and np.array_equal(static.shadow.predictions, raw.predictions)
    assert np.array_equal(static.target.predictions, signals_of(trained, step).target.predictions)


def test_references_are_kept_by_temperature_beside_all_else_that_is_read(trained: Audit) -> None:
    step, plain = scoring_of(trained, Lira), trained.variants[0]
    ((logits, (path,)),) = step.sources
    noisy = NoisyLabels(NOISE), paths_of((*plain.noisy, *plain.trained))
    stretched = StretchedConfidence(1.5), paths_of(trained.of(StretchedQuery)[:1])
    signals = signals_of(trained, replace(step, sources=(noisy, (logits, (path,)), stretched)))
    assert ([*signals.references], [*signals.robustness], [*signals.extra]) == ([1.0], [NOISE], [stretched[0]])
    audited, others = read_references(trained.store.open(path))
    assert others is not None and signals.references[1.0].logits.shape == (N_SHADOWS, 120)
    assert np.array_equal(signals.references[1.0].logits, audited.logits)
    assert np.array_equal(signals.calibration[1.0].logits, others.logits)


def test_two_inputs_of_one_field_are_merged(trained: Audit) -> None:
    step, paths = scoring_of(trained, Lira), paths_of(trained.of(StretchedQuery)[:2])
    entries = StretchedConfidence(1.5), StretchedConfidence(2.0)
    signals = signals_of(trained, replace(step, sources=((entries[0], paths[:1]), (entries[1], paths[1:]))))
    assert [*signals.extra] == [*entries]
    for entry, path in zip(entries, paths, strict=True):
        stored = trained.store.open(path).table("confidence.parquet")["confidence"].to_pylist()
        assert signals.extra[entry].tolist() == stored


def test_features_are_those_of_the_records_that_answers_are_of(trained: Audit) -> None:
    step = next(step for step in trained.of(Scoring) if step.attack.label == "quantile")
    signals, records = signals_of(trained, step), trained.records
    others = read_answers(trained.made(trained.variants[0].population[0])).rows
    assert np.array_equal(signals.features, records.take(audited_rows(trained.split))[0])
    assert np.array_equal(signals.population_features, records.take(others)[0])
    assert signals.population is not None and len(signals.population.labels) == len(others)


def test_noisy_labels_are_the_target_s_and_the_shadow_models_apart(trained: Audit) -> None:
    signals = signals_of(trained, scoring_of(trained, LabelOnly))
    (asked,) = trained.variants[0].noisy
    assert np.array_equal(signals.robustness[NOISE], read_robustness(trained.made(asked)))
    shares, is_in = signals.shadow_robustness[NOISE]
    assert len(shares) == len(is_in) == N_SHADOWS * 120 and is_in.mean() == 0.5


# Inputs from outside, and mistakes


def test_an_input_without_steps_or_reader_says_what_to_register(trained: Audit) -> None:
    known = available(trained, trained.variants[0])
    with pytest.raises(TypeError, match=r"input Unheard: use steps_of\.register"):
        steps_of(Unheard(), known)
    step = scoring_of(trained, Loss)
    with pytest.raises(TypeError, match=r"input Unheard: use read_input\.register"):
        signals_of(trained, replace(step, sources=((Unheard(), step.sources[0][1]),)))


def test_a_reader_that_names_no_field_says_where_its_values_belong(trained: Audit) -> None:
    step = scoring_of(trained, Loss)
    with pytest.raises(TypeError, match=r"signals have no field 'targets'; .*`extra`"):
        signals_of(trained, replace(step, sources=((Misread(), step.sources[0][1]),)))


def test_an_input_without_artefacts_is_left_out(trained: Audit) -> None:
    step = scoring_of(trained, Loss)
    signals = signals_of(trained, replace(step, sources=((Unheard(), ()), (ShadowVectors(False), ()))))
    assert signals.shadow is None
