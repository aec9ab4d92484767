"""Rules over several settings of an audit, and what an audit's spec says of the whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.attacks import Confidence, Entropy, Gap, LabelOnly, Lira, Loss, Quantile, Rmia, Shokri
from umbrameter.errors import SpecError
from umbrameter.mitigations import Rounding, Temperature, TopK
from umbrameter.records.membership import Membership
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.required_attacks import required_attacks
from umbrameter.spec.sweep import from_yaml

GOOD = """
name: demo
data: {kind: catalogue, name: adult}
split: {members: 1000}
target: {kind: train, estimator: {kind: random_forest}}
"""
SIDES = "data={kind: sides, members: a.parquet, nonmembers: b.parquet, label: y}"
TABLE = "data={kind: parquet, path: a.parquet, label: y, id: person, membership: who.parquet}"
WITH_IDS = "data={kind: parquet, path: a.parquet, label: y, id: person}"
OBJECT = "target={kind: object}"
ENDPOINT = "target={kind: endpoint, url: https://models.example/churn/invocations}"
STORED = "target={kind: predictions, path: answers.parquet}"
LOSS = "attacks=[{kind: loss}]"
FOREST = "shadows.estimator={kind: random_forest}"


def spec(*overrides: str) -> AuditSpec:
    return AuditSpec.from_yaml(GOOD, overrides)


def refusal(*overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        spec(*overrides)
    return str(caught.value)


# What does not go together


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        # who is member
        (["split=null"], ["split", "members"]),
        ([OBJECT, LOSS], ["target.kind=object", "sides", "membership"]),
        ([STORED, LOSS, SIDES], ["target.kind=predictions", "id", "membership"]),
        ([STORED, LOSS, TABLE], ["target.kind=predictions", "membership"]),
        (["data={kind: parquet, path: a, label: y, membership: who.parquet}"], ["data.membership", "data.id"]),
        # how the target is trained
        (["mitigations=[{kind: dropout, rate: 0.5}]"], ["dropout", "RandomForestClassifier"]),
        (
            [SIDES, OBJECT, LOSS, FOREST, "mitigations=[{kind: params, params: {max_depth: 3}}]"],
            ["params(max_depth=3)", "object", "target.kind"],
        ),
        # shadow models
        ([SIDES, ENDPOINT], ["shadows.estimator", "endpoint"]),
        (["target.estimator={kind: sklearn.svm.LinearSVC}"], ["LinearSVC", "calibrated", "label_only"]),
        (["target.estimator={kind: file, path: no.skops}"], ["estimator.path='no.skops'", "No such file"]),
        ([SIDES, OBJECT, "shadows.estimator={kind: file, path: no.skops}"], ["estimator.path='no.skops'"]),
        ([SIDES, OBJECT, "shadows.estimator={kind: sklearn.svm.LinearSVC}"], ["shadows.estimator", "calibrated"]),
        (["attacks=[{kind: shokri, model: {kind: sklearn.svm.LinearSVC}}]"], ["LinearSVC", "calibrated"]),
        (["shadows.design=audit", "shadows.data={kind: noisy, rate: 0.1}"], ["shadows.data.kind=noisy", "disjoint"]),
        ([STORED, WITH_IDS, FOREST, "shadows.data={kind: model_based}"], ["shadows.data.kind=model_based"]),
        ([STORED, WITH_IDS, FOREST, "shadows.data={kind: marginal, by_class: false}"], ["shadows.data.kind=marginal"]),
        (["shadows.design=audit", "shadows.size=100"], ["shadows.size=100", "shadows.design"]),
        # attacks
        (["attacks=[{kind: lira, mode: online}]"], ["lira(online)", "shadows.design", "offline"]),
        (["attacks=[{kind: rmia, mode: online}, {kind: lira, mode: online}]"], ["rmia(online), lira(online)"]),
        (["mitigations=[{kind: top_k, k: 1}, {kind: top_k, k: 1}]"], ["mitigations", "top_k(1)", "twice"]),
    ],
)
def test_what_does_not_go_together_is_said_with_what_to_do(overrides: list[str], parts: list[str]) -> None:
    text = refusal(*overrides)
    assert [part for part in parts if part not in text] == [], text


@pytest.mark.parametrize(
    "overrides",
    [
        [SIDES, "split=null"],
        [SIDES, OBJECT, LOSS],
        [SIDES, OBJECT],
        [SIDES, "target={kind: file, path: model.skops}"],
        ["target={kind: train, estimator: {kind: sklearn.svm.LinearSVC}, answers: [{kind: label_only}]}"],
        ["target.estimator={kind: calibrated, params: {estimator: {kind: sklearn.svm.LinearSVC}}}"],
        [TABLE, OBJECT, LOSS],
        [STORED, WITH_IDS, LOSS, "split=null"],
        [STORED, WITH_IDS, FOREST, "shadows.data={kind: noisy, rate: 0.1}"],
        [SIDES, OBJECT, FOREST, "shadows.data={kind: model_based}"],
        ["shadows.design=audit", "attacks=[{kind: lira, mode: online}]"],
        ["shadows.design=mixed", "shadows.size=100", "attacks=[{kind: rmia, mode: online}]"],
        ["mitigations=[{kind: top_k, k: 1}, {kind: top_k, k: 2}]"],
    ],
)
def test_what_goes_together_is_taken(overrides: list[str]) -> None:
    assert spec(*overrides).name == "demo"


# Secrets stay where they are


@pytest.mark.parametrize("setting", ["mitigations", "attacks", "shadows.data", "target"])
def test_a_class_outside_the_allowed_prefixes_is_refused_wherever_it_is_named(setting: str) -> None:
    inside = "[{kind: os.system}]" if setting in ("mitigations", "attacks") else "{kind: os.system}"
    text = refusal(f"{setting}={inside}")
    assert "'os.system'" in text and "UMBRAMETER_ALLOWED_PREFIXES" in text and setting in text


@pytest.mark.parametrize("setting", ["mitigations", "attacks", "shadows.data", "target"])
def test_a_class_of_another_family_is_refused(setting: str) -> None:
    kind = "umbrameter.attacks.Loss" if setting != "attacks" else "umbrameter.mitigations.TopK"
    inside = f"[{{kind: {kind}}}]" if setting in ("mitigations", "attacks") else f"{{kind: {kind}}}"
    assert kind in refusal(f"{setting}={inside}")


# The whole


@pytest.mark.parametrize(
    ("overrides", "n_members", "n_nonmembers", "shadow_size"),
    [
        ([], 1000, 1000, 1000),
        (["split.nonmembers=300"], 1000, 300, 1000),
        (["shadows.size=50"], 1000, 1000, 50),
        ([SIDES, "split=null"], None, None, None),  # all that are known
        ([SIDES], 1000, None, 1000),
        ([SIDES, "split.nonmembers=7", "shadows.size=9"], 1000, 7, 9),
    ],
)
def test_how_many_of_each_are_asked_for(
    overrides: list[str], n_members: int | None, n_nonmembers: int | None, shadow_size: int | None
) -> None:
    found = spec(*overrides)
    assert (found.n_members, found.n_nonmembers, found.shadow_size) == (n_members, n_nonmembers, shadow_size)


@pytest.mark.parametrize(
    ("overrides", "membership", "is_known"),
    [
        ([], None, False),
        ([SIDES], None, True),
        ([WITH_IDS], None, False),
        ([TABLE], Membership("who.parquet", "person", "data.membership"), True),
        ([STORED, WITH_IDS, LOSS], Membership("answers.parquet", "record_id", "target.path"), True),
    ],
)
def test_who_is_member_is_known_from_the_data_or_the_target(
    overrides: list[str], membership: Membership | None, is_known: bool
) -> None:
    found = spec(*overrides)
    assert (found.membership, found.is_known) == (membership, is_known)


@pytest.mark.parametrize(
    ("overrides", "n"),
    [
        ([LOSS], 0),
        (["attacks=[{kind: gap}, {kind: confidence}]"], 3),  # its thresholds are set on shadow models
        (["attacks=[{kind: quantile}]"], 0),
        ([LOSS, "mitigations=[{kind: memguard}]"], 3),
        ([LOSS, "mitigations=[[{kind: memguard}, {kind: rounding, decimals: 1}]]"], 3),
    ],
)
def test_shadow_models_are_trained_only_where_something_needs_them(overrides: list[str], n: int) -> None:
    found = spec("shadows.count=3", *overrides)
    needs = any(attack.needs_shadows for attack in found.required_attacks) or found.learns_from_shadows
    assert found.n_shadows == (3 if needs else 0)
    assert found.n_shadows == n


def test_shadow_models_are_of_the_target_s_kind_unless_it_is_said_otherwise() -> None:
    assert spec().estimator == spec().target.estimator_here
    other = spec("shadows.estimator={kind: mlp}").estimator
    assert other is not None and other.kind == "mlp"
    assert spec(SIDES, OBJECT, LOSS).estimator is None


# Repeats


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_each_repeat_is_the_same_audit_once_with_a_seed_of_its_own(repeats: int, seed: int) -> None:
    whole = spec(f"repeats={repeats}", f"seed={seed}")
    parts = whole.repeated()
    assert len(parts) == repeats == len({part.seed for part in parts})
    assert parts[0].seed == seed and {part.repeats for part in parts} == {1}
    assert {part.model_copy(update={"seed": seed, "repeats": repeats}).digest() for part in parts} == {whole.digest()}


def test_more_repeats_do_not_change_those_there_were() -> None:
    assert spec("repeats=9").repeated()[:3] == spec("repeats=3").repeated()


# The digest


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "repeats=2",
        "split.nonmembers=999",
        "data.name=mnist",
        "accepted_loss=0.02",
        "shadows.count=15",
        "limits=[{preset: owasp_aisvs}]",
        LOSS,
        "target.estimator.params={n_estimators: 5}",
    ],
)
def test_every_setting_changes_the_digest(override: str) -> None:
    assert spec(override).digest() != spec().digest()


def test_a_sweep_s_digest_is_of_all_its_points() -> None:
    one, two = (from_yaml(GOOD, [f"shadows.count={counts}"]) for counts in ("[2, 3]", "[2, 4]"))
    again = from_yaml(GOOD, ["shadows.count=[2, 3]"])
    assert one.digest() == again.digest() != two.digest() != spec("shadows.count=2").digest()


# Attacks that mitigations have to face


@pytest.mark.parametrize(
    ("attacks", "added"),
    [
        ([Loss()], ["confidence", "gap"]),
        ([Loss(), Gap()], ["confidence"]),
        ([Confidence()], ["gap"]),
        ([Entropy(), LabelOnly()], []),
        ([Shokri()], ["confidence", "gap"]),
        ([Confidence(), Gap()], []),
    ],
)
def test_a_mitigation_faces_class_thresholds_and_labels_alone(attacks: list[Loss], added: list[str]) -> None:
    found = required_attacks(tuple(attacks), [Rounding(decimals=1)])
    assert found[: len(attacks)] == tuple(attacks)
    assert [attack.label for attack in found[len(attacks) :]] == added
    assert required_attacks(tuple(attacks), []) == tuple(attacks)


ATTACKS = [Loss(), Gap(), Confidence(), Entropy(), Lira(), Rmia(), Quantile(), Shokri(), LabelOnly()]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.sampled_from(ATTACKS), unique_by=lambda attack: attack.label),
    st.lists(st.sampled_from([Rounding(decimals=1), TopK(k=2), Temperature(t=2)]), min_size=1, max_size=3),
)
def test_what_is_added_is_enough_and_adding_again_adds_nothing(attacks: list[Loss], mitigations: list[TopK]) -> None:
    found = required_attacks(tuple(attacks), mitigations)
    assert any(attack.has_class_thresholds for attack in found)
    assert any(not attack.uses_confidences for attack in found)
    assert required_attacks(found, mitigations) == found
