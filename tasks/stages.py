"""The stages of an audit, one function for each line of the flow: which steps it makes, and in which chunks.

Belongs here: how a stage's work is dealt out, and which stage's tasks wait for which. Does not belong here: the work
itself (`umbrameter.steps`), nor the order of the stages (`flows.audit`).
"""

from collections.abc import Sequence
from typing import Any

from tasks import stage_tasks
from tasks.session import Chunk, Session
from tasks.stage_tasks import StageTask
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.shadow_models import unusable_shadow_data
from umbrameter.steps.target import TargetFit
from umbrameter.steps.target_answers import QueryStep
from umbrameter.steps.variants import Measurement, TrainedVariant
from umbrameter.store.metadata import Cost
from umbrameter.store.steps import Step, paths_of
from umbrameter.targets.connection import (
    Connection,
)

UNKNOWN_SECONDS = 1.0
"""What training a shadow model is taken to last, where no target was trained here."""

MOST_FITS = 4
"""Attack models of the same vectors, under different mitigations, that one chunk fits: they are read once for all."""

Work = tuple[StageTask, Chunk]
"""A chunk and the task that makes it."""


def run_stage(session: Session, name: str, work: Sequence[Work], connection: Connection | None = None) -> None:
    """Make all chunks of a stage side by side, each after the tasks that made what it reads, and wait for them.

    Parameters
    ----------
    session
        The run.
    name
        The stage, as the log and the report have it.
    work
        The chunks, each with its task.
    connection
        The target, where it was trained elsewhere and the stage asks it.
    """
    if not work:
        return
    with session.stage(name, sum(len(chunk.steps) for _, chunk in work)):
        futures = []
        for stage_task, chunk in work:
            reads = (path for step in chunk.steps for path in step.inputs)
            future = session.graph.submit(stage_task, reads, session, chunk, connection)
            session.graph.note(future, paths_of(chunk.steps))
            futures.append(future)
        for future in futures:
            future.result()


def train_targets(session: Session, variants: Sequence[TrainedVariant], tracking_uri: str | None) -> None:
    """Train the target, and one more for each mitigation of the training; few workers are busy, so load MLflow too."""
    fits = [(v.title, v.target) for v in variants if v.has_own_models and isinstance(v.target, TargetFit)]
    if any(session.store.find(fit.recipe) is None for _, fit in fits):
        session.begin("MLflow", lambda: tracking().get_ready(session.store.root, tracking_uri))
    chunks = [Chunk(f"train {title}", [fit]) for title, fit in fits]
    run_stage(session, "train target", [(stage_tasks.train_target, chunk) for chunk in chunks])


def query_targets(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Ask each target about members and non-members, then about whatever else an attack looks at."""
    variants = [variant for variant in variants if variant.has_own_models]
    audited = [Chunk(f"query {v.title}", [v.query]) for v in variants]
    others = [Chunk(f"query {v.title} about others", [step]) for v in variants for step in v.population]
    others += [Chunk(f"query {v.title} under noise", [step]) for v in variants for step in v.noisy]
    others += [Chunk(f"query {v.title} for an attack", [step]) for v in variants for step in _input_queries(v)]
    run_stage(session, "query target", [(stage_tasks.query_target, chunk) for chunk in audited], connection)
    run_stage(session, "query others", [(stage_tasks.query_other_records, chunk) for chunk in others], connection)


def draw_shadow_records(
    session: Session, variants: Sequence[TrainedVariant], connection: Connection | None
) -> dict[str, str]:
    """Draw the shadow models' records, where they are made.

    Returns
    -------
    Paths of shadow data of which too few could be drawn, with the reason.
    """
    searches = {step.recipe.path: (v, step) for v in variants for step in v.searches}
    chunks = [Chunk(f"search for classes {_span(s.labels)} of {v.title}", [s]) for v, s in searches.values()]
    work = [(stage_tasks.search_shadow_records, chunk) for chunk in chunks]
    run_stage(session, "search for records", work, connection)
    drawn = {v.drawn.recipe.path: (v, v.drawn) for v in variants if v.drawn is not None}
    chunks = [Chunk(f"draw records for {v.title}", [step]) for v, step in drawn.values()]
    run_stage(session, "draw records", [(stage_tasks.draw_shadow_records, chunk) for chunk in chunks], connection)
    reasons = {path: unusable_shadow_data(session.store, path, v.trained) for path, (v, _) in drawn.items()}
    return {path: reason for path, reason in reasons.items() if reason is not None}


def fit_shadow_models(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Train the shadow models and ask them, in chunks of a few seconds, as the target's training lets expect."""
    work: list[Work] = []
    for v in (variant for variant in variants if variant.has_own_models):
        seconds = Cost.read(session.store.open(v.target.recipe.path)).seconds
        guess = seconds if isinstance(v.target, TargetFit) else UNKNOWN_SECONDS
        for steps in session.chunks(v.trained, guess):
            title = f"shadow models {_span([step.model_id for step in steps])} of {v.title}"
            work.append((stage_tasks.fit_shadow_models, Chunk(title, steps)))
    run_stage(session, "fit shadow models", work)


def merge_attack_data(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Merge the shadow models' answers into labelled IN/OUT vectors, one partition a class."""
    run_stage(session, "merge", _merges([variant for variant in variants if variant.has_own_models]))


def guard_answers(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit learned mitigations on the merged vectors, pass all answers through them, and merge these."""
    guarded = [(v, v.guard) for v in variants if v.guard is not None]
    fits = [Chunk(f"fit the guard of {v.title}", [guard]) for v, guard in guarded]
    run_stage(session, "fit guards", [(stage_tasks.fit_guard, chunk) for chunk in fits])
    answers = [(v, [v.query, *v.population, *v.shadows]) for v, _ in guarded]
    chunks = [Chunk(f"guard answers of {v.title}", part) for v, steps in answers for part in session.chunks(steps)]
    run_stage(session, "guard answers", [(stage_tasks.guard_answers, chunk) for chunk in chunks])
    run_stage(session, "merge guarded", _merges([v for v, _ in guarded]))


def _merges(variants: Sequence[TrainedVariant]) -> list[Work]:
    merges = [(v, step) for v in variants for step in v.merges]
    chunks = [Chunk(f"merge classes {_span(step.labels)} of {v.title}", [step]) for v, step in merges]
    return [(stage_tasks.merge_attack_data, chunk) for chunk in chunks]


def gather_references(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Gather the shadow models' answers on the audited records, for the attacks that compare; and other inputs."""
    references = [(v, step) for v in variants for step in v.references]
    chunks = [Chunk(f"answers for {v.title}, {step.title}", [step]) for v, step in references]
    run_stage(session, "gather", [(stage_tasks.gather_references, chunk) for chunk in chunks])
    others = {step.recipe.path: (v, step) for v in variants for step in _other_inputs(v)}
    chunks = [Chunk(f"{step.recipe.kind} for {v.title}", [step]) for v, step in others.values()]
    run_stage(session, "make attack inputs", [(stage_tasks.make_attack_inputs, chunk) for chunk in chunks])


def fit_attack_models(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit the attack models, over chunks of the classes, the largest first; those of some mitigations together."""
    alike: dict[tuple[object, ...], list[AttackFit]] = {}
    for measurement in (measurement for variant in variants for measurement in variant.measurements):
        for fit in measurement.attack_models:
            alike.setdefault((measurement.attack.label, fit.data, fit.labels), []).append(fit)
    work: list[Work] = []
    for (label, *_), fits in sorted(alike.items(), key=lambda entry: -len(entry[1][0].labels)):
        title = f"{label}: classes {_span(fits[0].labels)}"
        parts = (fits[i : i + MOST_FITS] for i in range(0, len(fits), MOST_FITS))
        work += [(stage_tasks.fit_attack_models, Chunk(title, part)) for part in parts]
    run_stage(session, "fit attack models", work)


def score_records(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Score the audited records by each attack on each variant and mitigation."""
    dealt = _by_title(variants).items()
    chunks = [Chunk(f"score {title}", [m.scoring for m in measurements]) for title, measurements in dealt]
    run_stage(session, "score", [(stage_tasks.score_records, chunk) for chunk in chunks])


def evaluate_attacks(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Measure each attack and what each mitigation costs, with intervals; hold claims of privacy against attacks."""
    dealt = _by_title(variants).items()
    chunks = [Chunk(f"evaluate {title}", [m.evaluation for m in measurements]) for title, measurements in dealt]
    work = [(stage_tasks.evaluate_attacks, chunk) for chunk in chunks]
    utilities = {entry.utility.recipe.path: entry for v in variants for entry in v.entries}
    for entry in utilities.values():
        chunk = Chunk(f"utility of {entry.plan.label or 'the unmitigated target'}", [entry.utility])
        work.append((stage_tasks.measure_utility, chunk))
    guarantees = [Chunk(f"guarantee of {v.title}", [step]) for v in variants for step in v.guarantees]
    work += [(stage_tasks.check_guarantee, chunk) for chunk in guarantees]
    run_stage(session, "evaluate", work)


def check_controls(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Check the audit itself."""
    chunks = [Chunk(f"control {v.title}", [step]) for v in variants for step in v.controls]
    run_stage(session, "control", [(stage_tasks.check_controls, chunk) for chunk in chunks])


def tracking() -> Any:
    """Return `tasks.mlflow_client.runs`, which takes two seconds to load."""
    from tasks.mlflow_client import runs

    return runs


def queries_of(variant: TrainedVariant) -> list[QueryStep]:
    """Return the steps of a variant that ask its target."""
    drawn = [] if variant.drawn is None else [variant.drawn]
    steps = [variant.query, *variant.population, *variant.noisy, *variant.searches, *drawn]
    return [step for step in steps if isinstance(step, QueryStep)] + _input_queries(variant)


def _input_queries(variant: TrainedVariant) -> list[QueryStep]:
    """Return the steps that ask its target for attacks from outside."""
    return [step for step in variant.input_steps.values() if isinstance(step, QueryStep)]


def _other_inputs(variant: TrainedVariant) -> list[Step]:
    """Return what else attacks from outside look at."""
    return [step for step in variant.input_steps.values() if not isinstance(step, QueryStep | AttackFit)]


def _by_title(variants: Sequence[TrainedVariant]) -> dict[str, list[Measurement]]:
    """Return measurements by title of a chunk; those of one mitigation and attacker, of the same vectors, together."""
    by_title: dict[str, list[Measurement]] = {}
    for v in variants:
        for measurement in v.measurements:
            static = " by a static attacker" if measurement.attacker == "static" else ""
            is_mitigated = measurement.mitigation is not None
            title = f"all attacks on {measurement.mitigation}{static}" if is_mitigated else measurement.title
            by_title.setdefault(f"{title}, repeat {v.repeat}" if v.repeat else title, []).append(measurement)
    return by_title


def _span(numbers: Sequence[int]) -> str:
    """Return numbers in short: `3`, or `0-7`, or `0-7 (5 of them)` with gaps."""
    first, last = min(numbers), max(numbers)
    if first == last:
        return str(first)
    gaps = "" if last - first + 1 == len(numbers) else f" ({len(numbers)} of them)"
    return f"{first}-{last}{gaps}"
