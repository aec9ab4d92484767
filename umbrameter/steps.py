"""Every step of an audit, known before the first is taken: what to make, from which artefacts, in which order.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of the inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. Nothing here does any work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from umbrameter.attack_data import AttackData, class_chunks
from umbrameter.attacks import AnyAttack, Shokri
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
    if any("population" in attack.needs for attack in spec.attacks) and n_pool < FEWEST_POPULATION:
        raise PlanError(
            f"an attack learns from non-members of the pool, and {n_pool} records are left after members and "
            f"non-members (needs {FEWEST_POPULATION}); lower split.members or split.nonmembers, or leave the attack out"
        )
    sizes = spec.n_shadows, spec.shadow_size, n_audited, n_pool
    plan = ShadowPlan.of(spec.shadows.design, *sizes, spec.seed, spec.compares) if spec.n_shadows else None
    trainings = [Training(records_path, split_path, spec.target, m, spec.seed) for m in spec.in_training]
    return tuple(replace(_variant(spec, training, plan, n_classes), repeat=repeat) for training in trainings)


def _variant(spec: AuditSpec, training: Training, plan: ShadowPlan | None, n_classes: int) -> Variant:
    target = TargetFit(training)
    query = TargetQuery(target.recipe.path, training.records, training.split)
    population: tuple[PopulationQuery, ...] = ()
    if any("population" in attack.needs for attack in spec.attacks):
        population = (PopulationQuery(target.recipe.path, training.records, training.split, spec.seed),)
    asked = (target.recipe.path, training.records, training.split)
    noises = sorted(frozenset[Noise]().union(*(a.noises for a in spec.attacks)), key=repr)
    noisy = tuple(NoisyQuery(*asked, noise, spec.seed) for noise in noises)
    n_models = 0 if plan is None else plan.n_models
    shadows = tuple(ShadowFit(training, plan, i, tuple(noises)) for i in range(n_models)) if plan is not None else ()
    paths = tuple(s.recipe.path for s in shadows)
    post_hoc = spec.post_hoc if training.mitigation is None else (None,)
    merges: tuple[AttackData, ...] = ()
    references: dict[tuple[PostHoc | None, float], ReferenceData] = {}
    n_vectors = 0
    if plan is not None:
        n_vectors = plan.n_models * (plan.size + plan.n_out)
        if any("shadow vectors" in attack.wants for attack in spec.attacks):
            merges = tuple(AttackData(paths, labels, n_classes) for labels in class_chunks(n_classes, n_vectors))
        if spec.compares:
            heat = sorted(frozenset[float]().union(*(attack.temperatures for attack in spec.attacks)))
            references = {(m, t): ReferenceData(paths, m, t, training.split, plan) for m in post_hoc for t in heat}
    cases = tuple(
        _case(spec, training, query, population, noisy, shadows, merges, references, n_vectors, a, m)
        for m in post_hoc
        for a in spec.attacks
    )
    bare = tuple(case.scoring.recipe.path for case in cases if case.mitigation is None)
    controls = (Controlling(bare, query.recipe.path, training.records, spec.seed),) if bare else ()
    return Variant(
        training, target, query, population, noisy, shadows, merges, tuple(references.values()), cases, controls
    )


def _case(
    spec: AuditSpec,
    training: Training,
    query: TargetQuery,
    population: tuple[PopulationQuery, ...],
    noisy: tuple[NoisyQuery, ...],
    shadows: tuple[ShadowFit, ...],
    merges: tuple[AttackData, ...],
    references: Mapping[tuple[PostHoc | None, float], ReferenceData],
    n_vectors: int,
    attack: AnyAttack,
    mitigation: PostHoc | None,
) -> Case:
    answers = query.recipe.path
    fits: tuple[AttackFit, ...] = ()
    if isinstance(attack, Shokri) and attack.label_known:
        at_once = attack.at_once(4 * n_vectors)  # a class has its share of the vectors, whose length is that of classes
        fits = tuple(
            AttackFit(attack, mitigation, merge.recipe.path, tuple(labels.tolist()), spec.seed)
            for merge in merges
            for labels in np.array_split(merge.labels, -(-len(merge.labels) // at_once))
        )
    models = tuple(f.recipe.path for f in fits)
    data = tuple(m.recipe.path for m in merges) if "shadow vectors" in attack.wants else ()
    compared = tuple(references[mitigation, t].recipe.path for t in sorted(attack.temperatures))
    asked = tuple(work.recipe.path for work in population) if "population" in attack.needs else ()
    held = tuple(work.recipe.path for work in noisy if work.noise in attack.noises)
    shadows_held = tuple(shadow.recipe.path for shadow in shadows) if held else ()
    sources = Sources(models, data, compared, asked, held, shadows_held)
    scoring = Scoring(attack, mitigation, answers, sources, training.records, spec.seed)
    evaluation = Evaluation(scoring.recipe.path, answers, training.records, mitigation)
    return Case(attack, training.mitigation, mitigation, fits, scoring, evaluation)
