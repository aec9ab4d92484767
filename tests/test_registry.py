"""Each attack and each mitigation is one file, in the union, with a source, descriptions and a row in the docs."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest

from umbrameter import attacks, mitigations
from umbrameter.attacks import AnyAttack, Attack, Combined, Signals, SingleAttack, Vectors
from umbrameter.mitigations import AnyMitigation, Composition, InTraining, Mitigation, PostHoc, SingleMitigation

DOCS = (Path(__file__).parents[1] / "docs" / "adding.md").read_text()
BASES = ("base", "plan", "pointwise", "references", "signals")
FAMILIES = [(attacks, AnyAttack, Attack), (mitigations, AnyMitigation, Mitigation)]


def modules(package: ModuleType) -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name not in BASES]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def classes(module: ModuleType, base: type) -> list[type]:
    found = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, base)]
    return [value for value in found if value.__module__ == module.__name__]


CASES = [(module, union, base) for package, union, base in FAMILIES for module in modules(package)]


@pytest.mark.parametrize(("module", "union", "base"), CASES, ids=[case[0].__name__ for case in CASES])
def test_one_class_a_file_with_all_that_a_user_reads(module: ModuleType, union: Any, base: type) -> None:
    (found,) = classes(module, base)
    assert found in get_args(get_args(union)[0])
    if found not in (Combined, Composition):
        assert found in get_args(get_args(SingleAttack if base is Attack else SingleMitigation)[0])
    assert re.search(r"\(\d{4}\)|et al\. \(?\d{4}", module.__doc__ or ""), "no source with its year"
    assert [name for name, field in found.model_fields.items() if not field.description] == []
    kind = found.model_fields["kind"].default
    about = DOCS.partition("## A mitigation in one file")[0 if base is Attack else 2]
    (row,) = [line for line in about.splitlines() if line.startswith(f"| `{kind}` |")]
    assert row.count("|") == 4
    if issubclass(found, Attack):
        attack = found(attacks=({"kind": "gap"}, {"kind": "loss"})) if "attacks" in found.model_fields else found()
        assert f"| {', '.join(sorted(attack.needs)) or 'target predictions'} |" in row and attack.assumption
    else:
        where = "both" if found is Composition else "the answer" if issubclass(found, PostHoc) else "the training"
        assert f"| {where} |" in row


@pytest.mark.parametrize("base", [Attack, Mitigation, PostHoc, InTraining])
def test_what_is_abstract_cannot_be_made(base: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_the_worked_examples_of_the_docs_work() -> None:
    attack, mitigation = (re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)[i] for i in (0, 1))
    names: dict[str, Any] = {"__name__": "worked_example"}
    exec(attack, names)
    exec(mitigation, names)
    vectors = np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)
    is_in = np.array([True, False])
    signals = Signals(Vectors(vectors, np.array([0, 0])), Vectors(vectors, np.array([0, 0]), is_in))
    scores = names["Margin"]().score(signals)
    assert np.allclose(scores, [0.8, 0.0])
    assert ((scores >= names["Margin"]().threshold(signals)) == is_in).all()
    fade = names["Fade"](share=0.5)
    assert np.allclose(fade.transform(vectors), [[0.7, 0.3], [0.5, 0.5]]) and fade.label == "fade(0.5)"
