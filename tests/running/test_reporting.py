"""The end of an audit: a folder of its own with all that a reader needs."""

import re
from pathlib import Path

import pytest
import yaml

from tests.running.inline import Finished
from umbrameter.report.run_artefacts import FILE, RunArtefacts
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.steps import key_of


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
