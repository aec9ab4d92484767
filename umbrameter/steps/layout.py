"""Every step of an audit and where its result will lie, before the first one is taken.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of its inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. Nothing here does any work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from umbrameter.attacks import AnyAttack, Gap, Shokri
from umbrameter.attacks import LabelOnly as AttackOnLabels
from umbrameter.attacks.base import Need
from umbrameter.errors import PlanError
from umbrameter.mitigations import DPSGD, InTraining, LabelOnly, MemGuard, PostHoc, answered
from umbrameter.mitigations.plan import Attacker, Row
from umbrameter.records.noise import Noise
from umbrameter.records.reader import Records
from umbrameter.shadow_data import Real
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.attack_data import AttackData, class_chunks
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.controls import Controlling
from umbrameter.steps.costs import Costing
from umbrameter.steps.evaluations import Evaluation
from umbrameter.steps.guarantees import Guaranteed
from umbrameter.steps.guards import GuardedAnswers, GuardFit
from umbrameter.steps.reference_answers import ReferenceData
from umbrameter.steps.scores import Scoring
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis, drawing_steps
from umbrameter.steps.signals import Sources
from umbrameter.steps.target import TargetFit, TargetIdentity
from umbrameter.steps.target_answers import NoisyQuery, PopulationQuery, StoredQuery, TargetQuery
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Artefact
from umbrameter.store.steps import Step
from umbrameter.targets import StoredTarget

FEWEST_POPULATION = 100
"""Records of the pool that an attack can learn from, at least."""


@dataclass(frozen=True)
class Measurement:
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
        """The measurement in words, such as `loss on rounding(1)`."""
        unaware = ", which the attacker does not know of" if self.attacker == "static" else ""
        return f"{self.attack.label} on {self.mitigation or 'the target as it is'}{unaware}"


@dataclass(frozen=True)
class Unmeasurable:
    """One attack on one row of the matrix that cannot be measured, and why."""

    attack: AnyAttack
    row: Row
    reason: str
    costing: Costing


@dataclass(frozen=True)
class TrainedVariant:
    """The target as it is, or trained or guarded otherwise, with all that follows from it."""

    training: Training
    guard: GuardFit | None
    target: TargetFit | TargetIdentity
    query: TargetQuery | StoredQuery | GuardedAnswers
    population: tuple[PopulationQuery | GuardedAnswers, ...]
    """One where an attack learns from non-members, else none."""
    noisy: tuple[NoisyQuery, ...]
    """One for each noise under which labels are looked at."""
    shadows: tuple[ShadowFit, ...] | tuple[GuardedAnswers, ...]
    trained: tuple[ShadowFit, ...]
    """The shadow models; those of a guarded variant are its base's."""
    merges: tuple[AttackData, ...]
    references: tuple[ReferenceData, ...]
    searches: tuple[Synthesis, ...] = ()
    drawn: ShadowRecords | None = None
    """What draws the shadow models' records, where they are not those of the pool."""
    measurements: tuple[Measurement, ...] = ()
    unmeasurable: tuple[Unmeasurable, ...] = ()
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


@dataclass(frozen=True)
class AuditInputs:
    """What an audit is laid out from.

    Parameters
    ----------
    spec
        The audit.
    records
        The opened records.
    split
        The opened `split` artefact.
    met
        The target, where it was trained elsewhere.
    repeat
        Which repeat of the audit this is; the spec has its seed.
    barren
        Paths of shadow data of which too few could be drawn, with the reason.
    """

    spec: AuditSpec
    records: Records
    split: Artefact
    met: TargetIdentity | None = None
    repeat: int = 0
    barren: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_audited(self) -> int:
        """Members and non-members."""
        return int(self.split.meta["n_member"] + self.split.meta["n_nonmember"])

    @property
    def n_pool(self) -> int:
        """Records that are neither."""
        return int(self.split.meta["n_pool"])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.records.classes)

    @property
    def shadow_size(self) -> int:
        """IN records of each shadow model."""
        return self.spec.shadows.size or int(self.split.meta["n_member"])

    @property
    def n_drawn(self) -> int:
        """Records that shadow models can draw from, at most."""
        wanted = self.spec.shadows.records or 2 * self.shadow_size
        return self.spec.shadows.data.n_drawn(wanted, self.n_pool)


def lay_out(inputs: AuditInputs) -> tuple[TrainedVariant, ...]:
    """Lay out an audit: the target as it is first, then one variant for each other way of training or guarding it.

    Raises
    ------
    PlanError
        When the pool is too small for the shadow models.
    SpecError
        When a mitigation does not fit the number of classes.
    """
    spec, of = inputs.spec, (inputs.records.artefact.path, inputs.split.path)
    rows = (Row(), *map(Row, spec.mitigations))
    for row in rows:
        answered(np.full((1, inputs.n_classes), 1 / inputs.n_classes, dtype=np.float32), _passed(spec, row))
    plan = _plan(inputs)
    found: list[TrainedVariant] = []
    for training, guard in _distinct(rows):
        trained = Training(*of, spec.estimator, training, spec.seed)
        own = [row for row in rows if row.training == training]
        bare = _unguarded(inputs, trained, plan, [r for r in own if not r.guard])
        variant = bare
        if guard is not None and bare.merges:  # a guard learns from shadow models, of which there may be none
            variant = _guarded(spec, bare, guard, [r for r in own if r.guard == guard])
        found.append(_with_cases(inputs, variant, found[0] if found else None, [r for r in own if r.guard == guard]))
    return tuple(found)


def _plan(inputs: AuditInputs) -> ShadowPlan | None:
    spec = inputs.spec
    can_ask = not isinstance(spec.target, StoredTarget)
    if can_ask and _asks("population", spec) and inputs.n_pool < FEWEST_POPULATION:
        raise PlanError(
            f"an attack learns from non-members of the pool, and {inputs.n_pool} records are left after members and "
            f"non-members (needs {FEWEST_POPULATION}); lower split.members or split.nonmembers, or leave the attack out"
        )
    if not spec.n_shadows:
        return None
    if spec.shadows.data.needs_pool and not inputs.n_pool:
        raise PlanError(
            f"shadows.data.kind={spec.shadows.data.kind} needs records that are neither members nor non-members, and "
            "there are none; give a pool, or shadow data made from less: model_based, or marginal with a file"
        )
    sizes = spec.n_shadows, inputs.shadow_size, inputs.n_audited, inputs.n_drawn
    return ShadowPlan.of(spec.shadows.design, *sizes, spec.seed, spec.compares)


def _passed(spec: AuditSpec, row: Row) -> tuple[PostHoc, ...]:
    """Return what answers pass through: what the target does to them, then the mitigation."""
    return (*getattr(spec.target, "answers", ()), *row.answers)


def _distinct(rows: Sequence[Row]) -> list[tuple[tuple[InTraining, ...], MemGuard | None]]:
    """Return the ways of training and guarding, each unguarded one before those that are guarded."""
    ways = [way for row in rows for way in ((row.training, None), (row.training, row.guard))]
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _unguarded(inputs: AuditInputs, training: Training, plan: ShadowPlan | None, rows: Sequence[Row]) -> TrainedVariant:
    """Return a variant whose measurements are still to come."""
    spec = inputs.spec
    target = inputs.met or TargetFit(training)
    asked = (target.recipe.path, training.records, training.split)
    noises = tuple(sorted(frozenset[Noise]().union(*(attack.noises for attack in spec.attackers)), key=repr))
    searches, drawn = _drawing(inputs, asked[0]) if plan is not None else ((), None)
    pool = None if drawn is None else drawn.recipe.path
    models = range(plan.n_models) if plan is not None and pool not in inputs.barren else ()
    shadows = tuple(ShadowFit(training, plan, i, noises, pool) for i in models if plan is not None)
    merges: tuple[AttackData, ...] = ()
    if plan is not None and shadows and (_wants("shadow vectors", spec) or spec.guards):
        chunks = class_chunks(inputs.n_classes, plan.n_vectors)
        merges = tuple(AttackData(_paths(shadows), labels, inputs.n_classes) for labels in chunks)
    can = not isinstance(spec.target, StoredTarget)
    return TrainedVariant(
        training=training,
        guard=None,
        target=target,
        query=TargetQuery(*asked) if can else StoredQuery(*asked),
        population=(PopulationQuery(*asked, spec.seed),) if can and _asks("population", spec) else (),
        noisy=tuple(NoisyQuery(*asked, noise, spec.seed) for noise in noises) if can else (),
        shadows=shadows,
        trained=shadows,
        merges=merges,
        references=_references(spec, shadows, rows, training),
        searches=searches,
        drawn=drawn,
        repeat=inputs.repeat,
    )


def _drawing(inputs: AuditInputs, target: str) -> tuple[tuple[Synthesis, ...], ShadowRecords | None]:
    """Return the steps that draw the shadow models' records, if any are drawn; those of all variants are one."""
    spec = inputs.spec
    if isinstance(spec.shadows.data, Real):
        return (), None
    of = (inputs.records.artefact.path, inputs.split.path, inputs.n_drawn, inputs.n_classes)
    return drawing_steps(spec.shadows.data, target, *of, spec.seed, apart=inputs.met is None)


def _guarded(spec: AuditSpec, bare: TrainedVariant, mitigation: MemGuard, rows: Sequence[Row]) -> TrainedVariant:
    """Return a variant with all its answers passed through a guard, whose measurements are still to come."""
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
    ways = [(_passed(spec, row), t) for row in rows for t in heat]
    return tuple(ReferenceData(known, way, t, training.split, plan, shadows[0].drawn) for way, t in ways)


def _with_cases(
    inputs: AuditInputs, variant: TrainedVariant, first: TrainedVariant | None, rows: Sequence[Row]
) -> TrainedVariant:
    """Return a variant with its measurements: each attack on each row, by an adaptive and by a static attacker.

    `first` is the target as it is, None for itself.
    """
    spec, bare, records, measurements, unmeasurable = inputs.spec, first or variant, variant.training.records, [], []
    before = {
        measurement.attack.label: measurement.scoring.recipe.path
        for measurement in bare.measurements
        if measurement.mitigation is None
    }
    for row in rows:
        passed = _passed(spec, row)
        base = bare.query.recipe.path if row.mitigation else None
        costing = Costing(variant.query.recipe.path, passed, base)
        for attack in spec.attackers:
            reason = _unmeasurable(inputs, variant, attack, row)
            if reason is not None:
                unmeasurable.append(Unmeasurable(attack, row, reason, costing))
                continue
            for attacker in _attackers(attack, row, variant, bare):
                known, through = (bare, _passed(spec, Row())) if attacker == "static" else (variant, passed)
                fits = _fits(spec, known, attack, through)
                sources = _sources(variant, known, attack, through, fits)
                answers = variant.query.recipe.path
                scoring = Scoring(attack, passed, through, answers, sources, records, spec.seed)
                base = before.get(attack.label) if row.mitigation else None
                before.setdefault(attack.label, scoring.recipe.path)
                evaluation = Evaluation(scoring.recipe.path, base, records, attacker != "static")
                own = () if attacker == "static" else fits
                measurements.append(Measurement(attack, row, attacker, own, scoring, evaluation, costing))
    scored = tuple((measurement.title, measurement.scoring.recipe.path) for measurement in measurements)
    controls: tuple[Controlling, ...] = ()
    if first is None:
        of = tuple(measurement.scoring.recipe.path for measurement in measurements if measurement.mitigation is None)
        place = variant.training.records, variant.training.split
        controls = (Controlling(of, variant.query.recipe.path, *place, spec.seed),)
    private = [m.label for m in variant.training.mitigations if isinstance(m, DPSGD)]
    guarantees = tuple(Guaranteed(label, variant.target.recipe.path, scored) for label in private if scored)
    return replace(
        variant,
        measurements=tuple(measurements),
        unmeasurable=tuple(unmeasurable),
        controls=controls,
        guarantees=guarantees,
    )


def _attackers(
    attack: AnyAttack, row: Row, variant: TrainedVariant, bare: TrainedVariant
) -> tuple[Attacker | None, ...]:
    """Return who attacks: of attacks that learn nothing from shadow models there is one kind.

    One who does not know of the mitigation has the shadow models of the target as it is, where there are any.
    """
    if row.mitigation is None:
        return (None,)
    learns = bool(variant.shadows and bare.shadows) and bool(attack.wants - {"population"})
    return ("adaptive", "static") if learns else ("adaptive",)


def _unmeasurable(inputs: AuditInputs, variant: TrainedVariant, attack: AnyAttack, row: Row) -> str | None:
    """Say why an attack cannot be measured on a target of this kind, or with these shadow data, or return None."""
    spec, barren = inputs.spec, None if variant.drawn is None else inputs.barren.get(variant.drawn.recipe.path)
    if barren is not None and (attack.needs_shadows or row.guard):
        return barren
    if isinstance(spec.target, StoredTarget) and (attack.noises or "population" in attack.needs):
        return f"{attack.label} needs answers on other records, and of this target only stored answers are there"
    if any(isinstance(part, LabelOnly) for part in _passed(spec, Row())) and not isinstance(
        attack, Gap | AttackOnLabels
    ):
        return f"the target answers labels alone, and {attack.label} looks at confidences; gap and label_only do not"
    return None


def _asks(need: Need, spec: AuditSpec) -> bool:
    return any(need in attack.needs for attack in spec.attackers)


def _wants(need: Need, spec: AuditSpec) -> bool:
    return any(need in attack.wants for attack in spec.attackers)


def _sources(
    variant: TrainedVariant,
    known: TrainedVariant,
    attack: AnyAttack,
    passed: tuple[PostHoc, ...],
    fits: Sequence[AttackFit],
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


def _fits(
    spec: AuditSpec, variant: TrainedVariant, attack: AnyAttack, passed: tuple[PostHoc, ...]
) -> tuple[AttackFit, ...]:
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


def _paths(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.recipe.path for step in steps)
