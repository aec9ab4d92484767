"""umbrameter measures how much a trained classifier gives away about which records it was trained on.

The public names are loaded on first use, so that `import umbrameter` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umbrameter.attacks import References, Signals, Vectors
    from umbrameter.attacks.lira import likelihood_ratio
    from umbrameter.attacks.rmia import dominated, log_ratios
    from umbrameter.bundles import AttackModelBundle, ShadowModelBundle, prepare_attack_data
    from umbrameter.local.audit import audit
    from umbrameter.local.result import AuditResult
    from umbrameter.report import Report
    from umbrameter.spec.audit import AuditSpec
    from umbrameter.statistics.bootstrap import bootstrap_auc
    from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
    from umbrameter.statistics.metrics import best_threshold, measure, measure_by_class, roc_curve
    from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
    from umbrameter.statistics.subgroups import excesses

__version__ = "0.1.0"

_HOMES = {
    "AttackModelBundle": "bundles",
    "AuditResult": "local.result",
    "AuditSpec": "spec.audit",
    "References": "attacks",
    "Report": "report",
    "ShadowModelBundle": "bundles",
    "Signals": "attacks",
    "Vectors": "attacks",
    "audit": "local.audit",
    "best_threshold": "statistics.metrics",
    "bootstrap_auc": "statistics.bootstrap",
    "dominated": "attacks.rmia",
    "epsilon_lower_bound": "statistics.epsilon",
    "excesses": "statistics.subgroups",
    "gaussian_epsilon_lower_bound": "statistics.epsilon",
    "likelihood_ratio": "attacks.lira",
    "log_ratios": "attacks.rmia",
    "measure": "statistics.metrics",
    "measure_by_class": "statistics.metrics",
    "one_run_epsilon_lower_bound": "statistics.one_run",
    "prepare_attack_data": "bundles",
    "roc_curve": "statistics.metrics",
}

__all__ = [
    "AttackModelBundle",
    "AuditResult",
    "AuditSpec",
    "References",
    "Report",
    "ShadowModelBundle",
    "Signals",
    "Vectors",
    "audit",
    "best_threshold",
    "bootstrap_auc",
    "dominated",
    "epsilon_lower_bound",
    "excesses",
    "gaussian_epsilon_lower_bound",
    "likelihood_ratio",
    "log_ratios",
    "measure",
    "measure_by_class",
    "one_run_epsilon_lower_bound",
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
