"""Figures of attacks and of answers: what the steps measure, against loops over the stored scores and answers."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.steps.audits import Audit
from tests.steps.test_inputs import scoring_of
from tests.steps.test_scores import Placed, plainly
from umbrameter.attacks import LabelOnly as LabelOnlyAttack
from umbrameter.attacks import Loss, Shokri
from umbrameter.mitigations import LabelOnly, Rounding, Temperature
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.statistics.metrics import METRICS, NO_THRESHOLD
from umbrameter.steps.evaluations import EvaluateAttack, read_evaluation, read_roc
from umbrameter.steps.scores import Scores, read_scores
from umbrameter.steps.target_answers import TargetQuery, read_answers
from umbrameter.steps.utility import MeasureUtility, read_utility
from umbrameter.store.steps import ensure
from umbrameter.typing import Bools


def naive_auc(scores: Scores, rows: Bools | None = None) -> float:
    """Return the share of pairs in which the member scores higher, ties counting half."""
    chosen = np.ones(len(scores.scores), dtype=bool) if rows is None else rows
    members, others = (scores.scores[chosen & side] for side in (scores.is_member, ~scores.is_member))
    return float(np.mean([(m > n) + (m == n) / 2 for m, n in product(members, others)]))


def scored(audit: Audit, step: EvaluateAttack) -> Scores:
    return read_scores(audit.store.open(step.scores))


def value(metric: Any) -> float:
    assert isinstance(metric, Interval)
    return metric.value


# Attacks


def test_every_attack_has_every_figure_or_a_reason(trained: Audit, external: Audit, stored: Audit) -> None:
    for audit in (trained, external, stored):
        for step in audit.of(EvaluateAttack):
            figures = read_evaluation(audit.made(step))
            assert [*figures.metrics] == [*METRICS]
            undecided = scored(audit, step).is_predicted_member is None
            assert (figures.metrics["accuracy"] == NotMeasured(not_measured=NO_THRESHOLD)) == undecided


def test_the_auc_is_the_share_of_ordered_pairs_of_the_stored_scores(trained: Audit) -> None:
    for step in trained.of(EvaluateAttack)[::7]:
        figures = read_evaluation(trained.made(step))
        assert value(figures.metrics["auc"]) == pytest.approx(naive_auc(scored(trained, step)))


def test_accuracy_is_counted_on_the_attack_s_own_decisions(trained: Audit) -> None:
    for kind in (Loss, Shokri, LabelOnlyAttack):
        path = scoring_of(trained, kind).recipe.path
        step = next(step for step in trained.of(EvaluateAttack) if step.scores == path)
        scores, metrics = scored(trained, step), read_evaluation(trained.made(step)).metrics
        called = scores.is_predicted_member
        assert called is not None
        tpr, fpr = called[scores.is_member].mean(), called[~scores.is_member].mean()
        assert value(metrics["accuracy"]) == pytest.approx((tpr + 1 - fpr) / 2)
        assert value(metrics["recall"]) == pytest.approx(tpr)
        assert value(metrics["advantage"]) == pytest.approx(tpr - fpr)


def test_classes_and_slices_are_measured_by_themselves_under_their_names(trained: Audit) -> None:
    step = next(step for step in trained.of(EvaluateAttack) if step.unmitigated is None)
    figures, scores = read_evaluation(trained.made(step)), scored(trained, step)
    assert [entry.label for entry in figures.by_class] == trained.records.classes == ["high", "low", "middle"]
    for code, entry in enumerate(figures.by_class):
        rows = scores.labels == code
        assert (entry.n_members, entry.n_nonmembers) == tuple(
            int((rows & side).sum()) for side in (scores.is_member, ~scores.is_member)
        )
        assert value(entry.auc) == pytest.approx(naive_auc(scores, rows))
    sites = trained.records.slice_values("site")[scores.rows]
    assert {entry.label for entry in figures.by_slice["site"]} == {"north", "south"}
    for entry in figures.by_slice["site"]:
        assert value(entry.auc) == pytest.approx(naive_auc(scores, sites == entry.label))
    assert figures.worst_class is not None and [*figures.worst_slice] == ["site"]


def test_groups_of_a_static_attacker_are_not_measured(trained: Audit) -> None:
    static = {m.evaluation for v in trained.variants for m in v.measurements if m.attacker == "static"}
    assert static and not any(step.in_groups for step in static)
    for step in static:
        figures = read_evaluation(trained.made(step))
        assert (figures.by_class, figures.by_slice, figures.worst_class, figures.worst_slice) == ([], {}, None, {})


def test_a_change_is_from_the_unmitigated_target_to_the_mitigated_one(trained: Audit) -> None:
    for step in trained.of(EvaluateAttack)[::5]:
        change = read_evaluation(trained.made(step)).change
        if step.unmitigated is None:
            assert change == {}
        else:
            before = naive_auc(read_scores(trained.store.open(step.unmitigated)))
            assert value(change["auc"]) == pytest.approx(naive_auc(scored(trained, step)) - before)


def test_an_attack_compared_with_itself_has_not_changed(trained: Audit) -> None:
    path = scoring_of(trained, Loss).recipe.path
    step = EvaluateAttack(path, path, trained.records.artefact.path)
    change = read_evaluation(trained.remade(step)).change["auc"]
    assert isinstance(change, Interval) and change.value == 0 and change.low <= 0 <= change.high


def test_the_roc_curve_is_that_of_every_threshold(trained: Audit) -> None:
    for step in trained.of(EvaluateAttack)[::9]:
        scores = scored(trained, step)
        thresholds = [np.inf, *sorted(set(scores.scores.tolist()), reverse=True)]
        points = [
            [(scores.scores[side] >= t).mean() for side in (~scores.is_member, scores.is_member)] for t in thresholds
        ]
        fpr, tpr = read_roc(trained.made(step))
        assert np.column_stack([fpr, tpr]) == pytest.approx(np.array(points))
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_a_curve_of_scores_that_are_all_alike_has_two_points(trained: Audit, tmp_path: Path) -> None:
    audit = trained.copied(tmp_path)
    alike = plainly(audit, Placed(alike=120))
    ensure(audit.store, alike)
    step = EvaluateAttack(alike.recipe.path, None, audit.records.artefact.path)
    fpr, tpr = read_roc(audit.remade(step))
    assert (fpr.tolist(), tpr.tolist()) == ([0, 1], [0, 1])
    assert value(read_evaluation(audit.remade(step)).metrics["auc"]) == 0.5


# Utility


def naive_utility(audit: Audit, step: MeasureUtility) -> dict[str, float]:
    """Return the figures of answers, counted record by record."""
    answers = read_answers(audit.store.open(step.answers), step.mitigations)
    rows = [*zip(answers.vectors.predictions.astype(float), answers.vectors.labels, answers.is_member, strict=True)]
    hits = {side: [int(np.argmax(p)) == y for p, y, member in rows if member == side] for side in (True, False)}
    losses = [-np.log(np.clip(p[y], np.finfo(np.float32).eps, 1)) for p, y, member in rows if not member]
    return {
        "train_accuracy": float(np.mean(hits[True])),
        "test_accuracy": float(np.mean(hits[False])),
        "log_loss": float(np.mean(losses)),
    }


def test_utility_is_counted_on_the_mitigated_answers(trained: Audit) -> None:
    for step in trained.of(MeasureUtility):
        utility = read_utility(trained.made(step)).utility
        for name, expected in naive_utility(trained, step).items():
            assert value(utility[name]) == pytest.approx(expected)


def test_changes_are_from_the_unmitigated_target_on_non_members(trained: Audit) -> None:
    for step in trained.of(MeasureUtility):
        figures = read_utility(trained.made(step))
        if step.unmitigated is None:
            assert figures.change == {} and not {"label_agreement", "distortion"} & set(figures.utility)
            continue
        before = naive_utility(trained, MeasureUtility(step.unmitigated, (), None))
        after = naive_utility(trained, step)
        for name in ("test_accuracy", "log_loss"):
            assert value(figures.change[name]) == pytest.approx(after[name] - before[name], abs=1e-12)


def test_distances_are_from_the_unmitigated_answers_to_the_same_records(trained: Audit) -> None:
    for step in trained.of(MeasureUtility):
        if step.unmitigated is None:
            continue
        after, before = (
            read_answers(trained.store.open(path), through).vectors.predictions.astype(float)
            for path, through in ((step.answers, step.mitigations), (step.unmitigated, ()))
        )
        utility, pairs = read_utility(trained.made(step)).utility, [*zip(after, before, strict=True)]
        assert value(utility["distortion"]) == pytest.approx(np.mean([sum(abs(p - q)) for p, q in pairs]))
        assert value(utility["label_agreement"]) == np.mean([np.argmax(p) == np.argmax(q) for p, q in pairs])


def test_rounding_changes_no_label_and_little_else(trained: Audit) -> None:
    answers = trained.of(TargetQuery)[0].recipe.path
    figures = read_utility(trained.remade(MeasureUtility(answers, (Rounding(6),), answers)))
    assert value(figures.utility["label_agreement"]) == 1 and value(figures.utility["distortion"]) < 1e-5
    assert value(figures.change["test_accuracy"]) == 0


@pytest.mark.parametrize("has_base", [False, True])
def test_confidences_that_a_target_never_gives_are_not_measured(trained: Audit, has_base: bool) -> None:
    answers = trained.of(TargetQuery)[0].recipe.path
    step = MeasureUtility(answers, (LabelOnly(),), answers if has_base else None)
    figures = read_utility(trained.remade(step))
    missing = {name for name, metric in figures.utility.items() if isinstance(metric, NotMeasured)}
    # With a base it is a mitigation that hides them, and what that costs is a figure like any other.
    assert missing == (set() if has_base else {"log_loss", "calibration_error"})


def test_what_a_reader_has_to_know_is_noted_of_the_answers_before(trained: Audit) -> None:
    answers = trained.of(TargetQuery)[0].recipe.path
    share = np.mean(read_answers(trained.store.open(answers)).vectors.predictions <= 0)
    assert share > 0  # trees answer 0
    (note,) = read_utility(trained.remade(MeasureUtility(answers, (Temperature(2),), answers))).notes
    assert f"{100 * share:.1f} % of the confidences are exactly 0" in note
    assert read_utility(trained.remade(MeasureUtility(answers, (Rounding(1),), answers))).notes == []


def test_what_was_written_is_read_again(trained: Audit) -> None:
    for step in trained.of(EvaluateAttack):
        artefact = trained.made(step)
        assert read_evaluation(artefact).model_dump_json().encode() == artefact.data("evaluation.json")
    for step in trained.of(MeasureUtility):
        artefact = trained.made(step)
        assert read_utility(artefact).model_dump_json().encode() == artefact.data("utility.json")
