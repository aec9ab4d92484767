"""Which results are shown: grouped, the strongest, and the stronger of two attackers."""

from umbrameter.report.selection import by_mitigation, stronger, strongest
from umbrameter.statistics.estimates import NotMeasured

LOST = NotMeasured(not_measured="there are no members")


def test_grouping_puts_none_first_and_keeps_the_order(report):
    turned = list(reversed(report.results))
    assert list(by_mitigation(turned)) == [
        "none",
        "params(min_samples_leaf=20)",
        "label_only",
        "top_k(1)",
        "rounding(1)",
    ]


def test_the_strongest_attacks_are_those_of_highest_auc_on_the_target_as_it_is(report):
    found = strongest(report.results, most=2)
    aucs = [r.metrics["auc"].value for r in report.results if r.mitigation is None]
    assert [r.metrics["auc"].value for r in found] == sorted(aucs, reverse=True)[:2]
    assert all(r.mitigation is None for r in found) and strongest([]) == []


def test_of_an_unmeasured_pair_the_attacker_who_knows_is_shown(full_report):
    lost = [
        r.model_copy(update={"metrics": r.metrics | {"auc": LOST}}) if r.attacker == "static" else r
        for r in full_report.results
    ]
    shown = stronger(lost)
    assert len(shown) == 10 and {r.attacker for r in shown} == {None, "adaptive"}
    assert next(r.attacker for r in stronger(lost[::-1]) if r.mitigation) == "static"
