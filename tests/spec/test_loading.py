"""Specs from text: settings that replace what is there, and causes with their place, value and remedy."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from umbrameter.errors import SpecError
from umbrameter.spec.loading import checked, read_text, read_yaml


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cat(Strict):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, ge=1)


class Dog(Strict):
    kind: Literal["dog"] = "dog"
    name: str = Field(examples=["Rex"])
    tricks: tuple[str, ...] = ()


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class House(Strict):
    street: str = "Elm"
    colour: Literal["red", "green"] = "red"
    number: int = Field(1, ge=1)
    pet: Pet = Cat()
    pets: tuple[Pet, ...] = ()

    @model_validator(mode="after")
    def _room(self) -> "House":
        if len(self.pets) > 3:
            raise ValueError(f"pets: {len(self.pets)} do not fit; keep 3")
        return self


class Town(Strict):
    name: str = Field(examples=["Elmville"])
    house: House = House()
    houses: tuple[House, ...] = ()
    visitors: tuple[Pet, ...] = Field(default=({"kind": "cat"}, {"kind": "cat"}), validate_default=True)


def read(text: str, *overrides: str) -> dict[str, Any]:
    return read_yaml(text, Town, overrides)


def causes(content: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        checked(Town, content)
    return str(caught.value).splitlines()


# Text


def test_a_file_s_text_is_read_whole_and_as_utf8(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: Zürich\n", encoding="utf8")
    assert read_text(tmp_path / "spec.yaml") == "name: Zürich\n"


@pytest.mark.parametrize("name", ["SPEC", "--spec"])
def test_what_cannot_be_read_is_called_as_the_caller_calls_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin").write_bytes("name: Zürich".encode("latin1"))
    for path in (tmp_path / "none", tmp_path, tmp_path / "latin"):
        with pytest.raises(SpecError, match=f"^{name}={str(path)!r} "):
            read_text(path, name)


@pytest.mark.parametrize("text", ["", "null", "[1]", "name", "7", "- a"])
def test_what_is_no_mapping_is_told_what_a_mapping_would_hold(text: str) -> None:
    with pytest.raises(SpecError, match="name, house, houses"):
        read(text)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tname: x", "a: !!python/name:os.system x", "? - :\n:"])
def test_what_is_no_plain_yaml_is_refused_on_one_line(text: str) -> None:
    with pytest.raises(SpecError, match="YAML") as caught:
        read(text)
    assert "\n" not in str(caught.value)


# Settings that replace


@pytest.mark.parametrize(
    ("setting", "content"),
    [
        ("name=b", {"name": "b", "house": {"number": 1}}),
        ("house.number=7", {"name": "a", "house": {"number": 7}}),
        ("house.street=Oak", {"name": "a", "house": {"number": 1, "street": "Oak"}}),
        ("house={street: Oak}", {"name": "a", "house": {"street": "Oak"}}),
        ("inn.rooms.beds=2", {"name": "a", "house": {"number": 1}, "inn": {"rooms": {"beds": 2}}}),
        ("name=", {"name": None, "house": {"number": 1}}),
        ("name=a=b", {"name": "a=b", "house": {"number": 1}}),
        ("name='7'", {"name": "7", "house": {"number": 1}}),
        ("house.number=[1, 2]", {"name": "a", "house": {"number": [1, 2]}}),
    ],
)
def test_a_setting_replaces_or_adds_one_place_and_is_read_as_yaml(setting: str, content: dict[str, Any]) -> None:
    assert read("name: a\nhouse: {number: 1}\n", setting) == content


def test_settings_are_applied_in_order() -> None:
    assert read("name: a", "name=b", "name=c")["name"] == "c"
    assert read("name: a", "house={number: 1}", "house.number=2")["house"] == {"number": 2}


def test_a_place_in_a_list_is_counted_from_0_and_may_be_counted_from_its_end() -> None:
    text = "name: a\nhouses: [{number: 1}, {number: 2}]\n"
    assert [h["number"] for h in read(text, "houses.1.number=9")["houses"]] == [1, 9]
    assert [h["number"] for h in read(text, "houses.-1.number=9")["houses"]] == [1, 9]


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("houses.1.number=9", "{number: 1}, {number: 9}"),
        ("houses.1={number: 9}", "{number: 1}, {number: 9}"),
        ("houses.1.pet.kind=cat", "{number: 1}, {pet: {kind: cat}}"),
        ("houses.-1.number=9", "{number: 9}"),
        ("houses.0.pets.0.kind=cat", "{number: 1, pets: [{kind: cat}]}"),
    ],
)
def test_the_number_after_the_last_adds_an_entry(setting: str, text: str) -> None:
    assert read("name: a\nhouses: [{number: 1}]\n", setting)["houses"] == yaml.safe_load(f"[{text}]")


def test_an_entry_of_a_list_that_is_left_out_is_one_of_its_default() -> None:
    assert read("name: a", "visitors.0.lives=7")["visitors"] == [{"kind": "cat", "lives": 7}, {"kind": "cat"}]
    assert read("name: a", "visitors.2.kind=cat")["visitors"] == [{"kind": "cat"}] * 3
    assert read("name: a", "houses.0.number=7")["houses"] == [{"number": 7}]
    assert [
        pet.lives for pet in checked(Town, read("name: a", "visitors.0.lives=7")).visitors if pet.kind == "cat"
    ] == [
        7,
        9,
    ]


def test_a_kind_s_name_alone_gets_room_for_its_settings() -> None:
    assert read("house: {pet: cat}", "house.pet.lives=7")["house"] == {"pet": {"kind": "cat", "lives": 7}}
    assert read("house: {pets: [cat, cat]}", "house.pets.1.lives=7")["house"] == {
        "pets": ["cat", {"kind": "cat", "lives": 7}]
    }


def test_another_kind_drops_what_only_the_former_has_and_nothing_else() -> None:
    text = "house: {pet: {kind: dog, name: Rex, tricks: [sit], colour: red}}"
    assert read(text, "house.pet.kind=cat")["house"]["pet"] == {"kind": "cat", "colour": "red"}
    assert read(text, "house.pet.kind=dog")["house"]["pet"]["tricks"] == ["sit"]
    assert read(text, "house.pet.kind=cow")["house"]["pet"]["tricks"] == ["sit"]
    assert read(text, "house.pet.kind=[cat]")["house"]["pet"]["kind"] == ["cat"]


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("name", "must be key=value"),
        ("", "must be key=value"),
        ("houses.2.number=1", "houses is a list of 1; count its entries from houses.0, and add one as houses.1"),
        ("houses.-2.number=1", "houses is a list of 1"),
        ("houses.x=1", "houses is a list of 1"),
        ("name.first=1", "name is 'a', which has no settings; set name itself"),
        ("house.number=[", "'[' is not YAML"),
        ("houses.0.number.a=1", "houses.0.number is 1, which has no settings; set houses.0.number itself"),
    ],
)
def test_a_setting_without_a_place_or_a_value_is_quoted_with_how_far_it_leads(setting: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        read("name: a\nhouses: [{number: 1}]\n", setting)
    assert str(caught.value).startswith(f"--set {setting!r}: {text}")


def test_all_settings_that_cannot_be_set_are_said() -> None:
    with pytest.raises(SpecError) as caught:
        read("name: a", "name.b=1", "house.number=2", "street")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["--set 'name.b=1'", "--set 'street'"]


def test_the_text_s_own_lists_stay_as_they_are() -> None:
    default = Town.model_fields["visitors"].default
    read("name: a", "visitors.0.lives=7", "visitors.2=cat")
    assert default == ({"kind": "cat"}, {"kind": "cat"})


NESTED = st.dictionaries(
    st.sampled_from("abc"),
    st.integers() | st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1),
    min_size=1,
)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(NESTED, st.integers())
def test_a_setting_changes_its_own_place_alone(content: dict[str, Any], value: int) -> None:
    for key, inner in content.items():
        path = [key, *([min(inner)] if isinstance(inner, dict) else [])]
        changed = read(yaml.safe_dump(content), f"{'.'.join(path)}={value}")
        expected = {**content, key: {**inner, path[1]: value} if isinstance(inner, dict) else value}
        assert changed == expected


# What is wrong, and where


def test_what_is_right_comes_back_as_a_value() -> None:
    town = checked(Town, {"name": "a", "houses": [{"pet": {"kind": "dog", "name": "Rex"}}]})
    assert town.houses[0].pet == Dog(name="Rex")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ({}, "name: Field required, such as name: Elmville; the settings here are name, house, houses"),
        ({"name": 3}, "name=3: "),
        (
            {"name": "a", "hose": 1},
            "hose=1: there is no such setting; did you mean house? The settings here are name, house, houses",
        ),
        ({"name": "a", "xyz": 1}, "xyz=1: there is no such setting; the settings here are name, house, houses"),
        (
            {"name": "a", "house": {"nmuber": 2}},
            "house.nmuber=2: there is no such setting; did you mean number? The settings here are street, colour, ",
        ),
        ({"name": "a", "houses": [{}, {"number": 0}]}, "houses[1].number=0: "),
        ({"name": "a", "houses": [{"pets": [{}, {"kind": "cat", "lives": 0}]}]}, "houses[0].pets[0].kind is missing"),
        ({"name": "a", "house": {"pet": {"kind": "cow"}}}, "house.pet.kind='cow': unknown kind; expected one of "),
        (
            {"name": "a", "house": {"pet": {"kind": "dog"}}},
            "house.pet.name: Field required, such as name: Rex; the settings here are ",
        ),
        ({"name": "a", "house": {"pet": {"kind": "dog", "name": "R", "tricks": [1]}}}, "house.pet.tricks[0]=1: "),
    ],
)
def test_a_cause_has_the_path_as_in_the_yaml(content: dict[str, Any], cause: str) -> None:
    found = causes(content)
    start, _, _ = cause.partition(" is missing")
    assert any(line.startswith(start) for line in found), found
    assert not any("Cat" in line or "tagged-union" in line for line in found)


def test_a_kind_that_is_missing_is_asked_for_with_those_there_are() -> None:
    (line,) = causes({"name": "a", "house": {"pet": {"lives": 3}}})
    assert line.startswith("house.pet.kind") and "cat, dog" in line


def test_every_cause_has_a_line() -> None:
    content = {"name": 3, "hose": 1, "house": {"number": 0, "pet": {"kind": "cow"}}, "houses": [{"stret": "x"}]}
    starts = ["name=3", "hose=1", "house.number=0", "house.pet.kind='cow'", "houses[0].stret='x'"]
    assert sorted(line.partition(":")[0] for line in causes(content)) == sorted(starts)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"houses": "x"}, "houses='x': expected a list, such as [a, b]"),
        ({"houses": [3]}, "houses[0]=3: expected a mapping, such as {setting: value}"),
        ({"house": 3}, "house=3: expected a mapping, such as {setting: value}"),
        ({"house": {"pet": 3}}, "house.pet=3: expected a mapping, such as {setting: value}"),
        ({"house": {"colour": "geen"}}, "house.colour='geen': did you mean green? Expected one of red, green"),
        ({"house": {"colour": "x"}}, "house.colour='x': expected one of red, green"),
        (
            {"house": {"pet": {"kind": "Dog "}}},
            "house.pet.kind='Dog ': unknown kind; did you mean dog? Expected one of ",
        ),
        (
            {"house": {"pet": {"kind": "dog(Rex)"}}},
            "house.pet.kind='dog(Rex)': unknown kind; did you mean dog? Expected one of cat, dog; write its "
            "settings beside it: {kind: dog, name: Rex}",
        ),
    ],
)
def test_a_cause_is_said_in_the_words_of_yaml_with_what_was_probably_meant(content: dict[str, Any], line: str) -> None:
    (cause,) = causes({"name": "a", **content})
    assert cause.startswith(line)


def test_a_rule_of_the_whole_is_said_in_its_own_words() -> None:
    (line,) = causes({"name": "a", "house": {"pets": [{"kind": "cat"}] * 4}})
    assert line.endswith("pets: 4 do not fit; keep 3") and "Value error" not in line


def test_what_only_follows_from_another_cause_is_not_said() -> None:
    """An entry that is no mapping is one cause, whatever its union would say of it."""
    assert len(causes({"name": "a", "houses": [3]})) == 1
    assert len(causes({"name": "a", "house": {"pet": 3}})) == 1
