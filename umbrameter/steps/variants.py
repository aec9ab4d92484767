"""What an audit is laid out as: its measurements, and the trained variants of the target that they are made on."""

from dataclasses import dataclass

from umbrameter.attacks import AnyAttack
from umbrameter.mitigations.plan import Attacker, MitigationPlan
from umbrameter.steps.attack_data import AttackData
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.controls import CheckControls
from umbrameter.steps.evaluations import EvaluateAttack
from umbrameter.steps.guarantees import CheckGuarantee
from umbrameter.steps.guards import GuardedAnswers, GuardFit
from umbrameter.steps.reference_answers import ReferenceData
from umbrameter.steps.scores import Scoring
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis
from umbrameter.steps.target import TargetFit, TargetIdentity
from umbrameter.steps.target_answers import NoisyQuery, PopulationQuery, StoredQuery, TargetQuery
from umbrameter.steps.training import Training
from umbrameter.steps.utility import MeasureUtility
from umbrameter.store.steps import Step


@dataclass(frozen=True)
class Measurement:
    """One attack on the target under one mitigation by one attacker: what becomes one of the report's results.

    Parameters
    ----------
    attack
        The attack.
    plan
        The mitigation, or none.
    attacker
        None on the unmitigated target, where there is nothing to know about.
    input_steps
        The steps that it needs beside those of its variant, such as for attack models.
    scoring, evaluation, utility
        The steps that score, measure the attack, and measure the target's answers.
    """

    attack: AnyAttack
    plan: MitigationPlan
    attacker: Attacker | None
    input_steps: tuple[Step, ...]
    scoring: Scoring
    evaluation: EvaluateAttack
    utility: MeasureUtility

    @property
    def mitigation(self) -> str | None:
        """The mitigation's label, None without one."""
        return self.plan.label

    @property
    def attack_models(self) -> tuple[AttackFit, ...]:
        """The steps that fit attack models for it."""
        return tuple(step for step in self.input_steps if isinstance(step, AttackFit))

    @property
    def title(self) -> str:
        """The measurement in words, such as `loss on rounding(1)`."""
        who = " by a static attacker" if self.attacker == "static" else ""
        return f"{self.attack.label} on {self.mitigation or 'the unmitigated target'}{who}"


@dataclass(frozen=True)
class Unmeasurable:
    """One attack on the target under one mitigation that cannot be measured, and why."""

    attack: AnyAttack
    plan: MitigationPlan
    reason: str
    utility: MeasureUtility


@dataclass(frozen=True)
class TrainedVariant:
    """The target, unmitigated or trained or guarded otherwise, with all that follows from it.

    Parameters
    ----------
    training
        How target and shadow models are trained.
    guard
        The learned mitigation that all answers pass through, if there is one.
    target, query
        The target, and its answers on the audited records.
    population
        Its answers on other records: one step where an attack learns from them, else none.
    noisy
        Its labels of changed copies, one step for each noise.
    trained, shadows
        The shadow models, and what makes their answers: the same, or these passed through the guard.
    merges, references
        Their answers merged class by class, and gathered on the audited records.
    searches, drawn
        What draws the shadow models' records, where they are not those of the pool.
    measurements, unmeasurable
        Each attack on each mitigation that this variant serves.
    controls
        Of the unmitigated target, one; of others, none.
    guarantees
        One where the training claims privacy, else none.
    repeat
        Which repeat of the audit this is of.
    """

    training: Training
    guard: GuardFit | None
    target: TargetFit | TargetIdentity
    query: TargetQuery | StoredQuery | GuardedAnswers
    population: tuple[PopulationQuery | GuardedAnswers, ...]
    noisy: tuple[NoisyQuery, ...]
    trained: tuple[ShadowFit, ...]
    shadows: tuple[ShadowFit, ...] | tuple[GuardedAnswers, ...]
    merges: tuple[AttackData, ...]
    references: tuple[ReferenceData, ...]
    searches: tuple[Synthesis, ...] = ()
    drawn: ShadowRecords | None = None
    measurements: tuple[Measurement, ...] = ()
    unmeasurable: tuple[Unmeasurable, ...] = ()
    controls: tuple[CheckControls, ...] = ()
    guarantees: tuple[CheckGuarantee, ...] = ()
    repeat: int = 0

    @property
    def title(self) -> str:
        """The variant in words."""
        mitigations = [m.label for m in (*self.training.mitigations, *([self.guard.mitigation] if self.guard else []))]
        with_them = f" with {', '.join(mitigations)}" if mitigations else ""
        return f"the target{with_them}{f', repeat {self.repeat}' if self.repeat else ''}"

    @property
    def has_own_models(self) -> bool:
        """Whether target and shadow models are its own; a guarded variant has those of another."""
        return self.guard is None

    @property
    def entries(self) -> tuple[Measurement | Unmeasurable, ...]:
        """What becomes an entry of the report's results each."""
        return (*self.measurements, *self.unmeasurable)

    @property
    def input_steps(self) -> dict[str, Step]:
        """The steps, by path, that single attacks need beside those of the variant."""
        return {step.recipe.path: step for measurement in self.measurements for step in measurement.input_steps}
