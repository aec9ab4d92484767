"""A checkout of the project, whose `flows`, `tasks` and `data` are not part of the installed package."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from umbrameter.errors import MissingRingError

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "umbrameter",
}
"""Environment variables, unless they are set already, that keep the libraries' own lines off the terminal."""

PIPELINE = ("prefect", "dask", "distributed", "mlflow", "httpx")
"""The libraries of the ring `pipeline`."""


def find() -> Path | None:
    """Return the checkout that this package or the working directory belongs to, or None."""
    places = Path(__file__).resolve().parents[1], Path.cwd()
    return next((place for place in places if (place / "flows" / "audit.py").is_file()), None)


def has_pipeline() -> bool:
    """Return whether the libraries of the ring `pipeline` are installed."""
    return all(find_spec(name) is not None for name in PIPELINE)


def load(module: str) -> Any:
    """Import a module of the checkout.

    Raises
    ------
    MissingRingError
        When there is no checkout, or the libraries of the pipeline are not installed.
    """
    place = find()
    if place is None:
        raise MissingRingError(
            f"{module} is part of a checkout of umbrameter, and neither this package nor {Path.cwd()} is one (they "
            "have no flows/audit.py); change into a checkout, or use what the installed package has"
        )
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        ring = (error.name or "").partition(".")[0]  # another module that is missing is a bug
        if ring not in PIPELINE:
            raise
        raise MissingRingError(f"{ring} is not installed; run: pip install 'umbrameter[pipeline]'") from None
