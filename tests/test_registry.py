"""Each attack, mitigation, shadow data and target has a file, a place in its union, descriptions, a docs row."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from umbrameter import attacks, mitigations, shadow_data, targets
from umbrameter.attacks import AnyAttack, Attack, Combined, Input, SingleAttack
from umbrameter.mitigations import (
    AnyMitigation,
    Composition,
    InTraining,
    LearnedPostHoc,
    Mitigation,
    PostHoc,
    SingleMitigation,
)
from umbrameter.shadow_data import AnyShadowData, ShadowData
from umbrameter.targets import AnyTarget, ExternalTarget, Target

DOCS = (Path(__file__).parents[1] / "docs" / "adding.md").read_text(encoding="utf8")


@dataclass(frozen=True)
class Family:
    """A package of classes that a spec names by their kind."""

    package: ModuleType
    base: type
    union: Any
    heading: str
    """Of the table in docs/adding.md."""
    column: Callable[[Any], str]
    """What the table's second column has to say of a class."""
    single: Any = None
    """The union without what is made of several."""
    cites: bool = True
    """Whether each file names the paper that it implements."""


def looked_at(attack: type[Attack]) -> str:
    """Return an attack's inputs in words."""
    several = {"attacks": ({"kind": "gap"}, {"kind": "loss"})} if "attacks" in attack.model_fields else {}
    made = attack(**several)
    assert made.assumption
    assert all(isinstance(entry, Input) for entry in made.inputs)
    return ", ".join(sorted(entry.label for entry in made.inputs)) or "target predictions"


def acts_on(mitigation: type[Mitigation]) -> str:
    if issubclass(mitigation, InTraining):
        return "the training"
    if issubclass(mitigation, LearnedPostHoc):
        return "the answer, learned"
    return "the answer" if issubclass(mitigation, PostHoc) else "both"


def where_trained(target: type[Target]) -> str:
    queried = "can be asked" if target.can_be_queried else "stored answers"
    return "trained here" if target.trained_here else f"elsewhere, {queried}"


def asks(data: type[ShadowData]) -> str:
    fields = {name: 0.1 for name, field in data.model_fields.items() if field.is_required()}
    made = data(**fields)
    assert made.assumption
    return "yes" if made.asks else "no"


FAMILIES = [
    Family(attacks, Attack, AnyAttack, "attack", looked_at, SingleAttack),
    Family(mitigations, Mitigation, AnyMitigation, "mitigation", acts_on, SingleMitigation),
    Family(shadow_data, ShadowData, AnyShadowData, "shadow data", asks),
    Family(targets, Target, AnyTarget, "target", where_trained, cites=False),
]


def modules(package: ModuleType) -> list[ModuleType]:
    """Return the modules of a package that define a class with a kind; others hold what several of them share."""
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return [module for module in map(importlib.import_module, names) if kinds(module)]


def kinds(module: ModuleType) -> list[Any]:
    """Return the classes with a kind that a module defines, of any of the families."""
    bases = tuple(family.base for family in FAMILIES)
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, bases)]
    return [value for value in classes if value.__module__ == module.__name__ and "kind" in value.model_fields]


CASES = [(module, family) for family in FAMILIES for module in modules(family.package)]


@pytest.mark.parametrize(("module", "family"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_file_defines_one_documented_class(module: ModuleType, family: Family) -> None:
    (entry,) = kinds(module)
    assert issubclass(entry, family.base)
    members = get_args(get_args(family.union)[0])
    assert entry in members
    if family.single is not None and entry not in (Combined, Composition):
        assert entry in get_args(get_args(family.single)[0])
    if family.cites:
        text = (module.__doc__ or "") + (entry.__doc__ or "")
        assert re.search(r"\(\d{4}\)|et al\. \(?\d{4}", text), "no source with its year"
    assert [name for name, field in entry.model_fields.items() if not field.description] == []
    kind = entry.model_fields["kind"].default
    (row,) = [line for line in table(family.heading) if line.startswith(f"| `{kind}` |")]
    assert [cell.strip() for cell in row.split("|")][2] == family.column(entry)


def table(heading: str) -> list[str]:
    """Return the rows of the table in the docs whose first column has a heading."""
    _, _, rest = DOCS.partition(f"\n| {heading} |")
    assert rest, f"docs/adding.md has no table of {heading}"
    return rest.partition("\n\n")[0].splitlines()[2:]


@pytest.mark.parametrize("family", FAMILIES, ids=[family.heading for family in FAMILIES])
def test_every_member_of_a_union_has_a_file_of_its_own_and_every_row_a_class(family: Family) -> None:
    defined = {entry for module in modules(family.package) for entry in kinds(module)}
    members = {*get_args(get_args(family.union)[0])}
    assert members == defined
    named = {f"`{entry.model_fields['kind'].default}`" for entry in members}
    assert {row.split("|")[1].strip() for row in table(family.heading)} == named


@pytest.mark.parametrize(
    "base", [Attack, Mitigation, PostHoc, LearnedPostHoc, InTraining, ShadowData], ids=lambda base: base.__name__
)
def test_abstract_classes_cannot_be_instantiated(base: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_only_a_target_of_a_kind_can_be_connected() -> None:
    for base in (Target, ExternalTarget):
        assert "kind" not in base.model_fields
