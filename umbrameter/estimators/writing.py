"""Recipes as people write them, and read them: steps written out, and a recipe in a few words."""

from collections.abc import Mapping
from typing import Any

from umbrameter.estimators.kinds import PARTS, PIPELINE, full_path
from umbrameter.estimators.values import MARKS, canonical


def with_steps(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the steps of a pipeline among its parameters, each with a name."""
    if full_path(value.get("kind", PIPELINE)) != PIPELINE:
        raise ValueError(f"kind={value['kind']!r} has no steps; leave kind out, for a pipeline")
    steps: list[list[Any]] = []
    for step in value["steps"]:
        if isinstance(step, list | tuple) and len(step) == 2:
            steps.append([step[0], _part(step[1])])
            continue
        part = _part(step)
        name = part["kind"].rpartition(".")[2].lower() if isinstance(part, Mapping) else str(part)
        n_before = sum(other == name or other.startswith(f"{name}-") for other, _ in steps)
        steps.append([f"{name}-{n_before + 1}" if n_before else name, part])
    settings = {name: setting for name, setting in value.items() if name != "steps"}
    return settings | {"kind": PIPELINE, "params": {"steps": steps, **(value.get("params") or {})}}


def _expanded(value: Any) -> Any:
    """Return settings with each `{steps: [...]}` within them written out."""
    if isinstance(value, Mapping):
        if value.get("steps") is not None and {*value} <= {"kind", "steps", "params"}:
            value = with_steps(value)
        # `params` itself may hold a pipeline's `steps`, and is no estimator.
        return {key: within(item) if key == "params" else _expanded(item) for key, item in value.items()}
    return [_expanded(item) for item in value] if isinstance(value, list | tuple) else value


def within(params: Any) -> Any:
    """Return parameters with each `{steps: [...]}` within them written out."""
    return {key: _expanded(item) for key, item in params.items()} if isinstance(params, Mapping) else params


def _part(step: Any) -> Any:
    if isinstance(step, str) and step not in ("passthrough", "drop"):
        return {"kind": step}
    return canonical(_expanded(step))


def described(value: Any, top: bool = False) -> str:
    """Return plain data in a few words."""
    if isinstance(value, Mapping) and "kind" in value:
        kind, params = value["kind"], value.get("params", {})
        if kind in MARKS:
            return str(next(item for name, item in value.items() if name not in ("kind", "dtype")))
        steps = [described(step[1]) for step in params.get("steps", [])] if full_path(kind) == PIPELINE else []
        rest = [f"{n}={described(v)}" for n, v in params.items() if not (steps and n == "steps")]
        is_long = not top or full_path(kind) in {*PARTS.values()}
        name = kind.rpartition(".")[2] if is_long else kind
        inner = ", ".join([*steps, *rest])
        return f"{name}({inner})" if inner or top else name
    if isinstance(value, list):
        return f"[{', '.join(map(described, value))}]"
    return str(value)
