"""Functions compiled by numba and cached on disk."""

from collections.abc import Callable, Mapping
from typing import Any

import numba


def compiled(function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Return a function compiled by numba, cached on disk if a folder for it is writable."""
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the home is writable, as in some containers
        return numba.njit(**options)(function)
