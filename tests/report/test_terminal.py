"""The summary on a terminal: its text, at common widths and without colour."""

import re
from io import StringIO

import pytest
from rich.console import Console

from umbrameter.report.terminal import summary
from umbrameter.statistics.estimates import NotMeasured, NotReachable

RATE = "tpr_at_fpr_0.01"
TIED = NotReachable(not_measured="40 records share the highest score", low=0.0, high=0.1, confidence=0.95)
PLACES = {"Report": "runs/runs/adult/report.html", "MLflow UI": "umbrameter ui --root runs"}


def shown(report, width, places=PLACES):
    console = Console(width=width, file=StringIO(), record=True, color_system=None)
    console.print(summary(report, places))
    return console.export_text()


def table_of(text):
    lines = [line.rstrip() for line in text.splitlines()]
    return lines[next(i for i, line in enumerate(lines) if line.startswith("---")) + 1 :]


@pytest.mark.parametrize("width", [80, 120])
def test_table_reads_line_by_line(report, width):
    lines = table_of(shown(report, width))
    assert lines[0].split(None, 1) == ["none", "test accuracy 0.847"]
    assert lines[1].split("  ") == [
        " shokri(mlp)",
        "",
        "0.617 [0.606, 0.628]",
        "0.570 [0.561, 0.579]",
        "0.010",
    ]
    assert lines[2].startswith(" loss           0.621 [0.610, 0.632]  0.573 [0.564, 0.582]  0.010")
    assert lines[12].split(None, 1) == ["params(min_samples_leaf=20)", "test accuracy 0.851"]
    assert lines[15].startswith("---")


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(report, width):
    text = shown(report, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text


def test_long_attack_names_keep_the_figures_whole(report):
    results = [r.model_copy(update={"attack": "shokri(random_forest)"}) for r in report.results[::2]]
    lines = table_of(shown(report.model_copy(update={"results": results}), 80))
    assert lines[1].rstrip() == " shokri(random_forest)  0.617 [0.606, 0.628]  0.570 [0.561, 0.579]  0.010"


def test_summary_says_what_was_audited_and_where_things_are(report):
    text = " ".join(shown(report, 80).split())
    assert text.startswith("umbrameter audit: adult-forest Members can be told from non-members: AUC 0.621 [0.610,")
    assert "adult: 48,842 records, 14 features, 2 classes" in text
    assert "16 models of 5,000 records each (12 trained, 4 reused)" in text
    assert "Verdict: no limits set No limits are set." in text
    assert "Report runs/runs/adult/report.html" in text
    assert "MLflow UI umbrameter ui --root runs" in text
    assert "[low, high]: the 95 % confidence interval" in text and "Rates are fractions from 0 to 1" in text
    assert "params(min_samples_leaf=20) leaves the lowest upper bound of AUC" in text


def test_not_measured_is_words_and_never_zero(report):
    lost = NotMeasured(not_measured="there are no members")
    results = [r.model_copy(update={"metrics": dict.fromkeys(r.metrics, lost), "utility": {}}) for r in report.results]
    text = shown(report.model_copy(update={"results": results}), 80)
    lines = table_of(text)
    assert lines[0].split(None, 1) == ["none", "test accuracy not measured"]
    assert re.split(r" {2,}", lines[1].strip())[1:] == ["not measured", "not measured", "-"]
    assert "-: not measured" in lines and "Every figure (10 of 10 results): there are no members." in text


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", ["loss", "shokri(hist_gradient_boosting)"])
def test_a_rate_that_was_not_measured_takes_one_line_and_its_mark_is_explained(report, width, name):
    figures = report.results[0].metrics
    lost = NotMeasured(not_measured="there are too few non-members")
    ties = "ties: not reachable, since too many records share the highest score"
    for metric, word, note in ((figures[RATE], "0.010", None), (TIED, "ties", ties), (lost, "-", "-: not measured")):
        result = report.results[0].model_copy(update={"attack": name, "metrics": figures | {RATE: metric}})
        lines = table_of(shown(report.model_copy(update={"results": [result]}), width))
        assert lines[1].endswith(f"0.570 [0.561, 0.579]  {word}")
        assert lines[2].startswith("---" if name == "loss" else "(hist_gradient_boosting)")
        assert [line for line in lines if line.startswith(("ties:", "-:"))] == ([note] if note else [])


def test_the_verdict_and_the_summary_are_on_the_screen_at_the_end(report):
    """An audit of UCI Adult left 25 reasons, 80 lines, below them."""
    results = []
    for i, result in enumerate(report.results):
        tied = TIED.model_copy(update={"not_measured": f"{i} records share the highest score"})
        rates = dict.fromkeys(("tpr_at_fpr_0.1", RATE, "tpr_at_fpr_0.001"), tied)
        results.append(result.model_copy(update={"metrics": result.metrics | rates}))
    lines = shown(report.model_copy(update={"results": results}), 80).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Verdict: no limits set"))
    end = " ".join(lines[start:])
    assert len(lines) - start <= 24 and "Summary" in end and "Members can be told" in end
    assert "of 10 results" not in end and sum("of 10 results" in line for line in lines) == 3


def test_where_what_was_not_measured_is_listed_is_said(report):
    assert "Not measured (the report lists each result and reason)" in shown(report, 80)
    assert "Not measured (a report, by --out DIR, lists each result and reason)" in shown(report, 80, {})


def test_markup_in_names_is_printed_as_it_is(build_report):
    hostile = build_report(name="[red]a[/red] [/nonsense]")
    assert "umbrameter audit: [red]a[/red] [/nonsense]" in shown(hostile, 80, {"[bold]x": "[/y]"})
    assert "[bold]x  [/y]" in shown(hostile, 80, {"[bold]x": "[/y]"})


def test_report_without_results_is_still_readable(report):
    shadows = report.shadows.model_copy(update={"n_models": 0})
    text = shown(report.model_copy(update={"results": [], "shadows": shadows}), 80)
    assert "none needed" in text
    assert "No attack on the unmitigated target was measured" in text
