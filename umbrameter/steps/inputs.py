"""The sources of attacks' inputs: which steps make each input, and how it is read into signals.

Belongs here: one pair of functions per input, both registered by its type. Does not belong here: the inputs themselves
(`umbrameter.attacks.inputs`). An input of another package registers its pair in the module that defines it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import singledispatch
from typing import Any, cast

import numpy as np

from umbrameter.attacks import (
    AttackModels,
    Input,
    NoisyLabels,
    Population,
    ReferenceLogits,
    ShadowVectors,
    Signals,
)
from umbrameter.attacks.base import Attack
from umbrameter.mitigations import PostHoc
from umbrameter.records.reader import Records
from umbrameter.steps.attack_data import AttackData, read_sample
from umbrameter.steps.attack_models import AttackFit, PerClassAttack, read_models
from umbrameter.steps.reference_answers import ReferenceData, ReferenceMetadata, read_references
from umbrameter.steps.shadow_models import ShadowFit, read_shadow_robustness
from umbrameter.steps.target_answers import Answers, NoisyMetadata, NoisyQuery, read_answers, read_robustness
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import Step, key_of, paths_of

Sources = tuple[tuple[Input, tuple[str, ...]], ...]
"""An attack's inputs, each with the paths of the artefacts that it is read from."""


@dataclass(frozen=True)
class Available:
    """Everything that an attack's inputs can be made from.

    Parameters
    ----------
    attack
        The attack.
    target, answers, records, split
        Paths of the attacked target, its answers on the audited records, the records and the split.
    seed
        The audit's seed.
    mitigations, through
        The mitigations that the target's answers pass through, and those that the attacker's own models' answers pass
        through: the same ones for an adaptive attacker.
    population, noisy
        The steps that ask the target about other records and about changed copies.
    trained
        The steps that train the attacker's shadow models.
    shadows
        Paths of these models' answers, which may have passed through a learned mitigation.
    merges, references
        The steps that merge these answers by class, and that gather them on the audited records.
    """

    attack: Attack
    target: str
    answers: str
    records: str
    split: str
    seed: int
    mitigations: tuple[PostHoc, ...]
    through: tuple[PostHoc, ...]
    population: tuple[Step, ...]
    noisy: tuple[NoisyQuery, ...]
    trained: tuple[ShadowFit, ...]
    shadows: tuple[str, ...]
    merges: tuple[AttackData, ...]
    references: tuple[ReferenceData, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that attacks share."""
        return (*self.population, *self.noisy, *self.trained, *self.merges, *self.references)


@dataclass(frozen=True)
class Reading:
    """The context that an input is read in.

    Parameters
    ----------
    store
        The store of the artefacts.
    target
        The target's answers on the audited records, after mitigations.
    mitigations, through
        See `Available`.
    records
        Path of the `records` artefact.
    seed
        The audit's seed.
    """

    store: Store
    target: Answers
    mitigations: tuple[PostHoc, ...]
    through: tuple[PostHoc, ...]
    records: str
    seed: int


@singledispatch
def steps_of(entry: Input, available: Available) -> tuple[Step, ...]:
    """Return the steps that make the artefacts that an input is read from.

    Parameters
    ----------
    entry
        The input.
    available
        The artefacts and steps that it can be made from.
    """
    raise TypeError(f"no steps are registered for the input {type(entry).__name__}: use steps_of.register")


@singledispatch
def read_input(entry: Input, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    """Return an input as fields of `Signals`; fields that are mappings are merged with those of other inputs.

    Parameters
    ----------
    entry
        The input.
    artefacts
        The artefacts of the steps that `steps_of` returned, in the same order; at least one.
    reading
        The context that it is read in.
    """
    raise TypeError(f"no reader is registered for the input {type(entry).__name__}: use read_input.register")


def sources_of(available: Available) -> tuple[Sources, tuple[Step, ...]]:
    """Return the artefacts that an attack's inputs are read from, and the steps that this attack alone needs."""
    # Sorted, since a set has no order and the recipe needs one.
    steps = {entry: steps_of(entry, available) for entry in sorted(available.attack.inputs, key=repr)}
    sources = tuple((entry, paths_of(needed)) for entry, needed in steps.items())
    shared = {id(step) for step in available.steps}  # by identity, which is faster than comparing long tuples of paths
    return sources, tuple(step for needed in steps.values() for step in needed if id(step) not in shared)


def source_facts(sources: Sources) -> list[list[Any]]:
    """Return the facts that determine an attack's inputs, for a recipe."""
    return [[entry.label, [key_of(path) for path in paths]] for entry, paths in sources if paths]


def read_signals(sources: Sources, reading: Reading) -> Signals:
    """Return all signals that an attack uses.

    Parameters
    ----------
    sources
        The attack's inputs with their artefacts; an input without artefacts is left out.
    reading
        The context that they are read in.
    """
    signals = Signals(reading.target.vectors, seed=reading.seed)
    for entry, paths in sources:
        if paths:
            values = read_input(entry, [reading.store.open(path) for path in paths], reading)
            signals = replace(signals, **{name: _merged(signals, name, value) for name, value in values.items()})
    return signals


def _merged(signals: Signals, name: str, value: Any) -> Any:
    """Return the new value of a field; a mapping keeps its earlier entries."""
    if name not in {field.name for field in fields(signals)}:
        raise TypeError(f"signals have no field {name!r}; an input of another package puts its values into `extra`")
    old = getattr(signals, name)
    return {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value


@steps_of.register
def _shadow_vectors(entry: ShadowVectors, available: Available) -> tuple[Step, ...]:
    return available.merges


@read_input.register
def _read_shadow_vectors(entry: ShadowVectors, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    return {"shadow": read_sample(artefacts, reading.through)}


@steps_of.register
def _attack_models(entry: AttackModels, available: Available) -> tuple[Step, ...]:
    if not available.trained:
        return ()
    attack = cast(PerClassAttack, available.attack)
    # With n_classes classes, a class has n_vectors / n_classes vectors of n_classes float32 numbers each.
    at_once = attack.at_once(4 * available.trained[0].plan.n_vectors)
    return tuple(
        AttackFit(attack, available.through, merge.recipe.path, tuple(labels.tolist()), available.seed)
        for merge in available.merges
        for labels in np.array_split(merge.labels, -(-len(merge.labels) // at_once))
    )


@read_input.register
def _read_attack_models(entry: AttackModels, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    return {"models": read_models(artefacts)}


@steps_of.register
def _reference_logits(entry: ReferenceLogits, available: Available) -> tuple[Step, ...]:
    way = (available.through, entry.temperature)
    return tuple(step for step in available.references if (step.mitigations, step.temperature) == way)


@read_input.register
def _read_reference_logits(entry: ReferenceLogits, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    by_temperature = {ReferenceMetadata.read(a).temperature: read_references(a) for a in artefacts}
    return {
        "references": {t: audited for t, (audited, _) in by_temperature.items()},
        "calibration": {t: others for t, (_, others) in by_temperature.items() if others is not None},
    }


@steps_of.register
def _population(entry: Population, available: Available) -> tuple[Step, ...]:
    return available.population


@read_input.register
def _read_population(entry: Population, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    (artefact,), records = artefacts, Records.open(reading.store, reading.records)
    others = read_answers(artefact, reading.mitigations)
    return {
        "features": records.take(reading.target.rows)[0],
        "population": others.vectors,
        "population_features": records.take(others.rows)[0],
    }


@steps_of.register
def _noisy_labels(entry: NoisyLabels, available: Available) -> tuple[Step, ...]:
    asked = tuple(query for query in available.noisy if query.noise == entry.noise)
    return asked + available.trained


@read_input.register
def _read_noisy_labels(entry: NoisyLabels, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    # `steps_of` returned both kinds in one sequence.
    asked = [artefact for artefact in artefacts if artefact.kind == "noisy_answers"]
    shadows = [artefact for artefact in artefacts if artefact.kind != "noisy_answers"]
    return {
        "robustness": {NoisyMetadata.read(artefact).noise: read_robustness(artefact) for artefact in asked},
        "shadow_robustness": read_shadow_robustness(shadows),
    }
