"""Specs read from YAML text and files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from umbrameter.errors import SpecError


def read_text(path: str | Path) -> str:
    """Return a spec file's text.

    Raises
    ------
    SpecError
        When it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"SPEC={str(path)!r} cannot be read ({error}); give the path of a YAML file") from None


def read_yaml(text: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the mapping that a spec's YAML holds, with settings replaced; as of `AuditSpec.from_yaml`."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"the spec is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        from umbrameter.spec.audit import AuditSpec

        raise SpecError(f"the spec must be a mapping of {', '.join(AuditSpec.model_fields)}; it is {content!r}")
    for override in overrides:
        _override(content, override)
    return content


def _override(content: dict[str, Any], setting: str) -> None:
    """Set `a.b.0.c=value` in a nested mapping; the value is read as YAML."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise SpecError(f"--set {setting!r} must be key=value, such as shadows.count=24")
    *parents, last = key.split(".")
    place: Any = content
    try:
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        if isinstance(place, list):
            place[int(last)] = yaml.safe_load(value)
        else:
            place[last] = yaml.safe_load(value)
    except (IndexError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        raise SpecError(f"--set {setting!r}: the spec has no place {key!r}, or the value is not YAML") from None
