"""The audit, from a spec to a report in MLflow."""

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from tasks import reporting
from tasks.audits import read_spec, run_name, session
from tasks.cluster import Compute
from tasks.external_targets.handover import ModelHandle
from umbrameter.running.audit import run_audit
from umbrameter.spec.audit import AuditSpec


@flow(
    name="audit",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=256),  # type: ignore[arg-type]  # one waiting thread per chunk
    description="Measure how much a trained classifier reveals about which records were in its training data.",
)
def audit(
    spec: AuditSpec | str,
    root: str = "runs",
    compute: Compute | None = None,
    tracking_uri: str | None = None,
    model: ModelHandle | None = None,
    tracked: bool = True,
) -> str:
    """Run one audit and return its run folder, relative to the root.

    Parameters
    ----------
    spec
        What to audit, or the path of its YAML file.
    root
        Where artefacts and run folders are stored: a local path or a bucket's address.
    compute
        Where the heavy work runs; local worker processes, one per core, if unset.
    tracking_uri
        MLflow's address; a SQLite file under the root if unset.
    model
        The fitted classifier, for a target of kind `object`: `ModelHandle(classifier)`.
    tracked
        Whether to log the run to MLflow at the end.
    """
    with session(read_spec(spec), root, compute or Compute(), tracking_uri) as run:
        folder = run_audit(run, None if model is None else model.model, tracking_uri)
    reporting.show_table(run, folder)
    if tracked:
        reporting.log_to_mlflow(run, folder, tracking_uri)
    return folder
