"""`umbrameter init` and `umbrameter validate`: a spec for any table, and what an audit would find."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from umbrameter.cli.first_spec import first_spec
from umbrameter.cli.preview import describe, preview
from umbrameter.errors import DataError
from umbrameter.records.sources import ParquetData
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Store

Command = Callable[..., tuple[int, str, str]]


def messy(folder: Path, n: int = 600) -> str:
    """Write a table with NaN, None, times, text, booleans, a rare class, duplicates, ids, empty and constant ones."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        pay = "NaN" if rng.random() < 0.1 else f"{rng.normal(3000, 500):.2f}"
        city = rng.choice(["None", "Bern", '"Wien, alt"'])
        day = f"2020-{rng.integers(1, 13):02}-{rng.integers(1, 28):02} {rng.integers(24):02}:30:00"
        label = "never" if i < 3 else rng.choice(["yes", "no"])
        rows.append(f"{pay},{city},{day},{rng.choice(['True', 'False'])},,7,{label}")
    rows += rows[:9]
    path = folder / "people.csv"
    lines = [f"{1000 + i},P{i} X,{row}" for i, row in enumerate(rows)]
    path.write_text("\n".join(["id,name,pay,city,since,vip,empty,one,y", *lines]) + "\n")
    return str(path)


def test_a_messy_table_gets_a_spec_that_needs_no_edit(command: Command, tmp_path: Path) -> None:
    path, spec = messy(tmp_path), tmp_path / "spec.yaml"
    assert command("init", path, "--label", "y", "--out", spec)[0] == 0
    data = yaml.safe_load(spec.read_text())["data"]
    assert data["ignore"] == ["name", "id"] and data["duplicates"] == "drop" and 1 < data["smallest_class"] < 100
    code, out, _ = command("validate", spec)
    for words in (
        "Files: path: CSV, delimiter ',', header, utf-8",
        "Records: 597 with 4 features, in 2 classes: no (",
        "since (timestamp[us], as days)",
        "Warning: column empty is without any value, and left out",
        "left out: 'never' (6)",
        "Split: 150 members, 150 non-members, 297 in the pool",
        "Work: 1 targets and 16 shadow models to train, in 30 steps",
        "Time: about ",
    ):
        assert words in out
    assert code == 0
    code, _, err = command("init", path, "--label", "y", "--out", spec)
    assert code == 1 and "exists already" in err


@pytest.mark.pipeline
@pytest.mark.filterwarnings("default")  # in one process, Prefect keeps listening to our log after its flow
@pytest.mark.parametrize("driver", ["flow", "local"])
def test_init_then_audit(command: Command, tmp_path: Path, driver: str) -> None:
    spec = tmp_path / "spec.yaml"
    assert command("init", messy(tmp_path), "--label", "y", "--out", spec)[0] == 0
    local = ["--local"] if driver == "local" else []
    code, out, err = command("audit", spec, "--root", tmp_path / "root", "--workers", 0, "--json", *local)
    assert code == 0, err
    report = json.loads(out)
    assert report["target"]["n_members"] == 150
    assert report["data"]["files"] == {"path": "CSV, delimiter ',', header, utf-8"}
    assert report["data"]["columns"]["since"] == "timestamp[us], as days"
    assert "Files: path: CSV, delimiter ',', header, utf-8. Columns: pay (double), city (text, 3 categories), " in err


def columns(n: int, **more: Any) -> str:
    table = {"a": np.arange(n) * 1.5, "b": np.arange(n) % 7} | more
    return "\n".join([",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]) + "\n"


@pytest.mark.parametrize(
    ("table", "label", "words"),
    [
        ({"y": np.arange(300) % 2, "number": np.arange(300)}, "y", '- "number"  # numbers the records'),
        ({"y": np.arange(300) / 7}, "y", "bins: ["),
        ({"y": ["", *"uv" * 149, "u"]}, "y", 'missing: {"label": "drop"}  # 1 records have no label'),
        ({"y": np.arange(300) % 150}, "y", "bins: ["),
        ({"y": [f"c{i % 150}" for i in range(300)]}, "y", "smallest_class"),
        ({"the label: 'odd'": np.arange(300) % 2}, "the label: 'odd'", "label: \"the label: 'odd'\""),
    ],
)  # fmt: skip
def test_every_spec_is_one_that_an_audit_takes(tmp_path: Path, table: dict[str, Any], label: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(columns(300, **table))
    if words == "smallest_class":
        with pytest.raises(DataError, match="have enough records"):
            first_spec(str(path), label)
        return
    text = first_spec(str(path), label)
    assert words in text
    spec = AuditSpec.from_yaml(text)
    assert isinstance(spec.data, ParquetData)
    assert preview(spec, spec.data, Store(tmp_path / "root"), is_timed=False).sizes.n_members > 70


def test_what_cannot_be_audited_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(columns(50, y=np.arange(50) % 2))
    with pytest.raises(DataError, match="50 different records; an audit needs 100"):
        first_spec(str(tmp_path / "t.csv"), "y")
    with pytest.raises(DataError, match="--label='z' is not a column; the columns are a, b, y"):
        first_spec(str(tmp_path / "t.csv"), "z")


def test_queries_of_an_endpoint_are_counted_without_asking_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(columns(300, y=np.arange(300) % 2))
    spec = AuditSpec.from_yaml(f"""
name: far
data: {{kind: sides, members: {tmp_path}/t.csv, nonmembers: {tmp_path}/t.csv, label: y, duplicates: keep}}
target: {{kind: endpoint, url: "http://127.0.0.1:9/predict"}}
attacks: [{{kind: loss}}]
""")
    assert not isinstance(spec.data, ParquetData)
    lines = describe(spec, spec.data)  # type: ignore[arg-type]
    assert "Queries: 600 at most (600 audited records), and some to check that the model stays the same" in lines
    assert any(line.startswith("Work: 0 targets and 0 shadow models") for line in lines)


def test_embeddings_are_features_of_a_first_spec(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    for name, vectors in {"fixed": vector_column(X), "lists": pa.array(X.tolist())}.items():
        pq.write_table(pa.table({"e": vectors, "y": np.arange(200) % 2}), tmp_path / f"{name}.parquet")
        assert "ignore:" not in first_spec(str(tmp_path / f"{name}.parquet"), "y")


def test_what_is_uncommented_is_valid(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(columns(300, y=np.arange(300) % 2))
    text = first_spec(str(tmp_path / "t.csv"), "y")
    spec = AuditSpec.from_yaml(text.replace("# limits:", "limits:"))
    assert [limit.limit for limit in spec.limits] == [0.6]  # type: ignore[union-attr]
