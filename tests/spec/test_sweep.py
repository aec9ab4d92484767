"""Specs with a list for one setting."""

from pathlib import Path

import pytest
import yaml

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.sweep import AXES, Sweep, from_yaml, load

SPEC = """
name: sizes
data: {kind: catalogue, name: adult}
split: {members: 500}
target: {kind: train, estimator: {kind: random_forest}}
"""


def swept(*settings: str) -> Sweep:
    found = from_yaml(SPEC, settings)
    assert isinstance(found, Sweep)
    return found


def test_without_a_list_it_is_an_audit() -> None:
    assert from_yaml(SPEC) == AuditSpec.from_yaml(SPEC)


@pytest.mark.parametrize(
    ("setting", "labels", "steps"),
    [
        ("split.members=[500, 1000]", ["500", "1,000"], [500, 1000]),
        ("shadows.count=[2, 20]", ["2", "20"], [2, 20]),
        ("shadows.size=[300]", ["300"], [300]),
        ("shadows.data=[{kind: real}, {kind: noisy, rate: 0.1}]", ["real", "noisy(0.1)"], [0, 1]),
        ("shadows.data=[real, marginal]", ["real", "marginal"], [0, 1]),
        ("data.name=[adult, mnist]", ["adult", "mnist"], [0, 1]),
        ("seed=[0, 1]", ["0", "1"], [0, 1]),
    ],
)
def test_each_point_is_the_audit_with_that_value(setting: str, labels: list[str], steps: list[int]) -> None:
    found = swept(setting)
    assert ([p.label for p in found.points], [p.step for p in found.points]) == (labels, steps)
    key, _, values = setting.partition("=")
    for point, value in zip(found.points, yaml.safe_load(values), strict=True):
        assert point.spec == AuditSpec.from_yaml(SPEC, [f"{key}={yaml.safe_dump(value, default_flow_style=True)}"])
    assert (found.axis, found.title) == (key, AXES[key])


def test_steps_never_meet() -> None:
    found = swept("data={kind: generated, records: 4000, distinctness: [0.5, 0, 1]}")
    assert [(point.label, point.step) for point in found.points] == [("0.5", 0), ("0.0", 1), ("1.0", 2)]


def test_generated_classes_may_vary() -> None:
    found = swept("data={kind: generated, records: 4000, classes: [2, 10]}")
    assert [point.spec.data.classes for point in found.points] == [2, 10]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (
            ("split.members=[10, 20]", "shadows.count=[1, 2]"),
            ["split.members and shadows.count are lists"],
        ),
        (("split.members=[]",), ["split.members=[]", "the list is empty"]),
        (("split.members=[10, 10]",), ["split.members lists 10 twice"]),
        (("split.members=[10, x]",), ["split.members='x'", "integer"]),
        (("split.members=[x, 10, y]",), ["split.members='x'", "split.members='y'"]),
        (("split.nonmembers=[10, 20]",), ["split.nonmembers=[10, 20]", "integer"]),
        (("shadows.data=[{kind: real}, {kind: magic}]",), ["shadows.data.kind", "'magic'", "model_based"]),
    ],
)
def test_what_is_refused_and_how_it_is_said(settings: tuple[str, ...], parts: list[str]) -> None:
    with pytest.raises(SpecError) as error:
        from_yaml(SPEC, settings)
    assert [part for part in parts if part not in str(error.value)] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none.yaml' cannot be read"):
        load(tmp_path / "none.yaml")


def test_every_axis_is_a_setting_that_is_no_list_itself() -> None:
    text = yaml.safe_dump(AuditSpec.model_json_schema())
    assert [axis for axis in AXES if axis.split(".")[-1] not in text] == []
