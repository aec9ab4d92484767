"""Write an audit's report into its run folder, and log the run to MLflow."""

import re
from collections.abc import Sequence

import yaml
from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from tasks.session import Session
from tasks.stages import tracking
from umbrameter.report import Report, html
from umbrameter.report.assemble import assemble, drawn_figures
from umbrameter.report.run_artefacts import FILE, RunArtefacts
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import summary_sentence
from umbrameter.report.text import attacker_name, confidence, figure, intervals_note, mitigation_name
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import paths_of
from umbrameter.targets.connection import Connection


def write_report(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> str:
    """Write the run's folder, and return its path relative to the root.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps, all of them made.
    connection
        The connection to a target trained elsewhere, else None.
    """
    results = [path for v in variants for step in (v.guarantees, v.controls) for path in paths_of(step)]
    results += [step.recipe.path for v in variants for m in v.measurements for step in (m.evaluation, m.utility)]
    # quote: Prefect would search every step of every variant for futures.
    future = session.graph.submit(_write_report, results, session, quote(variants), connection)
    folder = future.result()
    session.graph.note(future, [folder])
    return folder


@task(name="write_report", task_run_name="write the report", cache_policy=NO_CACHE)
def _write_report(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> str:
    """Write the run's folder: report, figures, spec and the list of artefacts; return its path."""
    store, spec, folder = session.store, session.spec, session.run_folder()
    n_sent = None if connection is None else connection.n_sent()
    with session.stage("report", 0):
        figures = drawn_figures(assemble(spec, store, variants, session.cost(n_sent)), store, variants)
    report = assemble(spec, store, variants, session.cost(n_sent))  # again, so that the figures' time is in its cost
    files = {
        "report.html": html.render(report, figures).encode(),
        "spec.yaml": yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode(),
        FILE: RunArtefacts.of(variants).model_dump_json(indent=1).encode(),
        **{f"figures/{name}.png": png for name, png in figures.items()},
        **({} if connection is None else connection.files()),
        # The last file, so that a folder with a report is complete.
        "report.json": report.model_dump_json(indent=1).encode(),
    }
    store.put(folder, files)
    create_table_artifact(
        table=_table(report),
        key=_slug(f"audit-{report.audit.name}"),
        description=f"{summary_sentence(report)} {intervals_note(confidence(report))}",
    )
    return folder


def log_to_mlflow(session: Session, folder: str, tracking_uri: str | None) -> str:
    """Log the finished run to MLflow, and return the id of its run there.

    Parameters
    ----------
    session
        The finished audit.
    folder
        The run's folder, relative to the root.
    tracking_uri
        MLflow's address; a SQLite file under the root if unset.

    Raises
    ------
    TrackingError
        When MLflow cannot be reached; the audit is complete on disk all the same.
    """
    return session.graph.submit(_log_to_mlflow, [folder], session.store.root, folder, tracking_uri).result()


@task(name="log_to_mlflow", task_run_name="log to MLflow", cache_policy=NO_CACHE)
def _log_to_mlflow(root: str, folder: str, tracking_uri: str | None) -> str:
    """Log the finished run to MLflow; the audit is complete on disk whatever happens here."""
    return str(tracking().log_run(root, folder, tracking_uri))


def _slug(name: str) -> str:
    """Return a name as a valid key of a Prefect artefact: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _table(report: Report) -> list[dict[str, str]]:
    """Return the results as the rows of a readable table."""
    return [
        {
            "mitigation": mitigation_name(result),
            "attack": result.attack,
            "attacker": attacker_name(result),
            "AUC [low, high]": figure(result.metrics["auc"]),
            "attack accuracy [low, high]": figure(result.metrics["accuracy"]),
            "TPR at 1 % FPR [low, high]": figure(result.metrics["tpr_at_fpr_0.01"]),
            "target's test accuracy [low, high]": figure(result.utility["test_accuracy"]),
        }
        for result in stronger(report.results)
    ]
