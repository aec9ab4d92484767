"""The examples of docs/adding.md, put into a copy of the source, pass the registry test and run in an audit."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from umbrameter.report import Report

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

SOURCE = Path(__file__).parents[1]
SPEC = """
name: added
data: {kind: sides, label: y, members: MEMBERS, nonmembers: NONMEMBERS, pool: POOL}
target: {kind: linear, path: WEIGHTS}
shadows: {count: 4, data: {kind: interpolated}, estimator: {kind: logistic_regression, params: {C: 100}}}
attacks: [{kind: margin}, {kind: calibrated_loss}]
mitigations: [{kind: fade, share: 0.5}, {kind: cap}]
limits: [{metric: false_alarm_rate, attack: margin, limit: 1, source: this test}]
"""


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the text before each block of a language in the docs, and the block."""
    docs = (SOURCE / "docs" / "adding.md").read_text(encoding="utf8")
    found = re.split(rf"```{language}\n(.*?)```\n", docs, flags=re.DOTALL)
    return [*zip(found[::2], found[1::2], strict=False)]


def files() -> dict[str, str]:
    """Return the new files by path, each named just before its block."""
    return {re.findall(r"`(umbrameter/\S+\.py)`", before)[-1]: content for before, content in blocks("python")}


def changed(text: str, difference: str) -> str:
    """Return a text with the hunks of a difference applied, each of which fits whole lines at one place alone."""
    for hunk in difference.split("@@\n")[1:]:
        lines = hunk.splitlines()
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] in kept) for kept in (" -", " +"))
        assert f"\n{text}".count(f"\n{old}") == 1, f"{text.count(old)} places for the hunk\n{hunk}"
        text = f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]
    return text


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the source with all examples in it."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("umbrameter", "tasks", "flows", "data", "docs"):
        shutil.copytree(SOURCE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("pyproject.toml", "tests/test_registry.py"):
        shutil.copy(SOURCE / name, copy / name)
    for path, content in files().items():
        (copy / path).write_text(content, encoding="utf8")
    for _, difference in blocks("diff"):
        path = copy / difference.splitlines()[1].removeprefix("+++ b/")
        path.write_text(changed(path.read_text(encoding="utf8"), difference), encoding="utf8")
    return copy


def run(copy: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_each_example_touches_as_many_files_as_the_page_says() -> None:
    touched = [difference.splitlines()[1].removeprefix("+++ b/umbrameter/") for _, difference in blocks("diff")]
    code = [path for path in touched if path.endswith(".py")]
    per_package = {name: sum(path == f"{name}/__init__.py" for path in code) for name in ("attacks", "mitigations")}
    assert per_package == {"attacks": 2, "mitigations": 2} and len(files()) == 6
    others = [path for path in code if path not in ("attacks/__init__.py", "mitigations/__init__.py")]
    assert others == [
        "steps/inputs.py",
        "targets/__init__.py",
        "shadow_data/__init__.py",
        "statistics/metrics.py",
        "report/text.py",
    ]


def test_the_examples_pass_the_registry_test_and_the_linter(extended: Path) -> None:
    done = run(extended, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/test_registry.py")
    assert done.returncode == 0, done.stdout + done.stderr
    for path in files():
        assert f"[{path.removesuffix('.py').replace('/', '.')}] PASSED" in done.stdout
    linted = run(extended, "-m", "ruff", "check", "--no-cache", "umbrameter")
    assert linted.returncode == 0, linted.stdout


def test_an_audit_uses_the_examples(extended: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 20)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=600) > 0).astype(int)
    spec, parts = SPEC, {"MEMBERS": slice(0, 100), "NONMEMBERS": slice(100, 200), "POOL": slice(200, 600)}
    for name, rows in parts.items():
        path = tmp_path / f"{name.lower()}.parquet"
        pq.write_table(pa.table({**{f"f{j}": X[rows, j] for j in range(20)}, "y": y[rows]}), path)
        spec = spec.replace(f" {name}", f" {path}", 1)
    model = LogisticRegression(C=100).fit(X[:100], y[:100])
    coef, intercept = (np.vstack([-part, part]) for part in (model.coef_, model.intercept_[None]))
    weights = {"coef": coef.tolist(), "intercept": intercept[:, 0].tolist(), "classes": [0, 1]}
    (tmp_path / "weights.json").write_text(json.dumps(weights))
    (tmp_path / "spec.yaml").write_text(spec.replace("WEIGHTS", str(tmp_path / "weights.json")))
    command = ("-c", "import umbrameter.cli as cli; cli.main()", "audit", str(tmp_path / "spec.yaml"))
    done = run(extended, *command, "--root", str(tmp_path / "root"), "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json(done.stdout)
    results = {(r.attack, r.mitigation, r.attacker): r for r in report.results}
    assert {name for name, *_ in results} == {"margin", "calibrated_loss", "confidence", "gap"}
    assert {name for _, name, _ in results} == {None, "fade(0.5)", "cap(0.9)"}
    assert report.target.description.startswith("the linear model of") and report.target.kind == "linear"
    assert report.shadows.data == "records between those of the same source" and report.shadows.n_models == 4
    assert all(result.metrics["auc"].value > 0.5 for result in report.results if result.mitigation is None)
    rate = results["margin", None, None].metrics["false_alarm_rate"]
    assert 0 < rate.value < 1 and report.verdict.status == "pass"
    assert "not_measured" in results["calibrated_loss", None, None].metrics["false_alarm_rate"].model_dump()
    capped = results["margin", "cap(0.9)", "adaptive"]
    assert capped.utility["label_agreement"].value == 1 and capped.utility["distortion"].value > 0
