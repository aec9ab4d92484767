"""Attack models that lie in files, one a class, each read when it is wanted; and how MLflow loads a folder of them.

MLflow finds `_load_pyfunc` by this module's name, which a logged model holds.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from umbrameter.bundles import AttackModelBundle
from umbrameter.persistence import load_model
from umbrameter.typing import Classifier, Floats

INDEX = "bundle.json"
"""Names the classes and their number."""


class LazyModels(Mapping[int, Classifier]):
    """Attack models by class, each loaded when it is asked for and not kept.

    Parameters
    ----------
    labels
        The classes that have one.
    read
        Returns a class's attack model, from its skops file.
    """

    def __init__(self, labels: Sequence[int], read: Callable[[int], Classifier]):
        self._labels, self._read = list(labels), read

    def __getitem__(self, label: int) -> Classifier:
        """Load one."""
        if label not in self._labels:
            raise KeyError(label)
        return self._read(label)

    def __contains__(self, label: object) -> bool:
        """Say whether a class has one, without loading it."""
        return label in self._labels

    def __iter__(self) -> Iterator[int]:
        """Go over the classes."""
        return iter(self._labels)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._labels)


class ServedAttack:
    """An attack's models as MLflow asks them.

    Parameters
    ----------
    bundle
        The models.
    """

    def __init__(self, bundle: AttackModelBundle):
        self.bundle = bundle

    def predict(self, model_input: Any, params: Any = None) -> Floats:
        """Return P(OUT) and P(IN) of rows of a prediction vector followed by the label, shape (n_records, 2)."""
        return self.bundle.predict_proba(np.asarray(model_input))


def write_bundle(folder: Path, n_classes: int, files: Mapping[int, bytes]) -> None:
    """Write skops files by class so that MLflow can load them from the folder."""
    for label, content in files.items():
        (folder / _name(label)).write_bytes(content)
    (folder / INDEX).write_text(json.dumps({"n_classes": n_classes, "labels": [*files]}), encoding="utf8")


def _load_pyfunc(path: str) -> ServedAttack:
    folder = Path(path)
    index = json.loads((folder / INDEX).read_text(encoding="utf8"))
    read = cache(lambda label: load_model((folder / _name(label)).read_bytes()))
    return ServedAttack(AttackModelBundle.from_models(LazyModels(index["labels"], read), index["n_classes"]))


def _name(label: int) -> str:
    return f"label={label}.skops"
