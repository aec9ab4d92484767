"""What mitigations cost in utility, and the epsilon that training claims beside the one that attacks prove."""

import numpy as np
import pytest

from umbrameter.attacks import Vectors
from umbrameter.evaluation.guarantees import broken, held_against
from umbrameter.evaluation.utility import AnswerQuality, accuracies, utility_and_change
from umbrameter.evaluation.verdict import decide
from umbrameter.mitigations import LabelOnly, PrivacyClaim, Temperature
from umbrameter.report.sentences import guarantee_sentence
from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
from umbrameter.statistics.paired import distortion

RNG = np.random.default_rng(0)
LABELS, IS_MEMBER = RNG.integers(0, 4, 600), np.arange(600) < 300
BASE = Vectors(RNG.dirichlet([0.4] * 4, 600).astype(np.float32), LABELS)
CLAIM = PrivacyClaim(
    epsilon=1.0,
    delta=1e-5,
    noise_multiplier=4.0,
    clip_norm=1.0,
    sampling_rate=0.5,
    n_steps=20,
    accountant="an accountant",
    is_reproducible=False,
)


def test_answers_cost_what_they_differ_by() -> None:
    soft = Vectors(Temperature(3).transform(BASE.predictions), LABELS)
    distances = distortion(soft.predictions, BASE.predictions)
    found = utility_and_change(AnswerQuality.of(soft), IS_MEMBER, AnswerQuality.of(BASE), distances)
    utility, change = found["utility"], found["change"]
    right = BASE.predictions.argmax(axis=1) == LABELS
    own = np.arange(600)
    losses = [-np.log(np.clip(v.predictions[own, LABELS], 1.1920929e-07, 1))[300:].mean() for v in (BASE, soft)]
    assert utility["test_accuracy"].value == right[300:].mean() == accuracies(right, IS_MEMBER)["test_accuracy"]
    assert utility["log_loss"].value == pytest.approx(losses[1], rel=1e-5)
    assert change["log_loss"].value == pytest.approx(losses[1] - losses[0], rel=1e-5)
    assert change["test_accuracy"].value == 0 and utility["label_agreement"].value == 1
    assert utility["distortion"].value == pytest.approx(distances.mean())
    assert utility["distortion"].low < utility["distortion"].value < utility["distortion"].high
    unmitigated = utility_and_change(AnswerQuality.of(BASE), IS_MEMBER)
    assert unmitigated["change"] == {} and set(unmitigated["utility"]) == {
        "train_accuracy",
        "test_accuracy",
        "log_loss",
        "calibration_error",
    }
    calibration = utility["calibration_error"].value - unmitigated["utility"]["calibration_error"].value
    assert change["calibration_error"].value == pytest.approx(calibration)


def test_labels_alone_agree_and_are_far() -> None:
    hard = Vectors(LabelOnly().transform(BASE.predictions), LABELS)
    distances = distortion(hard.predictions, BASE.predictions)
    found = utility_and_change(AnswerQuality.of(hard), IS_MEMBER, AnswerQuality.of(BASE), distances)["utility"]
    assert found["label_agreement"].value == 1 and 0.3 < found["distortion"].value < 2


def test_a_claim_that_attacks_disprove_is_an_alarm_that_fails_the_audit() -> None:
    member = np.arange(4000) < 2000
    weak, strong = RNG.normal(size=4000), RNG.normal(size=4000) + 3 * member
    kept = held_against("dp_sgd(epsilon=1)", CLAIM, [("loss", weak, member)])
    assert not kept.is_broken and kept.epsilon_lower_bound == 0 and guarantee_sentence(kept).startswith("not disproved")
    found = held_against("dp_sgd(epsilon=1)", CLAIM, [("loss", weak, member), ("lira", strong, member)])
    assert found.is_broken and found.attack == "lira" and guarantee_sentence(found).startswith("BROKEN")
    sides = strong[member], strong[~member]
    assert found.one_run_epsilon_lower_bound == one_run_epsilon_lower_bound(*sides, 1e-5, 0.975).value
    assert found.gaussian_epsilon_lower_bound == gaussian_epsilon_lower_bound(*sides, 1e-5, 0.975).value
    assert found.epsilon_lower_bound == epsilon_lower_bound(*sides, 1e-5, 0.975).value
    assert found.epsilon_lower_bound < epsilon_lower_bound(strong[member], strong[~member], 1e-5, 0.95).value
    verdict = decide((), [], (), [broken(found)])
    assert (
        verdict.status == "fail" and "claims epsilon 1.000 at delta 1e-05, and lira proves at least" in verdict.reason
    )
    assert decide((), [], ["a control failed"], [broken(found)]).status == "not_measured"
