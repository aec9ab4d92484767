"""Errors in a spec name the place, the value and what is expected."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.sweep import load

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
name: demo
data: {kind: catalogue, name: adult}
split: {members: 1000}
target: {kind: train, estimator: {kind: random_forest}}
"""
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NESTED = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=6
)


def refusal(*overrides: str, text: str = GOOD) -> str:
    with pytest.raises(SpecError) as error:
        AuditSpec.from_yaml(text, overrides)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("shadow=1", ["shadow=1: there is no such setting", "the settings here are name, seed, repeats, data"]),
        (
            "shadows.cuont=4",
            ["shadows.cuont=4: there is no such setting", "count, size, estimator, data, records, design"],
        ),
        ("attacks=[{kind: loss}, {kind: shokri, modle: 1}]", ["attacks[1].modle=1", "kind, model, features"]),
        ("data={kind: csv}", ["data", "'csv'", "catalogue", "parquet"]),
        ("data={name: adult}", ["data", "say which kind: catalogue, table"]),
        ("attacks=[{kind: lottery}]", ["attacks[0]", "lottery", "loss", "shokri"]),
        ("mitigations=[{kind: prayer}]", ["mitigations[0]", "prayer", "rounding", "top_k", "label_only", "params"]),
        ("target.estimator.kind=forest", ["target.estimator.kind='forest'", "random_forest", "mlp", "sklearn."]),
        ("target.estimator.params={n_trees: 5}", ["no parameter n_trees", "n_estimators"]),
        ("split.members=many", ["split.members='many'", "integer"]),
        ("split.members=1", ["split.members=1", "greater than or equal to 2"]),
        ("seed=-1", ["seed=-1", "greater than or equal to 0"]),
        ("name=a b", ["name='a b'"]),
        ("shadows.design=online", ["shadows.design='online'", "disjoint"]),
        ("attacks=[]", ["attacks=[]", "at least 1 item"]),
        ("attacks=[{kind: loss}, {kind: loss}]", ["attacks: loss is listed twice; remove one"]),
        ("mitigations=[{kind: rounding}]", ["mitigations[0].decimals", "required"]),
        ("mitigations=[{kind: rounding, decimals: 7}]", ["mitigations[0].decimals=7", "less than or equal to 6"]),
        ("mitigations=[{kind: params, params: {leaf: 2}}]", ["no parameter leaf", "min_samples_leaf"]),
    ],
)
def test_what_is_refused_and_how_it_is_said(setting: str, parts: list[str]) -> None:
    text = refusal(setting)
    assert [part for part in parts if part not in text] == [], text
    assert "pydantic" not in text and "function-" not in text


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = refusal("seed=-1", "split.members=1", "shadow=2")
    assert [key for key in ("seed=-1", "split.members=1", "shadow=2") if key not in text] == []


def test_a_missing_part_is_named() -> None:
    assert "data: Field required; the settings here are name, seed, repeats, data" in refusal(text="name: demo\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "must be a mapping of name, seed"),
        ("- a\n- b\n", "must be a mapping of name"),
        ("name: [1, 2\n", "line 2"),
        ("name: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    ],
)
def test_what_is_no_spec(text: str, part: str) -> None:
    assert part in refusal(text=text)


@pytest.mark.parametrize("setting", ["seed", "attacks.x.kind=loss", "attacks.9.kind=loss", "name.a=1", "seed=[1"])
def test_settings_without_a_place(setting: str) -> None:
    text = GOOD + "attacks: [{kind: loss}]\n"
    assert f"--set {setting!r}" in refusal(setting, text=text)


def test_a_missing_file_a_folder_and_another_format(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "bytes"):
        with pytest.raises(SpecError, match=f"SPEC='{path}' cannot be read .*; give the path of a YAML file"):
            AuditSpec.load(path)


def test_settings_reach_into_parts_and_lists() -> None:
    text = GOOD + "attacks: [{kind: loss}, {kind: shokri}]\n"
    spec = AuditSpec.from_yaml(text, ["attacks.1.features=sorted", "shadows.count=3", "split.nonmembers=7"])
    assert spec.attacks[1].model_dump()["features"] == "sorted"
    assert (spec.n_shadows, spec.n_nonmembers, spec.shadow_size) == (3, 7, 1000)


def test_only_what_an_attack_needs_is_planned() -> None:
    assert AuditSpec.from_yaml(GOOD, ["attacks=[{kind: loss}]"]).n_shadows == 0
    assert AuditSpec.from_yaml(GOOD).n_shadows == 16


def test_the_digest_is_of_all_settings_defaults_too() -> None:
    spec = AuditSpec.from_yaml(GOOD)
    assert spec.digest() == AuditSpec.from_yaml(GOOD, ["shadows.count=16"]).digest()
    assert spec.digest() != AuditSpec.from_yaml(GOOD, ["shadows.count=17"]).digest()
    again = AuditSpec.from_yaml(yaml.safe_dump(spec.model_dump(mode="json")))
    assert again == spec and again.digest() == spec.digest()


@pytest.mark.parametrize("path", sorted((ROOT / "deployments" / "specs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_specs_are_valid(path: Path) -> None:
    assert load(path).name == path.stem.removesuffix("-full")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*AuditSpec.model_fields, "other"]), NESTED))
def test_nothing_else_than_a_spec_or_an_error_comes_out(content: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        AuditSpec.from_yaml(yaml.safe_dump(content))


@pytest.mark.parametrize(
    "target",
    [
        "{kind: endpoint, url: 'https://u:S3CRET@h/x'}",
        "{kind: endpoint, url: 'ftp://h/S3CRET'}",
        "{kind: endpoint, url: 'https://h/x?api_key=S3CRET'}",
        "{kind: endpoint, url: 'https://h/x', token: S3CRET}",
        "{kind: endpoint, url: 'https://h/x', token: {value: S3CRET}}",
        "{kind: endpoint, url: 'https://h/x', request: {kind: json, body: {key: S3CRET}, probabilities: p}}",
        "{kind: registry, model: 'models:/m/1', tracking_uri: 'https://u:S3CRET@h'}",
    ],
)
def test_what_may_be_a_secret_is_refused_and_not_repeated(target: str) -> None:
    known = "data={kind: sides, members: a, nonmembers: b, label: y}"
    text = refusal(known, "attacks=[{kind: loss}]", "mitigations=[]", f"target={target}")
    assert "target." in text or "target:" in text
    assert "S3CRET" not in text
