"""The local driver and the flow: the same results to the last bit, for specs of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.audit import audit
from tasks.cluster import Compute
from tests.running.inline import people
from umbrameter.local.driver import audit_here
from umbrameter.report.model import Report
from umbrameter.report.sweep_model import SweepReport
from umbrameter.spec.audit import AuditSpec

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

TREE = {"kind": "decision_tree", "params": {"max_depth": 4}}
PURCHASES = {"kind": "generated", "records": 900, "features": 30, "classes": 3}
SPECS: dict[str, dict[str, Any]] = {
    "mitigations": {
        "data": PURCHASES,
        "split": {"members": 150, "nonmembers": 150},
        "target": {"kind": "train", "estimator": {"kind": "random_forest", "params": {"n_estimators": 10}}},
        "shadows": {"count": 2},
        "attacks": [{"kind": "shokri", "model": {"kind": "logistic_regression"}}, {"kind": "loss"}],
        "mitigations": [{"kind": "rounding", "decimals": 1}, {"kind": "params", "params": {"min_samples_leaf": 20}}],
    },
    "online": {
        "data": PURCHASES,
        "split": {"members": 150, "nonmembers": 150},
        "target": {"kind": "train", "estimator": TREE},
        "shadows": {"count": 6, "design": "mixed"},
        "attacks": [{"kind": "lira", "mode": "online"}, {"kind": "rmia"}, {"kind": "quantile"}, {"kind": "loss"}],
    },
    "networks": {
        "data": PURCHASES,
        "split": {"members": 150, "nonmembers": 150},
        "target": {"kind": "train", "estimator": {"kind": "mlp", "params": {"epochs": 3}}},
        "shadows": {"count": 4},
        "attacks": [
            {"kind": "shokri", "model": {"kind": "mlp", "params": {"epochs": 3}}},
            {"kind": "combined", "attacks": [{"kind": "loss"}, {"kind": "confidence"}]},
        ],
        "mitigations": [{"kind": "memguard"}],
    },
    "drawn": {
        "repeats": 2,
        "data": {"kind": "parquet", "path": "PEOPLE", "label": "y"},
        "split": {"members": 60, "nonmembers": 60},
        "target": {"kind": "train", "estimator": {"kind": "logistic_regression"}},
        "shadows": {"count": 3, "records": 120, "data": {"kind": "marginal", "by_class": False}},
        "attacks": [{"kind": "loss"}, {"kind": "label_only", "noise": {"copies": 2}}, {"kind": "confidence"}],
    },
    "answers alone": {
        "data": PURCHASES,
        "split": {"members": 150, "nonmembers": 150},
        "target": {"kind": "train", "estimator": TREE},
        "shadows": {"count": 0},
        "attacks": [{"kind": "loss"}, {"kind": "gap"}],
        "mitigations": [{"kind": "top_k", "k": 1}],
    },
}


def results(root: Path, folder: str) -> str:
    return Report.model_validate_json((root / folder / "report.json").read_bytes()).results_json()


@pytest.mark.parametrize("name", SPECS)
def test_results_are_equal_as_text(name: str, tmp_path: Path, server: str) -> None:
    text = yaml.safe_dump({"name": "same", **SPECS[name]}).replace("PEOPLE", str(people(tmp_path / "people.parquet")))
    spec, texts = AuditSpec.from_yaml(text), set[str]()
    for driver in ("flow", "1 worker", "2 workers"):
        root = tmp_path / driver
        if driver == "flow":
            folder = audit(spec, root=str(root), compute=Compute(workers=0), tracked=False)
        else:
            folder = audit_here(spec, str(root), int(driver[0]))
        texts.add(results(root, folder))
    assert len(texts) == 1


def test_the_command_works_locally_and_says_where_the_report_is(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({"name": "small", **SPECS["answers alone"]}))
    code, out, _ = command("audit", path, "--local", "--root", tmp_path / "root")
    (folder,) = (tmp_path / "root" / "runs").iterdir()
    assert code == 0 and f"{folder}/report.html" in out.replace("\n", "").replace(" ", "") and "MLflow" not in out
    assert (folder / "report.html").is_file() and not (tmp_path / "root" / "mlflow.db").exists()
    code, _, err = command("audit", path, "--local", "--dask", "tcp://a:1", "--tracking-uri", "http://b")
    assert code == 1 and "--dask, --tracking-uri cannot be used with --local" in err


def test_a_sweep_works_locally(command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"name": "sweep", **SPECS["answers alone"], "seed": [0, 1]}))
    code, _, err = command("audit", path, "--local", "--root", tmp_path / "root")
    assert code == 0, err
    (report,) = (tmp_path / "root" / "runs").glob("sweep-sweep-*/sweep.json")
    assert len(SweepReport.model_validate_json(report.read_bytes()).points) == 2


def test_without_a_pipeline_the_command_works_locally_and_says_so(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umbrameter.checkout.has_pipeline", lambda: False)
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({"name": "small", **SPECS["answers alone"]}))
    code, _, err = command("audit", path, "--root", tmp_path / "root")
    assert code == 0, err
    assert "Working on this machine alone, without Prefect, Dask and MLflow (--local)" in err
