"""Every step of an audit, known before the first is taken: what to make, from which artefacts, in which order.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of the inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. Nothing here does any work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from umbrameter.attack_data import AttackData, class_chunks
from umbrameter.attacks import AnyAttack, Shokri
from umbrameter.attacks.base import Need
from umbrameter.control_data import Controlling
from umbrameter.errors import PlanError
from umbrameter.evaluation import Evaluation
from umbrameter.fitting import NoisyQuery, PopulationQuery, ShadowFit, TargetFit, TargetQuery, Training
from umbrameter.mitigations import InTraining, PostHoc
from umbrameter.noise import Noise
from umbrameter.plan import ShadowPlan
from umbrameter.records import Records
from umbrameter.reference_data import ReferenceData
from umbrameter.scoring import AttackFit, Scoring
from umbrameter.sources import Sources
from umbrameter.spec import AuditSpec
from umbrameter.work import Work

FEWEST_POPULATION = 100
"""Records of the pool that an attack can learn from, at least."""


@dataclass(frozen=True)
class Case:
    """One attack on one variant of the target: what becomes one entry of the report's results."""

    attack: AnyAttack
    in_training: InTraining | None
    post_hoc: PostHoc | None
    fits: tuple[AttackFit, ...]
    scoring: Scoring
    evaluation: Evaluation

    @property
    def mitigation(self) -> str | None:
        """The mitigation's label, None without one."""
        mitigation = self.in_training or self.post_hoc
        return None if mitigation is None else mitigation.label

    @property
    def title(self) -> str:
        """The case in words, such as `loss on rounding(1)`."""
        return f"{self.attack.label} on {self.mitigation or 'the target as it is'}"


@dataclass(frozen=True)
class Variant:
    """The target as it is, or trained under a mitigation, with all that follows from it."""

    training: Training
    target: TargetFit
    query: TargetQuery
    population: tuple[PopulationQuery, ...]
    """One where an attack learns from non-members, else none."""
    noisy: tuple[NoisyQuery, ...]
    """One for each noise under which labels are looked at."""
    shadows: tuple[ShadowFit, ...]
    merges: tuple[AttackData, ...]
    references: tuple[ReferenceData, ...]
    cases: tuple[Case, ...]
    controls: tuple[Controlling, ...]
    """Of the target as it is, one; of others, none."""
    repeat: int = 0

    @property
    def title(self) -> str:
        """The variant in words."""
        mitigation = self.training.mitigation
        again = f", repeat {self.repeat}" if self.repeat else ""
        return f"the target{'' if mitigation is None else f' with {mitigation.label}'}{again}"


def variants(
    spec: AuditSpec, records_path: str, split_path: str, records: Records, repeat: int = 0
) -> tuple[Variant, ...]:
    """Lay out an audit: the target as it is first, then one variant for each mitigation of the training.

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
    for mitigation in spec.post_hoc[1:]:
        if mitigation is not None:
            mitigation.transform(np.full((1, n_classes), 1 / n_classes, dtype=np.float32))
    n_pool = records.n_records - spec.split.members - spec.n_nonmembers
    n_audited = spec.split.members + spec.n_nonmembers
    if _asks("population", spec) and n_pool < FEWEST_POPULATION:
        raise PlanError(
            f"an attack learns from non-members of the pool, and {n_pool} records are left after members and "
            f"non-members (needs {FEWEST_POPULATION}); lower split.members or split.nonmembers, or leave the attack out"
        )
    sizes = spec.n_shadows, spec.shadow_size, n_audited, n_pool
    plan = ShadowPlan.of(spec.shadows.design, *sizes, spec.seed, spec.compares) if spec.n_shadows else None
    trainings = [Training(records_path, split_path, spec.target, m, spec.seed) for m in spec.in_training]
    return tuple(_variant(spec, training, plan, n_classes, repeat) for training in trainings)


def _variant(spec: AuditSpec, training: Training, plan: ShadowPlan | None, n_classes: int, repeat: int) -> Variant:
    target = TargetFit(training)
    asked = (target.recipe.path, training.records, training.split)
    noises = tuple(sorted(frozenset[Noise]().union(*(attack.noises for attack in spec.attacks)), key=repr))
    shadows = tuple(ShadowFit(training, plan, i, noises) for i in range(plan.n_models)) if plan is not None else ()
    paths = _paths(shadows)
    post_hoc = spec.post_hoc if training.mitigation is None else (None,)
    heat = sorted(frozenset[float]().union(*(attack.temperatures for attack in spec.attacks)))
    merges: tuple[AttackData, ...] = ()
    references: tuple[ReferenceData, ...] = ()
    if plan is not None:
        references = tuple(ReferenceData(paths, m, t, training.split, plan) for m in post_hoc for t in heat)
        if any("shadow vectors" in attack.wants for attack in spec.attacks):
            chunks = class_chunks(n_classes, plan.n_vectors)
            merges = tuple(AttackData(paths, labels, n_classes) for labels in chunks)
    bare = Variant(
        training=training,
        target=target,
        query=TargetQuery(*asked),
        population=(PopulationQuery(*asked, spec.seed),) if _asks("population", spec) else (),
        noisy=tuple(NoisyQuery(*asked, noise, spec.seed) for noise in noises),
        shadows=shadows,
        merges=merges,
        references=references,
        cases=(),
        controls=(),
        repeat=repeat,
    )
    cases = tuple(_case(spec, bare, attack, mitigation) for mitigation in post_hoc for attack in spec.attacks)
    scores = tuple(case.scoring.recipe.path for case in cases if case.mitigation is None)
    controls = (Controlling(scores, bare.query.recipe.path, training.records, spec.seed),) if scores else ()
    return replace(bare, cases=cases, controls=controls)


def _asks(need: Need, spec: AuditSpec) -> bool:
    return any(need in attack.needs for attack in spec.attacks)


def _case(spec: AuditSpec, variant: Variant, attack: AnyAttack, mitigation: PostHoc | None) -> Case:
    """Return one attack on one variant whose cases are still to come."""
    training, answers = variant.training, variant.query.recipe.path
    fits: tuple[AttackFit, ...] = ()
    if isinstance(attack, Shokri) and attack.label_known and variant.shadows:
        # A class has its share of the vectors, whose length is that of classes.
        at_once = attack.at_once(4 * variant.shadows[0].plan.n_vectors)
        fits = tuple(
            AttackFit(attack, mitigation, merge.recipe.path, tuple(labels.tolist()), spec.seed)
            for merge in variant.merges
            for labels in np.array_split(merge.labels, -(-len(merge.labels) // at_once))
        )
    compared = [r for r in variant.references if r.mitigation == mitigation and r.temperature in attack.temperatures]
    noisy = [query for query in variant.noisy if query.noise in attack.noises]
    sources = Sources(
        models=_paths(fits),
        data=_paths(variant.merges) if "shadow vectors" in attack.wants else (),
        references=_paths(compared),
        population=_paths(variant.population) if "population" in attack.needs else (),
        noisy=_paths(noisy),
        shadows=_paths(variant.shadows) if noisy else (),
    )
    scoring = Scoring(attack, mitigation, answers, sources, training.records, spec.seed)
    evaluation = Evaluation(scoring.recipe.path, answers, training.records, mitigation)
    return Case(attack, training.mitigation, mitigation, fits, scoring, evaluation)


def _paths(works: Sequence[Work]) -> tuple[str, ...]:
    return tuple(work.recipe.path for work in works)
