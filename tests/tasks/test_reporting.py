"""What Prefect shows of a finished audit: a table."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.types.names import raise_on_name_alphanumeric_dashes_only

from tasks import reporting
from tests.running.inline import Finished


@pytest.fixture(scope="module")
def table(everything: Finished) -> dict[str, Any]:
    """Return what is given to Prefect's server as a table."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "create_table_artifact", given.update)
        reporting.show_table(everything.session, everything.folder)
    return given


def test_the_table_has_a_row_for_each_attack_on_each_mitigation(everything: Finished, table: dict[str, Any]) -> None:
    rows = table["table"]
    report = everything.report
    pairs = {(row["mitigation"], row["attack"]) for row in rows}
    assert pairs == {(result.mitigation or "none", result.attack) for result in report.results}
    assert len(rows) == len(pairs)  # of two attackers, the stronger
    assert all(isinstance(cell, str) for row in rows for cell in row.values())
    assert len({tuple(row) for row in rows}) == 1


def test_the_table_is_json(table: dict[str, Any]) -> None:
    assert json.loads(json.dumps(table["table"])) == table["table"]
    assert table["description"]


def test_the_table_is_called_by_the_audit_s_name(table: dict[str, Any]) -> None:
    assert table["key"] == "audit-every-thing-1"


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"))
def test_whatever_an_audit_is_called_prefect_takes_the_key(name: str) -> None:
    key = reporting._slug(f"audit-{name}")
    raise_on_name_alphanumeric_dashes_only(key)
    assert key == key.lower() and key.startswith("audit-") and not key.endswith("-")


# The next in line


def test_whatever_reads_the_folder_waits_for_the_report(everything: Finished) -> None:
    (report,) = everything.graph.of("write_report")
    assert report.value == everything.folder
    assert [*everything.graph._parents([everything.folder])] == [report]
