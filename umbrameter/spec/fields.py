"""Which models the settings of a spec hold, by their annotations."""

import math
from collections.abc import Iterable
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeIs


def is_model(value: Any) -> TypeIs[type[BaseModel]]:
    """Return whether a value is a pydantic model's class."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation, such as the two in `tuple[A | B, ...]`."""
    if is_model(annotation):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def kind_of(model: type[BaseModel]) -> str | None:
    """Return the one `kind` of a model, such as `lira`; None for a model without."""
    field = model.model_fields.get("kind")
    return None if field is None else next(iter(get_args(field.annotation)), None)


def models_below(models: Iterable[type[BaseModel]], name: str) -> list[type[BaseModel]]:
    """Return the models that a setting of any of these models holds."""
    fields = [model.model_fields[name] for model in models if name in model.model_fields]
    return [model for field in fields for model in models_in(field.annotation)]


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the shortest valid settings of a model: its kind, and an example of each setting that it requires.

    A model in which no setting is required but one of several has an example of its own.
    """
    own = model.model_json_schema().get("examples")
    if own:
        return dict(own[0])
    kind = kind_of(model)
    required = {name: example_value(field) for name, field in model.model_fields.items() if field.is_required()}
    return ({"kind": kind} if kind else {}) | {name: value for name, value in required.items() if value is not None}


def example_value(field: FieldInfo) -> Any:
    """Return a value to show for a setting: its example, or of a choice one that is not the default; None without."""
    if field.examples:
        return field.examples[0]
    if field.annotation is bool:
        return field.default is not True
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    return next((choice for choice in reversed(choices) if choice != field.default), None)


def in_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).removesuffix("\n...\n").strip()
    )
