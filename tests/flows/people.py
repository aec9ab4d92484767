"""Audits of one forest on people: the tables, the model, the spec, and the run."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from flows.audit import audit
from tasks.cluster import Compute
from tasks.external_targets.handover import ModelHandle
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec
from umbrameter.targets.columns import Columns, frame

N = 300
"""Members, and as many non-members."""

NAMES = ("age", "pay", "colour")
COLUMNS = Columns(NAMES, {"colour": ("blue", "green", "red")}, (True, False, True))


def people(n: int, seed: int) -> tuple[pa.Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(18, 90, n), rng.normal(size=n), rng.integers(0, 3, n)]).astype(np.float32)
    y = np.where(X[:, 1] + 0.7 * rng.normal(size=n) > 0, "yes", "no")
    table = frame(X, COLUMNS).assign(label=y)
    return pa.Table.from_pandas(table, preserve_index=False), y


def write_people(folder: Path) -> Path:
    """Write members, non-members and the pool into a folder, and return it."""
    for seed, name in enumerate(("members", "nonmembers", "pool")):
        pq.write_table(people(N if name != "pool" else 3 * N, seed)[0], folder / f"{name}.parquet")
    return folder


def forest(folder: Path) -> Any:
    """Return a forest trained on the members."""
    members = pq.read_table(folder / "members.parquet").to_pandas()
    encoder = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    return make_pipeline(encoder, RandomForestClassifier(20, random_state=0)).fit(members[list(NAMES)], members.label)


def spec(folder: Path, target: dict[str, Any], **more: Any) -> dict[str, Any]:
    sides = {name: str(folder / f"{name}.parquet") for name in ("members", "nonmembers", "pool")}
    return {
        "name": "people",
        "data": {"kind": "sides", **sides, "label": "label"},
        "target": target,
        "shadows": {"count": 4, "estimator": {"kind": "random_forest", "params": {"n_estimators": 20}}},
        "attacks": [
            {"kind": "shokri", "model": {"kind": "logistic_regression"}},
            {"kind": "loss"},
            {"kind": "label_only", "noise": {"copies": 2}},
        ],
        **more,
    }


def run(root: Path, content: dict[str, Any], model: Any = None) -> Report:
    checked = AuditSpec.from_yaml(yaml.safe_dump(content))
    held = None if model is None else ModelHandle(model)
    run = audit(checked, root=str(root), compute=Compute(workers=0), tracked=False, model=held)
    return Report.model_validate_json((root / run / "report.json").read_bytes())
