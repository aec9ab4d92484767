"""Error messages for invalid specs: the path as in the YAML, the value, and what is allowed."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from typing_extensions import TypeIs

SECRETS = ("target.token", "target.url", "target.request", "target.tracking_uri")
"""Settings whose values are never shown, since a user may have put a secret there."""


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
    """Return one validation error as text: YAML path, value, what is wrong, what is allowed."""
    path, owner, here = _place(model, error["loc"])
    value = error.get("input")
    hidden = error["type"] == "missing" or isinstance(value, dict | BaseModel) or path.startswith(SECRETS)
    shown = "" if hidden else f"={value!r}"
    text = error["msg"].removeprefix("Value error, ")  # pydantic puts it before the texts of our validators
    if error["type"] == "extra_forbidden":
        text = "there is no such setting"
    elif error["type"] == "union_tag_invalid":
        path, shown = f"{path}.kind", f"={error['ctx']['tag']!r}"
        text = f"unknown kind; expected one of {error['ctx']['expected_tags']}"
    elif error["type"] == "union_tag_not_found":
        path, text = f"{path}.kind", f"is missing; say which kind: {_kinds(here)}"
    if error["type"] in ("extra_forbidden", "missing") and _is_model(owner):
        text += f"; the settings here are {', '.join(owner.model_fields)}"
    return f"{path or 'spec'}{shown}: {text}"


def _place(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[str, Any, Any]:
    """Return an error's path as in the YAML (without union tags), the model that has its last key, and its type."""
    path: list[str] = []
    owner: Any = model
    here: Any = model
    for step in loc:
        choices = {_kind(m) or m.__name__: m for m in _models(here)}
        if isinstance(step, str) and step in choices and not (_is_model(here) and step in here.model_fields):
            here = choices[step]  # a union's tag, which pydantic puts into the path and the YAML does not
            owner = here
            continue
        path.append(f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step))
        if isinstance(step, str) and _is_model(here):
            owner = here
            field = here.model_fields.get(step)
            here = None if field is None else _bare(field.annotation)
    return "".join(path), owner, here


def _is_model(value: Any) -> TypeIs[type[BaseModel]]:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _bare(annotation: Any) -> Any:
    """Return the one model in an annotation, or the annotation itself when it holds several or none."""
    models = _models(annotation)
    return models[0] if len(models) == 1 else annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models(part)]


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return None if field is None else next(iter(get_args(field.annotation)), None)


def _kinds(annotation: Any) -> str:
    return ", ".join(k for m in _models(annotation) if (k := _kind(m)))
