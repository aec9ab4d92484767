"""Limits from the command line: exit codes with and without them, and what is said before anything runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.spec.score import ScoreSpec
from umbrameter.spec.sweep import Sweep, load

SPEC = str(Path(__file__).resolve().parents[2] / "deployments" / "specs" / "adult.yaml")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Return stored answers of a target that leaks: the AUC of the loss is about .76."""
    rng, is_member, labels = np.random.default_rng(0), np.arange(800) < 400, np.arange(800) % 2
    sure = 1 / (1 + np.exp(-rng.normal(np.where(is_member, 2.0, 1.0), 1.0)))
    p = np.where(labels == 1, sure, 1 - sure)
    table = {"p_0": 1 - p, "p_1": p, "label": labels, "is_member": is_member}
    pq.write_table(pa.table(table), tmp_path / "answers.parquet")
    return tmp_path / "answers.parquet"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ((), 0),
        (("auc=0.9",), 0),
        (("auc=0.6",), 2),
        (("auc=0.9", "tpr_at_fpr_0.1=0.15"), 2),
        (("precision_at_prior_0.1=0.5",), 3),  # without shadow models there is no threshold
    ],
)
def test_the_exit_code_is_that_of_the_limits(
    answers: Path, command: Command, limits: tuple[str, ...], code: int
) -> None:
    (answers.parent / "spec.yaml").write_text("attacks: [{kind: loss}]")
    options = [word for limit in limits for word in ("--fail-on", limit)]
    found, out, err = command("score", answers, "--spec", answers.parent / "spec.yaml", *options)
    assert found == code and ("Verdict: no limits set" in out) == (not limits)
    assert out.split("\n", 1)[1].lstrip().startswith("Members can be told from non-members: AUC 0.7")
    assert err.count("Limit ") == len(limits) and ("with 400 members and 400 non-members" in err) == bool(limits)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("auc", "--fail-on 'auc' must be METRIC=NUMBER, such as auc=0.6"),
        ("aoc=0.6", "--fail-on 'aoc=0.6': metric='aoc': is not a figure of an audit; the figures are auc, accuracy"),
        ("auc=high", "--fail-on 'auc=high': limit='high': "),
        ("auc=60", "auc is a fraction and cannot exceed 1, so this limit never fails; 60 % is 0.6"),
        ("auc=nan", "--fail-on 'auc=nan': limit='nan': Input should be a finite number"),
        ("auc=inf", "limit='inf': Input should be a finite number"),
    ],
)
def test_a_limit_that_would_never_fail_or_is_none_is_refused(
    answers: Path, command: Command, setting: str, text: str
) -> None:
    for words in (("score", answers), ("validate", SPEC)):
        code, out, err = command(*words, "--fail-on", setting)
        assert (code, out) == (1, "") and text in err and len(err.splitlines()) == 1


def test_they_come_after_those_of_the_spec_at_every_point(tmp_path: Path) -> None:
    limits = "limits=[{preset: owasp_aisvs}]"
    swept = load(SPEC, [limits, "shadows.count=[2, 4]", "attacks=[{kind: loss}]"], ["auc=0.6", "recall=0.7"])
    assert isinstance(swept, Sweep)
    for point in swept.points:
        *_, auc, recall = point.spec.limits
        assert len(point.spec.limits) == 3 and (auc.metric, auc.limit, auc.attack) == ("auc", 0.6, "any")  # type: ignore[union-attr]
        assert (recall.metric, recall.source) == ("recall", "--fail-on")  # type: ignore[union-attr]
    (tmp_path / "spec.yaml").write_text("limits: [{metric: auc, limit: 0.7, source: us}]")
    assert [limit.source for limit in ScoreSpec.load(tmp_path / "spec.yaml", ["auc=0.6"]).limits] == ["us", "--fail-on"]  # type: ignore[union-attr]
    assert len(ScoreSpec.load(SPEC, ["auc=0.6"]).limits) == 1 and ScoreSpec.load(None, ["auc=0.6"]).limits


def test_validate_says_which_limits_cannot_be_decided(command: Command) -> None:
    sizes = ["--set", "split={members: 1000, nonmembers: 1000}"]
    code, out, _ = command("validate", SPEC, *sizes, "--fail-on", "tpr_at_fpr_0.001=0.002", "--fail-on", "auc=0.6")
    lines = out.splitlines()
    assert code == 0 and sum(line.startswith("Limit") for line in lines) == 2
    assert lines[1].startswith("Limit tpr_at_fpr_0.001 at most 0.002, attack any: with 1,000 members and 1,000 non-mem")
    assert "CANNOT FAIL, whatever leaks (it can fail from about 4,380 of each side on)" in lines[1]
    assert "it can fail" in lines[2]


def test_a_sweep_over_sizes_says_it_for_each(command: Command) -> None:
    code, out, _ = command("validate", SPEC, "--set", "split={members: [100, 200]}", "--fail-on", "auc=0.6")
    lines = [line for line in out.splitlines() if line.startswith("Limit")]
    assert code == 0 and ["with 100 members and 100" in line for line in lines] == [True, False]


def test_exit_codes_are_in_the_help(command: Command) -> None:
    for name in ("audit", "score", "report"):
        out = " ".join(command(name, "--help")[1].split())
        assert "Exit codes: 0 done" in out and "Without limits" in out and "0 says nothing about leaks" in out
