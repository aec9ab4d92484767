"""The page of all settings: current, complete, and with examples that are valid."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.fields import example_of, example_value, kind_of, models_in
from umbrameter.spec.reference import page
from umbrameter.spec.score import ScoreSpec
from umbrameter.spec.sweep import AXES

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf8")


def all_models(model: type[BaseModel], seen: dict[type[BaseModel], None]) -> dict[type[BaseModel], None]:
    if model not in seen:
        seen[model] = None
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                all_models(inner, seen)
    return seen


MODELS = [*all_models(ScoreSpec, all_models(AuditSpec, {}))]
SETTINGS = [(model, name) for model in MODELS for name in model.model_fields if not (name == "kind" and kind_of(model))]


def test_the_page_is_current() -> None:
    assert page() == PAGE, "docs/reference.md is out of date; run: make reference"


def test_every_setting_is_there_with_a_sentence_and_an_example() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \| `(.+)` \|$", PAGE, flags=re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(name for _, name in SETTINGS)
    assert [row[0] for row in rows if not row[3].endswith((".", ". "))] == []
    assert [row[0] for row in rows if [*yaml.safe_load(f"{{{row[4]}}}")] != [row[0]]] == []


@pytest.mark.parametrize(("model", "name"), SETTINGS, ids=[f"{model.__name__}.{name}" for model, name in SETTINGS])
def test_every_example_is_valid(model: type[BaseModel], name: str) -> None:
    split = {"split": {"members": 100}} if model is AuditSpec else {}  # required of it by its kind of data alone
    settings = {**example_of(model), **split, name: example_value(model.model_fields[name])}
    try:
        model.model_validate(settings)
    except ValidationError as error:
        # Of some settings only one may be given: a rule of the whole, which has no place.
        assert [cause["loc"] for cause in error.errors()] == [()] and "give" in str(error)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in (AuditSpec, ScoreSpec)])
def test_the_shortest_form_of_every_model_is_valid(model: type[BaseModel]) -> None:
    shortest = example_of(model)
    assert model.model_validate(shortest).model_fields_set == shortest.keys()
    for name in shortest.keys() - {"kind"}:
        with pytest.raises(ValueError, match=r"required|give"):
            model.model_validate({key: value for key, value in shortest.items() if key != name})


def test_the_introduction_s_spec_is_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [attack.label for attack in AuditSpec.from_yaml(text).attacks] == ["lira(offline)", "loss", "rmia(offline)"]


def test_links_on_the_page_lead_to_headings() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    addresses = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(set(addresses)) == len(addresses)
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= set(addresses)


def test_every_axis_of_a_sweep_is_listed() -> None:
    assert [axis for axis in AXES if f"| `{axis}` | {AXES[axis]} |" not in page("sweep")] == []


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("split", ["## `split`"]),
        ("lira", ["### `attacks`: `lira`"]),
        ("label_only", ["### `attacks`: `label_only`", "### `mitigations`: `label_only`"]),
        ("attacks.lira", ["### `attacks`: `lira`"]),
        ("limits", ["## `limits`", "### `limits`: `limit`", "### `limits`: `preset`"]),
    ],
)
def test_a_section_is_found_by_its_place_or_its_kind(name: str, headings: list[str]) -> None:
    assert re.findall(r"^##.*$", page(name), flags=re.MULTILINE) == headings


def test_a_section_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="SECTION='lirra' is not a section; did you mean lira"):
        page("lirra")


def test_a_setting_without_an_example_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditSpec.model_fields["seed"], "examples", None)
    with pytest.raises(ValueError, match=r"AuditSpec\.seed has no example"):
        page()


def test_the_json_schema_takes_a_kind_s_name_wherever_the_spec_does() -> None:
    """Or editors would mark valid specs as wrong."""
    schema = AuditSpec.model_json_schema()
    takes = {"type": "string", "title": "Name of a kind"}
    estimator = schema["$defs"]["TrainedTarget"]["properties"]["estimator"]
    request = schema["$defs"]["EndpointTarget"]["properties"]["request"]
    shadows = schema["$defs"]["ShadowSpec"]["properties"]
    lists = [schema["properties"][name]["items"] for name in ("attacks", "mitigations")]
    others = [schema["properties"]["target"], shadows["data"], estimator, request]
    assert [part["anyOf"][-1] for part in (*lists, *others)] == [takes] * 6
    assert takes in shadows["estimator"]["anyOf"]
