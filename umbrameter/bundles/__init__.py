"""The classic interface: shadow models and attack models on arrays, without a spec, a store or an orchestrator.

`ShadowModelBundle` makes the attack's training set, `AttackModelBundle` learns from it, `prepare_attack_data` brings
the target's answers into the same form. Shokri et al. (2017), arXiv 1610.05820, section V. Names, order of arguments
and conventions are those of the package `mia` (0.1.2), so that model classes and scripts written for it run unchanged.
"""

from umbrameter.bundles.attack import AttackModelBundle
from umbrameter.bundles.rows import prepare_attack_data
from umbrameter.bundles.shadow import ShadowModelBundle

__all__ = ["AttackModelBundle", "ShadowModelBundle", "prepare_attack_data"]
