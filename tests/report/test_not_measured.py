"""What was not measured is listed with its reasons, alike ones together."""

from tests.report.changes import replace_metric
from umbrameter.report.not_measured import not_measured
from umbrameter.statistics.estimates import NotMeasured

LOST = NotMeasured(not_measured="there are no members")


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
