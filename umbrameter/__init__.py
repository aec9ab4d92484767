"""umbrameter measures how much a trained classifier gives away about who was in its training data.

The public names are loaded when they are first used, so that `import umbrameter` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umbrameter.bundles import AttackModelBundle, ShadowModelBundle, prepare_attack_data
    from umbrameter.metrics import measure, measure_by_class, roc_curve
    from umbrameter.report import Report
    from umbrameter.spec import AuditSpec

__version__ = "0.1.0"

_HOMES = {
    "AttackModelBundle": "bundles",
    "AuditSpec": "spec",
    "Report": "report",
    "ShadowModelBundle": "bundles",
    "measure": "metrics",
    "measure_by_class": "metrics",
    "prepare_attack_data": "bundles",
    "roc_curve": "metrics",
}

__all__ = [
    "AttackModelBundle",
    "AuditSpec",
    "Report",
    "ShadowModelBundle",
    "measure",
    "measure_by_class",
    "prepare_attack_data",
    "roc_curve",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'umbrameter' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"umbrameter.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
