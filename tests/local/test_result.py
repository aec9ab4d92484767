"""A result in a notebook: what it shows, what it gives out, and what it writes."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

from umbrameter import AuditResult, audit
from umbrameter.errors import StoreError
from umbrameter.report.model import read_report

X, Y = make_classification(400, 6, flip_y=0.3, random_state=1)
SIDES = {"members": (X[:200], Y[:200]), "nonmembers": (X[200:], Y[200:])}


@pytest.fixture(scope="module")
def result() -> AuditResult:
    model = DecisionTreeClassifier(random_state=0).fit(X[:200], Y[:200])
    limits = [{"metric": "auc", "limit": 0.55, "source": "this test"}]
    attacks = ["loss", "gap"]
    return audit(
        model,
        **SIDES,  # type: ignore[arg-type]
        attacks=[{"kind": name} for name in attacks],
        mitigations=[{"kind": "label_only"}],
        limits=limits,
        name="tree",
        progress=False,
    )


def test_the_verdict_follows_from_the_limits(result: AuditResult) -> None:
    assert result.verdict.status == "fail" and result.verdict.reason.startswith("1 of 1 limits exceeded")


def test_it_shows_the_finding_the_verdict_and_each_attack_in_a_few_lines(result: AuditResult) -> None:
    lines = repr(result).splitlines()
    assert lines[0] == "Audit of 'tree'" and "Members can be told from non-members" in lines[1]
    assert lines[2].startswith("Verdict: fail.") and len(lines) <= 8
    assert [line.split()[0] for line in lines[4:6]] == ["loss", "gap"]


def test_its_html_says_the_same(result: AuditResult) -> None:
    page = result._repr_html_()
    assert "<strong>tree</strong>: Members can be told" in page and page.count("<tr>") == 3
    assert "Verdict: <strong>fail</strong>" in page


def test_the_frame_has_every_figure_or_the_reason_why_not(result: AuditResult) -> None:
    frame = result.to_frame()
    assert len(frame) == sum(len(r.metrics) for r in result.report.results)
    row = frame[(frame.attack == "loss") & (frame.mitigation == "none") & (frame.metric == "auc")].iloc[0]
    (entry,) = (r for r in result.report.results if r.attack == "loss" and r.mitigation is None)
    assert (row.value, row.low, row.high) == tuple(
        entry.metrics["auc"].model_dump()[n] for n in ("value", "low", "high")
    )
    missing = frame[frame.value.isna()]
    assert len(missing) and missing.not_measured.str.len().gt(10).all()
    assert frame[frame.value.notna()].not_measured.isna().all()


@pytest.mark.parametrize("name", ["roc", "classes", "mitigations"])
def test_pictures_are_shown_and_saved(result: AuditResult, tmp_path: Path, name: str) -> None:
    picture = getattr(result.plot, name)()
    assert picture._repr_png_().startswith(b"\x89PNG") and picture.figure.axes
    picture.save(tmp_path / "picture.svg")
    assert b"<svg" in (tmp_path / "picture.svg").read_bytes()


def test_the_page_is_whole_and_a_saved_folder_has_it_with_all_else(result: AuditResult, tmp_path: Path) -> None:
    page = result.to_html()
    assert page.startswith("<!DOCTYPE html>") and page.count("data:image/png;base64") == 3
    folder = result.save(tmp_path / "a" / "b")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"report.html", "report.json", "spec.yaml", "figures/roc.png", "figures/mitigations.png"} <= files
    assert (folder / "report.html").read_text(encoding="utf8") == page
    assert read_report((folder / "report.json").read_bytes()) == result.report


def test_a_folder_that_cannot_be_written_is_named(result: AuditResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"folder='.*file' cannot be written"):
        result.save(tmp_path / "file")


@pytest.mark.pipeline
@pytest.mark.filterwarnings("default")
def test_it_is_logged_to_mlflow(result: AuditResult, tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = mlflow.MlflowClient(uri).get_run(result.log_to_mlflow(uri))
    (entry,) = (r for r in result.report.results if r.attack == "loss" and r.mitigation is None)
    assert any(np.isclose(value, entry.metrics["auc"].value) for value in run.data.metrics.values())
