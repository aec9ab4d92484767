"""What a tracker is told of a report."""

from umbrameter.report import Report
from umbrameter.report.mlflow_view import allowed, flat_metrics, flatten, note, run_name, without_secrets


def test_a_run_is_named_by_its_result_and_its_time(report: Report) -> None:
    name = run_name(report)
    assert name.startswith("AUC 0.") and name.endswith(report.audit.started[11:16])


def test_the_note_has_a_row_for_each_result(report: Report) -> None:
    rows = [line for line in note(report).splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(report.results)


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
