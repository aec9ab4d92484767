"""Sweeps: what the points' reports come to, as values, as tables, as a page, on a screen and in a tracker."""

import json
import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from umbrameter.report import Report
from umbrameter.report.figures import png
from umbrameter.report.mlflow_view import sweep_note, sweep_series
from umbrameter.report.model import DrawnClass, DrawnInfo
from umbrameter.report.sweep_html import MOST_PANELS, class_precision
from umbrameter.report.sweep_model import COMPARED, SweepReport, compared, lines, queries, render, rows
from umbrameter.report.terminal import sweep_summary
from umbrameter.report.text import figure, point
from umbrameter.spec.sweep import Sweep, from_yaml
from umbrameter.statistics.estimates import Interval, NotMeasured

HOSTILE = "<script>|alert(1)|</script>"


@pytest.fixture
def sweep() -> Sweep:
    found = from_yaml(
        "{name: sizes, data: {kind: catalogue, name: adult}, split: {members: [500, 1000, 2000]}, "
        "target: {kind: train, estimator: {kind: random_forest}}}"
    )
    assert isinstance(found, Sweep)
    return found


@pytest.fixture
def reports(build_report: Callable[..., Report], build_classes: Any) -> list[Report]:
    """Return the report of each point: the attacks and classes of each of its own, the last with drawn shadow data."""
    found = []
    for i in range(3):
        plain = build_report()
        classes = [build_classes(5, seed=i, n_missing=i), []]
        own = [r for r in plain.results if r.mitigation is None]
        results = [r.model_copy(update={"by_class": c}) for r, c in zip(own, classes, strict=True)]
        target = plain.target.model_copy(update={"train_accuracy": 0.9 + i / 100, "n_members": 500 * 2**i})
        rest = [r for r in plain.results if r.mitigation is not None]
        found.append(plain.model_copy(update={"target": target, "results": [*results, *rest]}))
    by_class = [DrawnClass(label=str(c), n_found=20 * c, n_failed=1, queries=300, seconds=0.1) for c in range(2)]
    drawn = DrawnInfo(kind="model_based", n_wanted=40, n_records=20, queries=600, by_class=by_class)
    found[2] = found[2].model_copy(update={"shadows": found[2].shadows.model_copy(update={"drawn": drawn})})
    return found


@pytest.fixture
def swept(sweep: Sweep, reports: list[Report]) -> SweepReport:
    return compared(sweep, [f"runs/{i}" for i in range(3)], reports)


def test_each_point_has_the_figures_of_its_own_report(swept: SweepReport, reports: list[Report]) -> None:
    assert [(p.label, p.step, p.run) for p in swept.points] == [
        ("500", 500, "runs/0"),
        ("1,000", 1000, "runs/1"),
        ("2,000", 2000, "runs/2"),
    ]
    for found, report in zip(swept.points, reports, strict=True):
        unmitigated = [result for result in report.results if result.mitigation is None]
        assert (found.train_accuracy, found.n_members) == (report.target.train_accuracy, report.target.n_members)
        assert [attack.attack for attack in found.attacks] == [result.attack for result in unmitigated]
        for attack, result in zip(found.attacks, unmitigated, strict=True):
            assert attack.metrics == {name: result.metrics[name] for name in COMPARED}
            measured = [c.precision.value for c in result.by_class if isinstance(c.precision, Interval)]
            assert attack.class_precision == measured
            assert attack.n_unmeasured == len(result.by_class) - len(measured)
    assert (swept.axis, swept.title, swept.name) == ("split.members", "training records", "sizes")


def test_medians_are_over_the_classes_that_were_measured_and_of_none_there_is_none(swept: SweepReport) -> None:
    by_classes, without = swept.points[1].attacks
    assert len(by_classes.class_precision) == 3 and by_classes.n_unmeasured == 2
    assert by_classes.medians["precision"] == np.median(by_classes.class_precision)
    assert by_classes.medians["recall"] == np.median(by_classes.class_recall)
    assert without.medians == {"precision": None, "recall": None}


def test_a_sweep_is_read_again_whole_and_has_a_point(swept: SweepReport) -> None:
    assert SweepReport.model_validate_json(swept.model_dump_json()) == swept
    with pytest.raises(ValidationError, match="points"):
        SweepReport.model_validate({**json.loads(swept.model_dump_json()), "points": []})
    with pytest.raises(ValidationError, match="surprise"):
        SweepReport.model_validate({**json.loads(swept.model_dump_json()), "surprise": 1})


def test_reports_and_points_have_to_be_as_many(sweep: Sweep, reports: list[Report]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        compared(sweep, ["runs/0"], reports[:1])


def test_the_digest_is_of_all_points(sweep: Sweep, swept: SweepReport, reports: list[Report]) -> None:
    fewer = sweep.model_copy(update={"points": sweep.points[:2]})
    other = compared(fewer, ["runs/0", "runs/1"], reports[:2])
    assert other.spec_digest != swept.spec_digest == sweep.digest() and re.fullmatch("[0-9a-f]{64}", sweep.digest())


# As tables


def test_the_table_has_a_row_for_each_point_and_attack(swept: SweepReport) -> None:
    table, short = rows(swept), lines(swept)
    assert len(table) == len(short) == 6
    for row, line, (place, attack) in zip(table, short, [(p, a) for p in swept.points for a in p.attacks], strict=True):
        assert row["training records"] == place.label and row["attack"] == line["attack"] == attack.attack
        assert figure(attack.metrics["auc"]) in row.values() and point(attack.metrics["auc"]) == line["AUC"]
    assert [line["training records"] for line in short] == ["500", "", "1,000", "", "2,000", ""]
    assert [row["classes measured"] for row in table] == ["4 of 5", "0 of 0", "3 of 5", "0 of 0", "2 of 5", "0 of 0"]
    assert table[1]["median precision of classes"] == "not measured"


def test_queries_are_of_points_that_drew_records_by_asking(swept: SweepReport) -> None:
    (row,) = queries(swept)
    assert [*row.values()] == ["2,000", "20 of 40", "600", "30.000", "1"]
    drawn = swept.points[2].drawn
    assert drawn is not None
    for update in ({"queries": 0}, {"n_records": 0}):
        changed = swept.points[2].model_copy(update={"drawn": drawn.model_copy(update=update)})
        found = queries(swept.model_copy(update={"points": [changed]}))
        assert [row["records"] for row in found] == ([] if "queries" in update else ["0 of 40"])
        assert "not measured" in (found[0].values() if found else {"not measured": 0})


def test_the_page_holds_every_row_and_escapes_what_comes_from_a_spec(swept: SweepReport) -> None:
    page = render(swept.model_copy(update={"name": HOSTILE}), b"\x89PNG")
    assert "<script" not in page and "data:image/png;base64,iVBORw==" in page
    for row in (*rows(swept), *queries(swept)):
        for text in row.values():
            assert f">{text}</td>" in page
    assert "runs/1" in page and page.count(">no limits set</td>") == 3 and "[low, high]: the 95 %" in page
    without = swept.model_copy(update={"points": swept.points[:1]})
    assert page.count("<h2>") == render(without, b"").count("<h2>") + 1  # no empty table of queries


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_holds_every_line(swept: SweepReport, width: int) -> None:
    console = Console(width=width, file=StringIO(), record=True, color_system=None)
    console.print(sweep_summary(swept, {"Report": "runs/sweep.html"}))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert (
        text.count("no limits set") == 3
        and text.count("shokri(mlp)") == 3
        and "20 of 40" in text
        and "runs/sweep.html" in text
        and "runs/2" in text
    )


# In a tracker


def test_series_have_one_value_a_step_and_leave_out_what_was_not_measured(swept: SweepReport) -> None:
    series = [*sweep_series(swept)]
    assert len({(name, step) for name, _, step in series}) == len(series)
    by_name = {name: [(s, v) for n, v, s in series if n == name] for name, _, _ in series}
    assert by_name["target_train_accuracy"] == [(500, 0.9), (1000, 0.91), (2000, 0.92)]
    assert by_name["queries_per_record"] == [(2000, 30.0)]
    assert [step for step, _ in by_name["shokri_mlp_auc"]] == [500, 1000, 2000]
    assert "loss_median_class_precision" not in by_name and len(by_name["shokri_mlp_median_class_recall"]) == 3
    lost = swept.points[0].attacks[1].model_copy(update={"metrics": {"auc": NotMeasured(not_measured="x")}})
    bare = swept.points[0].model_copy(update={"attacks": [lost]})
    assert {n for n, _, _ in sweep_series(swept.model_copy(update={"points": [bare]}))} == {
        "target_train_accuracy",
        "target_test_accuracy",
    }


def test_the_note_says_which_step_is_which_value_and_has_the_table(swept: SweepReport) -> None:
    note = sweep_note(swept)
    assert "500 = 500, 1000 = 1,000, 2000 = 2,000" in note
    table = [line for line in note.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 6 and len({line.count("|") for line in table}) == 1 and "[low, high]: the" in note


# As a figure


def test_each_class_is_a_dot_at_its_point_and_medians_are_connected(swept: SweepReport) -> None:
    drawn = class_precision(swept)
    (axes,) = drawn.axes  # loss has no figures by class
    *dots, medians = [line for line in axes.lines if line.get_label() != "guessing: 0.5"]
    for dot, found in zip(dots, swept.points, strict=True):
        assert sorted(found.attacks[0].class_precision) == dot.get_ydata().tolist()
        assert np.abs(dot.get_xdata() - round(float(np.mean(dot.get_xdata())))).max() < 0.2
    assert medians.get_ydata().tolist() == [p.attacks[0].medians["precision"] for p in swept.points]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["500", "1,000", "2,000"]
    assert png(drawn) == png(class_precision(swept))


def test_few_attacks_are_drawn_and_an_attack_that_a_point_lacks_leaves_a_gap(swept: SweepReport) -> None:
    first = swept.points[0].attacks[0]
    many = [first.model_copy(update={"attack": f"attack {i}"}) for i in range(MOST_PANELS + 2)]
    there = (many, many[:2], many[:1])
    points = [p.model_copy(update={"attacks": attacks}) for p, attacks in zip(swept.points, there, strict=True)]
    drawn = class_precision(swept.model_copy(update={"points": points}))
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["attack 0", "attack 1", "attack 2"]
    gaps = [np.isnan(axes.lines[-1].get_ydata()).tolist() for axes in drawn.axes]
    assert gaps == [[False, False, False], [False, False, True], [False, True, True]]


def test_a_sweep_without_figures_by_class_is_drawn_all_the_same(swept: SweepReport) -> None:
    alone = [p.model_copy(update={"attacks": p.attacks[1:]}) for p in swept.points]
    drawn = class_precision(swept.model_copy(update={"points": alone}))
    assert len(drawn.axes) == 1 and np.isnan(drawn.axes[0].lines[-1].get_ydata()).all()
