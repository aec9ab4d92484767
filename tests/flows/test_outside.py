"""An audit with an attack, a learned mitigation and a target defined outside umbrameter, named by dotted path."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.audit import audit
from tasks.cluster import Compute
from tests.outside import Blend
from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.errors import SpecError
from umbrameter.report import Report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.artefacts import Store

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]

SPEC = """
name: outside
target: {kind: tests.outside.Threshold, steepness: 3}
shadows: {count: 4, size: 40, estimator: {kind: logistic_regression}}
attacks: [{kind: tests.outside.Stretch, factor: 2}, {kind: loss}]
mitigations: [{kind: tests.outside.Blend}, [{kind: tests.outside.Blend, share: 0.25}, {kind: rounding, decimals: 1}]]
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditSpec:
    monkeypatch.setenv(PREFIXES_VARIABLE, "tests.outside.")
    rng, data = np.random.default_rng(0), {"kind": "sides", "label": "y"}
    for name, n in (("members", 60), ("nonmembers", 50), ("pool", 200)):
        X = rng.normal(size=(n, 3)).astype(np.float32)
        y = (X[:, 0] + (0.05 if name == "members" else 2.0) * rng.normal(size=n) > 0).astype(int)
        pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y}), tmp_path / f"{name}.parquet")
        data[name] = str(tmp_path / f"{name}.parquet")
    return AuditSpec.from_yaml(SPEC, [f"data={data}"])


def test_an_audit_uses_classes_from_outside_the_same_on_any_number_of_workers(spec: AuditSpec, tmp_path: Path) -> None:
    reports = []
    for workers in (0, 1):
        root = tmp_path / f"root-{workers}"
        folder = audit(spec, root=str(root), compute=Compute(workers=workers))
        reports.append(Report.model_validate_json((root / folder / "report.json").read_bytes()))
    assert reports[0].results_json() == reports[1].results_json()
    report, store = reports[1], Store(root)
    results = {(r.attack, r.mitigation, r.attacker): r for r in report.results}
    stretch = results["stretch(2)", None, None]
    assert stretch.metrics["auc"].value > 0.6 and stretch.params["attack"]["kind"] == "tests.outside.Stretch"
    assert report.target.description == "a threshold on one feature"
    assert report.ledger.queries == 110 * 2  # the audited records, and each stretched
    blended = results["loss", "blend(0.5)", "adaptive"]
    assert blended.utility["distortion"].value > 0 and "loss" in {attack for attack, *_ in results}
    assert ("loss", "blend(0.25) + rounding(1)", "static") in results
    assert ("stretch(2)", "blend(0.5)", "static") not in results  # it learns nothing from shadow models
    artefacts = read_run_artefacts(store, folder)
    assert len(artefacts.guards) == 2 and all(store.open(path).files for path in artefacts.guards)
    again = AuditSpec.from_yaml((root / folder / "spec.yaml").read_text())
    assert again == spec and again.mitigations[0] == Blend()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("attacks=[{kind: os.path.join}]", r"attacks\[0\].*kind='os\.path\.join' is outside the allowed prefixes"),
        ("attacks=[{kind: tests.outside.Blend}]", r"attacks\[0\].*'tests\.outside\.Blend' is not a subclass of Attack"),
        ("attacks=[{kind: tests.outside.Nothing}]", r"attacks\[0\].*there is no 'tests\.outside\.Nothing'"),
        ("attacks=[{kind: tests.outside.Stretch, factor: 0.5}]", r"attacks\[0\].*factor: .*greater than 1"),
        ("target={kind: tests.outside.Threshold, steep: 1}", r"target.*steep: Extra inputs are not permitted"),
    ],
)
def test_unsuitable_classes_are_refused_with_their_place(spec: AuditSpec, setting: str, text: str) -> None:
    data = spec.model_dump(mode="json", exclude_none=True)["data"]
    with pytest.raises(SpecError, match=text):
        AuditSpec.from_yaml(SPEC, [f"data={data}", setting])
