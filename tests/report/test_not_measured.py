"""What was not measured is listed with its reasons, alike ones together."""

from tests.report.changes import replace_metric
from umbrameter.report.not_measured import in_brief, not_measured
from umbrameter.statistics.estimates import NotMeasured, NotReachable

LOST = NotMeasured(not_measured="there are no members")
TOO_FEW = "an FPR of 0.001 needs at least 1,000 non-members; there are 500"


def tied(report):
    """Return the report with the TPR at 10 % FPR tied in six results and at 1 % in all, each by as many records."""
    results = []
    for i, result in enumerate(report.results):
        reason = f"an FPR is not reachable: {40 + i} records share the highest score"
        lost = NotReachable(not_measured=reason, low=0.0, high=0.1, confidence=0.95)
        names = ("tpr_at_fpr_0.1", "tpr_at_fpr_0.01") if i < 6 else ("tpr_at_fpr_0.01",)
        results.append(result.model_copy(update={"metrics": result.metrics | dict.fromkeys(names, lost)}))
    return report.model_copy(update={"results": results})


def test_not_measured_takes_alike_reasons_together(report):
    assert not_measured(report) == [
        "TPR at 0.1 % FPR (every attack): an FPR of 0.001 needs at least 1,000 non-members; there are 500.",
        "By class (class 0): the attack called nobody a member.",
    ]


def test_not_measured_names_attack_and_mitigation(report):
    changed = replace_metric(report, "auc", LOST, attack="loss", mitigation="rounding(1)")
    assert "AUC (loss: rounding(1)): there are no members." in not_measured(changed)


def test_many_unmeasured_classes_are_counted(report, build_classes):
    first = report.results[0].model_copy(update={"by_class": build_classes(30, n_missing=12)})
    lines = not_measured(report.model_copy(update={"results": [first]}))
    assert any("class 7 and 4 more): there are no members." in line for line in lines)


def test_a_limit_that_was_not_measured_is_listed(build_report):
    failed = build_report(status="fail")
    limit = failed.verdict.limits[0].model_copy(update={"observed": None, "bound": None, "status": "not_measured"})
    verdict = failed.verdict.model_copy(update={"limits": [limit]})
    assert "Limit on AUC of loss." in not_measured(failed.model_copy(update={"verdict": verdict}))


def test_in_brief_ties_are_a_line_per_rate_however_many_records_they_are(report):
    ties = "not reachable, since too many records share the highest score."
    assert len(not_measured(tied(report))) == 6 + 10 + 2
    assert in_brief(tied(report)) == [
        f"TPR at 10 % FPR (6 of 10 results): {ties}",
        f"TPR at 1 % FPR (10 of 10 results): {ties}",
        f"TPR at 0.1 % FPR (10 of 10 results): {TOO_FEW}.",
        "By class (class 0): the attack called nobody a member.",
    ]


def test_in_brief_a_reason_is_one_line_whatever_it_applies_to(report):
    whole = report.results[0].model_copy(update={"metrics": dict.fromkeys(report.results[0].metrics, LOST)})
    rest = [r.model_copy(update={"metrics": r.metrics | {"auc": LOST}}) for r in report.results[1:3]]
    most = [r.model_copy(update={"metrics": r.metrics | dict.fromkeys([*r.metrics][1:6], LOST)}) for r in rest]

    def count(results):
        return in_brief(report.model_copy(update={"results": results}))[0]

    assert count([whole, *report.results[1:]]) == "Every figure (1 of 10 results): there are no members."
    assert count([*rest, *report.results[3:]]) == "AUC (2 of 9 results): there are no members."
    assert count([whole, *most]) == (
        "AUC, attack accuracy, attack precision and 7 more (3 of 3 results): there are no members."
    )


def test_in_brief_the_results_are_those_of_the_screen(full_report):
    """Of two attackers one is shown: with both, 18 results would be counted where the table has 10 rows."""
    assert f"TPR at 0.1 % FPR (10 of 10 results): {TOO_FEW}." in in_brief(full_report)
    assert len(full_report.results) == 18
