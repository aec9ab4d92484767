"""The door to MLflow's model registry: a registered model as something that answers probabilities.

Belongs here: which version is meant, whether its file may be loaded, the order of its classes. Does not belong here:
what is asked.
"""

import importlib
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.types import DataType
from sqlalchemy.exc import SQLAlchemyError

from umbrameter.errors import TargetError, TrackingError, brief
from umbrameter.mitigations import LabelOnly
from umbrameter.report.mlflow_view import without_secrets
from umbrameter.targets import RegistryTarget
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns
from umbrameter.typing import Array

SAFE_LOADERS = ("umbrameter.",)
"""Of pyfunc models, those whose files are read without running code from them."""

SAFE_TYPES = ("sklearn.", "numpy.", "scipy.")
"""What a skops file may name and be read without trust."""


def default_uri(root: str) -> str:
    """Return the address of the SQLite store under a local root.

    Raises
    ------
    TrackingError
        When the root is a bucket, which cannot hold a SQLite file.
    """
    if "://" in root:
        raise TrackingError(f"root={root!r} is no local folder, so MLflow needs an address of its own: --tracking-uri")
    return f"sqlite:///{Path(root).resolve() / 'mlflow.db'}"


@contextmanager
def at(address: str) -> Iterator[None]:
    """Point MLflow's process-wide functions at an address for a while."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def load(
    target: RegistryTarget, columns: Columns, classes: Sequence[Any], root: str, tracking_uri: str | None
) -> tuple[Adapted, dict[str, Any]]:
    """Return a registered model, and what tells it from every other.

    Parameters
    ----------
    target
        Which model.
    columns, classes
        Of the data.
    root, tracking_uri
        Where MLflow is, where the target does not say.

    Raises
    ------
    TargetError
        When there is no such model, it may not be loaded, answers no probabilities, or does not fit the data.
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
    facts = {"kind": target.kind, "name": version.name, "version": int(version.version), "model": info.model_uuid}
    answers = [part.model_dump(mode="json") for part in target.answers]
    known = target.labels or labels
    asked = Adapted(model, columns, classes, known, target.answers, f"target.model={target.model!r}")
    return asked, facts | {"answers": answers, "labels": None if target.labels is None else [*target.labels]}


def _version(target: RegistryTarget, address: str) -> Any:
    """Return the model version that is meant."""
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
        named = all(map(_is_safe_class, sklearn.get("skops_trusted_types") or ()))
        is_safe = sklearn.get("serialization_format") == "skops" and named
    brings_code = any(flavour.get("code") for flavour in flavours.values())  # that would be imported before ours
    if target.trusted or (is_safe and not brings_code):
        return
    raise TargetError(
        f"target.model={target.model!r} is stored in a form ({', '.join(flavours)}) that runs whatever code is in it "
        "when it is loaded; set target.trusted to true if you trust whoever registered it, or log it with "
        "mlflow.sklearn.log_model(serialization_format='skops')"
    )


def _is_safe_class(name: Any) -> bool:
    """Say whether a name is a class of scikit-learn, numpy or scipy; their functions can be made to run anything."""
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
    wanted = [name for name in inputs.required_input_names() if name not in columns.names]
    if wanted:
        shown = ", ".join(map(str, wanted[:5])) + (f" and {len(wanted) - 5} more" if len(wanted) > 5 else "")
        raise TargetError(
            f"target.model={target.model!r} reads {shown}, which the data do not have; name the columns as the model's "
            "signature does, or correct data.features"
        )


def _model(target: RegistryTarget, uri: str, info: Any) -> tuple[Any, Sequence[Any] | None]:
    """Return what answers, and the labels of its answers where the model's metadata name them."""
    is_label_only = any(isinstance(part, LabelOnly) for part in target.answers)
    if "sklearn" in info.flavors:
        found = mlflow.sklearn.load_model(uri)
        if not callable(getattr(found, "predict_proba", None)) and not is_label_only:
            raise TargetError(
                f"target.model={target.model!r} is a {type(found).__name__}, which answers no probabilities (it has no "
                "predict_proba); audit a classifier that does, or say target.answers: [{kind: label_only}]"
            )
        return found, None
    labels = (info.metadata or {}).get("classes")
    if labels is None and target.labels is None and not is_label_only:
        raise TargetError(
            f"target.model={target.model!r} does not say which class each of its answers is of (it is no scikit-learn "
            "model, and its metadata have no classes); say it in target.labels"
        )
    return Pyfunc(mlflow.pyfunc.load_model(uri), info.signature), labels


class Pyfunc:
    """An MLflow model of any kind, asked as MLflow asks it.

    Parameters
    ----------
    model
        As `mlflow.pyfunc.load_model` gives it.
    signature
        The model's; one that names columns makes records data frames.
    """

    def __init__(self, model: Any, signature: Any):
        self.model = model
        self._inputs: Any = None if signature is None else signature.inputs
        if self._inputs is not None and not self._inputs.is_tensor_spec():
            self.feature_names_in_ = self._inputs.input_names()

    def predict(self, given: Any) -> Array:
        """Return what the model answers, as an array."""
        return np.asarray(self.model.predict(given if self._inputs is None else self._typed(given)))

    def _typed(self, given: Any) -> Any:
        """Return records with numbers of the signature's types, which MLflow insists on."""
        if self._inputs.is_tensor_spec():
            return _cast(np.asarray(given), self._inputs.inputs[0].type)
        kinds = {spec.name: spec.type for spec in self._inputs.inputs if isinstance(spec.type, DataType)}
        numeric = [name for name, kind in kinds.items() if name in given and kind.to_numpy().kind in "biuf"]
        return given.assign(**{name: _cast(given[name], kinds[name].to_numpy()) for name in numeric})


def _cast(values: Any, kind: Any) -> Any:
    """Return numbers as another type, where that changes none of them."""
    if values.dtype.kind not in "biuf":
        return values
    found = values.astype(kind)
    return found if (found == values).all() else values
