"""Sweeps: all points share one target and its answers; MLflow has one run per point, and series over them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from flows.sweep import sweep
from tasks.cluster import Compute
from tasks.mlflow_client.tracking_store import default_uri
from umbrameter.errors import SpecError
from umbrameter.report.model import Report
from umbrameter.report.sweep_model import SweepReport
from umbrameter.spec.sweep import Sweep, from_yaml

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]

LADDER = {
    "name": "ladder",
    "data": {"kind": "generated", "like": "purchase", "records": 4000, "features": 40, "classes": 4},
    "split": {"members": 400, "nonmembers": 400},
    "target": {"kind": "train", "estimator": {"kind": "random_forest", "params": {"n_estimators": 30}}},
    "shadows": {
        "count": 2,
        "data": [
            {"kind": "real"},
            {"kind": "noisy", "rate": 0.2},
            {"kind": "marginal", "by_class": False},
            {"kind": "model_based", "iter_max": 60},
        ],
    },
    "attacks": [{"kind": "shokri", "model": {"kind": "logistic_regression"}}, {"kind": "loss"}],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, SweepReport]:
    root, found = tmp_path_factory.mktemp("root"), from_yaml(yaml.safe_dump(LADDER))
    assert isinstance(found, Sweep)
    folder = sweep(found, root=str(root), compute=Compute(workers=0))
    return root, folder, SweepReport.model_validate_json((root / folder / "sweep.json").read_bytes())


def reports(root: Path, found: SweepReport) -> list[Report]:
    return [Report.model_validate_json((root / point.run / "report.json").read_bytes()) for point in found.points]


def test_the_target_is_trained_and_asked_once(finished: tuple[Path, str, SweepReport]) -> None:
    root, _, found = finished
    first, *others = reports(root, found)
    assert first.ledger.fits == 3 and [r.ledger.fits for r in others] == [2, 2, 2]
    assert first.ledger.queries == 800
    drawn = [0 if point.drawn is None else point.drawn.queries for point in found.points]
    assert [r.ledger.queries for r in others] == drawn[1:] and drawn[1] == 0 < drawn[2] == 800 < drawn[3]
    assert len({r.target.test_accuracy for r in [first, *others]}) == 1


def test_points_are_compared(finished: tuple[Path, str, SweepReport]) -> None:
    root, folder, found = finished
    assert [point.label for point in found.points] == [
        "real",
        "noisy(0.2)",
        "marginal(of all classes)",
        "model_based(iter_max=60)",
    ]
    for point, report in zip(found.points, reports(root, found), strict=True):
        assert [a.metrics["auc"] for a in point.attacks] == [r.metrics["auc"] for r in report.results]
        assert point.attacks[0].medians["precision"] is not None
    assert {path.name for path in (root / folder).rglob("*.*")} == {"sweep.json", "sweep.html", "class_precision.png"}


def test_mlflow_has_a_child_run_per_point_and_series(finished: tuple[Path, str, SweepReport]) -> None:
    root, folder, found = finished
    client = mlflow.MlflowClient(default_uri(str(root)))
    (experiment,) = [e for e in client.search_experiments() if e.name == "ladder"]
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.run_folder = '{folder}'")
    points = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert {run.data.tags["point"] for run in points} == {point.label for point in found.points}
    series = client.get_metric_history(parent.info.run_id, "loss_auc")
    expected = [point.attacks[1].metrics["auc"].value for point in found.points]  # type: ignore[union-attr]
    assert [m.value for m in sorted(series, key=lambda m: m.step)] == expected
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} >= {"sweep.html", "sweep.json", "figures"}


def test_the_command_shows_and_tracks_a_sweep(
    command: Callable[..., Any], finished: tuple[Path, str, SweepReport], tmp_path: Path
) -> None:
    root, folder, found = finished
    code, out, _ = command("report", root / folder)
    assert code == 0 and "sweep over shadow data: ladder" in out and "queries per record" in out
    code, out, _ = command("report", root / folder, "--json")
    assert code == 0 and json.loads(out) == found.model_dump(mode="json")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    for _ in range(2):  # the second time there is nothing to do
        code, out, err = command("track", root / folder, "--tracking-uri", other)
        assert code == 0 and "Logged to MLflow" in out, err
    client = mlflow.MlflowClient(other)
    (experiment,) = [e for e in client.search_experiments() if e.name == "ladder"]
    assert len(client.search_runs([experiment.experiment_id])) == 1 + 4 * 3


def test_classes_that_cannot_be_reached_are_reported_and_nothing_crashes(tmp_path: Path) -> None:
    hopeless = {"kind": "model_based", "iter_max": 5, "conf_min": 0.9999}
    content = LADDER | {"shadows": {"count": 2, "data": [hopeless]}}
    spec = tmp_path / "hopeless.yaml"
    spec.write_text(yaml.safe_dump(content))
    folder = sweep(str(spec), root=str(tmp_path), compute=Compute(workers=0))
    found = SweepReport.model_validate_json((tmp_path / folder / "sweep.json").read_bytes())
    (report,) = reports(tmp_path, found)
    by_attack = {result.attack: result.metrics["auc"] for result in report.results}
    assert "shadow models need two classes" in by_attack["shokri(logistic_regression)"].not_measured  # type: ignore[union-attr]
    assert by_attack["loss"].value > 0.5  # type: ignore[union-attr]
    assert report.shadows.drawn is not None and sum(row.n_failed for row in report.shadows.drawn.by_class) == 800


def test_an_audit_is_not_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is an audit, not a sweep"):
        sweep(str(Path(__file__).parent / "small.yaml"), root=str(tmp_path), compute=Compute(workers=0))
