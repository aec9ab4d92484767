"""The audit, from a spec to a report in MLflow."""

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from tasks import preparation, reporting, stages
from tasks.cluster import Compute
from tasks.external_targets.handover import ModelHandle
from tasks.session import read_spec, session
from umbrameter.spec.audit import AuditSpec


@flow(
    name="audit",
    flow_run_name=preparation.run_name,
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
    with session(read_spec(spec), root, compute or Compute()) as run:
        records = preparation.prepare_records(run)
        splits = preparation.split_records(run, records)
        preparation.announce_limits(run, splits)
        with preparation.connect_target(run, records, splits, model, tracking_uri) as connection:
            variants = preparation.plan_audit(run, records, splits, connection)
            preparation.announce_queries(run, variants, connection)
            stages.train_targets(run, variants, tracking_uri)
            stages.query_targets(run, variants, connection)
            unusable = stages.draw_shadow_records(run, variants, connection)
            if unusable:
                # Planned again without the attacks on shadow data with too few records.
                variants = preparation.plan_audit(run, records, splits, connection, unusable)
            preparation.verify_unchanged(run, variants, connection)
            stages.fit_shadow_models(run, variants)
            stages.merge_attack_data(run, variants)
            stages.guard_answers(run, variants)
            stages.gather_references(run, variants)
            stages.fit_attack_models(run, variants)
            stages.score_records(run, variants)
            stages.evaluate_attacks(run, variants)
            stages.check_controls(run, variants)
            folder = reporting.write_report(run, variants, connection)
    if tracked:
        reporting.log_to_mlflow(run, folder, tracking_uri)
    return folder
