"""Functions that numba compiles, kept on disk where there is a place to write."""

from collections.abc import Callable, Mapping
from typing import Any

import numba


def compiled(function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Compile a function, and keep the result on disk where there is a place to write."""
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the home can be written, as in some containers
        return numba.njit(**options)(function)
