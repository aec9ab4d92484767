"""Read specs from YAML text and files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from umbrameter.errors import SpecError
from umbrameter.spec.messages import explained

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_text(path: str | Path, name: str = "SPEC") -> str:
    """Return a spec file's text.

    Parameters
    ----------
    path
        The file's path.
    name
        The caller's name for the file, for errors.

    Raises
    ------
    SpecError
        When the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name}={str(path)!r} cannot be read ({error}); give the path of a YAML file") from None


def read_yaml(text: str, model: type[BaseModel], overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the mapping in a spec's YAML, with settings replaced.

    Parameters
    ----------
    text
        The YAML.
    model
        The kind of spec that is expected, for errors.
    overrides
        `key=value` settings that replace those of the text; a dotted key reaches into nested settings and lists.

    Raises
    ------
    SpecError
        When the text is not YAML or not a mapping, or an override does not fit.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"the spec is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SpecError(f"the spec must be a mapping of {', '.join(model.model_fields)}; it is {content!r}")
    for override in overrides:
        _override(content, override)
    return content


def checked(model: type[AnyModel], content: Mapping[str, Any]) -> AnyModel:
    """Return the spec that a mapping describes.

    Parameters
    ----------
    model
        The kind of spec.
    content
        The mapping, as `read_yaml` returns it.

    Raises
    ------
    SpecError
        When the mapping is not such a spec; one line per cause, with the YAML path, the value and what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SpecError(explained(model, error)) from None


def _override(content: dict[str, Any], setting: str) -> None:
    """Set `a.b.0.c=value` in a nested mapping; the value is read as YAML."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise SpecError(f"--set {setting!r} must be key=value, such as shadows.count=24")
    *parents, last = key.split(".")
    place: Any = content
    try:
        for name in parents:
            # A section that the text leaves out is created.
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        if isinstance(place, list):
            place[int(last)] = yaml.safe_load(value)
        else:
            # As YAML, so that numbers, booleans and lists have their types.
            place[last] = yaml.safe_load(value)
    except (IndexError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        raise SpecError(f"--set {setting!r}: the spec has no place {key!r}, or the value is not YAML") from None
