"""Limits on figures: of one attack or of any, of one's own or from a published set."""

import pytest
from pydantic import TypeAdapter, ValidationError

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import ANY, PRESETS, AnyLimit, Limit, Preset, expand
from umbrameter.statistics.metrics import METRICS

ADAPTER: TypeAdapter[Limit | Preset] = TypeAdapter(AnyLimit)
OWN = {"metric": "auc", "limit": 0.6, "source": "our policy, section 3"}
GOOD = """
name: demo
data: {kind: catalogue, name: adult}
split: {members: 1000}
target: {kind: train, estimator: {kind: random_forest}}
attacks: [{kind: loss}]
"""


@pytest.mark.parametrize("metric", METRICS)
def test_every_figure_of_an_audit_may_have_a_limit(metric: str) -> None:
    assert Limit(metric=metric, limit=0.5, source="us").attack == ANY


def test_an_epsilon_is_no_fraction() -> None:
    assert Limit(metric="epsilon_lower_bound", limit=4, source="us").limit == 4


def test_a_figure_that_no_audit_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError) as caught:
        Limit(metric="f1", limit=0.5, source="us")
    assert all(metric in str(caught.value) for metric in METRICS)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_published_set_holds_limits_each_with_its_source(preset: str) -> None:
    limits = Preset(preset=preset).limits()  # type: ignore[arg-type]
    assert len(limits) == len(PRESETS[preset]) == len({limit.metric for limit in limits})
    assert all(limit.attack == ANY and 0 < limit.limit < 1 and len(limit.source) > 20 for limit in limits)


def test_the_limits_of_aisvs_are_those_that_are_published() -> None:
    assert {limit.metric: limit.limit for limit in Preset(preset="owasp_aisvs").limits()} == {
        "auc": 0.55,
        "tpr_at_fpr_0.01": 0.02,
        "tpr_at_fpr_0.001": 0.002,
    }


def test_sets_are_replaced_by_what_they_hold_in_place_and_in_order() -> None:
    own, other = Limit.model_validate(OWN), Limit.model_validate(OWN | {"attack": "loss"})
    preset = Preset(preset="owasp_aisvs")
    assert expand([own, preset, other]) == (own, *preset.limits(), other)
    assert expand([preset, preset]) == preset.limits() * 2
    assert expand([]) == ()


@pytest.mark.parametrize("limit", [OWN, OWN | {"warn": 0.55}, OWN | {"attack": "loss"}, {"preset": "owasp_aisvs"}])
def test_a_limit_comes_back_from_what_a_spec_holds(limit: dict[str, object]) -> None:
    found = ADAPTER.validate_python(limit)
    assert isinstance(found, Preset if "preset" in limit else Limit)
    assert ADAPTER.validate_python(ADAPTER.dump_python(found, mode="json")) == found


@pytest.mark.parametrize(
    ("limit", "said", "unsaid"),
    [
        ("{preset: owasp}", ["limits[0].preset='owasp'", "owasp_aisvs"], ["metric"]),
        ("{preset: owasp_aisvs, warn: 0.5}", ["limits[0].warn=0.5", "no such setting"], ["Limit"]),
        ("{metric: f1, limit: 1, source: us}", ["limits[0].metric='f1'", "auc"], ["preset"]),
        ("{metric: auc, limit: 1}", ["limits[0].source", "required"], ["preset"]),
        ("{metric: auc, limit: 1, source: ''}", ["limits[0].source=''", "at least 1"], ["preset"]),
        ("{metric: auc, limit: high, source: us}", ["limits[0].limit='high'"], ["preset"]),
        ("{metric: auc, limit: 1, source: us, attack: gap}", ["limits", "'gap'", "loss", ANY], ["preset"]),
        ("auc", ["limits[0]='auc'"], ["preset"]),
        ("{metric: auc, limit: 60, source: us}", ["limits[0].limit=60", "never fails; 60 % is 0.6"], ["preset"]),
        ("{metric: tpr_at_fpr_0.01, limit: 2, source: us}", ["tpr_at_fpr_0.01 is a fraction"], ["preset"]),
        ("{metric: auc, limit: .nan, source: us}", ["limits[0].limit=nan", "finite number"], ["preset"]),
        ("{metric: auc, limit: .inf, source: us}", ["limits[0].limit=inf", "finite number"], ["preset"]),
        ("{metric: auc, limit: 0.6, warn: .nan, source: us}", ["limits[0].warn=nan", "finite number"], ["preset"]),
    ],
)
def test_what_is_refused_and_nothing_of_the_other_form_is_said(limit: str, said: list[str], unsaid: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        AuditSpec.from_yaml(GOOD, [f"limits=[{limit}]"])
    text = str(caught.value).partition("; the settings here are")[0]
    assert [part for part in said if part not in text] == [], text
    assert [part for part in unsaid if part in text] == [], text


def test_a_limit_may_name_an_attack_that_only_mitigations_bring() -> None:
    settings = [
        "mitigations=[{kind: rounding, decimals: 1}]",
        "limits=[{metric: auc, limit: 1, source: us, attack: gap}]",
    ]
    assert AuditSpec.from_yaml(GOOD, settings).limits[0].attack == "gap"  # type: ignore[union-attr]
