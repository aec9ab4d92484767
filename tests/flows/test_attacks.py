"""Whole audits with every attack in every design, with repeats and limits, without mocks."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.audit import audit
from tasks.cluster import Compute
from tests.running.inline import people
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]

SMALL = Path(__file__).parent / "small.yaml"
POINTWISE = ["gap", "loss", "confidence", "entropy", "modified_entropy"]
ATTACKS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in POINTWISE),
    {"kind": "shokri", "model": {"kind": "logistic_regression"}},
    {"kind": "lira"},
    {"kind": "rmia"},
    {"kind": "quantile"},
    {"kind": "label_only", "noise": {"copies": 5}},
]
ONLINE = [{"kind": "lira", "mode": "online"}, {"kind": "rmia", "mode": "online"}]
COMBINED = {"kind": "combined", "attacks": [{"kind": "loss"}, {"kind": "lira"}]}


def spec(**changes: Any) -> AuditSpec:
    small = AuditSpec.load(SMALL).model_dump(mode="json") | {"mitigations": [{"kind": "rounding", "decimals": 1}]}
    return AuditSpec.model_validate(small | changes)


def run(root: Path, found: AuditSpec, workers: int = 0) -> Report:
    folder = audit(found, root=str(root), compute=Compute(workers=workers))
    return Report.model_validate_json((root / folder / "report.json").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize(("design", "workers"), [("disjoint", 1), ("audit", 1), ("mixed", 2)])
def test_every_attack_in_every_design_gives_the_same_bytes_here_and_on_workers(
    tmp_path: Path, design: str, workers: int
) -> None:
    attacks = [*ATTACKS, COMBINED, *(ONLINE if design != "disjoint" else [])]
    # Few records, since the quantile attack learns from the whole pool.
    data = {"kind": "parquet", "path": str(people(tmp_path / "people.parquet", 2400)), "label": "y"}
    asked = spec(data=data, attacks=attacks, shadows={"count": 4, "design": design})
    one, two = run(tmp_path / "one", asked), run(tmp_path / "two", asked, workers)
    assert one.results_json() == two.results_json() and one.controls == two.controls
    bare = {result.attack: result for result in one.results if result.mitigation is None}
    assert len(bare) == len(attacks)
    for result in bare.values():
        assert result.metrics["auc"].value > 0.4 and result.metrics["accuracy"].value > 0.4, result.attack
    assert bare["lira(offline)"].metrics["auc"].value > 0.55  # a forest of ten trees leaks
    assert bare["label_only"].n_queries == 6
    assert bare["combined"].chosen in ("loss", "lira(offline)") and bare["loss"].chosen is None
    assert bare["combined"].metrics == bare[bare["combined"].chosen].metrics
    assert all(control.status != "fail" for control in one.controls.values()), one.controls


def test_repeats_have_splits_of_their_own_and_the_first_is_the_audit_itself(tmp_path: Path) -> None:
    alone = run(tmp_path, spec(attacks=[{"kind": "loss"}]))
    thrice = run(tmp_path, spec(attacks=[{"kind": "loss"}], repeats=3))
    assert thrice.results_json() == alone.results_json()
    assert thrice.ledger.reused_fits == 3 and thrice.ledger.fits == 6  # a target and two shadow models each
    found = {(again.attack, again.mitigation): again for again in thrice.repeats}
    assert set(found) == {(a, m) for a in ("loss", "confidence", "gap") for m in (None, "rounding(1)")}
    bare = found["loss", None]
    values = bare.spread["auc"].values
    assert len(set(values)) == 3 and values[0] == alone.results[0].metrics["auc"].value
    assert bare.rank_correlation is None  # 300 of 42,468 records: too few in common


@pytest.mark.parametrize(("limit", "status"), [(0.51, "fail"), (0.99, "pass")])
def test_limits_decide(tmp_path: Path, limit: float, status: str) -> None:
    limits = [{"metric": "auc", "limit": limit, "source": "the test"}]
    verdict = run(tmp_path, spec(attacks=[{"kind": "loss"}], limits=limits, mitigations=[])).verdict
    assert verdict.status == status and verdict.limits[0].attack == "loss"


def test_an_audit_with_copies_on_both_sides_decides_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(500, 4)), 3, axis=0), np.repeat(rng.integers(0, 2, 500), 3)
    columns = {f"x{i}": X[:, i] for i in range(4)} | {"y": y, "sex": np.where(np.arange(1500) % 2 == 0, "f", "m")}
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    data = {"kind": "parquet", "path": str(tmp_path / "data.parquet"), "label": "y", "duplicates": "keep"}
    limits = [{"metric": "auc", "limit": 0.99, "source": "the test"}]
    found = spec(data=data | {"slices": ["sex"]}, attacks=[{"kind": "loss"}], limits=limits, mitigations=[])
    report = run(tmp_path / "root", found)
    assert report.controls["copies"].status == "fail" and report.verdict.status == "not_measured"
    assert "The control copies failed" in report.verdict.reason
    assert [entry.label for entry in report.results[0].by_slice["sex"]] == ["f", "m"]
