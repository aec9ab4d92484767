"""Classifiers named in a spec: recipes that are data, from which every model is built.

A spec is data: it must not be able to import anything. Only classes below the allowed prefixes are looked up, and only
those with the scikit-learn interface are called.
"""

from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.estimators.kinds import KINDS, LIBRARIES, NETWORKS, PARTS
from umbrameter.estimators.libraries import global_seed, seeded, with_coded_weights
from umbrameter.estimators.recipe import SCALED, SPARSE, Estimator, Form, read_bytes, recipe_of

__all__ = [
    "KINDS",
    "LIBRARIES",
    "NETWORKS",
    "PARTS",
    "PREFIXES_VARIABLE",
    "SCALED",
    "SPARSE",
    "Estimator",
    "Form",
    "global_seed",
    "read_bytes",
    "recipe_of",
    "seeded",
    "with_coded_weights",
]
