"""What to measure of stored predictions: a spec of its own, or an audit's, which is then checked as a whole."""

from pathlib import Path

import pytest
import yaml

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.score import ScoreSpec

AUDIT = """
name: demo
seed: 7
data: {kind: catalogue, name: adult}
split: {members: 1000}
target: {kind: train, estimator: {kind: random_forest}}
attacks: [{kind: loss}, {kind: gap}]
limits: [{preset: owasp_aisvs}]
mitigations: [{kind: rounding, decimals: 1}]
accepted_loss: 0.05
"""


@pytest.fixture
def written(tmp_path: Path):
    """Write a spec and return its path."""

    def write(text: str, **changed: object) -> str:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(text) | changed) if changed else text, encoding="utf8")
        return str(path)

    return write


def refusal(path: str) -> str:
    with pytest.raises(SpecError) as caught:
        ScoreSpec.load(path)
    return str(caught.value)


# Without a spec


def test_without_a_file_every_attack_of_stored_predictions_is_measured() -> None:
    spec = ScoreSpec.load(None)
    assert spec == ScoreSpec() and spec.name == "stored-predictions"
    labels = [attack.label for attack in spec.attacks]
    assert len(labels) == len({*labels}) and {"gap", "loss", "lira(online)", "rmia(offline)"} <= {*labels}
    assert spec.limits == spec.mitigations == () and spec.required_attacks == spec.attacks


def test_attacks_beside_the_defaults_are_all_that_is_measured(written) -> None:
    spec = ScoreSpec.load(written("attacks: [{kind: loss}]"))
    assert [attack.label for attack in spec.attacks] == ["loss"]
    assert ScoreSpec.load(written("name: mine")).attacks == ScoreSpec().attacks


def test_mitigations_bring_the_attacks_that_each_has_to_face(written) -> None:
    spec = ScoreSpec.load(written("{attacks: [{kind: loss}], mitigations: [{kind: label_only}]}"))
    assert [attack.label for attack in spec.required_attacks] == ["loss", "confidence", "gap"]


def test_a_list_among_the_mitigations_is_several_at_once(written) -> None:
    spec = ScoreSpec.load(written("mitigations: [[{kind: top_k, k: 3}, {kind: rounding, decimals: 1}]]"))
    assert [mitigation.label for mitigation in spec.mitigations] == ["top_k(3) + rounding(1)"]


# An audit's spec


def test_an_audit_s_spec_serves_with_what_it_says_of_attacks_and_limits(written) -> None:
    spec, audit = ScoreSpec.load(written(AUDIT)), AuditSpec.from_yaml(AUDIT)
    for name in ("name", "seed", "attacks", "limits", "mitigations", "accepted_loss", "required_attacks"):
        assert getattr(spec, name) == getattr(audit, name), name


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"shadow": {"count": 4}}, ["shadow: there is no such setting"]),
        ({"split": {"members": 1}}, ["split.members=1"]),
        ({"target": {"kind": "train", "estimator": {"kind": "forest"}}}, ["target.estimator.kind='forest'"]),
        ({"data": {"kind": "csv"}}, ["data.kind='csv'", "catalogue"]),
        ({"shadows": {"count": -1}}, ["shadows.count=-1"]),
        ({"attacks": [{"kind": "lira", "mode": "online"}]}, ["attacks", "lira(online)", "shadows.design"]),
        ({"limits": [{"metric": "auc", "limit": 0.6, "attack": "rmia", "source": "us"}]}, ["limits", "rmia"]),
    ],
)
def test_an_audit_s_spec_is_checked_whole_though_only_a_part_is_used(
    written, changed: dict[str, object], parts: list[str]
) -> None:
    text = refusal(written(AUDIT, **changed))
    assert [part for part in parts if part not in text] == [], text


def test_all_that_is_wrong_with_an_audit_s_spec_is_said_at_once(written) -> None:
    text = refusal(written(AUDIT, seed=-1, shadow=2, split={"members": 1}))
    assert [key for key in ("seed=-1", "shadow=2", "split.members=1") if key not in text] == []


@pytest.mark.parametrize("missing", ["data", "target"])
def test_half_an_audit_s_spec_is_none(written, missing: str) -> None:
    content = yaml.safe_load(AUDIT)
    del content[missing]
    assert f"{missing}: Field required" in refusal(written(yaml.safe_dump(content)))


def test_a_sweep_is_named_as_such(written) -> None:
    path = written(AUDIT, split={"members": [100, 200]})
    text = refusal(path)
    assert f"--spec={path!r}" in text and "sweep" in text


# What is refused


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("atacks: [{kind: loss}]", ["atacks", "there is no such setting", "name, seed, attacks, limits"]),
        ("shadows: {count: 4}", ["shadows: there is no such setting"]),  # no audit: it lacks the rest
        ("split: {members: 10}", ["split", "there is no such setting"]),
        ("attacks: []", ["attacks=[]", "at least 1"]),
        ("attacks: [{kind: lottery}]", ["attacks[0].kind='lottery'", "loss"]),
        ("accepted_loss: 1.5", ["accepted_loss=1.5", "less than or equal to 1"]),
        ("seed: often", ["seed='often'", "integer"]),
        ("limits: [{metric: auc, limit: 0.6}]", ["limits[0].source", "required"]),
        ("mitigations: [{kind: rounding}]", ["mitigations[0].decimals", "required"]),
        ("name: [1, 2", ["not valid YAML"]),
        ("- loss\n- gap\n", ["must be a mapping of name, seed, attacks"]),
        ("", ["must be a mapping"]),
    ],
)
def test_what_is_refused_and_how_it_is_said(written, text: str, parts: list[str]) -> None:
    said = refusal(written(text))
    assert [part for part in parts if part not in said] == [], said


def test_a_file_that_is_not_there_is_called_by_the_command_s_option(tmp_path: Path) -> None:
    assert f"--spec='{tmp_path / 'none.yaml'}'" in refusal(str(tmp_path / "none.yaml"))
