"""What an audit is laid out from, and all that makes one impossible, found before any work is done.

Belongs here: whether records, split, recipe and settings fit each other. Does not belong here: the steps (`layout`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from umbrameter.attacks import Input, Population, ReferenceLogits
from umbrameter.attacks.inputs import of_kind
from umbrameter.errors import PlanError, UmbrameterError, errors_in
from umbrameter.estimators import Estimator
from umbrameter.mitigations import PostHoc, answered
from umbrameter.mitigations.plan import MitigationPlan
from umbrameter.records.reader import Records
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.spec.audit import AuditSpec, check_answers
from umbrameter.steps.split import SplitMetadata
from umbrameter.steps.taken_values import refuse_values
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Artefact

FEWEST_POPULATION = 100
"""Fewest records of the pool that an attack can learn from."""


@dataclass(frozen=True)
class AuditInputs:
    """Everything that an audit is laid out from.

    Parameters
    ----------
    spec
        The audit.
    records
        The opened records.
    split
        The opened `split` artefact.
    target
        The target's identity, if it was trained elsewhere.
    repeat
        Number of this repeat of the audit, from 0; the spec has its seed.
    unusable_shadow_data
        Paths of `shadow_records` artefacts with too few records, each with the reason.
    """

    spec: AuditSpec
    records: Records
    split: Artefact
    target: TargetIdentity | None = None
    repeat: int = 0
    unusable_shadow_data: Mapping[str, str] = field(default_factory=dict)

    @property
    def estimator(self) -> Estimator | None:
        """The shadow models' estimator: the spec's, or the one that was read off the target."""
        return self.spec.estimator or (None if self.target is None else self.target.estimator)

    @property
    def sizes(self) -> SplitMetadata:
        """Sizes of the split's parts."""
        return SplitMetadata.read(self.split)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.records.classes)

    @property
    def n_answers(self) -> int:
        """Number of elements of a prediction vector: the data's classes, and those that only the target knows."""
        return self.n_classes + len(() if self.target is None else self.target.facts.get("other_classes", ()))

    @property
    def shadow_size(self) -> int:
        """Number of IN records of each shadow model."""
        return self.spec.shadows.size or self.sizes.n_members

    @property
    def n_drawn(self) -> int:
        """Largest number of records that shadow models can take theirs from."""
        n_records = self.spec.shadows.records or 2 * self.shadow_size
        return self.spec.shadows.data.n_drawn(n_records, self.sizes.n_pool)

    @property
    def attack_inputs(self) -> frozenset[Input]:
        """The inputs of all attacks."""
        return frozenset[Input]().union(*(attack.inputs for attack in self.spec.required_attacks))


def errors_of(inputs: AuditInputs, is_split: bool = True) -> list[UmbrameterError]:
    """Return all that makes an audit impossible, which `lay_out` would raise.

    Parameters
    ----------
    inputs
        Everything that the audit is laid out from.
    is_split
        Whether the split is the audit's, so that the sizes of its parts count.
    """
    spec = inputs.spec
    checks: list[Callable[[], object]] = [partial(_check_mitigation, inputs, plan) for plan in plans_of(spec)]
    checks += [partial(_check_population, inputs), partial(shadow_plan_of, inputs)] if is_split else []
    checks.append(partial(estimator_of, inputs))
    if inputs.estimator is not None and (spec.target.trained_here or spec.n_shadows):
        records, shadow_data = inputs.records, spec.shadows.data if spec.n_shadows else None
        ways = [plan.training for plan in plans_of(spec)]
        for mitigations in (way for i, way in enumerate(ways) if way not in ways[:i]):
            training = Training(records.artefact.path, inputs.split.path, inputs.estimator, mitigations, spec.seed)
            checks.append(partial(refuse_values, training, records, shadow_data))
    return errors_in(*checks)


def plans_of(spec: AuditSpec) -> tuple[MitigationPlan, ...]:
    """Return the plans of the unmitigated target and of each mitigation."""
    return (MitigationPlan(), *map(MitigationPlan, spec.mitigations))


def _check_mitigation(inputs: AuditInputs, plan: MitigationPlan) -> None:
    """Refuse a setting such as top_k's k that does not fit the classes, found on a uniform vector."""
    answered(np.full((1, inputs.n_answers), 1 / inputs.n_answers, dtype=np.float32), passed_through(inputs.spec, plan))


def _check_population(inputs: AuditInputs) -> None:
    spec, sizes = inputs.spec, inputs.sizes
    if spec.target.can_be_queried and needs_population(inputs) and sizes.n_pool < FEWEST_POPULATION:
        raise PlanError(
            f"an attack learns from non-members of the pool, and {sizes.n_pool} records are left after members and "
            f"non-members (needs {FEWEST_POPULATION}); lower split.members or split.nonmembers, or leave the attack out"
        )


def shadow_plan_of(inputs: AuditInputs) -> ShadowPlan | None:
    """Return which records are IN and OUT of each shadow model, or None if there are none.

    Raises
    ------
    PlanError
        When there are too few records.
    """
    spec, sizes = inputs.spec, inputs.sizes
    if not spec.n_shadows:
        return None
    if spec.shadows.data.needs_pool and not sizes.n_pool and spec.shadows.design != "audit":
        raise PlanError(
            f"shadows.data.kind={spec.shadows.data.kind} needs records that are neither members nor non-members, and "
            "there are none; give a pool, or shadow data made from less: model_based, or marginal with a file; or, as "
            "only the owner can, train shadow models on the audited records: shadows.design: audit"
        )
    n = spec.n_shadows, inputs.shadow_size, sizes.n_audited, inputs.n_drawn
    return ShadowPlan.of(spec.shadows.design, *n, spec.seed, bool(temperatures_of(inputs)))


def estimator_of(inputs: AuditInputs) -> Estimator | None:
    """Return the estimator that is trained, if there is one.

    Raises
    ------
    PlanError
        When shadow models need one and there is none, or it answers no probabilities.
    """
    spec, estimator = inputs.spec, inputs.estimator
    if not spec.n_shadows:
        return estimator
    if estimator is None:
        why_not = "" if inputs.target is None else inputs.target.why_not
        raise PlanError(
            f"shadows.estimator is missing, and none can be read off the target: {why_not}; give the shadow models an "
            "estimator as similar to the target as is known"
        )
    try:
        check_answers("shadows.estimator", estimator, spec.target)
    except ValueError as error:
        raise PlanError(str(error)) from None
    return estimator


def passed_through(spec: AuditSpec, plan: MitigationPlan) -> tuple[PostHoc, ...]:
    """Return the mitigations that answers pass through: the target's own, then the plan's."""
    return (*spec.target.released_answers, *plan.answers)


def needs_population(inputs: AuditInputs) -> bool:
    """Return whether an attack learns from the target's answers on the pool."""
    return bool(of_kind(inputs.attack_inputs, Population))


def temperatures_of(inputs: AuditInputs) -> list[float]:
    """Return the temperatures of the logits that attacks compare, in order."""
    return sorted({entry.temperature for entry in of_kind(inputs.attack_inputs, ReferenceLogits)})
