"""Limits: decided on the bound, by the worst attack, and never passed without a measurement."""

import numpy as np
import pytest
from pydantic import ValidationError

from umbrameter.errors import SpecError
from umbrameter.evaluation.verdict import decide
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import PRESETS, Limit, Preset, expand
from umbrameter.statistics.estimates import Interval, LowerBound, NotMeasured, NotReachable
from umbrameter.statistics.metrics import METRICS, measure

AUC = Limit(metric="auc", limit=0.55, source="ours")
SPEC = """
name: x
data: {kind: catalogue, name: adult}
split: {members: 9}
target: {kind: train, estimator: {kind: random_forest}}
"""


def interval(low, value, high):
    return Interval(value=value, low=low, high=high, confidence=0.95, method="DeLong")


@pytest.mark.parametrize(
    ("found", "status", "bound"),
    [
        (interval(0.56, 0.58, 0.60), "fail", 0.56),
        (interval(0.55, 0.58, 0.60), "warn", 0.60),  # at the limit is not beyond it
        (interval(0.50, 0.54, 0.58), "warn", 0.58),
        (interval(0.50, 0.52, 0.54), "pass", 0.54),
        (interval(0.50, 0.52, 0.55), "warn", 0.55),
        (NotMeasured(not_measured="no members"), "not_measured", None),
        (LowerBound(value=0.6, low=0.6, confidence=0.95, method="m"), "fail", 0.6),
        (LowerBound(value=0.1, low=0.1, confidence=0.95, method="m"), "warn", 0.1),
        (NotReachable(not_measured="ties", low=0.56, high=0.6, confidence=0.95), "fail", 0.56),
        (NotReachable(not_measured="ties", low=0.5, high=0.54, confidence=0.95), "pass", 0.54),
    ],
)
def test_the_bound_decides(found, status, bound):
    verdict = decide([AUC], [("loss", {"auc": found})])
    assert verdict.status == status
    (outcome,) = verdict.limits
    assert (outcome.status, outcome.bound, outcome.attack, outcome.source) == (status, bound, "loss", "ours")
    sides = {None: None, getattr(found, "low", None): "lower", getattr(found, "high", None): "upper"}
    assert outcome.side == (None if bound is None else sides[bound])
    assert outcome.observed == getattr(found, "value", None)


def test_a_model_that_tells_nothing_can_pass_and_a_tie_that_leaks_cannot():
    is_member = np.arange(6000) < 3000
    leaking = np.where(is_member, np.arange(6000) % 10 < 9, np.arange(6000) % 20 < 1).astype(float)
    statuses = {}
    for name, scores in (("constant", np.zeros(6000)), ("tied", leaking)):
        figures = [("loss", measure(scores, is_member, scores > 0.5))]
        outcomes = decide(Preset(preset="owasp_aisvs").limits(), figures).limits
        statuses[name] = {outcome.metric: outcome.status for outcome in outcomes}
    assert statuses["constant"] == {"auc": "pass", "tpr_at_fpr_0.01": "pass", "tpr_at_fpr_0.001": "pass"}
    assert statuses["tied"]["tpr_at_fpr_0.01"] == "fail"


def test_a_warning_level_warns_below_the_limit():
    limit = Limit(metric="auc", limit=0.55, warn=0.51, source="ours")
    assert decide([limit], [("loss", {"auc": interval(0.512, 0.52, 0.53)})]).status == "warn"
    assert decide([limit], [("loss", {"auc": interval(0.508, 0.52, 0.53)})]).status == "pass"


def test_any_is_the_worst_attack_and_what_is_missing_never_passes():
    good, bad, missing = interval(0.50, 0.51, 0.52), interval(0.7, 0.8, 0.9), NotMeasured(not_measured="x")
    figures = [("gap", {"auc": good}), ("loss", {"auc": bad}), ("rmia", {"auc": missing})]
    verdict = decide([AUC], figures)
    assert verdict.status == "fail" and verdict.limits[0].attack == "loss"
    assert decide([AUC], [figures[0], figures[2]]).status == "not_measured"
    named = Limit(metric="auc", attack="gap", limit=0.55, source="ours")
    assert decide([named], figures).status == "pass"
    assert decide([Limit(metric="auc", attack="lira", limit=0.55, source="ours")], figures).status == "not_measured"
    worse = interval(0.75, 0.8, 0.9)
    assert decide([AUC], [("a", {"auc": bad}), ("b", {"auc": worse})]).limits[0].attack == "b"


def test_the_worst_limit_is_the_verdict():
    low, high = interval(0.5, 0.51, 0.52), interval(0.7, 0.8, 0.9)
    figures = [("loss", {"auc": low, "accuracy": high, "recall": NotMeasured(not_measured="x")})]
    limits = {m: Limit(metric=m, limit=0.55, source="s") for m in ("auc", "accuracy", "recall")}
    assert decide([limits["auc"]], figures).status == "pass"
    assert decide([limits["auc"], limits["recall"]], figures).status == "not_measured"
    found = decide([*limits.values()], figures)
    assert found.status == "fail" and "1 of 3 limits" in found.reason


def test_a_doubt_decides_nothing_and_no_limits_neither():
    figures = [("loss", {"auc": interval(0.7, 0.8, 0.9)})]
    doubted = decide([AUC], figures, ["The control copies failed: 9 % are copies."])
    assert doubted.status == "not_measured" and "copies" in doubted.reason and doubted.limits[0].status == "fail"
    assert decide([], figures, ["The control copies failed: 9 % are copies."]).status == "not_measured"
    alone = decide([], figures)
    assert alone.status == "no_limits" and "whatever the figures are" in alone.reason and "--fail-on" in alone.reason


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_limits_with_sources(name):
    limits = expand([Preset(preset=name), AUC])
    assert limits[-1] == AUC and len(limits) == len(PRESETS[name]) + 1
    assert all(limit.metric in METRICS and limit.source for limit in limits)


def test_what_a_spec_may_say_of_limits():
    spec = AuditSpec.from_yaml(SPEC, ["limits=[{preset: owasp_aisvs}, {metric: recall, limit: 0.6, source: us}]"])
    assert len(expand(spec.limits)) == 4
    with pytest.raises(
        ValidationError, match=r"is not a figure of an audit; did you mean auc\? The figures are auc, accuracy"
    ):
        Limit(metric="aoc", limit=1, source="s")
    with pytest.raises(SpecError, match=r"there is no attack 'lira'; the attacks are loss, shokri\(mlp\), any"):
        AuditSpec.from_yaml(SPEC, ["limits=[{metric: auc, attack: lira, limit: 0.6, source: us}]"])
    with pytest.raises(SpecError) as no:
        AuditSpec.from_yaml(SPEC, ["limits=[{metric: aux, limit: 1, source: us}]"])
    assert str(no.value).startswith(
        "limits[0].metric='aux': is not a figure of an audit; did you mean auc? The figures are auc,"
    )
    assert "\n" not in str(no.value)
    with pytest.raises(SpecError, match=r"^limits\[0\]\.preset='gdpr': "):
        AuditSpec.from_yaml(SPEC, ["limits=[{preset: gdpr}]"])
    with pytest.raises(SpecError, match="source"):
        AuditSpec.from_yaml(SPEC, ["limits=[{metric: auc, limit: 0.6}]"])
