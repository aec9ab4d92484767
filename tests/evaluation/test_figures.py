"""What an evaluation is put together from, and that decisions, controls and claims follow from figures alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestNeighbors

from umbrameter.attacks import Vectors
from umbrameter.evaluation import controls
from umbrameter.evaluation.attack import AttackFigures, auc_change, measure_attack
from umbrameter.evaluation.controls import Control, failures, of_scores, some_of_each
from umbrameter.evaluation.guarantees import Guarantee, broken, held_against
from umbrameter.evaluation.utility import MOST_LOSS, AnswerQuality, nearness, quality_change, utility
from umbrameter.evaluation.verdict import WORST_FIRST, LimitOutcome, Verdict, decide
from umbrameter.mitigations import PrivacyClaim, TopK
from umbrameter.spec.limits import ANY, Limit
from umbrameter.statistics import intervals, paired
from umbrameter.statistics.epsilon import epsilon_lower_bound
from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotMeasured
from umbrameter.statistics.metrics import measure, measure_by_class
from umbrameter.statistics.paired import distortion
from umbrameter.statistics.subgroups import excesses
from umbrameter.typing import Bools, Floats

few = settings(max_examples=60, deadline=None, derandomize=True)
N = 400
MEMBER = np.arange(N) % 2 == 0


def scores(seed: int = 0, shift: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(shift * MEMBER, 1)


def vectors(seed: int = 0, sharp: float = 1.0, n_classes: int = 4) -> Vectors:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, N)
    raw = sharp * (rng.normal(size=(N, n_classes)) + np.eye(n_classes)[labels])
    p = np.exp(raw)
    return Vectors((p / p.sum(axis=1, keepdims=True)).astype(np.float32), labels)


# One attack


def test_an_attack_is_measured_on_all_records_by_class_and_by_slice() -> None:
    found, labels = scores(), np.arange(N) % 3
    sex = ["b" if i % 5 else "a" for i in range(N)]
    figures = measure_attack(found, MEMBER, found > 0.5, labels, ["x", "y", "z"], {"sex": sex})
    decided = found, MEMBER, found > 0.5
    places = np.array([s == "b" for s in sex], dtype=int)
    assert figures.metrics == measure(*decided)
    assert figures.by_class == measure_by_class(*decided, labels, ["x", "y", "z"])
    assert figures.worst_class == excesses(found, MEMBER, labels, ["x", "y", "z"])[0]
    assert figures.by_slice == {"sex": measure_by_class(*decided, places, ["a", "b"])}
    assert figures.worst_slice == {"sex": excesses(found, MEMBER, places, ["a", "b"])[0]}
    assert AttackFigures.model_validate_json(figures.model_dump_json()) == figures


@pytest.mark.parametrize(("classes", "n_groups"), [([], 0), (["only"], 1)])
def test_a_single_class_is_no_worst_one_and_without_names_there_are_no_classes(
    classes: list[str], n_groups: int
) -> None:
    figures = measure_attack(scores(), MEMBER, None, np.zeros(N, int), classes)
    assert len(figures.by_class) == n_groups and figures.worst_class is None and figures.by_slice == {}


def test_a_change_of_auc_is_paired_and_positive_where_the_leak_grew() -> None:
    weak, strong = scores(1, 0.3), scores(1, 1.5)
    change = auc_change(weak, strong, MEMBER)
    aucs = [intervals.auc(s[MEMBER], s[~MEMBER]) for s in (weak, strong)]
    assert change.value == pytest.approx(aucs[1].value - aucs[0].value) and change.low > 0
    assert change == paired.auc_difference(weak[MEMBER], weak[~MEMBER], strong[MEMBER], strong[~MEMBER])
    assert auc_change(strong, weak, MEMBER).value == pytest.approx(-change.value)


# What a target is worth


def test_quality_is_one_entry_a_record_and_is_taken_together() -> None:
    answers = vectors()
    quality = AnswerQuality.of(answers)
    for i in (0, 7, 399):
        p, label = answers.predictions[i], answers.labels[i]
        assert (quality.predicted[i], quality.confidence[i]) == (p.argmax(), p.max())
        assert quality.is_correct[i] == (p.argmax() == label)
        assert quality.log_loss[i] == pytest.approx(-np.log(p[label]), rel=1e-5)
    members = quality.where(MEMBER)
    assert np.array_equal(members.log_loss, quality.log_loss[MEMBER]) and len(members.predicted) == N // 2


def test_utility_is_of_members_for_training_and_of_non_members_for_everything_else() -> None:
    answers = vectors(2)
    found, quality = utility(AnswerQuality.of(answers), MEMBER), AnswerQuality.of(answers)
    expected = log_loss(answers.labels[~MEMBER], answers.predictions[~MEMBER], labels=range(4))
    assert value(found["log_loss"]) == pytest.approx(expected, rel=1e-4)
    assert found["train_accuracy"] == intervals.proportion(int(quality.is_correct[MEMBER].sum()), N // 2)
    assert found["test_accuracy"] == intervals.proportion(int(quality.is_correct[~MEMBER].sum()), N // 2)
    assert found["calibration_error"] == paired.calibration_error(
        quality.confidence[~MEMBER], quality.is_correct[~MEMBER]
    )
    turned = utility(quality, ~MEMBER)
    assert turned["train_accuracy"] == found["test_accuracy"]


def value(metric: Metric) -> float:
    assert not isinstance(metric, NotMeasured)
    return metric.value


def test_what_changes_turns_round_with_the_order_and_is_nothing_of_the_same_answers() -> None:
    soft, sharp = AnswerQuality.of(vectors(3, 0.5)), AnswerQuality.of(vectors(3, 2.0))
    there, back = quality_change(soft, sharp), quality_change(sharp, soft)
    for name, metric in there.items():
        assert value(metric) == pytest.approx(-value(back[name]), abs=1e-12)
        assert isinstance(metric, Interval) and metric.low <= metric.value <= metric.high
    assert [value(metric) for metric in quality_change(soft, soft).values()] == [0, 0, 0]


def test_certain_and_wrong_costs_the_most_there_is() -> None:
    wrong = AnswerQuality.of(Vectors(np.array([[1.0, 0.0]] * 20, np.float32), np.ones(20, int)))
    found = utility(wrong, np.arange(20) < 10)
    assert value(found["log_loss"]) == pytest.approx(MOST_LOSS) and value(found["calibration_error"]) == 1
    assert value(found["train_accuracy"]) == value(found["test_accuracy"]) == 0


def test_answers_that_no_longer_sum_to_one_may_be_further_apart_than_two() -> None:
    base = AnswerQuality.of(vectors())
    far = nearness(base, base, np.full(N, 3.5))
    assert value(far["distortion"]) == 3.5 and value(far["label_agreement"]) == 1
    cut = Vectors(TopK(1).transform(vectors().predictions), vectors().labels)
    distances = distortion(cut.predictions, vectors().predictions)
    found = nearness(AnswerQuality.of(cut), base, distances)
    assert value(found["distortion"]) == pytest.approx(1 - base.confidence.mean(), abs=1e-6)


# Decisions

metrics = st.one_of(
    st.tuples(st.floats(0.4, 0.7), st.floats(0, 0.1), st.floats(0, 0.1)).map(
        lambda t: Interval(value=t[0], low=t[0] - t[1], high=t[0] + t[2], confidence=0.95, method="m")
    ),
    st.floats(0.4, 0.7).map(lambda v: LowerBound(value=v, low=v, confidence=0.95, method="m")),
    st.just(NotMeasured(not_measured="x")),
)
figures_of_attacks = st.lists(metrics, min_size=1, max_size=4).map(
    lambda found: [(f"attack {i}", {"auc": metric}) for i, metric in enumerate(found)]
)


def status_of(metric: Metric, limit: float, warn: float | None) -> str:
    """Return how one figure comes out, case by case as the documentation has it."""
    if isinstance(metric, NotMeasured):
        return "not_measured"
    if metric.low > limit:
        return "fail"
    if isinstance(metric, LowerBound) or metric.high >= limit:
        return "warn"
    return "warn" if warn is not None and metric.low > warn else "pass"


@given(figures_of_attacks, st.floats(0.4, 0.7), st.none() | st.floats(0.35, 0.6))
@few
def test_a_limit_comes_out_as_the_worst_of_its_attacks(
    figures: list[tuple[str, dict[str, Metric]]], limit: float, warn: float | None
) -> None:
    asked = Limit(metric="auc", limit=limit, warn=warn, source="s")
    expected = [status_of(found["auc"], limit, warn) for _, found in figures]
    for order in (figures, figures[::-1]):
        (outcome,) = decide([asked], order).limits
        assert outcome.status == min(expected, key=WORST_FIRST.index)
        assert status_of(dict(figures)[outcome.attack]["auc"], limit, warn) == outcome.status
    for name, found in figures:
        alone = decide([asked.model_copy(update={"attack": name})], figures)
        assert alone.status == status_of(found["auc"], limit, warn)


@given(figures_of_attacks, st.floats(0.4, 0.6), st.floats(0, 0.2))
@few
def test_a_limit_that_is_raised_never_comes_out_worse(
    figures: list[tuple[str, dict[str, Metric]]], limit: float, more: float
) -> None:
    strict, lax = (decide([Limit(metric="auc", limit=x, source="s")], figures).status for x in (limit, limit + more))
    measured = [name for name in (strict, lax) if name != "not_measured"]
    assert len(measured) < 2 or WORST_FIRST.index(lax) >= WORST_FIRST.index(strict)


@given(figures_of_attacks)
@few
def test_the_verdict_is_the_worst_limit_and_its_reason_counts_those(
    figures: list[tuple[str, dict[str, Metric]]],
) -> None:
    limits = [Limit(metric="auc", limit=x, attack=ANY, source=str(x)) for x in (0.45, 0.55, 0.65)]
    verdict = decide(limits, figures)
    statuses = [outcome.status for outcome in verdict.limits]
    assert verdict.status == min(statuses, key=WORST_FIRST.index)
    assert [outcome.limit for outcome in verdict.limits] == [0.45, 0.55, 0.65]
    if verdict.status != "pass":
        assert f"{statuses.count(verdict.status)} of 3 limits" in verdict.reason


def test_doubts_come_before_alarms_and_alarms_before_limits() -> None:
    good = [("a", {"auc": Interval(value=0.5, low=0.49, high=0.51, confidence=0.95, method="m")})]
    limit = [Limit(metric="auc", limit=0.6, source="s")]
    assert decide(limit, good).status == "pass"
    alarmed = decide(limit, good, (), ["an alarm", "another"])
    assert (alarmed.status, alarmed.reason) == ("fail", "an alarm another") and alarmed.limits[0].status == "pass"
    assert decide(limit, good, ["a doubt"], ["an alarm"]).status == "not_measured"
    assert decide([], good, (), ["an alarm"]).status == "fail"


def test_an_outcome_and_a_verdict_are_closed_values() -> None:
    verdict = decide([Limit(metric="auc", limit=0.6, source="s")], [("a", {"auc": NotMeasured(not_measured="x")})])
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    with pytest.raises(ValidationError):
        LimitOutcome.model_validate({**verdict.limits[0].model_dump(), "bound": "high"})
    with pytest.raises(ValidationError, match="frozen"):
        verdict.status = "pass"


# Controls


def outcome(status: Any) -> Control:
    return Control(status=status, reason=f"it is {status}")


def test_failures_are_sentences_in_order_and_nothing_else_is_one() -> None:
    found = {"a": outcome("pass"), "b": outcome("fail"), "c": outcome("not_measured"), "d": outcome("fail")}
    assert [text.split(" failed")[0] for text in failures(found)] == ["The control b", "The control d"]
    assert failures({}) == []


def test_controls_of_scores_are_the_worst_over_attacks_and_of_the_seed_alone() -> None:
    good = np.random.default_rng(0).normal(size=2000)
    member = np.arange(2000) < 1000
    found = of_scores([good, good + member], member, seed=7)
    assert list(found) == ["permuted_labels", "planted_leak", "swapped_sides"]
    assert {control.status for control in found.values()} == {"pass"}
    assert of_scores([good, good + member], member, seed=7) == found
    few_members = np.arange(2000) < 100
    assert of_scores([good], few_members, seed=7)["planted_leak"].status == "not_measured"
    assert {c.status for c in of_scores([], member, seed=7).values()} == {"not_measured"}


@given(st.permutations(["pass", "fail", "not_measured", "pass"]), st.integers(1, 4))
@few
def test_the_worst_of_several_outcomes_is_a_failure_then_what_was_not_measured(statuses: list[str], n: int) -> None:
    found = controls._worst([outcome(status) for status in statuses[:n]])
    assert found.status == next(s for s in ("fail", "not_measured", "pass") if s in statuses[:n])


@given(st.integers(0, 2**16), st.integers(1, 30))
@few
def test_some_of_each_side_are_taken_once_members_first(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    member = rng.random(40) < 0.4
    rows = some_of_each(member, rng, most)
    n_members, n_others = min(most, member.sum()), min(most, (~member).sum())
    assert len(set(rows.tolist())) == len(rows) == n_members + n_others
    assert member[rows[:n_members]].all() and not member[rows[n_members:]].any()


@pytest.mark.parametrize("seed", range(3))
def test_answers_dealt_at_random_are_right_as_often_as_chance_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, 3000, p=[0.6, 0.3, 0.1])
    called = rng.permutation(np.where(rng.random(3000) < 0.8, 0, labels))
    found = controls.answers_fit_labels(Vectors(np.eye(3, dtype=np.float32)[called], labels))
    shares = [float((called == c).mean() * (labels == c).mean()) for c in range(3)]
    assert found.figures["by_chance"] == pytest.approx(sum(shares)) and found.status == "fail"
    assert found.figures["accuracy"] == pytest.approx((called == labels).mean())


@given(st.integers(0, 2**16), st.sampled_from([0.0, 0.01, 0.02, 0.5]))
@few
def test_copies_are_counted_one_non_member_at_a_time(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.permutation(1000)
    keys[500 : 500 + round(share * 500)] = keys[: round(share * 500)]
    member = np.arange(1000) < 500
    found = controls.copies(keys, member)
    known = set(keys[member].tolist())
    assert found.figures["share"] == pytest.approx(np.mean([key in known for key in keys[~member].tolist()]))
    assert found.status == ("pass" if share <= controls.COPIES else "fail")


def test_nearness_is_that_of_the_nearest_neighbour_and_of_no_unit() -> None:
    rng = np.random.default_rng(2)
    members, others = rng.normal(size=(2, 300, 8))
    others[:30] = members[:30] + 0.01 * rng.normal(size=(30, 8))
    found = controls.near_copies(others, members, "non-members", np.random.default_rng(0))
    assert found == controls.near_copies(1000 * others, 1000 * members, "non-members", np.random.default_rng(0))
    usual = np.median(NearestNeighbors().fit(members).kneighbors(members, 2)[0][:, 1]) / 4
    near = [min(np.linalg.norm(members - record, axis=1)) < usual for record in others]
    assert found.figures["share"] == pytest.approx(np.mean(near)) and found.status == "fail"


def test_a_null_audit_raises_alarms_as_often_as_its_intervals_may() -> None:
    found = controls.permuted_labels(scores(4, 3.0), MEMBER, np.random.default_rng(0))
    assert found.status == "pass" and found.figures["alarm_rate"] <= 0.11  # 1 in 1,000 of 200 at 5 % exceeds 10.5 %


def test_the_largest_leak_that_can_be_planted_is_of_the_members_given_away() -> None:
    member = np.arange(4000) < 2000
    found = controls.planted_leak(np.zeros(4000), member, np.random.default_rng(0))
    planted = np.where(np.arange(2000) < 100, np.inf, 0.0)
    assert found.figures["epsilon_lower_bound"] == epsilon_lower_bound(planted, np.zeros(2000)).low > 0


# Claims of privacy

CLAIM = PrivacyClaim(
    epsilon=0.5,
    delta=1e-5,
    noise_multiplier=4.0,
    clip_norm=1.0,
    sampling_rate=0.5,
    n_steps=20,
    accountant="somebody",
    is_reproducible=False,
)


def scored(*shifts: float) -> list[tuple[str, Floats, Bools]]:
    member = np.arange(2000) % 2 == 0
    return [
        (f"attack {i}", np.random.default_rng(i).normal(shift * member, 1), member) for i, shift in enumerate(shifts)
    ]


def test_a_claim_is_held_against_the_attack_that_proves_most_and_pays_for_all() -> None:
    found = held_against("dp_sgd", CLAIM, scored(0.0, 2.5, 1.0))
    assert (found.attack, found.n_attacks, found.is_broken) == ("attack 1", 3, True)
    assert {name: getattr(found, name) for name in PrivacyClaim.model_fields} == CLAIM.model_dump()
    alone = held_against("dp_sgd", CLAIM, scored(0.0, 2.5)[1:])
    assert alone.epsilon_lower_bound > found.epsilon_lower_bound > CLAIM.epsilon
    kept = held_against("dp_sgd", CLAIM.model_copy(update={"epsilon": 9.0}), scored(0.0, 2.5))
    assert not kept.is_broken and Guarantee.model_validate_json(kept.model_dump_json()) == kept


def test_what_is_proved_exactly_is_not_more_than_was_claimed() -> None:
    found = held_against("dp_sgd", CLAIM, scored(2.5))
    equal = found.model_copy(update={"epsilon": found.one_run_epsilon_lower_bound})
    assert not equal.is_broken and found.is_broken and equal.is_doubtful and not found.is_doubtful
    assert not found.model_copy(update={"epsilon": found.epsilon_lower_bound}).is_doubtful
    proved = f"{found.one_run_epsilon_lower_bound:.3f}"
    assert all(part in broken(found) for part in ("dp_sgd is broken: it claims", "0.500", "1e-05", "attack 0", proved))


def test_a_run_that_gives_away_many_records_at_once_raises_doubts_and_no_alarm() -> None:
    """Of a million records, 64 are given away in one of six trainings, which delta allows: 10 are expected."""
    member = np.arange(1_000_000) < 500_000
    scores = np.zeros(len(member))
    scores[:32], scores[-32:] = 1.0, -1.0
    found = held_against("dp_sgd", CLAIM, [("loss", scores, member)])
    assert found.is_doubtful and not found.is_broken and found.one_run_epsilon_lower_bound == 0


def test_at_delta_0_gaussian_noise_has_no_epsilon() -> None:
    found = held_against("laplace", CLAIM.model_copy(update={"delta": 0.0}), scored(2.5))
    assert found.gaussian_epsilon_lower_bound is None and found.epsilon_lower_bound > 0


def test_the_alarm_on_a_withdrawn_claim_does_not_call_it_a_claim() -> None:
    found = held_against("dp_sgd", CLAIM.model_copy(update={"is_reproducible": True}), scored(2.5))
    assert found.is_broken and "with secret noise, it would claim epsilon 0.500" in broken(found)
