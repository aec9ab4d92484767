"""Every step of an audit and where its result will lie, before the first one is taken.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of its inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. Nothing here does any work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from umbrameter.attack_data import AttackData, class_chunks
from umbrameter.attacks import AnyAttack, Shokri
from umbrameter.attacks.base import Need
from umbrameter.control_data import Controlling
from umbrameter.costs import Costing
from umbrameter.errors import PlanError
from umbrameter.evaluation import Evaluation
from umbrameter.fitting import NoisyQuery, PopulationQuery, ShadowFit, TargetFit, TargetQuery, Training
from umbrameter.guarantees import Guaranteed
from umbrameter.guarding import GuardedAnswers, GuardFit
from umbrameter.mitigations import DPSGD, InTraining, MemGuard, PostHoc, answered
from umbrameter.noise import Noise
from umbrameter.plan import ShadowPlan
from umbrameter.records import Records
from umbrameter.reference_data import ReferenceData
from umbrameter.rows import Attacker, Row
from umbrameter.scoring import AttackFit, Scoring
from umbrameter.sources import Sources
from umbrameter.spec import AuditSpec
from umbrameter.work import Work

FEWEST_POPULATION = 100
"""Records of the pool that an attack can learn from, at least."""


@dataclass(frozen=True)
class Case:
    """One attack on one row of the matrix by one attacker: what becomes one entry of the report's results."""

    attack: AnyAttack
    row: Row
    attacker: Attacker | None
    """None on the target as it is, where there is nothing to know of."""
    fits: tuple[AttackFit, ...]
    scoring: Scoring
    evaluation: Evaluation
    costing: Costing

    @property
    def mitigation(self) -> str | None:
        """The mitigation's label, None without one."""
        return self.row.label

    @property
    def title(self) -> str:
        """The case in words, such as `loss on rounding(1)`."""
        unaware = ", which the attacker does not know of" if self.attacker == "static" else ""
        return f"{self.attack.label} on {self.mitigation or 'the target as it is'}{unaware}"


@dataclass(frozen=True)
class Variant:
    """The target as it is, or trained or guarded otherwise, with all that follows from it."""

    training: Training
    guard: GuardFit | None
    target: TargetFit
    query: TargetQuery | GuardedAnswers
    population: tuple[PopulationQuery | GuardedAnswers, ...]
    """One where an attack learns from non-members, else none."""
    noisy: tuple[NoisyQuery, ...]
    """One for each noise under which labels are looked at."""
    shadows: tuple[ShadowFit, ...] | tuple[GuardedAnswers, ...]
    trained: tuple[ShadowFit, ...]
    """The shadow models; those of a guarded variant are its base's."""
    merges: tuple[AttackData, ...]
    references: tuple[ReferenceData, ...]
    cases: tuple[Case, ...] = ()
    controls: tuple[Controlling, ...] = ()
    """Of the target as it is, one; of others, none."""
    guarantees: tuple[Guaranteed, ...] = ()
    """One where the training claims privacy, else none."""
    repeat: int = 0

    @property
    def title(self) -> str:
        """The variant in words."""
        changes = [m.label for m in (*self.training.mitigations, *([self.guard.mitigation] if self.guard else []))]
        again = f", repeat {self.repeat}" if self.repeat else ""
        return f"the target{' with ' if changes else ''}{', '.join(changes)}{again}"


def variants(
    spec: AuditSpec, records_path: str, split_path: str, records: Records, repeat: int = 0
) -> tuple[Variant, ...]:
    """Lay out an audit: the target as it is first, then one variant for each other way of training or guarding it.

    Parameters
    ----------
    spec
        The audit.
    records_path, split_path
        Paths of the finished artefacts.
    records
        The opened records.
    repeat
        Which repeat of the audit this is; the spec has its seed.

    Raises
    ------
    PlanError
        When the pool is too small for the shadow models.
    SpecError
        When a mitigation does not fit the number of classes.
    """
    n_classes = len(records.classes)
    rows = (Row(), *map(Row, spec.mitigations))
    for row in rows:
        answered(np.full((1, n_classes), 1 / n_classes, dtype=np.float32), row.answers)
    plan = _plan(spec, records)
    found: list[Variant] = []
    for training, guard in _distinct(rows):
        trained = Training(records_path, split_path, spec.target, training, spec.seed)
        own = [row for row in rows if row.training == training]
        bare = _unguarded(spec, trained, plan, n_classes, [r for r in own if not r.guard], repeat)
        variant = bare if guard is None else _guarded(spec, bare, guard, [r for r in own if r.guard == guard])
        found.append(_with_cases(spec, variant, found[0] if found else None, [r for r in own if r.guard == guard]))
    return tuple(found)


def _plan(spec: AuditSpec, records: Records) -> ShadowPlan | None:
    n_audited = spec.split.members + spec.n_nonmembers
    n_pool = records.n_records - n_audited
    if _asks("population", spec) and n_pool < FEWEST_POPULATION:
        raise PlanError(
            f"an attack learns from non-members of the pool, and {n_pool} records are left after members and "
            f"non-members (needs {FEWEST_POPULATION}); lower split.members or split.nonmembers, or leave the attack out"
        )
    sizes = spec.n_shadows, spec.shadow_size, n_audited, n_pool
    return ShadowPlan.of(spec.shadows.design, *sizes, spec.seed, spec.compares) if spec.n_shadows else None


def _distinct(rows: Sequence[Row]) -> list[tuple[tuple[InTraining, ...], MemGuard | None]]:
    """Return the ways of training and guarding, each unguarded one before those that are guarded."""
    ways = [way for row in rows for way in ((row.training, None), (row.training, row.guard))]
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _unguarded(
    spec: AuditSpec, training: Training, plan: ShadowPlan | None, n_classes: int, rows: Sequence[Row], repeat: int
) -> Variant:
    """Return a variant whose cases are still to come."""
    target = TargetFit(training)
    asked = (target.recipe.path, training.records, training.split)
    noises = tuple(sorted(frozenset[Noise]().union(*(attack.noises for attack in spec.attackers)), key=repr))
    shadows = tuple(ShadowFit(training, plan, i, noises) for i in range(plan.n_models)) if plan is not None else ()
    merges: tuple[AttackData, ...] = ()
    if plan is not None and (_wants("shadow vectors", spec) or spec.guards):
        chunks = class_chunks(n_classes, plan.n_vectors)
        merges = tuple(AttackData(_paths(shadows), labels, n_classes) for labels in chunks)
    return Variant(
        training=training,
        guard=None,
        target=target,
        query=TargetQuery(*asked),
        population=(PopulationQuery(*asked, spec.seed),) if _asks("population", spec) else (),
        noisy=tuple(NoisyQuery(*asked, noise, spec.seed) for noise in noises),
        shadows=shadows,
        trained=shadows,
        merges=merges,
        references=_references(spec, shadows, rows, training),
        repeat=repeat,
    )


def _guarded(spec: AuditSpec, bare: Variant, mitigation: MemGuard, rows: Sequence[Row]) -> Variant:
    """Return a variant with all its answers passed through a guard, whose cases are still to come."""
    guard = GuardFit(mitigation, _paths(bare.merges), spec.seed)
    shadows = tuple(GuardedAnswers(guard, path) for path in _paths(bare.shadows))
    return replace(
        bare,
        guard=guard,
        query=GuardedAnswers(guard, bare.query.recipe.path),
        population=tuple(GuardedAnswers(guard, path) for path in _paths(bare.population)),
        shadows=shadows,
        merges=tuple(AttackData(_paths(shadows), merge.labels, merge.n_classes) for merge in bare.merges),
        references=_references(spec, bare.trained, rows, bare.training, _paths(shadows)),
    )


def _references(
    spec: AuditSpec, shadows: Sequence[ShadowFit], rows: Sequence[Row], training: Training, paths: Sequence[str] = ()
) -> tuple[ReferenceData, ...]:
    """Return what answers are compared with, for each way that they pass and each temperature."""
    if not shadows:
        return ()
    heat = sorted(frozenset[float]().union(*(attack.temperatures for attack in spec.attackers)))
    known, plan = tuple(paths or _paths(shadows)), shadows[0].plan
    return tuple(ReferenceData(known, row.answers, t, training.split, plan) for row in rows for t in heat)


def _with_cases(spec: AuditSpec, variant: Variant, first: Variant | None, rows: Sequence[Row]) -> Variant:
    """Return a variant with its cases: each attack on each row, by an attacker who knows of it and by one who does not.

    `first` is the target as it is, None for itself.
    """
    bare, records, cases = first or variant, variant.training.records, []
    before = {case.attack.label: case.scoring.recipe.path for case in bare.cases if case.mitigation is None}
    for row in rows:
        costing = Costing(variant.query.recipe.path, row.answers, bare.query.recipe.path if row.mitigation else None)
        for attack in spec.attackers:
            for attacker in _attackers(attack, row, variant):
                known, passed = (bare, ()) if attacker == "static" else (variant, row.answers)
                fits = _fits(spec, known, attack, passed)
                sources = _sources(variant, known, attack, passed, fits)
                answers = variant.query.recipe.path
                scoring = Scoring(attack, row.answers, passed, answers, sources, records, spec.seed)
                base = before.get(attack.label) if row.mitigation else None
                before.setdefault(attack.label, scoring.recipe.path)
                evaluation = Evaluation(scoring.recipe.path, base, records, attacker != "static")
                own = () if attacker == "static" else fits
                cases.append(Case(attack, row, attacker, own, scoring, evaluation, costing))
    scored = tuple((case.title, case.scoring.recipe.path) for case in cases)
    controls: tuple[Controlling, ...] = ()
    if first is None:
        of = tuple(case.scoring.recipe.path for case in cases if case.mitigation is None)
        controls = (Controlling(of, variant.query.recipe.path, variant.training.records, spec.seed),)
    private = [m.label for m in variant.training.mitigations if isinstance(m, DPSGD)]
    guarantees = tuple(Guaranteed(label, variant.target.recipe.path, scored) for label in private if scored)
    return replace(variant, cases=tuple(cases), controls=controls, guarantees=guarantees)


def _attackers(attack: AnyAttack, row: Row, variant: Variant) -> tuple[Attacker | None, ...]:
    """Return who attacks: of attacks that learn nothing from shadow models there is one kind."""
    if row.mitigation is None:
        return (None,)
    learns = bool(variant.shadows) and bool(attack.wants - {"population"})
    return ("adaptive", "static") if learns else ("adaptive",)


def _asks(need: Need, spec: AuditSpec) -> bool:
    return any(need in attack.needs for attack in spec.attackers)


def _wants(need: Need, spec: AuditSpec) -> bool:
    return any(need in attack.wants for attack in spec.attackers)


def _sources(
    variant: Variant, known: Variant, attack: AnyAttack, passed: tuple[PostHoc, ...], fits: Sequence[AttackFit]
) -> Sources:
    """Return what an attack on a variant looks at, where the attacker's shadow models are those of `known`."""
    compared = [r for r in known.references if r.mitigations == passed and r.temperature in attack.temperatures]
    return Sources(
        models=_paths(fits),
        data=_paths(known.merges) if "shadow vectors" in attack.wants else (),
        references=_paths(compared),
        population=_paths(variant.population) if "population" in attack.needs else (),
        noisy=_paths([query for query in variant.noisy if query.noise in attack.noises]),
        shadows=_paths(known.trained) if attack.noises else (),
    )


def _fits(spec: AuditSpec, variant: Variant, attack: AnyAttack, passed: tuple[PostHoc, ...]) -> tuple[AttackFit, ...]:
    """Return the attack models' fits on a variant's shadow vectors."""
    if not (isinstance(attack, Shokri) and attack.label_known and variant.trained):
        return ()
    # A class has its share of the vectors, whose length is that of classes.
    at_once = attack.at_once(4 * variant.trained[0].plan.n_vectors)
    return tuple(
        AttackFit(attack, passed, merge.recipe.path, tuple(labels.tolist()), spec.seed)
        for merge in variant.merges
        for labels in np.array_split(merge.labels, -(-len(merge.labels) // at_once))
    )


def _paths(works: Sequence[Work]) -> tuple[str, ...]:
    return tuple(work.recipe.path for work in works)
