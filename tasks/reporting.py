"""Show a finished run in Prefect, and log it to MLflow."""

import logging
import re
from typing import Any

from prefect.artifacts import create_table_artifact

from umbrameter.report import Report
from umbrameter.report.model import read_report
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import summary_sentence
from umbrameter.report.text import attacker_name, confidence, figure, intervals_note, mitigation_name
from umbrameter.running.jobs import job
from umbrameter.running.session import Session

log = logging.getLogger("umbrameter.audit")


def show_table(session: Session, folder: str) -> None:
    """Show the results as a table on Prefect's page of the run.

    Parameters
    ----------
    session
        The finished audit.
    folder
        The run's folder, relative to the root.
    """
    report = read_report(session.store.read(f"{folder}/report.json"))
    create_table_artifact(
        table=_table(report),
        key=_slug(f"audit-{report.audit.name}"),
        description=f"{summary_sentence(report)} {intervals_note(confidence(report))}",
    )


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


@job("log to MLflow")
def _log_to_mlflow(root: str, folder: str, tracking_uri: str | None) -> str:
    """Log the finished run to MLflow; the audit is complete on disk whatever happens here."""
    log.info("Logging to MLflow")
    return str(tracking().log_run(root, folder, tracking_uri))


def tracking() -> Any:
    """Import and return `tasks.mlflow_client.runs`; called late, since the import takes two seconds."""
    from tasks.mlflow_client import runs

    return runs


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
