"""Log a finished run folder to MLflow: a parent run, with a child run per attack and per mitigation.

Belongs here: which figure goes where in MLflow, and the error when MLflow cannot be reached. Does not belong here: the
computation of figures; all of them are read from the run's folder and the store.
"""

import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import yaml
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sqlalchemy.exc import SQLAlchemyError

from tasks.mlflow_client.inputs import inputs
from tasks.mlflow_client.tracking_store import at, default_uri, make_default, opened, quietly, silence
from umbrameter import __version__
from umbrameter.errors import TrackingError, brief
from umbrameter.estimators import Estimator
from umbrameter.report import Report, Result
from umbrameter.report.mlflow_view import (
    flat_metrics,
    flatten,
    mitigation_figures,
    mitigation_note,
    mitigation_table,
    note,
    run_name,
    sweep_note,
    sweep_series,
    without_secrets,
)
from umbrameter.report.model import read_report
from umbrameter.report.recommendation import leaks
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.report.sentences import controls_line
from umbrameter.report.sweep_model import SweepReport
from umbrameter.report.text import mitigation_name
from umbrameter.serving import attack_models
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.steps.attack_models import model_files
from umbrameter.store.artefacts import Store, digest

PARAM_LENGTH = 500
"""Characters of a parameter's value that are kept; MLflow would take more, but nobody would read them."""

MOST_METRICS = 900
"""Figures in one call: MLflow takes 1,000 items, parameters and tags among them."""

MODELS = "artefacts"
"""The tag of a logged model with the digest of what it was made from."""

FAILURES = (MlflowException, SQLAlchemyError, OSError, pa.ArrowException)
"""Errors of a tracking store that is unreachable or full."""


def current_uri() -> str:
    """Return the address that MLflow is set to in this process."""
    return str(mlflow.get_tracking_uri())


def get_ready(root: str, uri: str | None) -> None:
    """Create the default store and load what logging needs, ahead of `log_run`.

    Parameters
    ----------
    root, uri
        See `log_run`.
    """
    if uri is None:
        silence()
        make_default(root)
        mlflow.MlflowClient(tracking_uri=default_uri(root))


def log_run(root: str, folder: str, uri: str | None = None, above: Mapping[str, str] | None = None) -> str:
    """Log a finished run's folder, unless it is logged already.

    Parameters
    ----------
    root
        Where the store is.
    folder
        The run's folder under it: `runs/<name>-<time>`.
    uri
        MLflow's address; a SQLite file under the root if unset.
    above
        Tags that make the run a child of another, such as a sweep's.

    Returns
    -------
    The parent run's id.

    Raises
    ------
    TrackingError
        When MLflow cannot be reached or refuses; the audit on disk is complete all the same.
    """
    address = uri or default_uri(root)
    try:
        with quietly():
            return _log(Store(root), folder, address, uri is None, dict(above or {}))
    except FAILURES as error:
        raise _refused(root, folder, uri, error) from None


def log_sweep(root: str, folder: str, uri: str | None = None) -> str:
    """Log a finished sweep: a run with one series per figure over the varying setting, and a child run per point.

    Parameters
    ----------
    root, uri
        See `log_run`.
    folder
        The sweep's folder.

    Returns
    -------
    The sweep's run id.

    Raises
    ------
    TrackingError
        See `log_run`.
    """
    store, address = Store(root), uri or default_uri(root)
    report = SweepReport.model_validate_json(store.read(f"{folder}/sweep.json"))
    try:
        with quietly():
            client, experiment = opened(store, report.name, address, uri is None)
            earlier = _earlier(client, experiment, folder, report.spec_digest)
            run = earlier or _log_points(client, experiment, store, folder, report)
    except FAILURES as error:
        raise _refused(root, folder, uri, error) from None
    # The points' runs name the sweep's as their parent, so it comes first.
    for point in report.points:
        log_run(root, point.run, uri, {"mlflow.parentRunId": run, "point": point.label})
    return run


def _log_points(client: mlflow.MlflowClient, experiment: str, store: Store, folder: str, report: SweepReport) -> str:
    """Log the run of the sweep itself, and return its id."""
    tags = {"run_folder": folder, "spec_digest": report.spec_digest, "sweep": report.axis}
    tags["mlflow.note.content"] = sweep_note(report)
    run: str = client.create_run(experiment, run_name=f"sweep: {report.title}", tags=tags).info.run_id
    now = int(time.time() * 1000)
    series = [Metric(name, value, now, step) for name, value, step in sweep_series(report)]
    client.log_batch(run, metrics=series, params=_params({"axis": report.axis}))
    _upload(client, run, store, folder, ["sweep.html", "sweep.json", *_figures(store, folder)])
    client.set_terminated(run, "FINISHED")
    return run


def _refused(root: str, folder: str, uri: str | None, error: Exception) -> TrackingError:
    address = uri or default_uri(root)
    refusal = TrackingError(
        f"tracking_uri={without_secrets(address)!r}: MLflow did not take the results "
        f"({without_secrets(brief(error))}); the audit is complete in {root}/{folder}: once MLflow answers, run "
        f"umbrameter track {shlex.quote(f'{root}/{folder}')}"
        + ("" if uri is None else f" --tracking-uri {without_secrets(address)}")
    )
    refusal.run = folder
    return refusal


def _log(store: Store, folder: str, address: str, is_default: bool, above: Mapping[str, str]) -> str:
    report = read_report(store.read(f"{folder}/report.json"))
    client, experiment = opened(store, report.audit.name, address, is_default)
    logged = _earlier(client, experiment, folder, report.audit.spec_digest)
    if logged is not None:
        return logged
    tags = {**_parent_tags(report, folder), **above}
    name = ": ".join([*filter(None, [above.get("point")]), run_name(report)])
    parent: str = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    try:
        _log_parent(client, parent, store, folder, report)
        for result in report.results:
            if result.mitigation is None:
                _log_attack(client, experiment, parent, store, folder, report, result, address)
        for label in dict.fromkeys(r.mitigation for r in report.results if r.mitigation is not None):
            _log_mitigation(client, experiment, parent, report, label)
        if any(r.mitigation for r in report.results):
            client.log_table(parent, data=mitigation_table(report), artifact_file="mitigations.json")
    except BaseException:
        client.set_terminated(parent, "FAILED")
        raise
    # Last of all: `_earlier` takes a run in any other state for an interrupted attempt.
    client.set_terminated(parent, "FINISHED")
    return parent


def _earlier(client: mlflow.MlflowClient, experiment: str, folder: str, spec_digest: str) -> str | None:
    """Return the finished parent run of this folder, if any, after removing what an interrupted attempt left."""
    same = f"tags.run_folder = '{folder}' AND tags.spec_digest = '{spec_digest}'"
    for run in client.search_runs([experiment], same):
        if run.info.status == "FINISHED":
            return str(run.info.run_id)
        _delete(client, experiment, run.info.run_id)
    return None


def _delete(client: mlflow.MlflowClient, experiment: str, run: str) -> None:
    """Delete a run and its child runs."""
    for child in client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run}'"):
        _delete(client, experiment, child.info.run_id)
    client.delete_run(run)


def _parent_tags(report: Report, folder: str) -> dict[str, str]:
    return {
        "run_folder": folder,
        "spec_digest": report.audit.spec_digest,
        "verdict": report.verdict.status,
        "controls": controls_line(report),
        "umbrameter": report.audit.version,
        "mlflow.note.content": note(report),
    }


def _log_parent(client: mlflow.MlflowClient, run: str, store: Store, folder: str, report: Report) -> None:
    spec = yaml.safe_load(store.read(f"{folder}/spec.yaml"))
    target, shadows = report.target, report.shadows
    metrics = {
        "target_train_accuracy": target.train_accuracy,
        "target_test_accuracy": target.test_accuracy,
        "shadows_trained": float(shadows.n_trained),
        "shadows_reused": float(shadows.n_reused),
        "seconds": report.audit.seconds,
        "queries": float(report.ledger.queries),
        "fits": float(report.ledger.fits),
    }
    worst, tags = leaks(report.results).get(None), []
    if report.recommendation is not None:
        tags.append(RunTag("recommended_mitigation", report.recommendation.mitigation or "none suffices"))
    if worst is not None:
        metrics |= {f"strongest_{name}": value for name, value in flat_metrics(worst.result).items()}
        tags.append(RunTag("strongest_attack", worst.result.attack))
    client.log_batch(run, metrics=_metrics(metrics), params=_params(spec), tags=tags)
    client.log_inputs(run, datasets=inputs(store, folder, report))
    _upload(client, run, store, folder, ["report.html", "report.json", "spec.yaml", *_figures(store, folder)])


def _log_attack(
    client: mlflow.MlflowClient,
    experiment: str,
    parent: str,
    store: Store,
    folder: str,
    report: Report,
    result: Result,
    address: str,
) -> None:
    now = int(time.time() * 1000)
    series = [
        Metric(f"class_{name}", metric.value, now, step)
        for step, entry in enumerate(result.by_class)
        for name in ("accuracy", "precision", "recall", "auc")
        if isinstance(metric := getattr(entry, name), Interval)
    ]
    run = _child(client, experiment, parent, f"attack:{result.attack}", result, series)
    # The figure of mitigations compares them, and is the parent's.
    _upload(client, run, store, folder, [name for name in _figures(store, folder) if "mitigations" not in name])
    measured = read_run_artefacts(store, folder).without_mitigation().get(result.attack)
    if measured is not None and measured.attack_models:
        _log_models(client, experiment, run, store, measured.attack_models, report.target.n_classes, result, address)
    client.set_terminated(run, "FINISHED")


def _log_mitigation(client: mlflow.MlflowClient, experiment: str, parent: str, report: Report, label: str) -> None:
    """Log one mitigation: the strongest attack's figures, and each attack's AUC with the stronger kind of attacker."""
    results = [r for r in report.results if r.mitigation == label]
    worst = leaks(results).get(label)
    strongest = results[0] if worst is None else worst.result
    tags = {"strongest_attack": strongest.attack, "strongest_attacker": strongest.attacker or ""}
    claims = mitigation_note(report, label)
    tags |= {"mlflow.note.content": claims} if claims else {}
    figures = _metrics(mitigation_figures(report, label))
    run = _child(client, experiment, parent, f"mitigation:{label}", strongest, figures, tags)
    client.set_terminated(run, "FINISHED")


def _child(
    client: mlflow.MlflowClient,
    experiment: str,
    parent: str,
    name: str,
    result: Result,
    more: Sequence[Metric],
    more_tags: Mapping[str, str] | None = None,
) -> str:
    """Log a child run with a result's figures and more of them, and return its id; it is not ended yet."""
    tags = {"mlflow.parentRunId": parent, "attack": result.attack, "mitigation": mitigation_name(result)}
    absent = [f"{k}: {m.not_measured}" for k, m in result.metrics.items() if isinstance(m, NotMeasured)]
    tags |= {"not_measured": "; ".join(absent)} if absent else {}
    run: str = client.create_run(experiment, run_name=name, tags=tags | dict(more_tags or {})).info.run_id
    figures = [*_metrics(flat_metrics(result)), *more]
    # Each call is a transaction, and MLflow takes no more figures at a time.
    for start in range(0, len(figures), MOST_METRICS):
        params = [] if start else _params(result.params)
        client.log_batch(run, metrics=figures[start : start + MOST_METRICS], params=params)
    return run


def _metrics(values: Mapping[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, 0) for name, value in values.items()]


def _params(nested: Mapping[str, Any]) -> list[Param]:
    return [Param(key, without_secrets(str(value))[:PARAM_LENGTH]) for key, value in flatten(nested)]


def _log_models(
    client: mlflow.MlflowClient,
    experiment: str,
    run: str,
    store: Store,
    paths: Sequence[str],
    n_classes: int,
    result: Result,
    address: str,
) -> None:
    """Log an attack's models as one MLflow model, or link the one that an earlier run of the experiment has logged.

    It takes a prediction vector and a label, and returns P(OUT) and P(IN). The models' files are copied as they are:
    skops would take a minute to write a hundred forests anew.
    """
    tag = digest([*paths])
    for model in client.search_logged_models([experiment], f"tags.{MODELS} = '{tag}'"):
        if model.status == LoggedModelStatus.READY:  # or else a killed run's
            client.log_outputs(run, [LoggedModelOutput(model.model_id, step=0)])
            return
    versions = Estimator.model_validate(result.params["attack"]["model"]).versions
    # `log_model` has no client: it logs to the current run at the current address.
    with tempfile.TemporaryDirectory() as name, at(address), mlflow.start_run(run_id=run):
        attack_models.write_bundle(Path(name), n_classes, model_files([store.open(path) for path in paths]))
        mlflow.pyfunc.log_model(
            name="attack_models",
            loader_module=attack_models.__name__,
            data_path=name,
            signature=infer_signature(np.zeros((1, n_classes + 1)), np.zeros((1, 2))),
            pip_requirements=[f"{name}=={v}" for name, v in {**versions, "umbrameter": __version__}.items()],
            tags={MODELS: tag},
        )


def _figures(store: Store, folder: str) -> list[str]:
    names = ("figures/roc.png", "figures/class_precision.png", "figures/mitigations.png")
    return [name for name in names if store.fs.get_file_info(f"{folder}/{name}").type.name == "File"]


def _upload(client: mlflow.MlflowClient, run: str, store: Store, folder: str, names: Sequence[str]) -> None:
    """Log files of the run's folder under their names there."""
    with tempfile.TemporaryDirectory() as copies:
        for name in names:
            path = Path(copies, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(store.read(f"{folder}/{name}"))
        client.log_artifacts(run, copies)
