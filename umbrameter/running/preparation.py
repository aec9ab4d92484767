"""Prepare an audit: the records, the split, the connection to the target, and the plan of all steps.

Belongs here: the first lines of an audit. Does not belong here: the stages that carry out the plan (`stages`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from umbrameter.evaluation.decidable import sentences
from umbrameter.records.build import AnyData, build, records_recipe
from umbrameter.records.in_words import found_in_words
from umbrameter.records.reader import Records
from umbrameter.records.sources import CatalogueData, GeneratedData
from umbrameter.running import stage_jobs
from umbrameter.running.budget import announce
from umbrameter.running.jobs import job
from umbrameter.running.session import WORKERS, Chunk, Session
from umbrameter.running.stages import queries_of, run_stage
from umbrameter.spec.limits import expand
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import Split, SplitMetadata
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import paths_of
from umbrameter.targets.base import Target
from umbrameter.targets.connection import (
    N_CANARIES,
    N_CANARIES_COARSE,
    Connection,
    ConnectionContext,
    draw_canaries,
)

log = logging.getLogger("umbrameter.audit")


def prepare_records(session: Session) -> str:
    """Check the records, write them as Parquet parts, and return their path."""
    future = session.graph.submit(_prepare_records, [], session)
    path = future.result()
    session.graph.note(future, [path])
    return path


@job("prepare the records")
def _prepare_records(session: Session) -> str:
    """Check the records and write them as Parquet parts."""
    spec = session.spec
    with session.stage("prepare", 1):
        source = located(session)
        recipe = records_recipe(source, spec.membership)
        is_stored = session.store.find(recipe) is not None
        if not is_stored:  # else the whole audit may be in the store, and needs no workers
            session.begin(WORKERS, session.workers.start)
            if session.driver.draws_figures:
                session.begin("figures", lambda: import_module("umbrameter.report.figures"))
        path = build(source, session.store, spec.membership).path
        session.made_here.add(path)
        session.count({path}, set() if is_stored else {path})
    found = found_in_words(Records.open(session.store, path))
    log.info(". ".join(map(": ".join, found.items())), extra={"is_notice": True})
    return path


def located(session: Session) -> AnyData:
    """Return where an audit's records are; those of a named data set are found or made first."""
    data = session.spec.data
    return session.driver.locate(data, session.store.root) if isinstance(data, CatalogueData | GeneratedData) else data


def split_records(session: Session, records: str) -> tuple[str, ...]:
    """Divide the records into members, non-members and pool, once per repeat, and return the splits' paths."""
    steps = [Split(records, spec.n_members, spec.n_nonmembers, spec.seed) for spec in session.spec.repeated()]
    chunks = [Chunk("split the records", [step]) for step in steps]
    run_stage(session, "split", [(stage_jobs.split_records, chunk) for chunk in chunks])
    return paths_of(steps)


def announce_limits(session: Session, splits: Sequence[str]) -> None:
    """Log for each limit whether it can fail and pass with as many records as are audited, before anything is trained.

    Parameters
    ----------
    session
        The running audit.
    splits
        Paths of the splits; the first repeat's sizes count.
    """
    sizes = SplitMetadata.read(session.store.open(splits[0]))
    for line in sentences(expand(session.spec.limits), (sizes.n_members, sizes.n_nonmembers)):
        log.info(f"Limit {line}", extra={"is_notice": True})


@contextmanager
def connect_target(
    session: Session, records: str, splits: Sequence[str], model: Any, tracking_uri: str | None
) -> Iterator[Connection | None]:
    """Connect to a target that was trained elsewhere, and close the connection when the block ends.

    Parameters
    ----------
    session
        The running audit.
    records, splits
        Paths of the artefacts.
    model
        The Python object, for a target of kind `object`.
    tracking_uri
        MLflow's address, if the target does not name one.

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
        session.graph.note(future, [TargetIdentity.of(connection).recipe.path])
        yield connection
    finally:
        connection.close()


@job("connect to the target")
def _connect_target(
    session: Session,
    target: Target,
    records: str,
    split: str,
    model: Any,
    tracking_uri: str | None,
) -> Connection:
    """Connect to a target that was trained elsewhere, and store its identity."""
    store, opened = session.store, Records.open(session.store, records)
    # Two models give the same labels or rounded answers more often than the same probabilities.
    n_canaries = N_CANARIES_COARSE if target.released_answers else N_CANARIES
    context = ConnectionContext(
        store=store,
        records=opened,
        canaries=draw_canaries(opened, store.open(split), n_canaries),
        model=model,
        tracking_uri=tracking_uri,
    )
    connection = session.driver.connect(target, context)
    session.make([TargetIdentity.of(connection)])
    return connection


def plan_audit(
    session: Session,
    records: str,
    splits: Sequence[str],
    connection: Connection | None,
    unusable: Mapping[str, str] | None = None,
) -> tuple[TrainedVariant, ...]:
    """Plan every step of every repeat, so that an impossible audit fails before any work.

    Parameters
    ----------
    session
        The running audit.
    records, splits
        Paths of the artefacts.
    connection
        The connection to a target trained elsewhere, else None.
    unusable
        The path of each artefact of shadow data with too few records, and the reason.
    """
    target = None if connection is None else TargetIdentity.of(connection)
    paths = [records, *splits, *([] if target is None else [target.recipe.path])]
    future = session.graph.submit(_plan_audit, paths, session, records, splits, target, unusable or {})
    variants = future.result()
    session.graph.note(future, paths)  # later tasks read these, so they wait for the plan
    return variants


@job("plan the audit")
def _plan_audit(
    session: Session,
    records: str,
    splits: Sequence[str],
    target: TargetIdentity | None,
    unusable: Mapping[str, str],
) -> tuple[TrainedVariant, ...]:
    """Plan every step of every repeat, so that an impossible audit fails before any work."""
    opened = Records.open(session.store, records)
    repeats = enumerate(zip(session.spec.repeated(), map(session.store.open, splits), strict=True))
    inputs = [AuditInputs(spec, opened, split, target, repeat, unusable) for repeat, (spec, split) in repeats]
    return tuple(variant for part in inputs for variant in lay_out(part))


def announce_queries(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Log how many queries the audit needs, before any is made, and compare them with the budget.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps.
    connection
        The connection to a target trained elsewhere; without one, nothing is logged.

    Raises
    ------
    TargetError
        When the queries exceed the budget.
    """
    if connection is not None:
        announce(session.store, connection, [step for variant in variants for step in queries_of(variant)])


def verify_unchanged(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> None:
    """Check that a target that was trained elsewhere still gives the answers that it gave at the beginning.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps.
    connection
        The connection to a target trained elsewhere; without one, nothing is checked.

    Raises
    ------
    TargetError
        When its answers have changed.
    """
    if connection is not None:
        # The check waits for the last answer, since the model may be replaced until then.
        answers = [step.recipe.path for variant in variants for step in queries_of(variant)]
        session.graph.submit(_verify_unchanged, answers, connection).result()


@job("verify that the target is unchanged")
def _verify_unchanged(connection: Connection) -> None:
    """Query a target that was trained elsewhere about its canaries again."""
    connection.verify_unchanged()
