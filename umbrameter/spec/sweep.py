"""A spec with a list for one setting: the same audit at each of its values, for comparison.

Belongs here: how such a spec is read. Does not belong here: how the audits are compared (`report.sweep_model`).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import SpecError
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import with_limits
from umbrameter.spec.loading import checked, read_text, read_yaml
from umbrameter.store.artefacts import digest

AXES = {
    "split.members": "training records",
    "shadows.count": "shadow models",
    "shadows.size": "records of a shadow model",
    "shadows.data": "shadow data",
    "data.name": "data set",
    "data.classes": "classes",
    "data.distinctness": "distinctness of classes",
    "seed": "seed",
}
"""Settings that may be lists, and their names in figures."""


class Point(BaseModel):
    """One value of the setting that varies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="The value in a few words.")
    step: int = Field(
        description="The step of an MLflow series: the value if all are integers, else its position in the list."
    )
    spec: AuditSpec = Field(description="The audit at this point.")


class Sweep(BaseModel):
    """The same audit at several values of one setting.

    Examples
    --------
    >>> sweep = from_yaml('''
    ... name: sizes
    ... data: {kind: catalogue, name: adult}
    ... split: {members: [500, 1000]}
    ... target: {kind: train, estimator: {kind: random_forest}}
    ... ''')
    >>> sweep.axis, [point.label for point in sweep.points], sweep.points[1].spec.shadow_size
    ('split.members', ['500', '1,000'], 1000)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The name of the sweep and of each of its audits.")
    axis: str = Field(description="The setting that varies, as a dotted path.")
    points: tuple[Point, ...] = Field(min_length=1, description="The audits, in order of the list.")

    @property
    def title(self) -> str:
        """The name in figures of the setting that varies."""
        return AXES[self.axis]

    def digest(self) -> str:
        """Return the SHA-256 (hexadecimal) of all points' specs."""
        return digest([point.spec.model_dump(mode="json") for point in self.points])


def load(path: str | Path, overrides: Iterable[str] = (), limits: Iterable[str] = ()) -> AuditSpec | Sweep:
    """Read a spec from a YAML file: an audit, or a sweep if a setting is a list.

    Parameters
    ----------
    path
        The file.
    overrides
        See `AuditSpec.from_yaml`.
    limits
        `METRIC=NUMBER` settings, limits for every attack besides those of the spec.

    Raises
    ------
    SpecError
        When the file is missing or is not a spec, or a limit is none.
    """
    return from_yaml(read_text(path), overrides, limits)


def from_yaml(text: str, overrides: Iterable[str] = (), limits: Iterable[str] = ()) -> AuditSpec | Sweep:
    """Read a spec from YAML text; see `load`."""
    content = with_limits(read_yaml(text, AuditSpec, overrides), limits)
    lists = [axis for axis in AXES if isinstance(_at(content, axis), list)]
    if not lists:
        return checked(AuditSpec, content)
    if len(lists) > 1:
        raise SpecError(f"{' and '.join(lists)} are lists; let one setting vary at a time, and run a sweep for each")
    values = _at(content, lists[0])
    if not values:
        raise SpecError(f"{lists[0]}=[]: the list is empty; give the values to audit")
    specs = _all_checked([_with(content, lists[0].split("."), value) for value in values])
    steps = zip(_steps(values), specs, strict=True)
    points = [Point(label=_label(lists[0], spec), step=step, spec=spec) for step, spec in steps]
    labels = [point.label for point in points]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise SpecError(f"{lists[0]} lists {', '.join(twice)} twice; remove one of the two")
    return Sweep(name=specs[0].name, axis=lists[0], points=tuple(points))


def _all_checked(contents: Sequence[dict[str, Any]]) -> list[AuditSpec]:
    """Return the specs of all points; where some are not valid, raise the causes of all, each once."""
    specs, causes = [], []
    for content in contents:
        try:
            specs.append(checked(AuditSpec, content))
        except SpecError as error:
            causes += str(error).splitlines()
    if causes:
        raise SpecError("\n".join(dict.fromkeys(causes)))
    return specs


def _at(content: Any, axis: str) -> Any:
    for name in axis.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _with(content: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    # Copied along the path alone: the points share what does not vary.
    inner = value if len(path) == 1 else _with(content[path[0]], path[1:], value)
    return {**content, path[0]: inner}


def _label(axis: str, spec: AuditSpec) -> str:
    if axis == "shadows.data":
        return spec.shadows.data.label
    value: Any = spec
    for name in axis.split("."):
        value = getattr(value, name)
    # A seed is a name rather than a quantity, so it gets no thousands separators.
    return f"{value:,}" if isinstance(value, int) and axis != "seed" else str(value)


def _steps(values: Sequence[Any]) -> list[int]:
    # `type`, since True and False are instances of int.
    return [*values] if all(type(value) is int for value in values) else [*range(len(values))]
