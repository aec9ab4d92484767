"""The end of an audit: a folder of its own with all that a reader needs, and a table for Prefect."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.types.names import raise_on_name_alphanumeric_dashes_only

from tasks import reporting
from tests.running.inline import Finished, audited, people
from umbrameter.report import Report
from umbrameter.report.run_artefacts import FILE, RunArtefacts
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.steps import key_of

SMALL = """
name: small
data: {kind: parquet, path: PATH, label: y}
split: {members: 60}
target: {kind: train, estimator: {kind: logistic_regression}}
attacks: [{kind: loss}]
"""


def files(finished: Finished) -> dict[str, bytes]:
    folder = Path(finished.root, finished.folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# The folder


def test_the_folder_has_report_spec_figures_and_the_list_of_artefacts(everything: Finished) -> None:
    written = files(everything)
    assert {"report.html", "report.json", "spec.yaml", FILE} < {*written}
    figures = {*written} - {"report.html", "report.json", "spec.yaml", FILE}
    assert figures and all(re.fullmatch(r"figures/\w+\.png", name) for name in figures)
    assert all(written[name].startswith(b"\x89PNG") for name in figures)


def test_the_spec_in_the_folder_is_the_whole_spec(everything: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBRAMETER_ALLOWED_PREFIXES", "tests.")
    text = files(everything)["spec.yaml"].decode()
    spec = AuditSpec.from_yaml(text)
    assert spec == everything.session.spec
    assert spec.digest() == everything.report.audit.spec_digest
    assert set(yaml.safe_load(text)) == set(AuditSpec.model_fields)


def test_the_listed_artefacts_are_there(everything: Finished) -> None:
    listed = RunArtefacts.model_validate_json(files(everything)[FILE])
    paths = [listed.records, listed.split, *listed.targets, *listed.shadow_records, *listed.guards, *listed.controls]
    paths += [path for m in listed.measurements for path in (*m.attack_models, m.scores, m.evaluation)]
    assert len(paths) > 50
    assert [path for path in paths if everything.session.store.open(path).key != key_of(path)] == []


def test_the_report_counts_the_stages_and_what_they_made(everything: Finished) -> None:
    ledger = everything.report.ledger
    n_fits = sum(path.split("/")[1] in ("targets", "shadow_predictions") for path in everything.session.made)
    assert n_fits == 4 + 12 and ledger.fits >= n_fits  # with the attack models
    assert everything.report.audit.seconds > 0


def test_the_folder_is_named_by_the_audit_and_by_when_it_began(everything: Finished) -> None:
    assert re.fullmatch(r"runs/Every\.thing_1-\d{8}T\d{6}(-\d+)?", everything.folder)


def test_no_record_s_value_is_in_the_page(everything: Finished) -> None:
    from umbrameter.records.reader import Records

    records = Records.open(everything.session.store, everything.variants[0].training.records)
    heights = records.take(range(records.n_records))[0][:, records.feature_names.index("height")]
    page = files(everything)["report.html"].decode()
    assert [height for height in heights.tolist() if repr(height) in page or f"{height:.9g}" in page] == []


def test_the_folder_is_complete_on_disk_before_anything_is_said_of_it(tmp_path: Path) -> None:
    spec = AuditSpec.from_yaml(SMALL.replace("PATH", str(people(tmp_path / "people.parquet"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "summary_sentence", lambda _: 1 / 0)  # as if Prefect's server were gone
        with pytest.raises(ZeroDivisionError):
            audited(spec, tmp_path / "root")
    (folder,) = (tmp_path / "root" / "runs").iterdir()
    assert Report.model_validate_json((folder / "report.json").read_bytes()).audit.name == "small"


# The table


def test_the_table_has_a_row_for_each_attack_on_each_mitigation(everything: Finished) -> None:
    rows = everything.table["table"]
    report = everything.report
    pairs = {(row["mitigation"], row["attack"]) for row in rows}
    assert pairs == {(result.mitigation or "none", result.attack) for result in report.results}
    assert len(rows) == len(pairs)  # of two attackers, the stronger
    assert all(isinstance(cell, str) for row in rows for cell in row.values())
    assert len({tuple(row) for row in rows}) == 1


def test_the_table_is_json(everything: Finished) -> None:
    assert json.loads(json.dumps(everything.table["table"])) == everything.table["table"]
    assert everything.table["description"]


def test_the_table_is_called_by_the_audit_s_name(everything: Finished) -> None:
    assert everything.table["key"] == "audit-every-thing-1"


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
