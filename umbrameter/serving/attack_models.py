"""Attack models in files, one per class, each loaded on demand; and how MLflow loads a folder of them.

A logged model holds this module's name, by which MLflow finds `_load_pyfunc`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from umbrameter.bundles import AttackModelBundle
from umbrameter.bundles.lazy_models import LazyModels
from umbrameter.persistence import load_model
from umbrameter.typing import Floats

INDEX = "bundle.json"
"""The file that names the classes with an attack model, and the number of classes."""


class ServedAttack:
    """An attack's models with the interface that MLflow calls.

    Parameters
    ----------
    bundle
        The attack models.
    """

    def __init__(self, bundle: AttackModelBundle):
        self.bundle = bundle

    def predict(self, model_input: Any, params: Any = None) -> Floats:
        """Return P(OUT) and P(IN), shape (n_records, 2), of rows that hold a prediction vector and then the label."""
        return self.bundle.predict_proba(np.asarray(model_input))


def write_bundle(folder: Path, n_classes: int, files: Mapping[int, bytes]) -> None:
    """Write attack models so that MLflow can load them from the folder.

    Parameters
    ----------
    folder
        The folder to write to.
    n_classes
        Number of classes of the target.
    files
        The content of the skops files, by class.
    """
    for label, content in files.items():
        (folder / _name(label)).write_bytes(content)
    (folder / INDEX).write_text(json.dumps({"n_classes": n_classes, "labels": [*files]}), encoding="utf8")


def _load_pyfunc(path: str) -> ServedAttack:
    folder = Path(path)
    index = json.loads((folder / INDEX).read_text(encoding="utf8"))
    # unlike an audit, which asks for each class once, a served bundle keeps the models that it has loaded
    read = cache(lambda label: load_model((folder / _name(label)).read_bytes()))
    return ServedAttack(AttackModelBundle.from_models(LazyModels(index["labels"], read), index["n_classes"]))


def _name(label: int) -> str:
    return f"label={label}.skops"
