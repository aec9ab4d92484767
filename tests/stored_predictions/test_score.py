"""The command `umbrameter score`: exit codes, files, what is printed, and what is loaded."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.stored_predictions.tables import audit, column, stored
from umbrameter.attacks import Loss
from umbrameter.report import Report
from umbrameter.spec.score import ScoreSpec
from umbrameter.store.arrow import vector_column
from umbrameter.stored_predictions.audit import score_stored


def test_what_makes_no_slice_is_said(tmp_path, command):
    target, _ = audit(n=100)
    table = target.append_column("height", pa.array(np.linspace(1, 2, 200))).append_column("n", pa.array(range(200)))
    path, *_ = stored(tmp_path, target=table)
    report, _ = score_stored(path, None, ScoreSpec(attacks=(Loss(),)))
    said = "columns of the predictions that make no slices: height (holds fractions), n (more than 50 values)"
    assert report.data.warnings == [said]
    _, out, _ = command("score", tmp_path / "target.parquet")
    assert said in " ".join(out.split())
    assert score_stored(*stored(tmp_path, target=target), None, ScoreSpec(attacks=(Loss(),)))[0].data.warnings == []


@pytest.mark.parametrize(
    ("column", "known"), [("record_id", "4 models"), ("model_id", "models that are not told apart (no model_id)")]
)
def test_an_attack_that_lacks_data_does_not_silence_the_others(tmp_path, command, column, known):
    target, shadow = audit(n=200, n_models=4)
    stored(tmp_path, target=target, shadow=shadow.drop_columns([column]))
    _, out, _ = command("score", tmp_path / "target.parquet", "--shadow", tmp_path / "shadow.parquet")
    text = " ".join(out.split())
    assert "Members can be told from non-members: AUC " in text
    assert "4 of 9 attacks were not measured, and may be stronger;" in text
    assert f"there is no {column} in the shadow predictions" in text and f"Shadows {known}" in text
    assert ("model_id)" in text) == (column == "model_id")


def test_a_reason_that_several_attacks_share_is_one_line_on_the_screen(tmp_path, command):
    """Each reason began with the attack's name, so that seven attacks without shadow models were seven lines."""
    stored(tmp_path, target=audit(n=200)[0])
    text = " ".join(command("score", tmp_path / "target.parquet")[1].split())
    assert "Every figure (7 of 9 results): the attack needs shadow models' predictions (--shadow)." in text
    assert text.count("--shadow") == 1 and text.index("--shadow") < text.index("Verdict") and "Where" not in text


def test_rounded_answers_need_not_sum_to_one(tmp_path, command):
    target, _ = audit(n=50)
    vectors = np.round(np.stack(target["prediction"].to_numpy()), 1)
    pq.write_table(column(target, "prediction", vector_column(vectors)), tmp_path / "x.parquet")
    code, _, err = command("score", tmp_path / "x.parquet")
    assert code == 1 and "--rounded takes rounded" in err
    assert command("score", tmp_path / "x.parquet", "--rounded")[0] == 0


@pytest.mark.parametrize(("limit", "code"), [(0.55, 2), (0.99, 0), (0.82, 0)])
def test_exit_codes_follow_the_limits(tmp_path, command, limit, code):
    stored(tmp_path, target=audit()[0])
    (tmp_path / "spec.yaml").write_text(f"limits: [{{metric: auc, attack: loss, limit: {limit}, source: us}}]")
    assert command("score", tmp_path / "target.parquet", "--spec", tmp_path / "spec.yaml")[0] == code


def test_a_limit_on_what_is_not_measured_is_exit_code_3(tmp_path, command):
    stored(tmp_path, target=audit()[0])
    (tmp_path / "spec.yaml").write_text("limits: [{metric: auc, attack: lira(online), limit: 0.6, source: us}]")
    assert command("score", tmp_path / "target.parquet", "--spec", tmp_path / "spec.yaml")[0] == 3


def test_report_and_figures_are_written_and_json_is_all_there_is(tmp_path, command):
    target, shadow = audit()
    stored(tmp_path, target=target, shadow=shadow)
    files = (tmp_path / "target.parquet", "--shadow", tmp_path / "shadow.parquet", "--out", tmp_path / "out")
    code, out, _ = command("score", *files, "--json")
    assert Report.model_validate_json(out).results and code == 0
    made = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert made == {"report.json", "report.html", "figures/roc.png", "figures/class_precision.png"}
    assert "Controls: can this audit be trusted?" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(out)
    assert "lira(online)" in command("score", *files)[1]


def test_a_spec_that_is_none_says_where(tmp_path, command):
    stored(tmp_path, target=audit(n=20)[0])
    (tmp_path / "spec.yaml").write_text("attacks: [{kind: magic}]")
    code, out, err = command("score", tmp_path / "target.parquet", "--spec", tmp_path / "spec.yaml")
    assert (code, out) == (1, "") and "attacks[0].kind='magic': unknown kind" in err and "Traceback" not in err


def test_nothing_heavy_is_loaded(tmp_path):
    stored(tmp_path, **dict(zip(("target", "shadow"), audit(n=50), strict=True)))
    code = (
        "import sys; from umbrameter.cli import app\n"
        f"app(['score', {str(tmp_path / 'target.parquet')!r}, '--shadow', {str(tmp_path / 'shadow.parquet')!r}],"
        " standalone_mode=False)\n"
        "heavy = {'prefect', 'dask', 'distributed', 'mlflow', 'jax', 'torch', 'numba', 'optax'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
