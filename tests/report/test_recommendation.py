"""How much each variant leaks, by which attacker, and which mitigation is recommended."""

from typing import Any

import pytest

from umbrameter.report import Report, Result
from umbrameter.report.recommendation import leak, leaks, recommend
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import summary_sentence
from umbrameter.spec.limits import Limit
from umbrameter.statistics.estimates import Interval, LowerBound, NotMeasured

BEST = "params(min_samples_leaf=20)"


def auc(value: float, half: float = 0.01) -> Interval:
    return Interval(value=value, low=value - half, high=value + half, confidence=0.95, method="DeLong")


def replaced(report: Report, mitigation: str | None, attack: str | None = None, **changes: Any) -> list[Result]:
    return [
        r.model_copy(update=changes) if r.mitigation == mitigation and attack in (None, r.attack) else r
        for r in report.results
    ]


def test_the_strongest_attack_is_that_of_highest_auc(report: Report) -> None:
    found = leaks(report.results)
    assert {name: entry.result.attack for name, entry in found.items()} == dict.fromkeys(found, "loss")
    assert (found[None].auc.value, found[None].upper) == (0.621, pytest.approx(0.632))


def test_the_upper_bound_is_of_all_attacks_and_attackers(report: Report) -> None:
    metrics = report.results[0].metrics
    wide = replaced(report, None, "shokri(mlp)", metrics=metrics | {"auc": auc(0.6, 0.1)})
    assert (leaks(wide)[None].result.attack, leaks(wide)[None].upper) == ("loss", 0.7)
    static = [
        r.model_copy(update={"attacker": "static", "metrics": r.metrics | {"auc": auc(0.61)}})
        for r in report.results
        if r.mitigation == BEST
    ]
    found = leaks([*report.results, *static])[BEST]
    assert found.result.attacker == "static" and found.upper == 0.62
    shown = [r for r in stronger([*report.results, *static]) if r.mitigation == BEST]
    assert [r.attacker for r in shown] == ["static", "static"]


def test_the_lowest_upper_bound_at_an_accepted_loss_is_recommended(report: Report) -> None:
    found = recommend(report.results, (), 0.01)
    assert found is not None and found.mitigation == BEST
    assert f"{BEST} leaves the lowest upper bound of AUC" in found.reason
    assert "0.517 instead of 0.632" in found.reason and "+0.0042 [+0.0012, +0.0072]" in found.reason
    assert found.reason in summary_sentence(report)


def test_what_may_cost_too_much_is_passed_over(report: Report) -> None:
    dear = Interval(value=-0.011, low=-0.014, high=-0.008, confidence=0.95, method="paired")
    results = replaced(report, BEST, change={"test_accuracy": dear})
    assert recommend(results, (), 0.01).mitigation == "label_only"  # type: ignore[union-attr]
    assert recommend(results, (), 0.02).mitigation == BEST  # type: ignore[union-attr]
    unknown = [r.model_copy(update={"change": {}}) for r in report.results]
    none = recommend(unknown, (), 0.0)
    assert none is not None and none.mitigation is None and "no mitigation costs at most 0 of" in none.reason


def test_what_was_not_attacked_by_all_is_passed_over(report: Report) -> None:
    lost = {"auc": NotMeasured(not_measured="there are no members")}
    assert recommend(replaced(report, BEST, "loss", metrics=lost), (), 0.01).mitigation == "label_only"  # type: ignore[union-attr]
    unaware = replaced(report, BEST, attacker="static")
    assert recommend(unaware, (), 0.01).mitigation == "label_only"  # type: ignore[union-attr]


def test_none_suffices_is_an_answer(report: Report) -> None:
    few = [r for r in report.results if r.mitigation in (None, "rounding(1)")]
    strong = [r.model_copy(update={"metrics": r.metrics | {"auc": auc(0.63)}}) if r.mitigation else r for r in few]
    found = recommend(strong, (), 0.01)
    assert found is not None and found.mitigation is None and "lowers the upper bound of AUC, 0.632" in found.reason
    limits = [Limit(metric="auc", limit=0.4, source="the test")]
    exceeded = recommend(report.results, limits, 0.01)
    assert exceeded is not None and exceeded.mitigation is None and "a limit is still exceeded" in exceeded.reason


def test_without_mitigations_or_a_leak_there_is_nothing_to_recommend(report: Report) -> None:
    assert recommend([r for r in report.results if r.mitigation is None], (), 0.01) is None
    calm = [r.model_copy(update={"metrics": r.metrics | {"auc": auc(0.505)}}) for r in report.results]
    assert recommend(calm, (), 0.01) is None


def with_auc(result: Result, low: float, value: float, high: float, attack: str = "") -> Result:
    interval = Interval(value=value, low=low, high=high, confidence=0.95, method="m")
    return result.model_copy(update={"metrics": {"auc": interval}, "attack": attack or result.attack})


def test_a_leak_is_that_of_the_strongest_attack_with_the_upper_bound_of_all(report: Report) -> None:
    base = report.results[0]
    wide, strong, weak = (
        with_auc(base, 0.4, 0.5, 0.9, "wide"),
        with_auc(base, 0.6, 0.7, 0.8, "strong"),
        with_auc(base, 0.5, 0.55, 0.6, "weak"),
    )
    for order in ((wide, strong, weak), (weak, strong, wide), (strong, wide, weak)):
        found = leak(order)
        assert found is not None and (found.result.attack, found.auc.value, found.upper) == ("strong", 0.7, 0.9)
    lost = weak.model_copy(update={"metrics": {"auc": NotMeasured(not_measured="x")}})
    assert leak([strong, lost]) is None and leak([]) is None and leaks([]) == {}
    bound = strong.model_copy(update={"metrics": {"auc": LowerBound(value=0.7, low=0.7, confidence=0.95, method="m")}})
    assert leak([bound]) is None  # without an upper bound there is nothing to compare


def test_the_recommended_mitigation_is_one_of_those_measured(full_report: Report) -> None:
    for accepted in (0.0, 0.01, 0.5):
        found = recommend(full_report.results, (), accepted)
        assert found is not None and found.accepted_loss == accepted
        assert found.mitigation in {r.mitigation for r in full_report.results if r.mitigation}
