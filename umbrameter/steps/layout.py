"""Lay out every step of an audit, and the path of its artefact, before any work is done.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of its inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. No step is performed here.
"""

from collections.abc import Sequence
from dataclasses import replace

from umbrameter.attacks import AnyAttack, NoisyLabels
from umbrameter.attacks.inputs import of_kind
from umbrameter.errors import in_one
from umbrameter.evaluation.likeness import MOST_MODELS
from umbrameter.mitigations import InTraining, LearnedPostHoc, PostHoc
from umbrameter.mitigations.plan import Attacker, MitigationPlan
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.attack_data import AttackData, class_chunks
from umbrameter.steps.controls import CheckControls
from umbrameter.steps.evaluations import EvaluateAttack
from umbrameter.steps.feasibility import (
    AuditInputs,
    errors_of,
    estimator_of,
    needs_population,
    passed_through,
    plans_of,
    shadow_plan_of,
    temperatures_of,
)
from umbrameter.steps.guarantees import CheckGuarantee
from umbrameter.steps.guards import GuardedAnswers, GuardFit
from umbrameter.steps.inputs import Available, sources_of
from umbrameter.steps.reference_answers import ReferenceData
from umbrameter.steps.scores import Scoring
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis, drawing_steps
from umbrameter.steps.target import TargetFit
from umbrameter.steps.target_answers import NoisyQuery, PopulationQuery, StoredQuery, TargetQuery
from umbrameter.steps.training import Training
from umbrameter.steps.utility import MeasureUtility
from umbrameter.steps.variants import Measurement, TrainedVariant, Unmeasurable
from umbrameter.store.steps import paths_of


def lay_out(inputs: AuditInputs) -> tuple[TrainedVariant, ...]:
    """Lay out an audit: the unmitigated target first, then one variant per other way of training or guarding it.

    Raises
    ------
    PlanError
        When the pool is too small for the shadow models.
    DataError
        When what is to be trained does not take missing values or text, and there are some.
    SpecError
        When a mitigation does not fit the number of classes.
    """
    if (error := in_one(errors_of(inputs), "the spec and the data")) is not None:
        raise error
    spec, plans, shadow_plan, estimator = (
        inputs.spec,
        plans_of(inputs.spec),
        shadow_plan_of(inputs),
        estimator_of(inputs),
    )
    variants: list[TrainedVariant] = []
    for mitigations, learned in _ways(plans):
        training = Training(inputs.records.artefact.path, inputs.split.path, estimator, mitigations, spec.seed)
        alike = [plan for plan in plans if plan.training == mitigations]
        served = [plan for plan in alike if plan.learned == learned]
        variant = _unguarded(inputs, training, shadow_plan, [plan for plan in alike if plan.learned is None])
        if learned is not None and variant.merges:  # without usable shadow models it cannot learn
            variant = _guarded(inputs, variant, learned, served)
        variants.append(_with_measurements(inputs, variant, variants[0] if variants else variant, served))
    return tuple(variants)


def _ways(plans: Sequence[MitigationPlan]) -> list[tuple[tuple[InTraining, ...], LearnedPostHoc | None]]:
    """Return the distinct ways of training and guarding, each unguarded one before its guarded ones."""
    ways = [way for plan in plans for way in ((plan.training, None), (plan.training, plan.learned))]
    # Not a set, whose order would change from run to run.
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _unguarded(
    inputs: AuditInputs, training: Training, shadow_plan: ShadowPlan | None, plans: Sequence[MitigationPlan]
) -> TrainedVariant:
    """Return a variant without a guard and without its measurements."""
    spec, can_query = inputs.spec, inputs.spec.target.can_be_queried
    target = inputs.target or TargetFit(training)
    places = (target.recipe.path, training.records, training.split)
    noises = tuple(entry.noise for entry in of_kind(inputs.attack_inputs, NoisyLabels))
    searches, drawn = _drawing(inputs, places[0]) if shadow_plan is not None else ((), None)
    drawn_path = None if drawn is None else drawn.recipe.path
    shadows: tuple[ShadowFit, ...] = ()
    if shadow_plan is not None and drawn_path not in inputs.unusable_shadow_data:
        models = range(shadow_plan.n_models)
        width = inputs.n_answers if inputs.n_answers > inputs.n_classes else None
        shadows = tuple(ShadowFit(training, shadow_plan, i, noises, drawn_path, width) for i in models)
    merges: tuple[AttackData, ...] = ()
    is_merged = spec.learns_from_shadows or any(entry.from_vectors for entry in inputs.attack_inputs)
    if shadow_plan is not None and shadows and is_merged:
        chunks = class_chunks(inputs.n_classes, shadow_plan.n_vectors)
        merges = tuple(AttackData(paths_of(shadows), labels, inputs.n_answers) for labels in chunks)
    return TrainedVariant(
        training=training,
        guard=None,
        target=target,
        query=TargetQuery(*places) if can_query else StoredQuery(*places),
        population=(PopulationQuery(*places, spec.seed),) if can_query and needs_population(inputs) else (),
        noisy=tuple(NoisyQuery(*places, noise, spec.seed) for noise in noises) if can_query else (),
        trained=shadows,
        shadows=shadows,
        merges=merges,
        references=_references(inputs, shadows, paths_of(shadows), plans),
        searches=searches,
        drawn=drawn,
        repeat=inputs.repeat,
    )


def _drawing(inputs: AuditInputs, target: str) -> tuple[tuple[Synthesis, ...], ShadowRecords | None]:
    """Return the steps that draw the shadow models' records, if any; variants with the same target share them."""
    spec = inputs.spec
    if not spec.shadows.data.is_drawn:
        return (), None
    source = (inputs.records.artefact.path, inputs.split.path, inputs.n_drawn, inputs.n_classes)
    # A target trained elsewhere is queried by a single process, so its searches run together.
    return drawing_steps(spec.shadows.data, target, *source, spec.seed, apart=spec.target.trained_here)


def _guarded(
    inputs: AuditInputs, unguarded: TrainedVariant, learned: LearnedPostHoc, plans: Sequence[MitigationPlan]
) -> TrainedVariant:
    """Return a variant with all answers passed through a learned mitigation, without its measurements."""
    guard = GuardFit(learned, paths_of(unguarded.merges), inputs.spec.seed)
    shadows = tuple(GuardedAnswers(guard, path) for path in paths_of(unguarded.shadows))
    return replace(
        unguarded,
        guard=guard,
        query=GuardedAnswers(guard, unguarded.query.recipe.path),
        population=tuple(GuardedAnswers(guard, path) for path in paths_of(unguarded.population)),
        shadows=shadows,
        merges=tuple(replace(merge, shadows=paths_of(shadows)) for merge in unguarded.merges),
        references=_references(inputs, unguarded.trained, paths_of(shadows), plans),
    )


def _references(
    inputs: AuditInputs, trained: Sequence[ShadowFit], paths: tuple[str, ...], plans: Sequence[MitigationPlan]
) -> tuple[ReferenceData, ...]:
    """Return the steps that gather shadow models' logits, one per way through mitigations and temperature."""
    if not trained:
        return ()
    shadow_plan, drawn, split = trained[0].plan, trained[0].drawn, inputs.split.path
    ways = [
        (passed_through(inputs.spec, plan), temperature) for plan in plans for temperature in temperatures_of(inputs)
    ]
    return tuple(ReferenceData(paths, *way, split, shadow_plan, drawn) for way in ways)


def _with_measurements(
    inputs: AuditInputs, variant: TrainedVariant, unmitigated: TrainedVariant, plans: Sequence[MitigationPlan]
) -> TrainedVariant:
    """Return a variant with its measurements: each attack on each mitigation, by an adaptive and a static attacker.

    `unmitigated` is the unmitigated target's variant; it may be `variant` itself, then still without measurements.
    """
    spec, is_unmitigated = inputs.spec, variant is unmitigated
    measurements: list[Measurement] = []
    unmeasurable: list[Unmeasurable] = []
    before = {m.attack.label: m.scoring.recipe.path for m in unmitigated.measurements if m.mitigation is None}
    answers, records = variant.query.recipe.path, variant.training.records
    for plan in plans:
        through = passed_through(spec, plan)
        utility = MeasureUtility(answers, through, unmitigated.query.recipe.path if plan.mitigation else None)
        for attack in spec.required_attacks:
            reason = _unmeasurable(inputs, variant, attack, plan)
            if reason is not None:
                unmeasurable.append(Unmeasurable(attack, plan, reason, utility))
                continue
            for attacker in _attackers(attack, plan, variant, unmitigated):
                is_static = attacker == "static"
                # A static attacker trains shadow models as if there were no mitigation.
                known = (unmitigated, passed_through(spec, MitigationPlan())) if is_static else (variant, through)
                sources, steps = sources_of(_available(attack, variant, through, *known))
                scoring = Scoring(attack, through, known[1], answers, sources, records, spec.seed)
                base = before.get(attack.label) if plan.mitigation else None
                # In the unmitigated variant, the first plan has no mitigation: later plans compare with its scores.
                before.setdefault(attack.label, scoring.recipe.path)
                evaluation = EvaluateAttack(scoring.recipe.path, base, records, in_groups=not is_static)
                measurements.append(Measurement(attack, plan, attacker, steps, scoring, evaluation, utility))
    return replace(
        variant,
        measurements=tuple(measurements),
        unmeasurable=tuple(unmeasurable),
        controls=(_controls(spec, variant, measurements),) if is_unmitigated else (),
        guarantees=_guarantees(variant, measurements),
    )


def _controls(spec: AuditSpec, variant: TrainedVariant, measurements: Sequence[Measurement]) -> CheckControls:
    scores = paths_of([m.scoring for m in measurements if m.mitigation is None])
    training, shadows = variant.training, paths_of(variant.shadows[:MOST_MODELS])
    places = (variant.query.recipe.path, training.records, training.split)
    released, is_taught = passed_through(spec, MitigationPlan()), spec.shadows.data.asks
    return CheckControls(scores, *places, training.seed, shadows, released, is_taught)


def _guarantees(variant: TrainedVariant, measurements: Sequence[Measurement]) -> tuple[CheckGuarantee, ...]:
    scored = tuple((m.title, m.scoring.recipe.path) for m in measurements)
    claims = [mitigation.label for mitigation in variant.training.mitigations if mitigation.claims_privacy]
    return tuple(CheckGuarantee(label, variant.target.recipe.path, scored) for label in claims if scored)


def _attackers(
    attack: AnyAttack, plan: MitigationPlan, variant: TrainedVariant, unmitigated: TrainedVariant
) -> tuple[Attacker | None, ...]:
    """Return the kinds of attacker: a static one only if the attack learns from shadow models.

    A static attacker has the shadow models of the unmitigated target, if there are any.
    """
    if plan.mitigation is None:
        return (None,)
    has_shadows = bool(variant.shadows and unmitigated.shadows)
    is_split = has_shadows and any(entry.from_shadows for entry in attack.inputs)
    return ("adaptive", "static") if is_split else ("adaptive",)


def _unmeasurable(inputs: AuditInputs, variant: TrainedVariant, attack: AnyAttack, plan: MitigationPlan) -> str | None:
    """Return why an attack cannot be measured on this target or with this shadow data, or None if it can."""
    target, drawn = inputs.spec.target, variant.drawn
    reason = None if drawn is None else inputs.unusable_shadow_data.get(drawn.recipe.path)
    if reason is not None and (attack.needs_shadows or plan.learned):
        return reason
    if not target.can_be_queried and any(entry.asks_target for entry in attack.inputs):
        return "the attack needs answers on other records, but only stored answers of this target are available"
    if attack.uses_confidences and any(part.hides_confidences for part in target.released_answers):
        return "the target answers labels alone, and the attack uses confidences; gap and label_only do not"
    return None


def _available(
    attack: AnyAttack,
    variant: TrainedVariant,
    mitigations: tuple[PostHoc, ...],
    known: TrainedVariant,
    through: tuple[PostHoc, ...],
) -> Available:
    """Return what an attack on a variant can use; the attacker's shadow models are those of the variant `known`."""
    return Available(
        attack=attack,
        target=variant.target.recipe.path,
        answers=variant.query.recipe.path,
        records=variant.training.records,
        split=variant.training.split,
        seed=variant.training.seed,
        mitigations=mitigations,
        through=through,
        population=variant.population,
        noisy=variant.noisy,
        trained=known.trained,
        shadows=paths_of(known.shadows),
        merges=known.merges,
        references=known.references,
    )
