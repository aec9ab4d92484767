"""A report as MLflow is given it."""

import re

import pytest

from umbrameter.report import Report
from umbrameter.report.mlflow_view import (
    TABLE,
    allowed,
    flat_metrics,
    flatten,
    mitigation_figures,
    mitigation_note,
    mitigation_table,
    note,
    run_name,
    without_secrets,
)
from umbrameter.report.text import figure
from umbrameter.spec.audit import AuditSpec
from umbrameter.statistics.estimates import NotMeasured


def test_a_run_is_named_by_its_result_and_its_time(report: Report) -> None:
    name = run_name(report)
    assert name.startswith("AUC 0.") and name.endswith(report.audit.started[11:16])


def test_the_note_has_a_row_for_each_result(report: Report) -> None:
    rows = [line for line in note(report).splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(report.results)
    assert note(report).startswith("Members can be told from non-members: AUC 0.621 [0.610, 0.632]")
    assert "**Verdict:** no limits set. No limits are set." in note(report)
    assert "[low, high]: the 95 % confidence interval" in note(report)


def test_figures_come_with_their_bounds_and_absent_ones_not_at_all(report: Report) -> None:
    result = report.results[0]
    flat = flat_metrics(result)
    auc = result.metrics["auc"]
    assert (flat["auc_low"], flat["auc"], flat["auc_high"]) == (auc.low, auc.value, auc.high)  # type: ignore[union-attr]
    assert "tpr_at_fpr_0.001" not in flat and flat["test_accuracy"] == result.utility["test_accuracy"].value  # type: ignore[union-attr]


def test_nested_settings_become_dotted_paths() -> None:
    nested = {"a": {"b": 1, "c": None}, "d": [{"e": 2}, {"e": 3}], "f": [1, 2]}
    assert dict(flatten(nested)) == {"a.b": 1, "d.0.e": 2, "d.1.e": 3, "f": [1, 2]}
    assert allowed("shokri(mlp)") == "shokri_mlp"


def test_secrets_in_addresses_are_hidden() -> None:
    assert without_secrets("postgresql://me:pass@host/db and http://x") == "postgresql://***@host/db and http://x"


def test_the_table_of_mitigations_has_a_row_for_each_result(full_report: Report) -> None:
    table = mitigation_table(full_report)
    assert {len(column) for column in table.values()} == {len(full_report.results)}
    assert list(table)[:3] == ["mitigation", "attack", "attacker"] and set(TABLE) <= set(table)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    for row, result in zip(rows, full_report.results, strict=True):
        assert row["attacker"] == (result.attacker or "") and row["auc"] == figure(result.metrics["auc"])
        assert row["distortion"] == "" and row["mitigation"] == (result.mitigation or "none")


def test_a_mitigation_s_run_has_the_stronger_attackers_aucs_and_its_own_claims(full_report: Report) -> None:
    found = mitigation_figures(full_report, "top_k(1)")
    epsilons = {"epsilon_claimed": 2.0, "epsilon_proved": 2.25, "epsilon_proved_if_independent": 2.5}
    assert found == {"auc_shokri_mlp": 0.598, "auc_loss": 0.604, **epsilons}
    assert mitigation_figures(full_report, "top_k(1) + rounding(1)") == epsilons
    assert mitigation_note(full_report, "top_k(1) + rounding(1)").startswith("BROKEN: top_k(1) claims")
    assert mitigation_note(full_report, "label_only") == ""
    assert set(mitigation_figures(full_report, "label_only")) == {"auc_shokri_mlp", "auc_loss"}


def test_a_withdrawn_claim_is_no_figure_but_words(full_report: Report) -> None:
    claim = full_report.guarantees[0].model_copy(update={"is_reproducible": True})
    report = full_report.model_copy(update={"guarantees": [claim]})
    assert "epsilon_claimed" not in mitigation_figures(report, "top_k(1)")
    assert mitigation_note(report, "top_k(1)").startswith("withdrawn: top_k(1) claims no privacy")


def test_lower_bounds_have_no_upper_one_and_changes_their_own_names(full_report: Report) -> None:
    static = next(r for r in full_report.results if r.attacker == "static")
    flat = flat_metrics(static)
    assert flat["epsilon_lower_bound"] == flat["epsilon_lower_bound_low"] == 0.4
    assert "epsilon_lower_bound_high" not in flat and flat["change_of_test_accuracy"] == 0
    names = [name for name, m in static.metrics.items() if isinstance(m, NotMeasured)]
    assert names and not set(names) & set(flat) and all(isinstance(value, float) for value in flat.values())


@pytest.mark.parametrize("name", ["shokri(mlp, sorted)", "τ=0.5%", "a.b-c/d e_", "params(max_depth=2)", "_x_"])
def test_names_hold_only_what_a_tracker_takes_and_are_left_alone_after_that(name: str) -> None:
    assert re.fullmatch(r"[\w./ -]*", allowed(name)) and allowed(allowed(name)) == allowed(name)


def test_a_spec_s_settings_are_flat_and_none_is_lost() -> None:
    spec = AuditSpec.from_yaml(
        "{name: x, data: {kind: catalogue, name: adult}, split: {members: 9}, "
        "target: {kind: train, estimator: {kind: random_forest, params: {max_depth: 3}}}}"
    )
    flat = dict(flatten(spec.model_dump(mode="json")))
    assert flat["target.estimator.params.max_depth"] == 3 and flat["data.name"] == "adult"
    assert not any(isinstance(value, dict) or value is None for value in flat.values())
    assert dict(flatten({})) == {} and dict(flatten(5, "seed")) == {"seed": 5}
