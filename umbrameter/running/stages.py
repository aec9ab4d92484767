"""The stages of an audit, one function per stage: which steps it makes, and in which chunks.

Belongs here: how a stage's work is divided, and which tasks wait for which. Does not belong here: the work
itself (`umbrameter.steps`), nor the order of the stages (`audit`).
"""

from collections.abc import Sequence

from umbrameter.running import stage_jobs
from umbrameter.running.jobs import Job
from umbrameter.running.session import Chunk, Session
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.shadow_models import unusable_shadow_data
from umbrameter.steps.target import TargetFit
from umbrameter.steps.target_answers import QueryStep
from umbrameter.steps.variants import Measurement, TrainedVariant
from umbrameter.store.metadata import Cost
from umbrameter.store.steps import Step, paths_of
from umbrameter.targets.connection import Connection

UNKNOWN_SECONDS = 1.0
"""Assumed training time of a shadow model when no target was trained here, so that none was measured."""

MOST_FITS = 4
"""Most attack models that one chunk fits on the same vectors, which are then read once for several mitigations."""

Work = tuple[Job[bool], Chunk]
"""A chunk and the job that makes it."""


def run_stage(session: Session, name: str, work: Sequence[Work], connection: Connection | None = None) -> None:
    """Run all chunks of a stage in parallel, each after the tasks that make its inputs, and wait for them.

    Parameters
    ----------
    session
        The running audit.
    name
        The stage's name in the log and the report.
    work
        The chunks, each with its task.
    connection
        The connection to a target trained elsewhere; None if the stage does not query it.
    """
    work = _stored_together(session, _each_step_once(work))
    if not work:
        return
    with session.stage(name, sum(len(chunk.steps) for _, chunk in work)):
        # All are submitted before the first is waited for, so that they run in parallel.
        futures = []
        for stage_job, chunk in work:
            inputs = (path for step in chunk.steps for path in step.inputs)
            future = session.graph.submit(stage_job, inputs, session, chunk, connection)
            session.graph.note(future, paths_of(chunk.steps))
            futures.append(future)
        for future in futures:
            future.result()


def _each_step_once(work: Sequence[Work]) -> list[Work]:
    """Leave each step to the first chunk that has it: measurements share steps, such as a static attacker's models."""
    dealt: set[str] = set()
    distinct: list[Work] = []
    for stage_job, chunk in work:
        steps = {step.recipe.path: step for step in chunk.steps if step.recipe.path not in dealt}
        dealt.update(steps)
        if steps:
            distinct.append((stage_job, Chunk(chunk.title, list(steps.values()))))
    return distinct


def _stored_together(session: Session, work: Sequence[Work]) -> list[Work]:
    """Join the chunks of a job that are in the store already: a task run each would cost more than their reuse."""
    stored: dict[Job[bool], list[Chunk]] = {}
    others: list[Work] = []
    for stage_job, chunk in work:
        if all(map(session.is_stored, chunk.steps)):
            stored.setdefault(stage_job, []).append(chunk)
        else:
            others.append((stage_job, chunk))
    together = []
    for stage_job, chunks in stored.items():
        more = f" and {len(chunks) - 1} more" if len(chunks) > 1 else ""
        together.append((stage_job, Chunk(chunks[0].title + more, [step for c in chunks for step in c.steps])))
    return [*others, *together]


def train_targets(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Train the target, and another one per training mitigation."""
    fits = [(v.title, v.target) for v in variants if v.has_own_models and isinstance(v.target, TargetFit)]
    # Few workers are busy during this stage, so a slow import costs little here.
    session.begin_tracking()
    chunks = [Chunk(f"train {title}", [fit]) for title, fit in fits]
    run_stage(session, "train target", [(stage_jobs.train_target, chunk) for chunk in chunks])


def query_targets(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Query each target about members and non-members, then about the other records that attacks need.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps.
    connection
        The connection to a target trained elsewhere, else None.
    """
    # A guarded variant has the answers of an unguarded one, passed through its guard.
    variants = [variant for variant in variants if variant.has_own_models]
    audited = [Chunk(f"query {v.title}", [v.query]) for v in variants]
    others = [Chunk(f"query {v.title} about others", [step]) for v in variants for step in v.population]
    others += [Chunk(f"query {v.title} under noise", [step]) for v in variants for step in v.noisy]
    others += [Chunk(f"query {v.title} for an attack", [step]) for v in variants for step in _input_queries(v)]
    run_stage(session, "query target", [(stage_jobs.query_target, chunk) for chunk in audited], connection)
    run_stage(session, "query others", [(stage_jobs.query_other_records, chunk) for chunk in others], connection)


def draw_shadow_records(
    session: Session, variants: Sequence[TrainedVariant], connection: Connection | None
) -> dict[str, str]:
    """Draw the shadow models' records, for the kinds of shadow data that are generated.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps.
    connection
        The connection to a target trained elsewhere, else None.

    Returns
    -------
    For each artefact with too few records to train on, its path and the reason.
    """
    # By path, since variants with the same target share their searches.
    chunks = [Chunk(f"search for classes {_span(s.labels)} of {v.title}", [s]) for v in variants for s in v.searches]
    work = [(stage_jobs.search_shadow_records, chunk) for chunk in chunks]
    run_stage(session, "search for records", work, connection)
    drawn = {v.drawn.recipe.path: (v, v.drawn) for v in variants if v.drawn is not None}
    chunks = [Chunk(f"draw records for {v.title}", [step]) for v, step in drawn.values()]
    run_stage(session, "draw records", [(stage_jobs.draw_shadow_records, chunk) for chunk in chunks], connection)
    reasons = {path: unusable_shadow_data(session.store, path, v.trained) for path, (v, _) in drawn.items()}
    return {path: reason for path, reason in reasons.items() if reason is not None}


def fit_shadow_models(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Train and query the shadow models, in chunks of a few seconds by the target's own training time."""
    work: list[Work] = []
    for v in (variant for variant in variants if variant.has_own_models):
        seconds = Cost.read(session.store.open(v.target.recipe.path)).seconds
        guess = seconds if isinstance(v.target, TargetFit) else UNKNOWN_SECONDS
        for steps in session.chunks(v.trained, guess):
            title = f"shadow models {_span([step.model_id for step in steps])} of {v.title}"
            work.append((stage_jobs.fit_shadow_models, Chunk(title, steps)))
    run_stage(session, "fit shadow models", work)


def merge_attack_data(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Merge the shadow models' answers into labelled IN/OUT vectors, one partition per class."""
    run_stage(session, "merge", _merges([variant for variant in variants if variant.has_own_models]))


def guard_answers(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit learned mitigations on the merged vectors, pass all answers through them, and merge the results."""
    guarded = [(v, v.guard) for v in variants if v.guard is not None]
    fits = [Chunk(f"fit the guard of {v.title}", [guard]) for v, guard in guarded]
    run_stage(session, "fit guards", [(stage_jobs.fit_guard, chunk) for chunk in fits])
    answers = [(v, [v.query, *v.population, *v.shadows]) for v, _ in guarded]
    chunks = [Chunk(f"guard answers of {v.title}", part) for v, steps in answers for part in session.chunks(steps)]
    run_stage(session, "guard answers", [(stage_jobs.guard_answers, chunk) for chunk in chunks])
    run_stage(session, "merge guarded", _merges([v for v, _ in guarded]))


def _merges(variants: Sequence[TrainedVariant]) -> list[Work]:
    merges = [(v, step) for v in variants for step in v.merges]
    chunks = [Chunk(f"merge classes {_span(step.labels)} of {v.title}", [step]) for v, step in merges]
    return [(stage_jobs.merge_attack_data, chunk) for chunk in chunks]


def gather_references(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Gather the shadow models' answers on the audited records for reference attacks, and make other attack inputs."""
    references = [(v, step) for v in variants for step in v.references]
    chunks = [Chunk(f"answers for {v.title}, {step.title}", [step]) for v, step in references]
    run_stage(session, "gather", [(stage_jobs.gather_references, chunk) for chunk in chunks])
    chunks = [Chunk(f"{step.recipe.kind} for {v.title}", [step]) for v in variants for step in _other_inputs(v)]
    run_stage(session, "make attack inputs", [(stage_jobs.make_attack_inputs, chunk) for chunk in chunks])


def fit_attack_models(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit the attack models in chunks of classes, the largest first; a chunk may cover several mitigations."""
    fits_by_data: dict[tuple[object, ...], list[AttackFit]] = {}
    for measurement in (measurement for variant in variants for measurement in variant.measurements):
        for fit in measurement.attack_models:
            fits_by_data.setdefault((measurement.attack.label, fit.data, fit.labels), []).append(fit)
    work: list[Work] = []
    # The largest chunks first, so that all workers end at about the same time.
    for (label, *_), fits in sorted(fits_by_data.items(), key=lambda entry: -len(entry[1][0].labels)):
        title = f"{label}: classes {_span(fits[0].labels)}"
        parts = (fits[i : i + MOST_FITS] for i in range(0, len(fits), MOST_FITS))
        work += [(stage_jobs.fit_attack_models, Chunk(title, part)) for part in parts]
    run_stage(session, "fit attack models", work)


def score_records(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Score the audited records with each attack, per variant and mitigation."""
    groups = _by_title(variants).items()
    chunks = [Chunk(f"score {title}", [m.scoring for m in measurements]) for title, measurements in groups]
    run_stage(session, "score", [(stage_jobs.score_records, chunk) for chunk in chunks])


def evaluate_attacks(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Measure each attack and the utility left by each mitigation, and check claims of privacy against the attacks."""
    groups = _by_title(variants).items()
    chunks = [Chunk(f"evaluate {title}", [m.evaluation for m in measurements]) for title, measurements in groups]
    work = [(stage_jobs.evaluate_attacks, chunk) for chunk in chunks]
    for entry in (entry for v in variants for entry in v.entries):
        chunk = Chunk(f"utility of {entry.plan.label or 'the unmitigated target'}", [entry.utility])
        work.append((stage_jobs.measure_utility, chunk))
    guarantees = [Chunk(f"guarantee of {v.title}", [step]) for v in variants for step in v.guarantees]
    work += [(stage_jobs.check_guarantee, chunk) for chunk in guarantees]
    run_stage(session, "evaluate", work)


def check_controls(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Run the controls, which check the audit itself."""
    chunks = [Chunk(f"control {v.title}", [step]) for v in variants for step in v.controls]
    run_stage(session, "control", [(stage_jobs.check_controls, chunk) for chunk in chunks])


def queries_of(variant: TrainedVariant) -> list[QueryStep]:
    """Return the steps of a variant that query its target."""
    drawn = [] if variant.drawn is None else [variant.drawn]
    steps = [variant.query, *variant.population, *variant.noisy, *variant.searches, *drawn]
    return [step for step in steps if isinstance(step, QueryStep)] + _input_queries(variant)


def _input_queries(variant: TrainedVariant) -> list[QueryStep]:
    """Return the steps that query the target for attacks defined outside umbrameter."""
    return [step for step in variant.input_steps.values() if isinstance(step, QueryStep)]


def _other_inputs(variant: TrainedVariant) -> list[Step]:
    """Return the other steps that make inputs of attacks defined outside umbrameter."""
    return [step for step in variant.input_steps.values() if not isinstance(step, QueryStep | AttackFit)]


def _by_title(variants: Sequence[TrainedVariant]) -> dict[str, list[Measurement]]:
    """Group measurements by the title of their chunk; those of one mitigation and attacker read the same vectors."""
    by_title: dict[str, list[Measurement]] = {}
    for v in variants:
        for measurement in v.measurements:
            static = " by a static attacker" if measurement.attacker == "static" else ""
            is_mitigated = measurement.mitigation is not None
            title = f"all attacks on {measurement.mitigation}{static}" if is_mitigated else measurement.title
            by_title.setdefault(f"{title}, repeat {v.repeat}" if v.repeat else title, []).append(measurement)
    return by_title


def _span(numbers: Sequence[int]) -> str:
    """Abbreviate numbers: `3`, or `0-7`, or `0-7 (5 of them)` with gaps."""
    first, last = min(numbers), max(numbers)
    if first == last:
        return str(first)
    gaps = "" if last - first + 1 == len(numbers) else f" ({len(numbers)} of them)"
    return f"{first}-{last}{gaps}"
