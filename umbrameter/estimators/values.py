"""Parameters as plain data, and back: what a spec, a key and a message to a worker can hold.

Numbers, texts, lists and mappings stand for themselves. Everything else is a mapping with a `kind`: an estimator
(`{kind: scaler, params: {...}}`), or one of `MARKS`, such as `{kind: function, path: numpy.log1p}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from umbrameter.estimators.kinds import (
    TYPES,
    class_of,
    full_path,
    function_of,
    is_helper,
    path_of,
    prefixes,
)

RESERVED = frozenset({"memory", "n_jobs", "nthread", "random_seed", "random_state", "thread_count", "verbose"})
"""Parameters that the audit decides: seeds from its own, one thread per model, no output and no cache."""

MOST_VALUES = 10_000
"""Most elements of an array that is written into a recipe."""

NAMED = ("passthrough", "drop")
"""What may stand for an estimator in the parts of a composed one."""


class NotPlainError(Exception):
    """A value cannot be written as plain data."""


def is_reserved(name: str) -> bool:
    """Return whether the audit decides a parameter, itself or within a part."""
    return name.rpartition("__")[2] in RESERVED


def plain(value: Any) -> Any:
    """Return a parameter's value as plain data.

    Parameters
    ----------
    value
        Data, an estimator (fitted or not), a function, a type, or a list, tuple or mapping of these.

    Raises
    ------
    NotPlainError
        When it is anything else, or is not allowed.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> plain([("scale", StandardScaler(with_mean=False))])
    [['scale', {'kind': 'sklearn.preprocessing.StandardScaler', 'params': {'with_mean': False}}]]
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"kind": "float", "value": str(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        items = [plain(item) for item in value]
        return items if _is_part(items) else {"kind": "tuple", "items": items}
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    return _plain_object(value)


def canonical(value: Any) -> Any:
    """Return a value of a hand-written recipe as plain data: mappings with a `kind` as they are, tuples as lists.

    Raises
    ------
    NotPlainError
        See `plain`.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: canonical(item) for key, item in value.items()}
    return [canonical(item) for item in value] if isinstance(value, list | tuple) else plain(value)


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    if "kind" not in value and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    # JSON would turn keys such as the classes of `class_weight` into texts.
    return {"kind": "mapping", "items": [[plain(key), plain(item)] for key, item in value.items()]}


def _plain_object(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.size > MOST_VALUES:
            raise NotPlainError(f"an array of {value.size} values")
        kind = value.dtype.kind
        if kind not in "biufUO":
            raise NotPlainError(f"an array of {value.dtype}")
        return {"kind": "array", "dtype": value.dtype.str, "values": plain(value.tolist())}
    if isinstance(value, np.dtype):
        return _plain_type(value.type)
    if isinstance(value, range):
        return {"kind": "range", "items": [value.start, value.stop, value.step]}
    if isinstance(value, slice):
        return {"kind": "slice", "items": [plain(item) for item in (value.start, value.stop, value.step)]}
    if isinstance(value, type):
        return _plain_type(value)
    if callable(getattr(value, "get_params", None)):
        return plain_estimator(value)
    if is_helper(type(value)) and _allowed(path_of(type(value))):
        return {"kind": path_of(type(value)), "params": {name: plain(item) for name, item in vars(value).items()}}
    if callable(value) and hasattr(value, "__name__"):
        return _plain_function(value)
    raise NotPlainError(f"a {type(value).__name__}")


def _plain_type(value: type) -> dict[str, Any]:
    if TYPES.get(value.__name__) is value:
        return {"kind": "type", "name": value.__name__}
    if getattr(np, value.__name__, None) is value and issubclass(value, np.generic):
        return {"kind": "type", "name": f"numpy.{value.__name__}"}
    raise NotPlainError(f"the class {value.__name__}")


def _plain_function(value: Any) -> dict[str, Any]:
    path = path_of(value)
    try:
        is_same = function_of(path) is value
    except ValueError as error:
        raise NotPlainError(str(error)) from None
    if not is_same:
        raise NotPlainError(f"the function {path}")
    return {"kind": "function", "path": path}


def plain_estimator(estimator: Any) -> dict[str, Any]:
    """Return an estimator as its kind and those parameters that are not its class's defaults.

    Raises
    ------
    NotPlainError
        When its class is not allowed, or a parameter is no plain data.
    """
    if isinstance(estimator, FrozenEstimator):  # holds a fitted model; shadow models fit it on their own records
        return plain_estimator(estimator.estimator)
    path = path_of(type(estimator))
    if not _allowed(path):
        raise NotPlainError(f"a {path}, which is outside the allowed prefixes")
    params = {name: value for name, value in estimator.get_params(deep=False).items() if not is_reserved(name)}
    defaults = _defaults(type(estimator), params)
    changed = {name: plain(value) for name, value in params.items() if not _is_same(value, defaults.get(name, plain))}
    listed = {name: item for name, item in changed.items() if not isinstance(defaults.get(name), tuple)}
    # A list is enough where the default is a tuple: `made` turns it into one.
    tuples = {name: _untagged(item) for name, item in changed.items() if isinstance(defaults.get(name), tuple)}
    return {"kind": path, "params": listed | tuples}


def _untagged(item: Any) -> Any:
    return item["items"] if isinstance(item, dict) and item.get("kind") == "tuple" else item


def _allowed(path: str) -> bool:
    return path.startswith(prefixes())


def _is_same(value: Any, default: Any) -> bool:
    """Return whether a value is a default, of the same type; one that is no plain data never is."""
    if value is default:
        return True
    if type(value) is not type(default):
        return False
    try:
        return bool(plain(value) == plain(default))
    except NotPlainError:
        return False


def _defaults(named: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default values of a class's parameters; without the one that it needs, and none if it needs more."""
    try:
        return dict(named().get_params(deep=False))
    except TypeError:
        for name, value in params.items():
            try:
                defaults = named(**{name: value}).get_params(deep=False)
            except TypeError:
                continue
            return {other: default for other, default in defaults.items() if other != name}
    return {}


def made(value: Any, default: Any = None) -> Any:
    """Return a parameter's value from plain data: the reverse of `plain`.

    Parameters
    ----------
    value
        The data.
    default
        The class's own value of the parameter: where it is a tuple, a list becomes one.

    Raises
    ------
    ValueError
        When a kind is not allowed, or does not take its parameters.
    """
    if isinstance(value, Mapping):
        if "kind" not in value:
            return {key: made(item) for key, item in value.items()}
        return MARKS[value["kind"]](value) if value["kind"] in MARKS else made_estimator(value)
    if isinstance(value, list | tuple):
        items = [made(item) for item in value]
        is_tuple = isinstance(value, tuple) or isinstance(default, tuple) or _is_part(value)
        return tuple(items) if is_tuple else items
    return value


def _is_part(items: Sequence[Any]) -> bool:
    """Return whether a list names a part of a composed estimator: `[name, estimator]`, `[name, estimator, columns]`."""
    if not (len(items) in (2, 3) and isinstance(items[0], str)):
        return False
    part = items[1]
    is_estimator = isinstance(part, Mapping) and "kind" in part and part["kind"] not in MARKS
    return is_estimator or (isinstance(part, str) and part in NAMED)


def made_estimator(value: Mapping[str, Any]) -> Any:
    """Return an unfitted estimator, or a part that is none, from its kind and parameters.

    Parameters
    ----------
    value
        `kind`, and `params`: the parameters by name, those of parts by deep names such as `clf__max_depth`.

    Raises
    ------
    ValueError
        When the kind is not allowed, or has no such parameter.
    """
    kind, params = value["kind"], {**value.get("params", {})}
    others = sorted({*value} - {"kind", "params"})
    if others:
        raise ValueError(f"{kind}: {', '.join(others)} is not expected beside kind and params; put it into params")
    named = class_of(kind)
    if is_helper(named):
        return _called(kind, named, {name: made(item) for name, item in params.items()})
    own, deep = ({n: v for n, v in params.items() if ("__" in n) == is_deep} for is_deep in (False, True))
    _refuse_reserved(kind, named, params)
    defaults = _defaults(named, {name: made(item) for name, item in own.items()})
    estimator = _called(kind, named, {name: made(item, defaults.get(name)) for name, item in own.items()}, defaults)
    try:
        return estimator.set_params(**{name: made(item) for name, item in deep.items()})
    except ValueError as error:
        raise ValueError(f"{kind} does not take {', '.join(deep)}: {error}") from None


def _refuse_reserved(kind: str, named: Any, params: Mapping[str, Any]) -> None:
    reserved = sorted(filter(is_reserved, params))
    if reserved:
        names = sorted(n for n in _defaults(named, params) if not is_reserved(n))
        raise ValueError(
            f"{kind} has no parameter {', '.join(reserved)} that a spec may set, since the audit decides it; "
            f"it has {', '.join(names)}"
        )


def _called(kind: str, named: Any, params: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Any:
    unknown = sorted({*params} - {*(defaults or {})})
    try:
        return named(**params)
    except TypeError as error:
        names = sorted(name for name in defaults or () if not is_reserved(name))
        if unknown and names:
            raise ValueError(f"{kind} has no parameter {', '.join(unknown)}; it has {', '.join(names)}") from None
        raise ValueError(f"{kind} does not take these parameters: {error}") from None


def _made_type(value: Mapping[str, Any]) -> Any:
    name = value["name"]
    if name in TYPES:
        return TYPES[name]
    named = getattr(np, name.removeprefix("numpy."), None)
    if isinstance(named, type) and issubclass(named, np.generic):
        return named
    raise ValueError(f"type {name!r} is unknown; expected {', '.join(TYPES)}, or one of numpy, such as numpy.float32")


MARKS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "array": lambda value: np.array(made(value["values"]), dtype=np.dtype(value["dtype"])),
    "float": lambda value: float(value["value"]),
    "function": lambda value: function_of(value["path"]),
    "mapping": lambda value: {made(key): made(item) for key, item in value["items"]},
    "range": lambda value: range(*value["items"]),
    "slice": lambda value: slice(*value["items"]),
    "tuple": lambda value: tuple(made(item) for item in value["items"]),
    "type": _made_type,
}
"""What a mapping with one of these kinds stands for."""


def packages(value: Any) -> set[str]:
    """Return the packages whose classes and functions plain data name."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        path = value["path"] if kind == "function" else full_path(kind) if isinstance(kind, str) else ""
        package = {path.partition(".")[0]} if "." in path else set()
        return package.union(*map(packages, value.values()))
    return set().union(*map(packages, value)) if isinstance(value, list | tuple) else set()


def is_composed(params: Any) -> bool:
    """Return whether parameters hold an estimator."""
    if isinstance(params, Mapping):
        kind = params.get("kind")
        return (isinstance(kind, str) and kind not in MARKS) or any(map(is_composed, params.values()))
    return isinstance(params, list | tuple) and any(map(is_composed, params))
