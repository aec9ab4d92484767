"""Every optional part of a report, on the page and on the screen: its figures are there, and without it no heading."""

import re
from html import unescape
from io import StringIO

import pytest
from rich.console import Console

from umbrameter.report import Report
from umbrameter.report.html import render
from umbrameter.report.sentences import controls_line, drawn_line, guarantee_sentence
from umbrameter.report.terminal import summary
from umbrameter.report.text import attacker_name
from umbrameter.statistics.estimates import Interval


def cells(page: str) -> list[list[str]]:
    """Return the rows of a page's tables as lists of the cells' text."""
    rows = re.findall(r"<tr>.*?</tr>", page, re.S)
    found = [re.findall(r"<t[hd].*?</t[hd]>", row, re.S) for row in rows]
    return [[unescape(re.sub("<[^>]*>", "", cell)).replace("\xa0", " ") for cell in row] for row in found]


def printed(report: Report, width: int = 120) -> str:
    console = Console(width=width, file=StringIO(), record=True, color_system=None)
    console.print(summary(report, {}))
    return console.export_text()


# The page


def test_every_optional_part_has_its_figures_on_the_page(full_report: Report) -> None:
    rows = cells(render(full_report, {}))
    assert ["loss", "class 1", "0.050 [0.030, 0.070]", "0.012"] in rows
    assert ["loss, by sex", "class 1", "0.050 [0.030, 0.070]", "0.012"] in rows
    assert ["none", "loss", "0.610 ± 0.020", "not measured", "not measured", "0.375", "not measured"] in rows
    assert ["class 0", "90", "3", "4,500", "50.0", "1.25"] in rows
    assert ["class 1", "0", "7", "500", "not measured", "0.50"] in rows
    assert ["blind baseline", "fail", "of blind_baseline"] in rows
    assert ["fit shadows", "30.1", "58.7"] in rows and ["orchestration", "", "9.0"] in rows


def test_parts_that_are_absent_leave_no_empty_heading(report: Report, full_report: Report) -> None:
    alone = report.model_copy(update={"results": [r for r in report.results if not r.mitigation], "controls": {}})
    headings = {
        text: re.findall("<h2>(.*?)</h2>", render(r, {})) for text, r in (("some", alone), ("all", full_report))
    }
    assert len(headings["all"]) == len(set(headings["all"])) == len(headings["some"]) + 5
    assert set(headings["some"]) < set(headings["all"])


def test_of_two_attackers_the_stronger_is_in_the_overview_and_both_are_among_all_figures(full_report: Report) -> None:
    mitigated = [result for result in full_report.results if result.mitigation is not None]
    names = [attacker_name(result) for result in mitigated]
    rows = [row for row in cells(render(full_report, {})) if set(names) & set(row)]
    everything, overview = ([row for row in rows if (len(row) > 7) is wide] for wide in (True, False))
    assert [row[2] for row in everything] == names and len(set(names)) == 2
    assert len(overview) == len(mitigated) / 2 and all(names[0] in row for row in overview)


def test_methods_of_intervals_are_stated_once_by_figure(full_report: Report) -> None:
    (stated,) = re.findall(r"Intervals by (.*?)</p>", render(full_report, {}))
    assert stated.count("AUC: DeLong") == 1 and stated.count(";") == len(stated.split("; ")) - 1
    assert "lower bound of ε: m" in stated


# The terminal


def test_a_static_attacker_who_did_better_is_marked_and_the_mark_explained(full_report: Report) -> None:
    assert "*" not in printed(full_report)  # the static ones are weaker here
    better = {"auc": Interval(value=0.9, low=0.89, high=0.91, confidence=0.95, method="m")}
    results = [
        r.model_copy(update={"metrics": r.metrics | better}) if r.attacker == "static" else r
        for r in full_report.results
    ]
    text = printed(full_report.model_copy(update={"results": results}))
    assert text.count(" * ") == 8 and text.count("0.900 [0.890, 0.910]") == 8 and "\n*: " in text


@pytest.mark.parametrize("width", [80, 120])
def test_limits_claims_drawn_data_and_controls_are_on_the_screen(full_report: Report, width: int) -> None:
    text, drawn = " ".join(printed(full_report, width).split()), full_report.shadows.drawn
    assert drawn is not None and drawn_line(drawn) in text and controls_line(full_report) in text
    assert guarantee_sentence(full_report.guarantees[0]) in text
    (limit,) = [line for line in text.split(" - ") if "the data owner" in line]
    assert all(part in limit for part in ("fail: AUC of loss", "0.600", "0.621", "lower bound 0.610"))
    assert "A limit fails if the lower bound" in text


def test_controls_are_counted_and_those_that_did_not_pass_are_named(full_report: Report) -> None:
    line = controls_line(full_report)
    assert line.startswith("2 of 4") and "blind baseline" in line and "copies" in line
    assert "row order" not in line and "orientation" not in line
