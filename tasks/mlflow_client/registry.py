"""MLflow's model registry: load a registered model as one that answers with probabilities.

Belongs here: which version to load, whether its file may be loaded, and the order of its classes. Does not belong here:
what the model is asked.
"""

import importlib
import inspect
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.types import DataType
from sqlalchemy.exc import SQLAlchemyError

from tasks.mlflow_client.tracking_store import at, default_uri
from umbrameter.errors import TargetError, brief
from umbrameter.mitigations import LabelOnly
from umbrameter.report.mlflow_view import without_secrets
from umbrameter.targets import RegistryTarget
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns
from umbrameter.typing import Array

SAFE_LOADERS = ("umbrameter.",)
"""Loader modules of pyfunc models that run no code from the model's files."""

SAFE_TYPES = ("sklearn.", "numpy.", "scipy.")
"""Modules whose classes a skops file may name without being trusted."""


def load(
    target: RegistryTarget, columns: Columns, classes: Sequence[Any], root: str, tracking_uri: str | None
) -> tuple[Adapted, dict[str, Any]]:
    """Return a registered model, and the facts that tell it from every other.

    Parameters
    ----------
    target
        The spec's target, which names the model.
    columns, classes
        The data's columns and class labels, in order.
    root, tracking_uri
        Where the default store is, and MLflow's address; used if the target names no address.

    Raises
    ------
    TargetError
        When there is no such model, or it may not be loaded, answers no probabilities or does not fit the data.
    """
    address = target.tracking_uri or tracking_uri or default_uri(root)
    with at(address), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        version = _version(target, address)
        uri = f"models:/{version.name}/{version.version}"
        try:
            info = mlflow.models.get_model_info(uri)
            _refuse_pickle(target, info)
            _refuse_misfit(target, info, columns)
            model, labels = _model(target, uri, info)
        except (MlflowException, OSError, ImportError, AttributeError) as error:
            raise TargetError(
                f"target.model={target.model!r} could not be loaded ({without_secrets(brief(error, 300))}); install "
                "what it requires, or register it again"
            ) from None
    # The version that the alias means now: the alias may be moved.
    facts = {"kind": target.kind, "name": version.name, "version": int(version.version), "model": info.model_uuid}
    answers = [part.model_dump(mode="json") for part in target.answers]
    known = target.labels or labels
    adapted = Adapted(model, columns, classes, known, target.answers, f"target.model={target.model!r}")
    facts |= {"other_classes": adapted.other_classes} if adapted.other_classes else {}
    return adapted, facts | {"answers": answers, "labels": None if target.labels is None else [*target.labels]}


def _version(target: RegistryTarget, address: str) -> Any:
    """Return the model version that the target names."""
    name = target.model.removeprefix("models:/")
    client = mlflow.MlflowClient()
    try:
        if "@" in name:
            return client.get_model_version_by_alias(*name.split("@"))
        return client.get_model_version(*name.split("/"))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TargetError(
            f"target.model={target.model!r}: the registry at {without_secrets(address)} has no such model "
            f"({without_secrets(brief(error))}); check the name, and its alias or version"
        ) from None


def _refuse_pickle(target: RegistryTarget, info: Any) -> None:
    """Refuse a file that runs code when it is loaded, unless it is trusted."""
    flavours, sklearn = info.flavors, info.flavors.get("sklearn")
    if sklearn is None:
        pyfunc = flavours.get("python_function", {})
        is_safe = str(pyfunc.get("loader_module", "")).startswith(SAFE_LOADERS)
    else:
        are_classes_safe = all(map(_is_safe_class, sklearn.get("skops_trusted_types") or ()))
        is_safe = sklearn.get("serialization_format") == "skops" and are_classes_safe
    brings_code = any(flavour.get("code") for flavour in flavours.values())  # which would be imported before our own
    if target.trusted or (is_safe and not brings_code):
        return
    raise TargetError(
        f"target.model={target.model!r} is stored in a form ({', '.join(flavours)}) that runs whatever code is in it "
        "when it is loaded; set target.trusted to true if you trust whoever registered it, or log it with "
        "mlflow.sklearn.log_model(serialization_format='skops')"
    )


def _is_safe_class(name: Any) -> bool:
    """Return whether a name is a class of scikit-learn, numpy or scipy; a function of theirs could run anything."""
    module, _, last = str(name).rpartition(".")
    if not module.startswith(SAFE_TYPES):
        return False
    try:
        return inspect.isclass(getattr(importlib.import_module(module), last, None))
    except ImportError:
        return False


def _refuse_misfit(target: RegistryTarget, info: Any, columns: Columns) -> None:
    """Refuse a model whose signature does not fit the data."""
    inputs = None if info.signature is None else info.signature.inputs
    if inputs is None:
        return
    if inputs.is_tensor_spec():
        width = inputs.inputs[0].shape[-1]
        if width not in (-1, len(columns.names)):
            raise TargetError(
                f"target.model={target.model!r} reads records of {width} values, and the data have "
                f"{len(columns.names)} features; correct data.features"
            )
        return
    missing = [name for name in inputs.required_input_names() if name not in columns.names]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise TargetError(
            f"target.model={target.model!r} reads {shown}, which the data do not have; name the columns as the model's "
            "signature does, or correct data.features"
        )


def _model(target: RegistryTarget, uri: str, info: Any) -> tuple[Any, Sequence[Any] | None]:
    """Return the loaded model, and the labels of its answers if its metadata name them."""
    is_label_only = any(isinstance(part, LabelOnly) for part in target.answers)
    if "sklearn" in info.flavors:
        model = mlflow.sklearn.load_model(uri)
        if not callable(getattr(model, "predict_proba", None)) and not is_label_only:
            raise TargetError(
                f"target.model={target.model!r} is a {type(model).__name__}, which answers no probabilities (it has no "
                "predict_proba); audit a classifier that does, or set target.answers to [{kind: label_only}]"
            )
        return model, None
    labels = (info.metadata or {}).get("classes")
    if labels is None and target.labels is None and not is_label_only:
        raise TargetError(
            f"target.model={target.model!r} does not say which class each of its answers stands for (it is no "
            "scikit-learn model, and its metadata have no classes); list them in target.labels"
        )
    return Pyfunc(mlflow.pyfunc.load_model(uri), info.signature), labels


class Pyfunc:
    """An MLflow model of any flavour, behind MLflow's generic interface.

    Parameters
    ----------
    model
        As `mlflow.pyfunc.load_model` returns it.
    signature
        The model's signature; if it names columns, the model is given data frames.
    """

    def __init__(self, model: Any, signature: Any):
        self.model = model
        self._inputs: Any = None if signature is None else signature.inputs
        if self._inputs is not None and not self._inputs.is_tensor_spec():
            self.feature_names_in_ = self._inputs.input_names()

    def predict(self, given: Any) -> Array:
        """Return the model's answers as an array."""
        return np.asarray(self.model.predict(given if self._inputs is None else self._typed(given)))

    def _typed(self, records: Any) -> Any:
        """Return records that have the signature's types, on which MLflow insists."""
        if self._inputs.is_tensor_spec():
            return _cast(np.asarray(records), self._inputs.inputs[0].type)
        kinds = {spec.name: spec.type for spec in self._inputs.inputs if isinstance(spec.type, DataType)}
        numeric = [name for name, kind in kinds.items() if name in records and kind.to_numpy().kind in "biuf"]
        numbers = {name: _cast(records[name], kinds[name].to_numpy()) for name in numeric}
        # A signature calls pandas' categories text, and MLflow refuses the categories.
        categories = records.select_dtypes("category").columns.intersection(list(kinds))
        return records.assign(**numbers, **{name: records[name].astype(object) for name in categories})


def _cast(values: Any, kind: Any) -> Any:
    """Convert numbers to another type: a float's precision is the model's choice, but no integer may change."""
    if values.dtype.kind not in "biuf":
        return values
    converted = values.astype(kind)
    return converted if kind.kind == "f" or (converted == values).all() else values
