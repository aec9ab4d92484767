"""`report.json`: its schema, its round trip, and the bytes by which two runs are compared."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from umbrameter.errors import StoreError
from umbrameter.report import Report, schema
from umbrameter.report.model import exit_code, read_report
from umbrameter.statistics.estimates import Interval, NotMeasured


def test_round_trip_keeps_every_field(report):
    text = report.model_dump_json()
    again = Report.model_validate_json(text)
    assert again == report
    assert again.model_dump_json() == text


def test_measured_and_not_measured_come_back_as_what_they_were(report):
    metrics = Report.model_validate_json(report.model_dump_json()).results[0].metrics
    assert isinstance(metrics["auc"], Interval)
    assert isinstance(metrics["tpr_at_fpr_0.001"], NotMeasured)


def test_not_measured_has_no_value_in_json(report):
    entry = json.loads(report.model_dump_json())["results"][0]["metrics"]["tpr_at_fpr_0.001"]
    assert list(entry) == ["not_measured"]


def test_top_level_names_are_those_of_the_contract(report):
    assert list(json.loads(report.model_dump_json())) == [
        "schema_version",
        "audit",
        "data",
        "target",
        "shadows",
        "results",
        "repeats",
        "controls",
        "guarantees",
        "recommendation",
        "verdict",
        "ledger",
    ]


def test_every_field_of_the_report_is_described():
    parts: dict[str, Any] = {"Report": schema()} | schema()["$defs"]
    ours = {
        name: part
        for name, part in parts.items()
        if name not in {"Interval", "LowerBound", "NotMeasured", "NotReachable", "ClassMetrics"}
    }
    missing = [
        f"{n}.{f}" for n, part in ours.items() for f, v in part["properties"].items() if not v.get("description")
    ]
    assert len(ours) == 19
    assert missing == []


def test_schema_refuses_what_it_does_not_know():
    parts = [schema(), *schema()["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts)


def test_unknown_field_is_refused(report):
    with pytest.raises(ValidationError, match="surprise"):
        Report.model_validate(report.model_dump() | {"surprise": 1})


def test_status_outside_the_five_is_refused(report):
    with pytest.raises(ValidationError, match="not_measured"):
        Report.model_validate(report.model_dump() | {"verdict": {"status": "green", "reason": ""}})


def test_report_is_frozen(report):
    with pytest.raises(ValidationError, match="frozen"):
        report.schema_version = 2


def test_results_json_ignores_all_but_results(report, build_report):
    other = build_report(name="other", ledger=report.ledger.model_copy(update={"seconds": {"fit": 9.0}}))
    assert other.results_json() == report.results_json()


def test_results_json_shows_the_last_bit_of_a_figure(report):
    first = report.results[0]
    auc = first.metrics["auc"]
    nudged = first.model_copy(update={"metrics": first.metrics | {"auc": auc.model_copy(update={"value": 0.61700001})}})
    other = report.model_copy(update={"results": [nudged, *report.results[1:]]})
    assert other.results_json() != report.results_json()


def test_results_json_does_not_depend_on_the_order_of_names(report):
    first = report.results[0]
    turned = first.model_copy(update={"metrics": dict(reversed(first.metrics.items()))})
    other = report.model_copy(update={"results": [turned, *report.results[1:]]})
    assert other.results_json() == report.results_json()
    assert json.loads(report.results_json())[0]["attack"] == "shokri(mlp)"


@pytest.mark.parametrize(
    ("status", "with_limits", "control", "code"),
    [
        ("pass", True, "pass", 0),
        ("warn", True, "pass", 0),
        ("fail", True, "pass", 2),
        ("fail", False, "pass", 2),
        ("not_measured", True, "pass", 3),
        ("not_measured", False, "fail", 3),
        ("no_limits", False, "pass", 0),
        ("no_limits", False, "not_measured", 0),
    ],
)
def test_exit_codes_say_what_was_decided(
    build_report: Any, status: Any, with_limits: bool, control: Any, code: int
) -> None:
    built = build_report(status=status)
    limits = build_report(status="fail").verdict.limits if with_limits else []
    verdict = built.verdict.model_copy(update={"limits": limits})
    controls = {"copies": built.controls["copies"].model_copy(update={"status": control})}
    assert exit_code(built.model_copy(update={"verdict": verdict, "controls": controls})) == code


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no json", "damaged"),
        (b"[]", "damaged"),
        (b"{}", "damaged"),
        (b'{"schema_version": 3}', "damaged"),
        (b'{"schema_version": 2}', "schema_version 2"),
        (b'{"schema_version": 99}', "schema_version 99"),
    ],
)
def test_a_report_that_cannot_be_read_says_what_it_is(content: bytes, text: str) -> None:
    with pytest.raises(StoreError, match=rf"report\.json .*{text}"):
        read_report(content)


def test_a_report_is_read_again_whole(full_report: Report) -> None:
    assert read_report(full_report.model_dump_json().encode()) == full_report
