"""A mitigated model in a folder, as MLflow serves it: records in, mitigated prediction vectors out.

MLflow finds `_load_pyfunc` by this module's name, which an exported model holds.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from umbrameter.errors import DataError
from umbrameter.mitigations import AnyMitigation, MemGuard, Mitigation, PostHoc, wrapped
from umbrameter.mitigations.memguard import Guarded
from umbrameter.persistence import load_model
from umbrameter.typing import Array, Floats

INDEX = "deployed.json"
"""Names all that is needed to ask the model, but the model itself."""

_MITIGATION: TypeAdapter[Mitigation] = TypeAdapter(AnyMitigation)


def write(folder: Path, index: Mapping[str, Any], model: bytes, guard: bytes | None) -> None:
    """Write a model so that `load` finds it.

    Parameters
    ----------
    folder
        Where to.
    index
        `mitigation` (its settings, or None), `guard_seed`, `classes`, `feature_names`, `categories`, `precision`.
    model, guard
        skops files: the model, trained with what acts in the training, and the network of a guard, if there is one.
    """
    (folder / "model.skops").write_bytes(model)
    if guard is not None:
        (folder / "guard.skops").write_bytes(guard)
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False), encoding="utf8")


def load(folder: Path) -> "Deployed":
    """Load a model that `write` wrote."""
    index = json.loads((folder / INDEX).read_text(encoding="utf8"))
    steps: list[Any] = []
    if index["mitigation"] is not None:
        for part in _MITIGATION.validate_python(index["mitigation"]).parts:
            if isinstance(part, MemGuard):
                network = load_model((folder / "guard.skops").read_bytes())
                steps.append(Guarded(part, network, index["guard_seed"]))
            elif isinstance(part, PostHoc):
                steps.append(part)
    return Deployed(wrapped(load_model((folder / "model.skops").read_bytes()), steps), index)


class Deployed:
    """A mitigated classifier and the columns that it reads.

    Parameters
    ----------
    classifier
        Fitted, and wrapped in all that acts on its answers.
    index
        As of `write`.
    """

    def __init__(self, classifier: Any, index: Mapping[str, Any]):
        self.classifier, self.index = classifier, index

    def predict(self, model_input: Any, params: Any = None) -> Floats:
        """Return mitigated prediction vectors, shape (n_records, n_classes); what MLflow calls.

        Parameters
        ----------
        model_input
            A data frame with the features by name, categories as text; or an array of the features in the order of
            `feature_names`, categories as codes. Where records are vectors, in their order whatever the names.
        params
            None: there are none.

        Raises
        ------
        DataError
            When a column is missing, or the array has another number of columns.
        """
        found = self.classifier.predict_proba(self.encoded(model_input))
        answers = np.zeros((len(found), len(self.index["classes"])), found.dtype)
        answers[:, self.classifier.classes_] = found  # a class that the training did not have gets 0
        return answers

    def encoded(self, model_input: Any) -> Array:
        """Return records as the classifier reads them, shape (n_records, n_features)."""
        names, precision = self.index["feature_names"], self.index["precision"]
        if not hasattr(model_input, "columns") or names[0].endswith("[0]"):
            array = np.asarray(model_input, dtype=precision)
            if array.ndim != 2 or array.shape[1] != len(names):
                raise DataError(f"records have shape {array.shape}; expected (n_records, {len(names)})")
            return array
        missing = [name for name in names if name not in model_input.columns]
        if missing:
            raise DataError(f"records lack {_some(missing)}; expected the columns {_some(names)}")
        columns = [self._column(name, np.asarray(model_input[name])) for name in names]
        return np.column_stack(columns).astype(precision)

    def _column(self, name: str, values: Array) -> Array:
        """Return a column as numbers; a category that the training did not have gets a code of its own."""
        categories = self.index["categories"].get(name)
        if categories is None:
            return values
        codes = {category: code for code, category in enumerate(categories)}
        return np.array([codes.get(str(value), len(categories)) for value in values])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _load_pyfunc(path: str) -> Deployed:
    return load(Path(path))
