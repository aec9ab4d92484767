"""The stages of an audit, one function a line of the flow: which steps each makes, and in which chunks.

Belongs here: how a stage's work is dealt out, and which stage's tasks wait for which. Does not belong here: the work
itself (`umbrameter.steps`), nor the order of the stages (`flows.audit`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from data.catalogue import locate, write_generated
from tasks import stage_tasks
from tasks.external_targets.handover import ModelHandle
from tasks.session import CLUSTER, Chunk, Session
from tasks.stage_tasks import StageTask
from umbrameter.records.build import build, records_recipe
from umbrameter.records.reader import Records
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.layout import AuditInputs, Measurement, TrainedVariant, lay_out
from umbrameter.steps.shadow_models import unusable_shadow_data
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetFit, TargetIdentity
from umbrameter.steps.target_answers import QueryStep
from umbrameter.store.metadata import Cost
from umbrameter.store.steps import Step, paths_of
from umbrameter.targets.base import Target
from umbrameter.targets.connection import (
    N_CANARIES,
    N_CANARIES_COARSE,
    Connection,
    ConnectionContext,
    draw_canaries,
)

UNKNOWN_SECONDS = 1.0
"""What training a shadow model is taken to last, where no target was trained here."""

MOST_FITS = 4
"""Attack models of the same vectors, under different mitigations, that one chunk fits: they are read once for all."""

Work = tuple[StageTask, Chunk]
"""A chunk and the task that makes it."""


def run_name() -> str:
    """Return a flow run's name: the audit's or the sweep's, as the spec or its path gives it."""
    spec = flow_run.parameters["spec"]
    if isinstance(spec, str):
        return spec.rpartition("/")[2].removesuffix(".yaml")
    return str(spec["name"] if isinstance(spec, dict) else spec.name)


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


def prepare_records(session: Session) -> str:
    """Write the records as Parquet parts, checked, and return their path."""
    future = session.graph.submit(_prepare_records, [], session)
    path = future.result()
    session.graph.note(future, [path])
    return path


@task(name="prepare_records", task_run_name="prepare the records", cache_policy=NO_CACHE)
def _prepare_records(session: Session) -> str:
    """Write the records as Parquet parts, checked."""
    spec = session.spec
    with session.stage("prepare", 1):
        source = source_of(spec.data, session.store.root)
        recipe = records_recipe(source, spec.membership)
        is_there = session.store.find(recipe) is not None
        if not is_there:
            session.begin(CLUSTER, session.cluster.start)
        path = build(source, session.store, spec.membership).path
        session.count({path}, set() if is_there else {path})
    return path


def source_of(data: CatalogueData | GeneratedData | ParquetData | SidesData, root: str) -> ParquetData | SidesData:
    """Return where records lie; those of the catalogue are found, or made, first."""
    if isinstance(data, CatalogueData):
        return locate(data.name, root)
    if isinstance(data, GeneratedData):
        sizes = (data.records, data.features, data.classes)
        path = write_generated(data.like, *sizes, data.density, data.distinctness, data.seed, root)
        return ParquetData(path=str(path), label="y", duplicates="drop")
    return data


def split_records(session: Session, records: str) -> tuple[str, ...]:
    """Deal the records into members, non-members and pool, once for each repeat, and return the splits' paths."""
    steps = [Split(records, spec.n_members, spec.n_nonmembers, spec.seed) for spec in session.spec.repeated()]
    chunks = [Chunk("split the records", [step]) for step in steps]
    run_stage(session, "split", [(stage_tasks.split_records, chunk) for chunk in chunks])
    return paths_of(steps)


@contextmanager
def connect_target(
    session: Session, records: str, splits: Sequence[str], model: ModelHandle | None, tracking_uri: str | None
) -> Iterator[Connection | None]:
    """Find the target, where it was trained elsewhere: who it is, and how it is asked; close the connection after.

    Parameters
    ----------
    session
        The run.
    records, splits
        Paths of the artefacts.
    model
        The Python object, for a target of kind `object`.
    tracking_uri
        Where MLflow is, if the target does not say.

    Yields
    ------
    The connection; None for a target that is trained here.
    """
    target = session.spec.target
    if target.trained_here:
        yield None
        return
    arguments = session, target, records, splits[0], model, tracking_uri
    future = session.graph.submit(_connect_target, splits, *arguments)
    connection = future.result()
    try:
        session.graph.note(future, [_identity(connection).recipe.path])
        yield connection
    finally:
        connection.close()


@task(name="connect_target", task_run_name="connect to the target", cache_policy=NO_CACHE)
def _connect_target(
    session: Session,
    target: Target,
    records: str,
    split: str,
    model: ModelHandle | None,
    tracking_uri: str | None,
) -> Connection:
    """Find a target that was trained elsewhere: who it is, and how it is asked."""
    from tasks.external_targets.connectors import connect  # loads HTTP and, for a registered model, MLflow

    store, opened = session.store, Records.open(session.store, records)
    n_canaries = N_CANARIES_COARSE if target.released_answers else N_CANARIES
    context = ConnectionContext(
        store=store,
        records=opened,
        canaries=draw_canaries(opened, store.open(split), n_canaries),
        model=None if model is None else model.model,
        tracking_uri=tracking_uri,
    )
    connection = connect(target, context)
    session.make([_identity(connection)])
    return connection


def _identity(connection: Connection) -> TargetIdentity:
    return TargetIdentity(connection.facts, connection.description)


def plan_audit(
    session: Session,
    records: str,
    splits: Sequence[str],
    connection: Connection | None,
    unusable: Mapping[str, str] | None = None,
) -> tuple[TrainedVariant, ...]:
    """Lay out every step of every repeat, so that an impossible plan ends here.

    Parameters
    ----------
    session
        The run.
    records, splits
        Paths of the artefacts.
    connection
        The target, where it was trained elsewhere.
    unusable
        Paths of shadow data of which too few could be drawn, with the reason.
    """
    target = None if connection is None else _identity(connection)
    paths = [records, *splits, *([] if target is None else [target.recipe.path])]
    future = session.graph.submit(_plan_audit, paths, session, records, splits, target, unusable or {})
    variants = future.result()
    session.graph.note(future, paths)  # whatever reads these was planned
    return variants


@task(name="plan_audit", task_run_name="plan the audit", cache_policy=NO_CACHE)
def _plan_audit(
    session: Session,
    records: str,
    splits: Sequence[str],
    target: TargetIdentity | None,
    unusable: Mapping[str, str],
) -> tuple[TrainedVariant, ...]:
    """Lay out every step of every repeat, so that an impossible plan ends here."""
    opened = Records.open(session.store, records)
    repeats = enumerate(zip(session.spec.repeated(), map(session.store.open, splits), strict=True))
    inputs = [AuditInputs(spec, opened, split, target, repeat, unusable) for repeat, (spec, split) in repeats]
    return tuple(variant for part in inputs for variant in lay_out(part))


def announce_queries(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Say how many queries the audit needs, before any is made, and hold that against the budget."""
    if connection is not None:
        from tasks.external_targets.budget import announce

        announce(session.store, connection, [step for variant in variants for step in _queries(variant)])


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


def verify_unchanged(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Ask a target that was trained elsewhere about the same records as at the beginning: it must still be the same."""
    if connection is not None:
        answers = [step.recipe.path for variant in variants for step in _queries(variant)]
        session.graph.submit(_verify_unchanged, answers, connection).result()


@task(name="verify_unchanged", task_run_name="verify that the target is unchanged", cache_policy=NO_CACHE)
def _verify_unchanged(connection: Connection) -> None:
    """Ask a target that was trained elsewhere about the same records as at the beginning."""
    connection.verify_unchanged()


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


def _queries(variant: TrainedVariant) -> list[QueryStep]:
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
