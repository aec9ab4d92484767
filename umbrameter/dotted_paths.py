"""Classes that a spec names by dotted path: which ones it may name, and how to look them up.

A spec is data: it must not be able to import anything. Only classes below the allowed prefixes are looked up, and only
those of the expected kind are used.
"""

import inspect
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler

PREFIXES_VARIABLE = "UMBRAMETER_ALLOWED_PREFIXES"
"""The environment variable in which the operator allows further prefixes, separated by commas."""


def allowed_prefixes() -> tuple[str, ...]:
    """Return the prefixes a dotted path may begin with: `sklearn.`, `umbrameter.` and the operator's."""
    return ("sklearn.", "umbrameter.", *operator_prefixes())


def operator_prefixes() -> tuple[str, ...]:
    """Return the prefixes that the operator allows."""
    more = os.environ.get(PREFIXES_VARIABLE, "")
    return tuple(prefix.strip() for prefix in more.split(",") if prefix.strip())


def is_allowed(path: str) -> bool:
    """Return whether `path` is a dotted path below an allowed prefix."""
    return "." in path and path.startswith(allowed_prefixes())


def look_up(path: str) -> Any:
    """Return the object that a dotted path names, whatever it is.

    Raises
    ------
    ValueError
        When there is no such module, or nothing of that name in it.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(f"there is no {path!r}; check the module and the name") from None


def or_from_outside(base: type[BaseModel]) -> Callable[[Any, ValidatorFunctionWrapHandler], Any]:
    """Return a validator that also takes classes from other packages, whose `kind` is their own dotted path.

    Parameters
    ----------
    base
        The class that they must inherit.
    """

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if not (isinstance(kind, str) and "." in kind):  # the kinds of this package have no dot
            return handler(value)
        return value if isinstance(value, base) else _from_outside(base, kind, value)

    return validate


def _from_outside(base: type[BaseModel], kind: str, settings: Any) -> BaseModel:
    if not is_allowed(kind):
        raise ValueError(
            f"kind={kind!r} is outside the allowed prefixes {' and '.join(allowed_prefixes())}; the operator adds "
            f"prefixes with {PREFIXES_VARIABLE}"
        )
    model = look_up(kind)
    if not (inspect.isclass(model) and issubclass(model, base)):
        raise ValueError(
            f"kind={kind!r} is not a subclass of {base.__name__}; name a class that inherits {base.__name__}"
        )
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        causes = [f"{'.'.join(map(str, cause['loc'])) or kind}: {cause['msg']}" for cause in error.errors()]
        raise ValueError("; ".join(causes)) from None
