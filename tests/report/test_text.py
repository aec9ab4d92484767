"""Numbers and sentences: units, decimals, and advice that the figures support."""

import re
import statistics
from html import unescape
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from umbrameter.evaluation.likeness import Comparison, Likeness
from umbrameter.report import text as words
from umbrameter.report.html import render
from umbrameter.report.terminal import summary
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.statistics.metrics import measure
from umbrameter.statistics.repeats import Repeated, Spread

LOST = NotMeasured(not_measured="there are no members")
UNSURE = Interval(value=0.517, low=0.502, high=0.532, confidence=0.95, method="DeLong")


def replace_metric(report, name, metric, **where):
    """Return the report with one figure replaced in the results whose fields are as in `where`."""
    results = [
        r.model_copy(update={"metrics": r.metrics | {name: metric}})
        if all(getattr(r, field) == value for field, value in where.items())
        else r
        for r in report.results
    ]
    return report.model_copy(update={"results": results})


def without(report, *mitigations):
    return report.model_copy(update={"results": [r for r in report.results if r.mitigation not in mitigations]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.62149, "0.621"),
        (1.0, "1.000"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.00951, "0.0095"),
        (0.00001, "<0.0001"),
        (-0.00001, "0.0000"),
        (-0.25, "-0.250"),
        (2.5, "2.500"),
    ],
)
def test_number(value, text):
    assert words.number(value) == text


def test_bounds_have_as_many_decimals_as_their_figure():
    metric = Interval(value=0.0012, low=0.0004, high=0.0111, confidence=0.95, method="")
    assert words.figure(metric) == "0.0012 [0.0004, 0.0111]"


def test_grouping_puts_none_first_and_keeps_the_order(report):
    turned = list(reversed(report.results))
    assert list(words.by_mitigation(turned)) == [
        "none",
        "params(min_samples_leaf=20)",
        "label_only",
        "top_k(1)",
        "rounding(1)",
    ]


def test_reading_without_mitigations_gives_no_advice(report):
    bare = [r for r in report.results if r.mitigation is None]
    alone = report.model_copy(update={"results": bare, "recommendation": None})
    assert words.summary_sentence(alone) == words.finding(alone)


def test_reading_of_an_interval_with_a_half_inside_claims_no_leak(report):
    chance = Interval(value=0.506, low=0.495, high=0.517, confidence=0.95, method="DeLong")
    guessing = Interval(value=0.1, low=0.09, high=0.11, confidence=0.95, method="order statistics")
    blind = replace_metric(replace_metric(report, "auc", chance), "tpr_at_fpr_0.1", guessing)
    text = words.summary_sentence(blind)
    assert text.startswith(
        "No attack told members from non-members: the strongest of 2 attacks, shokri(mlp), has AUC 0.506"
    )
    assert "no proof" not in text and words.finding(replace_metric(blind, "auc", UNSURE)).endswith(
        "An interval above guessing is no proof here: 6 figures were looked at, and by chance some lie above it."
    )


def test_a_few_records_that_leak_are_a_leak_though_the_auc_shows_none(report):
    chance = Interval(value=0.506, low=0.495, high=0.517, confidence=0.95, method="DeLong")
    few = Interval(value=0.05, low=0.04, high=0.06, confidence=0.95, method="order statistics")
    text = words.finding(replace_metric(replace_metric(report, "auc", chance), "tpr_at_fpr_0.01", few, attack="loss"))
    assert text.startswith(
        "Members can be told from non-members: TPR at 1 % FPR 0.050 [0.040, 0.060] (0.010 is guessing)"
    )
    assert text.endswith(
        "by loss, though the strongest of 2 attacks, shokri(mlp), has AUC 0.506 [0.495, 0.517] (0.5 is "
        "guessing, 1 is certainty)."
    )


def test_what_was_not_measured_or_cannot_be_trusted_is_said_with_what_was_found(report):
    lost = words.finding(replace_metric(report, "auc", LOST, attack="loss", mitigation=None))
    assert lost.startswith("Members can be told from non-members: AUC 0.617") and "1 of 2 attacks were not mea" in lost
    failed = report.controls["copies"].model_copy(update={"status": "fail"})
    doubted = words.finding(report.model_copy(update={"controls": {"near_copies": failed}}))
    assert doubted.startswith("Do not rely on what follows, since a control failed (near copies). Members can")


@pytest.mark.slow
def test_of_many_attacks_that_guess_hardly_ever_one_is_said_to_tell_members(report):
    """Six attacks: by 95 % intervals alone, about one null audit in seven would be said to leak."""
    rng, member = np.random.default_rng(0), np.arange(600) < 300
    claims = {"corrected": 0, "alone": 0}
    for _ in range(300):
        drawn = [measure(rng.normal(size=600), member, None) for _ in range(6)]
        results = [report.results[0].model_copy(update={"attack": str(i), "metrics": m}) for i, m in enumerate(drawn)]
        found = words.finding(report.model_copy(update={"results": results}))
        claims["corrected"] += found.startswith("Members can be told")
        claims["alone"] += any(m["auc"].low > 0.5 for m in drawn)
    assert claims["alone"] > 20
    assert claims["corrected"] <= 300 * 0.025 + 3 * np.sqrt(300 * 0.025)


def test_reading_of_an_unmeasured_target_says_so(report):
    assert "not measured" in words.summary_sentence(replace_metric(report, "auc", LOST, mitigation=None))
    assert "No attack on the unmitigated target was measured." in words.summary_sentence(
        report.model_copy(update={"results": []})
    )


def test_not_measured_takes_alike_reasons_together(report):
    assert words.not_measured(report) == [
        "TPR at 0.1 % FPR (every attack): an FPR of 0.001 needs at least 1,000 non-members; there are 500.",
        "By class (class 0): the attack called nobody a member.",
    ]


def test_not_measured_names_attack_and_mitigation(report):
    changed = replace_metric(report, "auc", LOST, attack="loss", mitigation="rounding(1)")
    assert "AUC (loss: rounding(1)): there are no members." in words.not_measured(changed)


def test_many_unmeasured_classes_are_counted(report, build_classes):
    first = report.results[0].model_copy(update={"by_class": build_classes(30, n_missing=12)})
    lines = words.not_measured(report.model_copy(update={"results": [first]}))
    assert any("class 7 and 4 more): there are no members." in line for line in lines)


def test_a_limit_that_was_not_measured_is_listed(build_report):
    failed = build_report(status="fail")
    limit = failed.verdict.limits[0].model_copy(update={"observed": None, "bound": None, "status": "not_measured"})
    verdict = failed.verdict.model_copy(update={"limits": [limit]})
    assert "Limit on AUC of loss." in words.not_measured(failed.model_copy(update={"verdict": verdict}))


def test_confidence_is_read_from_the_intervals(report):
    assert words.confidence(report) == "95 %"
    assert words.confidence(report.model_copy(update={"results": []})) == "95 %"


def test_the_strongest_attacks_are_those_of_highest_auc_on_the_target_as_it_is(report):
    found = words.strongest(report.results, most=2)
    aucs = [r.metrics["auc"].value for r in report.results if r.mitigation is None]
    assert [r.metrics["auc"].value for r in found] == sorted(aucs, reverse=True)[:2]
    assert all(r.mitigation is None for r in found) and words.strongest([]) == []


def test_made_records_are_counted_with_what_they_took(full_report):
    drawn = full_report.shadows.drawn
    assert drawn is not None and words.drawn_line(drawn).endswith("none of 1 classes: class 1")
    free = drawn.model_copy(update={"queries": 0, "by_class": []})
    assert words.drawn_line(free) == "model_based: 90 of 200 records"
    none = drawn.model_copy(update={"n_records": 0})
    assert "55.6 " in words.drawn_line(drawn) and "0 of 200" in words.drawn_line(none)
    assert not re.search(r"\d\.\d", words.drawn_line(none))


@pytest.mark.parametrize(
    ("in_one_run", "if_independent", "word"),
    [
        (2.5, 3.0, "BROKEN"),
        (2.5, 0.0, "BROKEN"),
        (2.0, 2.5, "DOUBTFUL"),
        (2.0, 2.0, "not disproved"),
        (0.0, 0.0, "not disproved"),
    ],
)
def test_a_claim_is_broken_by_more_than_itself_alone(full_report, in_one_run, if_independent, word):
    bounds = {"one_run_epsilon_lower_bound": in_one_run, "epsilon_lower_bound": if_independent}
    line = words.guarantee_sentence(full_report.guarantees[0].model_copy(update=bounds))
    assert line.startswith(word) and "1,200 steps" in line and "4 attacks, 95 %" in line
    assert f"this one training prove at least {words.number(in_one_run)}; {words.number(if_independent)} if" in line
    assert "3.500 if the trade-off is Gaussian" in line


def test_a_claim_on_noise_that_can_be_drawn_again_is_withdrawn(full_report):
    claim = full_report.guarantees[0].model_copy(update={"is_reproducible": True})
    line = words.guarantee_sentence(claim)
    assert line.startswith("withdrawn: top_k(1) claims no privacy, since its noise follows from a seed")
    assert "ε" not in line and "1e-05" not in line and "2.250" in line


def test_at_delta_0_there_is_no_bound_for_gaussian_noise(full_report):
    claim = full_report.guarantees[0].model_copy(update={"gaussian_epsilon_lower_bound": None})
    assert "Gaussian" not in words.guarantee_sentence(claim)


def test_of_an_unmeasured_pair_the_attacker_who_knows_is_shown(full_report):
    lost = [
        r.model_copy(update={"metrics": r.metrics | {"auc": LOST}}) if r.attacker == "static" else r
        for r in full_report.results
    ]
    shown = words.stronger(lost)
    assert len(shown) == 10 and {r.attacker for r in shown} == {None, "adaptive"}
    assert next(r.attacker for r in words.stronger(lost[::-1]) if r.mitigation) == "static"


# Other trainings


def repeated(report, values, attack="loss", is_trained_here=True):
    """Return the report of an audit whose repeats have these AUCs."""
    spread = {"auc": Spread(mean=sum(values) / len(values), sd=statistics.stdev(values), values=values)}
    target = report.target.model_copy(update={"is_trained_here": is_trained_here})
    return report.model_copy(update={"repeats": [Repeated(attack=attack, spread=spread)], "target": target})


def test_an_unstable_learner_is_said_to_need_more_than_one_run(report):
    unstable = words.other_trainings(repeated(report, [0.62, 0.68, 0.55, 0.71, 0.59]))
    assert "one run is not enough" in unstable and "from 0.550 to 0.710" in unstable and "mean, 0.630" in unstable
    assert "standard deviation 0.065" in unstable
    stable = words.other_trainings(repeated(report, [0.615, 0.625, 0.62, 0.618, 0.622] * 5))
    assert stable.endswith("one run tells what others would.")
    few = words.other_trainings(repeated(report, [0.615, 0.623]))
    assert few.endswith("too few to tell whether one run is enough.")


def test_what_repeats_did_not_show_is_not_claimed(report):
    here = report.model_copy(update={"target": report.target.model_copy(update={"is_trained_here": True})})
    assert words.other_trainings(here).endswith("`repeats` in the spec measures that.")
    other = repeated(report, [0.62, 0.68], attack="shokri(mlp)")  # not the strongest attack
    assert words.other_trainings(other).endswith("`repeats` in the spec measures that.")
    elsewhere = repeated(report, [0.5, 0.9, 0.7], is_trained_here=False)
    assert "trained elsewhere, and once; repeats show" in words.other_trainings(elsewhere)
    assert words.other_trainings(report).endswith("trained elsewhere, and once.")


# How alike shadow models and target are


def unlike(report, target=0.999):
    """Return the report with shadow models of accuracy .7 on non-members, where the target has `target`."""
    compared = Comparison(target=target, shadows=0.7, reach=0.04)
    same = Comparison(target=0.9, shadows=0.91, reach=None)
    found = Likeness(n_models=8, nonmembers={"accuracy": compared}, members={"accuracy": same}, agreement=None)
    return report.model_copy(update={"shadows": report.shadows.model_copy(update={"likeness": found})})


def test_shadow_models_unlike_the_target_are_told_with_figures(report):
    sentence = words.likeness_sentence(unlike(report))
    assert "not like the target (accuracy on non-members, OUT records: target 0.999, shadow models 0.700)" in sentence
    assert "on members" not in sentence
    assert words.likeness_sentence(unlike(report, 0.74)) is None and words.likeness_sentence(report) is None


def test_differences_that_are_slight_or_within_reach_are_alike():
    def outcome(target, reach):
        return Comparison(target=target, shadows=0.7, reach=reach).is_alike

    assert outcome(0.74, 0.01) and outcome(0.66, 0.01) and outcome(0.79, 0.1) and outcome(0.61, 0.1)
    assert outcome(0.76, 0.01) is False and outcome(0.59, 0.1) is False and outcome(0.99, None) is None


@pytest.mark.parametrize("target", [0.999, 0.74])
def test_the_page_and_the_screen_say_how_alike_they_are(report, target):
    shown = unlike(report, target)
    page, console = unescape(render(shown, {})), Console(width=100, file=StringIO(), record=True)
    console.print(summary(shown, {}))
    screen, sentence = " ".join(console.export_text().split()), words.likeness_sentence(shown)
    assert "How alike shadow models and target are" in page and "accuracy on non-members, OUT records" in page
    assert ("The shadow models are not like the target" in page) is (sentence is not None)
    assert (" Not alike " in screen) is (sentence is not None)
    assert "How alike" not in render(report, {})
