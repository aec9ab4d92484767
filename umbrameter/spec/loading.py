"""Read specs from YAML text and files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from umbrameter.dotted_paths import kind_alone
from umbrameter.errors import SpecError
from umbrameter.spec.fields import kind_of, models_below
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
        `key=value` settings that replace those of the text. A dotted key reaches into nested settings, and by numbers
        from 0 into lists, where the number after the last one adds an entry: `attacks.0.kind=lira`.

    Raises
    ------
    SpecError
        When the text is not YAML or not a mapping, or an override does not fit.
    """
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"the spec is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SpecError(f"the spec must be a mapping of {', '.join(model.model_fields)}; it is {content!r}")
    causes = []
    replaced: dict[str, Any] = content
    for override in overrides:
        try:
            replaced = _with_setting(replaced, model, override)
        except SpecError as error:
            causes.append(str(error))
    if causes:
        raise SpecError("\n".join(causes))
    return replaced


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


def _with_setting(content: dict[str, Any], model: type[BaseModel], setting: str) -> dict[str, Any]:
    """Return a spec's mapping with `a.b.0.c=value` set; the value is read as YAML.

    Raises
    ------
    SpecError
        When the setting has no value, or the spec no such place; the error says how far the path leads.
    """
    key, equals, text = setting.partition("=")
    first, *rest = key.split(".")
    try:
        if not equals:
            raise SpecError("must be key=value, such as shadows.count=24")
        value = yaml.safe_load(text)  # as YAML, so that numbers, booleans and lists have their types
        default = model.model_fields[first].default if first in model.model_fields else None
        # An entry of a list that the text leaves out is one of its default.
        there = content.get(first, [*default] if isinstance(default, tuple) and default else None)
        return {**content, first: _placed(there, rest, value, models_below([model], first), first)}
    except yaml.YAMLError:
        raise SpecError(f"--set {setting!r}: {text!r} is not YAML; quote it, or close its brackets") from None
    except SpecError as error:
        raise SpecError(f"--set {setting!r}: {error}") from None


def _placed(there: Any, names: Sequence[str], value: Any, models: Sequence[type[BaseModel]], path: str) -> Any:
    """Return what is at a place of a spec, with a value set below it."""
    if not names:
        return value
    name, *rest = names
    if any("kind" in model.model_fields for model in models):
        there = kind_alone(there)
    if there is None:  # what the text leaves out is created
        there = [] if name == "0" else {}
    inner = f"{path}.{name}"
    if isinstance(there, dict):
        if name == "kind" and isinstance(value, str):
            there = _without_settings_of(there, value, models)
        return {**there, name: _placed(there.get(name), rest, value, models_below(models, name), inner)}
    if not isinstance(there, list):
        raise SpecError(f"{path} is {there!r}, which has no settings; set {path} itself")
    if not name.lstrip("-").isdecimal() or not -len(there) <= int(name) <= len(there):
        raise SpecError(
            f"{path} is a list of {len(there)}; count its entries from {path}.0, and add one as {path}.{len(there)}"
        )
    entries = [*there, None] if int(name) == len(there) else [*there]
    entries[int(name)] = _placed(entries[int(name)], rest, value, models, inner)
    return entries


def _without_settings_of(there: dict[str, Any], kind: str, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Return settings without those that belong to the present kind and not to another, which is to replace it."""
    names = {kind_of(model): model.model_fields.keys() for model in models}
    gone = names[there["kind"]] - names[kind] if there.get("kind") in names and kind in names else ()
    return {name: value for name, value in there.items() if name not in gone}
