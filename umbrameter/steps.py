"""Every step of an audit, known before the first is taken: what to make, from which artefacts, in which order.

An artefact's path follows from its recipe, and a recipe from the spec and the paths of the inputs; so the whole audit
can be laid out at once, checked, and looked up in the store. Nothing here does any work.
"""

from dataclasses import dataclass

import numpy as np

from umbrameter.attack_data import AttackData, class_chunks
from umbrameter.attacks import AnyAttack, Shokri
from umbrameter.evaluation import Evaluation
from umbrameter.fitting import ShadowFit, TargetFit, TargetQuery, Training
from umbrameter.mitigations import InTraining, PostHoc
from umbrameter.plan import ShadowPlan
from umbrameter.records import Records
from umbrameter.scoring import AttackFit, Scoring
from umbrameter.spec import AuditSpec


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
    shadows: tuple[ShadowFit, ...]
    merges: tuple[AttackData, ...]
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """The variant in words."""
        mitigation = self.training.mitigation
        return "the target" if mitigation is None else f"the target with {mitigation.label}"


def variants(spec: AuditSpec, records_path: str, split_path: str, records: Records) -> tuple[Variant, ...]:
    """Lay out an audit: the target as it is first, then one variant for each mitigation of the training.

    Parameters
    ----------
    spec
        The audit.
    records_path, split_path
        Paths of the finished artefacts.
    records
        The opened records.

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
    plan = ShadowPlan.of(spec.n_shadows, spec.shadow_size, n_pool, spec.seed) if spec.n_shadows else None
    trainings = [Training(records_path, split_path, spec.target, m, spec.seed) for m in spec.in_training]
    return tuple(_variant(spec, training, plan, n_classes) for training in trainings)


def _variant(spec: AuditSpec, training: Training, plan: ShadowPlan | None, n_classes: int) -> Variant:
    target = TargetFit(training)
    query = TargetQuery(target.recipe.path, training.records, training.split)
    shadows: tuple[ShadowFit, ...] = ()
    merges: tuple[AttackData, ...] = ()
    n_vectors = 0
    if plan is not None:
        shadows = tuple(ShadowFit(training, plan, i) for i in range(plan.n_models))
        paths = tuple(s.recipe.path for s in shadows)
        n_vectors = plan.n_models * (plan.size + plan.n_out)
        chunks = class_chunks(n_classes, n_vectors)
        merges = tuple(AttackData(paths, labels, n_classes) for labels in chunks)
    post_hoc = spec.post_hoc if training.mitigation is None else (None,)
    cases = tuple(_case(spec, training, query, merges, n_vectors, a, m) for m in post_hoc for a in spec.attacks)
    return Variant(training, target, query, shadows, merges, cases)


def _case(
    spec: AuditSpec,
    training: Training,
    query: TargetQuery,
    merges: tuple[AttackData, ...],
    n_vectors: int,
    attack: AnyAttack,
    mitigation: PostHoc | None,
) -> Case:
    answers = query.recipe.path
    fits: tuple[AttackFit, ...] = ()
    if isinstance(attack, Shokri):
        at_once = attack.at_once(4 * n_vectors)  # a class has its share of the vectors, whose length is that of classes
        fits = tuple(
            AttackFit(attack, mitigation, merge.recipe.path, tuple(labels.tolist()), spec.seed)
            for merge in merges
            for labels in np.array_split(merge.labels, -(-len(merge.labels) // at_once))
        )
    models, data = tuple(f.recipe.path for f in fits), tuple(m.recipe.path for m in merges)
    scoring = Scoring(attack, mitigation, answers, models, data, spec.seed)
    evaluation = Evaluation(scoring.recipe.path, answers, training.records, mitigation)
    return Case(attack, training.mitigation, mitigation, fits, scoring, evaluation)
