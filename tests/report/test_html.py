"""The HTML page: complete, self-contained, escaped, and plain about what was not measured."""

import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest

from umbrameter.evaluation.controls import Control
from umbrameter.report.html import CAPTIONS, render
from umbrameter.statistics.estimates import NotMeasured, NotReachable

HOSTILE = """<script>alert(1)</script>"'&"""
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text; it fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def rows(page):
    """Return the rows of all tables as lists of the cells' text."""
    return [
        [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>.*?</tr>", page, re.S)
    ]


def test_page_has_name_verdict_and_reading(report):
    text = Page(render(report, {})).text
    assert "adult-forest" in text
    assert "Verdict: no limits set" in text
    assert "No limits are set." in text
    found = text.index("Members can be told from non-members: AUC 0.621 [0.610, 0.632] (0.5 is guessing")
    assert found < text.index("Verdict")
    assert "A failed attack proves no privacy" in text
    assert "classifies 100.0 % of the members and 84.7 % of the non-members correctly" in text


def test_table_has_a_row_for_each_mitigation_and_attack(report):
    found = rows(render(report, {}))
    first = found.index(["none", "test accuracy 0.847 [0.836, 0.858]"])
    unmitigated = ["shokri(mlp)", "", "0.617 [0.606, 0.628]", "0.570 [0.561, 0.579]", "0.010 [0.006, 0.014]"]
    assert found[first + 1] == unmitigated and found[first + 3][0] == "rounding(1)"
    knowing = ["loss", "adaptive", "0.506 [0.495, 0.517]", "0.504 [0.495, 0.513]", "0.010 [0.006, 0.014]"]
    assert knowing in found
    assert sum(row[:1] == ["none"] for row in found) == 1 + 2 + 1  # overview, two among all figures, costs


def test_the_main_table_is_as_wide_as_its_figures_alone(report):
    """With columns for mitigation and test accuracy, and no wrapping, it was wider than a window of 1,200 pixels."""
    page = render(report, {})
    (table,) = re.findall(r"<table><caption>.*?An adaptive attacker.*?</table>", page, re.S)
    head, *body = re.findall(r"<tr>.*?</tr>", table, re.S)
    assert head.count("<th ") == 5 and "nowrap" not in page
    spans = [[int(n) for n in re.findall(r'colspan="(\d+)"', row)] or [1] * row.count("<td") for row in body]
    assert len(body) == 5 + 10 and {sum(row) for row in spans} == {5}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("pass", "pass"),
        ("warn", "warning"),
        ("fail", "fail"),
        ("not_measured", "not measured"),
        ("no_limits", "no limits set"),
    ],
)
def test_verdict_in_words(build_report, status, text):
    assert f"Verdict: {text}" in Page(render(build_report(status=status), {})).text


def test_limits_are_listed_with_their_source(build_report):
    found = rows(render(build_report(status="fail"), {}))
    assert ["AUC", "loss", "0.600", "0.621", "lower bound 0.610", "fail", "the data owner"] in found


def test_every_table_with_bounds_says_what_they_are(full_report):
    page = render(full_report, {})
    tables = re.findall(r"<table>.*?</table>", page, re.S)
    with_bounds = [table for table in tables if re.search(r"\[[-0-9.]+,\s[-0-9.]+\]", table)]
    assert len(with_bounds) > 8
    assert all("[low, high]: the 95 % confidence interval" in table for table in with_bounds)
    assert [table for table in tables if "lower bound 0.610" in table and "A limit fails if the lower bound" in table]


def test_a_rate_that_ties_leave_out_of_reach_is_so_called(report):
    reason = "not reachable: 40 records share the highest score; the smallest FPR is 0.2"
    lost = NotReachable(not_measured=reason, low=0.0, high=0.1, confidence=0.95)
    results = [r.model_copy(update={"metrics": r.metrics | {"tpr_at_fpr_0.01": lost}}) for r in report.results]
    page = render(report.model_copy(update={"results": results}), {})
    assert next(row for row in rows(page) if row[:1] == ["shokri(mlp)"])[-1] == "not reachable"
    assert "TPR at 1 % FPR (every attack): not reachable: 40 records share the highest score" in Page(page).text


def test_page_is_self_contained(report):
    page = Page(render(report, {"roc": b"\x89PNG"}))
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    assert [v for k, v in page.attributes if k in {"src", "href"}] == ["data:image/png;base64,iVBORw=="]
    assert "http" not in render(report, {}).replace("http-equiv", "")
    assert "url(" not in render(report, {})


def test_figures_are_embedded_with_their_captions(report):
    page = Page(render(report, {"roc": b"one", "something_else": b"two"}))
    sources = [v.removeprefix("data:image/png;base64,") for k, v in page.attributes if k == "src"]
    assert [b64decode(source) for source in sources] == [b"one", b"two"]
    assert [v for k, v in page.attributes if k == "alt"] == [CAPTIONS["roc"], "something else"]
    assert "Figures" not in Page(render(report, {})).text.replace("Figures with", "")


def test_everything_hostile_is_escaped(build_report):
    plain = build_report(status="fail")
    labelled = [c.model_copy(update={"label": HOSTILE}) for c in plain.results[0].by_class]
    results = [
        r.model_copy(
            update={
                "attack": HOSTILE,
                "mitigation": mitigation,
                "assumption": HOSTILE,
                "by_class": labelled,
                "metrics": r.metrics | {HOSTILE: NotMeasured(not_measured=HOSTILE)},
            }
        )
        for r, mitigation in zip(plain.results, (None, HOSTILE), strict=False)
    ]
    limit = plain.verdict.limits[0].model_copy(update={"metric": HOSTILE, "attack": HOSTILE, "source": HOSTILE})
    report = plain.model_copy(
        update={
            "audit": plain.audit.model_copy(
                update=dict.fromkeys(("name", "version", "spec_digest", "started"), HOSTILE)
            ),
            "data": plain.data.model_copy(update={"name": HOSTILE, "warnings": [HOSTILE]}),
            "target": plain.target.model_copy(update={"kind": HOSTILE, "description": HOSTILE}),
            "shadows": plain.shadows.model_copy(update={"design": HOSTILE, "data": HOSTILE}),
            "results": results,
            "controls": {HOSTILE: Control(status="fail", reason=HOSTILE)},
            "verdict": plain.verdict.model_copy(update={"reason": HOSTILE, "limits": [limit]}),
            "ledger": plain.ledger.model_copy(update={"seconds": {HOSTILE: 1.0}}),
        }
    )
    page = Page(render(report, {HOSTILE: b"png"}))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") > 20
    allowed = {"lang", "charset", "name", "content", "http-equiv", "class", "style", "scope", "colspan", "src", "alt"}
    assert {name for name, _ in page.attributes} <= allowed


def test_not_measured_is_words_and_never_zero(report):
    lost = NotMeasured(not_measured="there are no members")
    results = [r.model_copy(update={"metrics": dict.fromkeys(r.metrics, lost), "utility": {}}) for r in report.results]
    page = render(report.model_copy(update={"results": results}), {})
    first = rows(page).index(["none", "test accuracy not measured"])
    assert rows(page)[first + 1] == ["shokri(mlp)", "", *["not measured"] * 3]
    assert "there are no members" in Page(page).text
    assert not [row for row in rows(page) if row[:1] == ["none"] and {"0", "0.000", "nan", "None"} & set(row)]


def test_reasons_are_listed(report):
    text = Page(render(report, {})).text
    assert "TPR at 0.1 % FPR (every attack): an FPR of 0.001 needs at least 1,000 non-members" in text


def test_a_metric_that_is_absent_is_not_measured(report):
    bare = report.results[0].model_copy(update={"metrics": {}})
    found = rows(render(report.model_copy(update={"results": [bare]}), {}))
    first = found.index(["none", "test accuracy 0.847 [0.836, 0.858]"])
    assert found[first + 1] == ["shokri(mlp)", "", *["not measured"] * 3]


def test_classes_are_collapsed_and_complete(report):
    page = render(report, {})
    assert Page(page).tags.count("details") == 3  # all figures, and the classes of two attacks
    assert sum(row[:1] == ["class 2"] for row in rows(page)) == 2


def test_report_without_results_and_shadow_models_is_still_a_page(report):
    shadows = report.shadows.model_copy(update={"n_models": 0, "train_accuracy": None, "test_accuracy": None})
    text = Page(render(report.model_copy(update={"results": [], "shadows": shadows}), {})).text
    assert "none needed" in text
    assert "No figures by class." in text


def test_what_was_found_in_the_files_is_part_of_the_set_up(report):
    found = {"files": {"members": "CSV, delimiter tab"}, "columns": {"born": "date32[day], as days", "plan": "text"}}
    shown = Page(render(report.model_copy(update={"data": report.data.model_copy(update=found)}), {})).text
    assert "members: CSV, delimiter tab" in shown and "born (date32[day], as days), plan (text)" in shown
    assert "Columns" not in render(report, {})
