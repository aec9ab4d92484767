"""Sentences: conclusions and advice that the figures support."""

import re
import statistics
from html import unescape
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from tests.report.changes import replace_metric
from umbrameter.evaluation.likeness import Comparison, Likeness
from umbrameter.report.html import render
from umbrameter.report.sentences import (
    drawn_line,
    finding,
    guarantee_sentence,
    likeness_sentence,
    other_trainings,
    summary_sentence,
)
from umbrameter.report.terminal import summary
from umbrameter.report.text import number
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.statistics.metrics import measure
from umbrameter.statistics.repeats import Repeated, Spread

LOST = NotMeasured(not_measured="there are no members")
UNSURE = Interval(value=0.517, low=0.502, high=0.532, confidence=0.95, method="DeLong")


def test_reading_without_mitigations_gives_no_advice(report):
    bare = [r for r in report.results if r.mitigation is None]
    alone = report.model_copy(update={"results": bare, "recommendation": None})
    assert summary_sentence(alone) == finding(alone)


def test_reading_of_an_interval_with_a_half_inside_claims_no_leak(report):
    chance = Interval(value=0.506, low=0.495, high=0.517, confidence=0.95, method="DeLong")
    guessing = Interval(value=0.1, low=0.09, high=0.11, confidence=0.95, method="order statistics")
    blind = replace_metric(replace_metric(report, "auc", chance), "tpr_at_fpr_0.1", guessing)
    text = summary_sentence(blind)
    assert text.startswith(
        "No attack told members from non-members: the strongest of 2 attacks, shokri(mlp), has AUC 0.506"
    )
    assert "no proof" not in text and finding(replace_metric(blind, "auc", UNSURE)).endswith(
        "An interval above guessing is no proof here: 6 figures were looked at, and by chance some lie above it."
    )


def test_a_few_records_that_leak_are_a_leak_though_the_auc_shows_none(report):
    chance = Interval(value=0.506, low=0.495, high=0.517, confidence=0.95, method="DeLong")
    few = Interval(value=0.05, low=0.04, high=0.06, confidence=0.95, method="order statistics")
    text = finding(replace_metric(replace_metric(report, "auc", chance), "tpr_at_fpr_0.01", few, attack="loss"))
    assert text.startswith(
        "Members can be told from non-members: TPR at 1 % FPR 0.050 [0.040, 0.060] (0.010 is guessing)"
    )
    assert text.endswith(
        "by loss, though the strongest of 2 attacks, shokri(mlp), has AUC 0.506 [0.495, 0.517] (0.5 is "
        "guessing, 1 is certainty)."
    )


def test_what_was_not_measured_or_cannot_be_trusted_is_said_with_what_was_found(report):
    lost = finding(replace_metric(report, "auc", LOST, attack="loss", mitigation=None))
    assert lost.startswith("Members can be told from non-members: AUC 0.617") and "1 of 2 attacks were not mea" in lost
    failed = report.controls["copies"].model_copy(update={"status": "fail"})
    doubted = finding(report.model_copy(update={"controls": {"near_copies": failed}}))
    assert doubted.startswith("Do not rely on what follows, since a control failed (near copies). Members can")


@pytest.mark.slow
def test_of_many_attacks_that_guess_hardly_ever_one_is_said_to_tell_members(report):
    """Six attacks: by 95 % intervals alone, about one null audit in seven would be said to leak."""
    rng, member = np.random.default_rng(0), np.arange(600) < 300
    claims = {"corrected": 0, "alone": 0}
    for _ in range(300):
        drawn = [measure(rng.normal(size=600), member, None) for _ in range(6)]
        results = [report.results[0].model_copy(update={"attack": str(i), "metrics": m}) for i, m in enumerate(drawn)]
        found = finding(report.model_copy(update={"results": results}))
        claims["corrected"] += found.startswith("Members can be told")
        claims["alone"] += any(m["auc"].low > 0.5 for m in drawn)
    assert claims["alone"] > 20
    assert claims["corrected"] <= 300 * 0.025 + 3 * np.sqrt(300 * 0.025)


def test_reading_of_an_unmeasured_target_says_so(report):
    assert "not measured" in summary_sentence(replace_metric(report, "auc", LOST, mitigation=None))
    assert "No attack on the unmitigated target was measured." in summary_sentence(
        report.model_copy(update={"results": []})
    )


def test_made_records_are_counted_with_what_they_took(full_report):
    drawn = full_report.shadows.drawn
    assert drawn is not None and drawn_line(drawn).endswith("none of 1 classes: class 1")
    free = drawn.model_copy(update={"queries": 0, "by_class": []})
    assert drawn_line(free) == "model_based: 90 of 200 records"
    none = drawn.model_copy(update={"n_records": 0})
    assert "55.6 " in drawn_line(drawn) and "0 of 200" in drawn_line(none)
    assert not re.search(r"\d\.\d", drawn_line(none))


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
    line = guarantee_sentence(full_report.guarantees[0].model_copy(update=bounds))
    assert line.startswith(word) and "1,200 steps" in line and "4 attacks, 95 %" in line
    assert f"this one training prove at least {number(in_one_run)}; {number(if_independent)} if" in line
    assert "3.500 if the trade-off is Gaussian" in line


def test_a_claim_on_noise_that_can_be_drawn_again_is_withdrawn(full_report):
    claim = full_report.guarantees[0].model_copy(update={"is_reproducible": True})
    line = guarantee_sentence(claim)
    assert line.startswith("withdrawn: top_k(1) claims no privacy, since its noise follows from a seed")
    assert "ε" not in line and "1e-05" not in line and "2.250" in line


def test_at_delta_0_there_is_no_bound_for_gaussian_noise(full_report):
    claim = full_report.guarantees[0].model_copy(update={"gaussian_epsilon_lower_bound": None})
    assert "Gaussian" not in guarantee_sentence(claim)


# Other trainings


def repeated(report, values, attack="loss", is_trained_here=True):
    """Return the report of an audit whose repeats have these AUCs."""
    spread = {"auc": Spread(mean=sum(values) / len(values), sd=statistics.stdev(values), values=values)}
    target = report.target.model_copy(update={"is_trained_here": is_trained_here})
    return report.model_copy(update={"repeats": [Repeated(attack=attack, spread=spread)], "target": target})


def test_an_unstable_learner_is_said_to_need_more_than_one_run(report):
    unstable = other_trainings(repeated(report, [0.62, 0.68, 0.55, 0.71, 0.59]))
    assert "one run is not enough" in unstable and "from 0.550 to 0.710" in unstable and "mean, 0.630" in unstable
    assert "standard deviation 0.065" in unstable
    stable = other_trainings(repeated(report, [0.615, 0.625, 0.62, 0.618, 0.622] * 5))
    assert stable.endswith("one run tells what others would.")
    few = other_trainings(repeated(report, [0.615, 0.623]))
    assert few.endswith("too few to tell whether one run is enough.")


def test_what_repeats_did_not_show_is_not_claimed(report):
    here = report.model_copy(update={"target": report.target.model_copy(update={"is_trained_here": True})})
    assert other_trainings(here).endswith("`repeats` in the spec measures that.")
    other = repeated(report, [0.62, 0.68], attack="shokri(mlp)")  # not the strongest attack
    assert other_trainings(other).endswith("`repeats` in the spec measures that.")
    elsewhere = repeated(report, [0.5, 0.9, 0.7], is_trained_here=False)
    assert "trained elsewhere, and once; repeats show" in other_trainings(elsewhere)
    assert other_trainings(report).endswith("trained elsewhere, and once.")


# How alike shadow models and target are


def unlike(report, target=0.999):
    """Return the report with shadow models of accuracy .7 on non-members, where the target has `target`."""
    compared = Comparison(target=target, shadows=0.7, reach=0.04)
    same = Comparison(target=0.9, shadows=0.91, reach=None)
    found = Likeness(n_models=8, nonmembers={"accuracy": compared}, members={"accuracy": same}, agreement=None)
    return report.model_copy(update={"shadows": report.shadows.model_copy(update={"likeness": found})})


def test_shadow_models_unlike_the_target_are_told_with_figures(report):
    sentence = likeness_sentence(unlike(report))
    assert "not like the target (accuracy on non-members, OUT records: target 0.999, shadow models 0.700)" in sentence
    assert "on members" not in sentence
    assert likeness_sentence(unlike(report, 0.74)) is None and likeness_sentence(report) is None


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
    screen, sentence = " ".join(console.export_text().split()), likeness_sentence(shown)
    assert "How alike shadow models and target are" in page and "accuracy on non-members, OUT records" in page
    assert ("The shadow models are not like the target" in page) is (sentence is not None)
    assert (" Not alike " in screen) is (sentence is not None)
    assert "How alike" not in render(report, {})
