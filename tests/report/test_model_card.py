"""Model cards, and the templates that they and pages are made from."""

import re
from html import unescape

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from umbrameter.report import Report
from umbrameter.report.model_card import card
from umbrameter.report.templating import filled, or_not, unbroken
from umbrameter.statistics.estimates import Interval, NotMeasured

HOSTILE = "<b>|a & b|</b>"
LOST = NotMeasured(not_measured="there are no members")


def markdown_rows(card: str) -> list[list[str]]:
    """Return the rows of a card's tables, bars within a cell unescaped."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_a_card_of_the_target_as_it_is_has_each_attack_and_each_figure_of_worth(full_report: Report) -> None:
    rows = markdown_rows(card(full_report, "none"))
    assert ["loss", "", "0.621 [0.610, 0.632]", "0.573 [0.564, 0.582]", "0.010 [0.006, 0.014]"] in rows
    assert ["test accuracy", "0.847 [0.836, 0.858]", ""] in rows and len(rows) == 2 * 2 + 2 + 2
    assert "[low, high]: the 95 % confidence interval" in card(full_report, "none")


def test_a_card_says_the_verdict_in_words(report: Report) -> None:
    assert "Verdict: no limits set." in card(report, "none") and "no_limits" not in card(report, "none")


def test_a_card_of_a_mitigation_has_the_stronger_attacker_the_change_the_claim_and_the_notes(
    full_report: Report,
) -> None:
    text = card(full_report, "top_k(1)")
    rows = markdown_rows(text)
    assert ["loss", "adaptive", "0.604 [0.593, 0.615]"] in [row[:3] for row in rows]
    assert ["test accuracy", "0.847 [0.836, 0.858]", "0 [-0.0030, 0.0030]"] in rows
    assert "- a note\n" in text and "BROKEN: top_k(1)" in text and "0.621 [0.610, 0.632]" in text
    assert "BROKEN" not in card(full_report, "rounding(1)")


def test_names_in_a_card_neither_end_a_cell_nor_are_markup(report: Report) -> None:
    names = (HOSTILE, f"{HOSTILE} again")
    results = [r.model_copy(update={"attack": name}) for r, name in zip(report.results, names, strict=False)]
    text = card(report.model_copy(update={"results": results}), "none")
    assert "<b>" not in text
    assert [unescape(row[0]) for row in markdown_rows(text)[2:4]] == [*names]


def test_a_card_of_what_was_not_measured_by_every_attack_says_so_beside_the_figure(report: Report) -> None:
    lost = [
        r.model_copy(update={"metrics": r.metrics | {"auc": LOST}}) if r.attack == "loss" else r for r in report.results
    ]
    text = card(report.model_copy(update={"results": lost, "recommendation": None}), "none")
    assert "has AUC" not in text and "Not every attack was measured." in text
    assert "1 of 2 attacks were not measured, and may be stronger;" in text
    assert ["loss", "", "not measured"] in [row[:3] for row in markdown_rows(text)]


# Templates


def test_a_value_that_a_template_names_and_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="report"):
        filled("model_card.md.j2", mitigation="none")
    with pytest.raises(TemplateNotFound):
        filled("nowhere.j2")


def test_figures_in_cells_do_not_break_between_their_bounds() -> None:
    interval = Interval(value=0.5, low=0.4, high=0.6, confidence=0.95, method="m")
    assert unbroken(interval) == "0.500 [0.400,\u00a00.600]"
    assert unbroken(None) == unbroken(LOST) == or_not(None) == "not measured"
    assert (or_not(0.0), or_not(0.25)) == ("0", "0.250")
