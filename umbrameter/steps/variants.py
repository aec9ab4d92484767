"""The parts of an audit's layout: trained variants of the target, and the measurements made on each."""

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
    """One attack on the target under one mitigation by one kind of attacker: one of the report's results.

    Parameters
    ----------
    attack
        The attack.
    plan
        The mitigation, or none.
    attacker
        Adaptive or static; None on the unmitigated target, where there is no mitigation to know of.
    input_steps
        Steps that the attack needs in addition to its variant's, such as those that fit attack models.
    scoring, evaluation, utility
        The steps that score the records, compute the attack's figures, and measure the utility of the answers.
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
        """The steps that fit the attack's models."""
        return tuple(step for step in self.input_steps if isinstance(step, AttackFit))

    @property
    def title(self) -> str:
        """A title, such as `loss on rounding(1)`."""
        attacker = " by a static attacker" if self.attacker == "static" else ""
        return f"{self.attack.label} on {self.mitigation or 'the unmitigated target'}{attacker}"


@dataclass(frozen=True)
class Unmeasurable:
    """One attack on the target under one mitigation that cannot be measured, and why."""

    attack: AnyAttack
    plan: MitigationPlan
    reason: str
    utility: MeasureUtility


@dataclass(frozen=True)
class TrainedVariant:
    """The target trained and guarded in one way, with all steps that depend on it.

    Parameters
    ----------
    training
        How the target and the shadow models are trained.
    guard
        The learned mitigation that all answers pass through, if there is one.
    target, query
        The steps that make the target and ask it about the audited records.
    population
        The step that asks it about other records, if an attack learns from them.
    noisy
        The steps that ask it about changed copies, one per noise.
    trained, shadows
        The steps that train shadow models, and those that make their answers: the same, or guarded answers.
    merges, references
        The steps that merge these answers by class, and that gather them on the audited records.
    searches, drawn
        The steps that draw the shadow models' records, if they do not come from the pool.
    measurements, unmeasurable
        Every attack on every mitigation that this variant serves.
    controls
        The step that checks the audit; only for the unmitigated target.
    guarantees
        The steps that check privacy guarantees, one per mitigation that claims privacy.
    repeat
        Number of the repeat of the audit, from 0.
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
        """A title, such as `the target with params(max_depth=3)`."""
        mitigations = [m.label for m in (*self.training.mitigations, *([self.guard.mitigation] if self.guard else []))]
        suffix = f" with {', '.join(mitigations)}" if mitigations else ""
        return f"the target{suffix}{f', repeat {self.repeat}' if self.repeat else ''}"

    @property
    def has_own_models(self) -> bool:
        """Whether the variant trains its own models; a guarded one uses those of the unguarded variant."""
        return self.guard is None

    @property
    def entries(self) -> tuple[Measurement | Unmeasurable, ...]:
        """The entries of the report's results."""
        return (*self.measurements, *self.unmeasurable)

    @property
    def steps(self) -> dict[str, Step]:
        """All of the variant's steps by path, those that it shares with other variants too."""
        steps: list[Step] = [self.target, self.query, *self.population]
        steps += [step for step in (self.drawn, self.guard) if step is not None]
        steps += [*self.noisy, *self.searches, *self.trained, *self.shadows, *self.merges, *self.references]
        steps += [step for m in self.measurements for step in (*m.input_steps, m.scoring, m.evaluation)]
        steps += [*(entry.utility for entry in self.entries), *self.controls, *self.guarantees]
        return {step.recipe.path: step for step in steps}

    @property
    def input_steps(self) -> dict[str, Step]:
        """The steps that single attacks need in addition to the variant's, by path."""
        return {step.recipe.path: step for measurement in self.measurements for step in measurement.input_steps}
