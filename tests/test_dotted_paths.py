"""Classes from outside: looked up below the allowed prefixes alone, of the expected kind alone."""

import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WrapValidator

from umbrameter.dotted_paths import PREFIXES_VARIABLE, allowed_prefixes, is_allowed, look_up, or_from_outside

MODULE = """
from typing import Literal
from pydantic import Field
from tests.test_dotted_paths import Shape

class Star(Shape):
    kind: Literal["somebody_s_shapes.Star"] = "somebody_s_shapes.Star"
    points: int = Field(5, ge=3)

class Cloud:
    pass

number = 7
"""


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    known: ClassVar[bool] = True


class Circle(Shape):
    kind: Literal["circle"] = "circle"
    radius: float = Field(1, gt=0)


class Square(Shape):
    kind: Literal["square"] = "square"
    side: float = Field(1, gt=0)


ADAPTER: TypeAdapter[Any] = TypeAdapter(
    Annotated[Circle | Square, Field(discriminator="kind"), WrapValidator(or_from_outside(Shape))]
)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a package of shapes, below a prefix that the operator allows."""
    (tmp_path / "somebody_s_shapes.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(PREFIXES_VARIABLE, "somebody_s_shapes.")
    monkeypatch.delitem(sys.modules, "somebody_s_shapes", raising=False)


def refusal(value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(value)
    return str(caught.value)


# Prefixes


def test_without_the_operator_only_two_prefixes_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PREFIXES_VARIABLE, raising=False)
    assert allowed_prefixes() == ("sklearn.", "umbrameter.")


@pytest.mark.parametrize(
    ("variable", "more"),
    [("", ()), ("a.", ("a.",)), (" a. , b.c. ", ("a.", "b.c.")), (",,a.,", ("a.",)), ("   ", ())],
)
def test_the_operator_s_prefixes_come_after_the_two(
    monkeypatch: pytest.MonkeyPatch, variable: str, more: tuple[str, ...]
) -> None:
    monkeypatch.setenv(PREFIXES_VARIABLE, variable)
    assert allowed_prefixes() == ("sklearn.", "umbrameter.", *more)


@pytest.mark.parametrize("path", ["sklearn.tree.Tree", "umbrameter.attacks.Loss", "mine.Model", "sklearn."])
def test_a_path_below_a_prefix_is_allowed(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv(PREFIXES_VARIABLE, "mine.")
    assert is_allowed(path)


@pytest.mark.parametrize(
    "path", ["os.system", "sklearn", "sklearnevil.Thing", "mine", "minerva.Owl", ".sklearn.x", " sklearn.x", "", "."]
)
def test_a_path_that_only_looks_like_one_is_not(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv(PREFIXES_VARIABLE, "mine.")
    assert not is_allowed(path)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.text(st.sampled_from("umbrameteskln._"), max_size=14))
def test_what_is_allowed_begins_with_a_whole_package(path: str) -> None:
    assert is_allowed(path) == (path.split(".")[0] in ("umbrameter", "sklearn") and "." in path)


# Looking up


@pytest.mark.parametrize(("path", "name"), [("pathlib.Path", "Path"), ("umbrameter.attacks.loss.Loss", "Loss")])
def test_what_a_path_names_is_found(path: str, name: str) -> None:
    assert look_up(path).__name__ == name


@pytest.mark.parametrize(
    "path",
    [
        "umbrameter.attacks.Lottery",
        "umbrameter.nothing.Loss",
        "no_such_package.Thing",
        "umbrameter.attacks.",
        "sklearn..Thing",
    ],
)
def test_what_is_not_there_is_named(path: str) -> None:
    with pytest.raises(ValueError, match=repr(path)):
        look_up(path)


# A union and classes from outside


@pytest.mark.parametrize("value", [{"kind": "circle", "radius": 2}, {"kind": "square"}, Circle(radius=3)])
def test_what_the_union_knows_is_taken_as_ever(value: Any) -> None:
    found = ADAPTER.validate_python(value)
    assert type(found) in (Circle, Square) and ADAPTER.validate_python(found.model_dump()) == found


def test_a_kind_alone_is_the_kind_without_settings(outside: None) -> None:
    assert ADAPTER.validate_python("circle") == Circle()
    assert ADAPTER.validate_python("somebody_s_shapes.Star") == ADAPTER.validate_python(
        {"kind": "somebody_s_shapes.Star"}
    )


def test_a_class_from_outside_is_made_of_its_settings(outside: None) -> None:
    found = ADAPTER.validate_python({"kind": "somebody_s_shapes.Star", "points": 7})
    assert type(found).__name__ == "Star" and found.points == 7
    assert ADAPTER.validate_python(found) is found
    assert ADAPTER.validate_python(found.model_dump()) == found


def test_a_class_outside_the_prefixes_is_refused_and_not_imported(
    outside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PREFIXES_VARIABLE)
    text = refusal({"kind": "somebody_s_shapes.Star"})
    assert "'somebody_s_shapes.Star'" in text and "sklearn." in text and PREFIXES_VARIABLE in text
    assert "somebody_s_shapes" not in sys.modules


@pytest.mark.parametrize("kind", ["somebody_s_shapes.Cloud", "somebody_s_shapes.number", "umbrameter.attacks.Loss"])
def test_what_is_no_class_of_the_family_is_refused(outside: None, kind: str) -> None:
    text = refusal({"kind": kind})
    assert f"kind={kind!r}" in text and "Shape" in text


@pytest.mark.parametrize("kind", ["somebody_s_shapes.Moon", "umbrameter.shapes.Star"])
def test_a_class_that_is_not_there_is_named(outside: None, kind: str) -> None:
    assert repr(kind) in refusal({"kind": kind})


def test_all_that_is_wrong_with_its_settings_is_said_at_once(outside: None) -> None:
    text = refusal({"kind": "somebody_s_shapes.Star", "points": 1, "colour": "red"})
    assert "points: " in text and "greater than or equal to 3" in text and "colour: " in text


@pytest.mark.parametrize("value", [{"kind": "hexagon"}, {"kind": 3}, {}, {"radius": 1}, "hexagon", None, 3])
def test_what_has_no_dotted_kind_is_the_union_s_to_judge(value: Any) -> None:
    assert "prefixes" not in refusal(value)


def test_a_value_of_another_class_under_a_dotted_kind_is_looked_up_and_refused(outside: None) -> None:
    class Impostor(BaseModel):
        kind: str = "somebody_s_shapes.Star"

    assert refusal(Impostor())
