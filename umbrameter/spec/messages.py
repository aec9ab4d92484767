"""Error messages for invalid specs: the path as in the YAML, the value, and what is allowed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from umbrameter.errors import one_of
from umbrameter.spec.fields import example_of, example_value, in_yaml, is_model, kind_of, models_in

SECRETS = ("target.token", "target.url", "target.request", "target.tracking_uri")
"""Settings whose values are never shown, since a user may have put a secret there."""

WORDS = {
    "tuple_type": "a list, such as [a, b]",
    "model_type": "a mapping, such as {setting: value}",
    "model_attributes_type": "a mapping, such as {setting: value}",
    "dict_type": "a mapping, such as {setting: value}",
}
"""What YAML calls what pydantic expected, by type of error."""


def explained(model: type[BaseModel], error: ValidationError) -> str:
    """Return an error's text, one line per cause.

    An error is left out if another lies within its place, since it is then only a consequence.
    """
    errors = error.errors()
    causes = [e for e in errors if not any(_is_below(other["loc"], e["loc"]) for other in errors)]
    return "\n".join(_explain(model, e) for e in causes)


def _is_below(loc: tuple[Any, ...], outer: tuple[Any, ...]) -> bool:
    """Return whether one error's place lies within another's, which is then only its consequence."""
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def _explain(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    """Return one validation error as text: YAML path, value, what is wrong, what is allowed; a line per cause."""
    path, owner, here = _place(model, error["loc"])
    value = error.get("input")
    hidden = error["type"] == "missing" or isinstance(value, dict | BaseModel) or path.startswith(SECRETS)
    shown = "" if hidden else f"={value!r}"
    text = error["msg"].removeprefix("Value error, ")  # pydantic puts it before the texts of our validators
    if error["type"] == "extra_forbidden":
        text = f"there is no such setting; {one_of(error['loc'][-1], _settings(owner), 'the settings here are')}"
    elif error["type"] == "missing":
        text = f"{text}{_such_as(owner, error['loc'][-1])}; the settings here are {', '.join(_settings(owner))}"
    elif error["type"] == "literal_error" and isinstance(value, str):
        text = one_of(value, re.findall("'([^']*)'", error["ctx"]["expected"]), "expected one of")
    elif error["type"] in WORDS:
        text = f"expected {WORDS[error['type']]}"
    elif error["type"] == "union_tag_invalid":
        path, shown = f"{path}.kind", f"={error['ctx']['tag']!r}"
        tag = error["ctx"]["tag"]
        text = f"unknown kind; {one_of(tag, _kinds(here), 'expected one of')}{_written_out(here, tag)}"
    elif error["type"] == "union_tag_not_found":
        path, text = f"{path}.kind", f"is missing; say which kind: {', '.join(_kinds(here))}"
    # A rule over several settings names them itself.
    start = f"{path}{shown}: " if path else "" if error["type"] == "value_error" else "spec: "
    return "\n".join(f"{start}{line}" for line in text.splitlines())


def _place(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[str, Any, Any]:
    """Return an error's path as in the YAML (without union tags), the model that has its last key, and its type."""
    path: list[str] = []
    owner: Any = model
    here: Any = model
    for step in loc:
        choices = {kind_of(m) or m.__name__: m for m in models_in(here)}
        if isinstance(step, str) and step in choices and not (is_model(here) and step in here.model_fields):
            here = choices[step]  # a union's tag, which pydantic puts into the path and the YAML does not
            owner = here
            continue
        path.append(f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step))
        if isinstance(step, str) and is_model(here):
            owner = here
            field = here.model_fields.get(step)
            here = None if field is None else _bare(field.annotation)
    return "".join(path), owner, here


def _bare(annotation: Any) -> Any:
    """Return the one model in an annotation, or the annotation itself when it holds several or none."""
    models = models_in(annotation)
    return models[0] if len(models) == 1 else annotation


def _kinds(annotation: Any) -> list[str]:
    return [k for m in models_in(annotation) if (k := kind_of(m))]


def _settings(owner: Any) -> Sequence[str]:
    return [*owner.model_fields] if is_model(owner) else ()


def _such_as(owner: Any, name: Any) -> str:
    """Return an example of a missing setting, if its field has one."""
    field = owner.model_fields.get(name) if is_model(owner) else None
    value = None if field is None else example_value(field)
    return "" if value is None else f", such as {in_yaml({name: value})[1:-1]}"


def _written_out(here: Any, tag: str) -> str:
    """Return how to write a kind with settings, such as `top_k(3)`, as reports name it."""
    models = [model for model in models_in(here) if tag.startswith(f"{kind_of(model)}(")]
    return f"; write its settings beside it: {in_yaml(example_of(models[0]))}" if models else ""
