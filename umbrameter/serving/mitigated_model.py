"""A mitigated model in a folder, as MLflow serves it: records in, mitigated prediction vectors out.

An exported model holds this module's name, by which MLflow finds `_load_pyfunc`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from umbrameter.errors import DataError
from umbrameter.estimators import Form
from umbrameter.mitigations import AnyMitigation, wrapped
from umbrameter.mitigations.plan import MitigationPlan
from umbrameter.persistence import load_model
from umbrameter.records.own import MISSING, as_days, is_left_out, is_vector
from umbrameter.serving.source_tables import as_source
from umbrameter.targets.columns import Columns, Rows
from umbrameter.targets.source_models import OnSource
from umbrameter.typing import Array, Floats

INDEX = "mitigated_model.json"
"""The file with all that is needed to query the model, except the model itself."""

MODEL, GUARD, FEATURES = "model.skops", "guard.skops", "features.arrow"


class ModelIndex(BaseModel):
    """The mitigation of a model, and the columns that it reads and answers.

    Parameters
    ----------
    mitigation
        None for an unmitigated model.
    guard_seed
        Seed of a learned mitigation's random numbers.
    classes
        The classes that the columns of answers stand for.
    feature_names, categories, precision
        The columns of the records; see `records.metadata.RecordsMetadata`.
    form, columns
        How records are given to the model, and the columns that it reads, if not all; see `estimators.Estimator`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mitigation: AnyMitigation | None
    guard_seed: int
    classes: tuple[Any, ...]
    feature_names: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    precision: str
    form: Form = "matrix"
    columns: tuple[str, ...] | None = None


def write(
    folder: Path, index: ModelIndex, model: bytes, guard: bytes | None, features: pa.Schema | None = None
) -> None:
    """Write a model so that `load` finds it.

    Parameters
    ----------
    folder
        The folder to write to.
    index
        The mitigation and the columns.
    model, guard
        Contents of skops files: the model, trained under any mitigations of the training; and the learned part of a
        learned mitigation, or None.
    features
        The features' columns as the source has them; None for a model that takes a matrix.
    """
    (folder / MODEL).write_bytes(model)
    if guard is not None:
        (folder / GUARD).write_bytes(guard)
    if features is not None:
        (folder / FEATURES).write_bytes(features.serialize().to_pybytes())
    (folder / INDEX).write_text(index.model_dump_json(), encoding="utf8")


def load(folder: Path) -> "MitigatedModel":
    """Load a model that `write` wrote."""
    index = ModelIndex.model_validate_json((folder / INDEX).read_text(encoding="utf8"))
    classifier, plan = load_model((folder / MODEL).read_bytes()), MitigationPlan(index.mitigation)
    if plan.learned is not None:
        guard = plan.learned.restore(load_model((folder / GUARD).read_bytes()), index.guard_seed)
        classifier = guard.wrap(classifier)
    mitigated = wrapped(classifier, plan.answers)
    if index.form == "matrix":
        return MitigatedModel(mitigated, index)
    features = pa.ipc.read_schema(pa.py_buffer((folder / FEATURES).read_bytes()))
    columns = Columns(index.feature_names, index.categories, (), features)
    return MitigatedModel(OnSource(mitigated, columns, index.form, index.columns), index, features)


class MitigatedModel:
    """A mitigated classifier and the columns that it reads.

    Parameters
    ----------
    classifier
        The fitted classifier, wrapped in all mitigations of its answers.
    index
        The mitigation and the columns.
    features
        The features' columns as the source has them; None for a model that takes a matrix.
    """

    def __init__(self, classifier: Any, index: ModelIndex, features: pa.Schema | None = None):
        self.classifier, self.index, self.features = classifier, index, features

    def predict(self, model_input: Any, params: Any = None) -> Floats:
        """Return mitigated prediction vectors, shape (n_records, n_classes); MLflow calls this.

        Parameters
        ----------
        model_input
            A data frame with the features by name, categories as text; or an array of the features in the order of
            `feature_names`, categories as codes. If the model reads vectors, names are ignored and the order counts.
        params
            Ignored: MLflow passes it, and the model has no parameters.

        Raises
        ------
        DataError
            When a column is missing, or the array has another number of columns, or a column is of another type.
        """
        known = self.classifier.predict_proba(self.encoded(model_input))
        answers = np.zeros((len(known), len(self.index.classes)), known.dtype)
        answers[:, self.classifier.classes_] = known  # a class that was not in the training data gets 0
        return answers

    def encoded(self, model_input: Any) -> Rows:
        """Return records as the classifier reads them: shape (n_records, n_features), or as a table of the source."""
        if self.features is not None:
            self._check_columns(model_input, required_columns(self.features, self.index.columns))
            return as_source(model_input, self.features, self.index.categories)
        names, precision = self.index.feature_names, self.index.precision
        if not hasattr(model_input, "columns") or names[0].endswith("[0]"):  # records that are vectors: pixels[0], ...
            array = np.asarray(model_input, dtype=precision)
            if array.ndim != 2 or array.shape[1] != len(names):
                raise DataError(f"records have shape {array.shape}; expected (n_records, {len(names)})")
            return array
        self._check_columns(model_input, names)
        columns = [self._column(name, np.asarray(model_input[name])) for name in names]
        return np.column_stack(columns).astype(precision)

    def _check_columns(self, model_input: Any, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in getattr(model_input, "columns", names)]
        if missing:
            raise DataError(f"records lack {_listed(missing)}; expected the columns {_listed(names)}")

    def _column(self, name: str, values: Array) -> Array:
        """Return a column as numbers; a category that was not in the training data gets a code of its own."""
        categories = self.index.categories.get(name)
        if categories is None:
            is_time = values.dtype.kind in "mM"
            return np.asarray(as_days(pa.array(values)).to_numpy(zero_copy_only=False)) if is_time else values
        codes = {category: code for code, category in enumerate(categories)}
        texts = [MISSING if value is None or value != value else str(value) for value in values]
        return np.array([codes.get(text, len(categories)) for text in texts])


def required_columns(features: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """Return the columns that records must have.

    Parameters
    ----------
    features
        The features' columns as the source has them.
    columns
        Those that the model reads; None for all.
    """
    if is_vector(features):
        return []
    return [f.name for f in features if not is_left_out(f) and (columns is None or f.name in columns)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _load_pyfunc(path: str) -> MitigatedModel:
    return load(Path(path))
