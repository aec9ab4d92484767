"""Export the model of a finished run, under a mitigation, as an MLflow model that `mlflow models serve` can serve.

Belongs here: from a run's folder to a model's folder. Does not belong here: how the model answers
(`umbrameter.serving.mitigated_model`).
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType

from umbrameter import __version__
from umbrameter.errors import SpecError, StoreError, one_of
from umbrameter.records.metadata import RecordsMetadata
from umbrameter.records.own import own_table
from umbrameter.records.reader import Records
from umbrameter.report import Report, Result
from umbrameter.report.model import read_report
from umbrameter.report.model_card import card
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.report.sentences import guarantee_sentence, guarantees_of
from umbrameter.serving import mitigated_model
from umbrameter.serving.mitigated_model import ModelIndex
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.guards import guard_file, guard_seed
from umbrameter.steps.target import TargetMetadata, model_file
from umbrameter.steps.target_answers import check_target
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import key_of

NONE = "none"
"""Stands for the unmitigated target."""


def export(root: str, folder: str, mitigation: str | None, to: str) -> str:
    """Write a run's model under a mitigation, with a model card, and return the mitigation's name.

    Parameters
    ----------
    root
        Where the store is.
    folder
        The run's folder under it: `runs/<name>-<time>`.
    mitigation
        Its name in the report, or `none`; the recommended one if unset.
    to
        The folder to write, which must not exist yet.

    Raises
    ------
    SpecError
        When the audit has no such mitigation, or recommends none.
    StoreError
        When the folder exists already, or the run's artefacts are missing.
    """
    store = Store(root)
    report = read_report(store.read(f"{folder}/report.json"))
    name = _chosen(report, mitigation)
    if Path(to).exists():
        raise StoreError(f"--to={to!r} exists already; name a folder that does not")
    result = next(r for r in report.results if (r.mitigation or NONE) == name)
    artefacts = read_run_artefacts(store, folder)
    claims = [*map(guarantee_sentence, guarantees_of(report, name))]
    paths = next(entry for entry in artefacts.models if (entry.mitigation or NONE) == name)
    for answers in artefacts.target_predictions:
        if store.open(answers).facts.get("target") == key_of(paths.target):
            check_target(store, paths.target, answers)
    target, records = TargetMetadata.read(store.open(paths.target)), Records.open(store, artefacts.records)
    features = None if target.form == "matrix" else records.schema
    with tempfile.TemporaryDirectory() as data, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index = _index(records.metadata, target, report, result)
        guard = None if paths.guard is None else guard_file(store.open(paths.guard))
        mitigated_model.write(Path(data), index, model_file(store.open(paths.target)), guard, features)
        mlflow.pyfunc.save_model(
            path=to,
            loader_module=mitigated_model.__name__,
            data_path=data,
            signature=_signature(index, records.metadata, features),
            input_example=_example(index, records.metadata, features),
            pip_requirements=_requirements(store, folder),
            metadata={
                "mitigation": name,
                "classes": [*index.classes],
                "spec_digest": report.audit.spec_digest,
                # Of a run whose noise is not secret, this is that there is no claim.
                **({"privacy": claims} if claims else {}),
            },
        )
    Path(to, "MODEL_CARD.md").write_text(card(report, name), encoding="utf8")
    return name


def _chosen(report: Report, mitigation: str | None) -> str:
    names = list(dict.fromkeys(result.mitigation or NONE for result in report.results))
    if mitigation is None:
        best = report.recommendation.mitigation if report.recommendation else None
        if best is None:
            why = report.recommendation.reason if report.recommendation else "There is nothing to choose from."
            raise SpecError(f"the audit recommends no mitigation ({why}); name one: --mitigation {' or '.join(names)}")
        return best
    if mitigation not in names:
        raise SpecError(
            f"--mitigation={mitigation!r}: the audit has no such mitigation; {one_of(mitigation, names, 'it has')}"
        )
    return mitigation


def _index(known: RecordsMetadata, target: TargetMetadata, report: Report, result: Result) -> ModelIndex:
    return ModelIndex.model_validate(
        {
            "mitigation": result.params.get("mitigation"),
            "guard_seed": guard_seed(report.audit.seed),
            "classes": known.classes,
            "feature_names": known.feature_names,
            "categories": known.categories,
            "precision": known.precision,
            "form": target.form,
            "columns": target.columns,
        }
    )


def _signature(index: ModelIndex, known: RecordsMetadata, features: pa.Schema | None) -> ModelSignature:
    """Return the model's signature: named columns (categories as text) or one vector per record in, vectors out."""
    names = index.feature_names
    answers = Schema([TensorSpec(np.dtype("float64"), (-1, len(index.classes)))])
    if names[0].endswith("[0]"):  # the features came from one vector column
        vector = TensorSpec(np.dtype(index.precision), (-1, len(names)))
        return ModelSignature(inputs=Schema([vector]), outputs=answers)
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string if name in index.categories else DataType.double, name) for name in names
    ]
    if features is not None:
        required = mitigated_model.required_columns(features, index.columns)
        kinds = [_kind(field, known) for field in features]
        columns = [ColSpec(kind, f.name, f.name in required) for kind, f in zip(kinds, features, strict=True)]
    return ModelSignature(inputs=Schema(columns), outputs=answers)


def _kind(field: pa.Field, known: RecordsMetadata) -> DataType | AnyType:
    """Return the type of MLflow's that a column of the source is given as."""
    if field.name in known.categories and not pa.types.is_dictionary(field.type):
        return DataType.string
    if pa.types.is_boolean(field.type):
        return DataType.boolean
    if pa.types.is_integer(field.type) and field.name not in known.missing:  # pandas has no integers with gaps
        return DataType.long
    if pa.types.is_date(field.type) or pa.types.is_timestamp(field.type):
        return DataType.datetime
    # MLflow has no type for pandas' categories, nor for times of day and durations.
    is_any = pa.types.is_dictionary(field.type) or pa.types.is_temporal(field.type)
    return AnyType() if is_any else DataType.double  # type: ignore[no-untyped-call]


def _example(index: ModelIndex, known: RecordsMetadata, features: pa.Schema | None) -> Any:
    """Return a made-up record, of which each number is in the middle of its range."""
    middle = (np.array(known.low) + np.array(known.high)) / 2
    row = np.where(known.integral, np.floor(middle), middle)
    row[[*known.categorical]] = np.array(known.high)[[*known.categorical]]
    if index.feature_names[0].endswith("[0]"):
        return row[None].astype(index.precision)
    if features is not None:
        return own_table(row[None], features, known.categories).to_pandas()
    texts = {name: known.categories[name][-1] for name in known.categories}
    return pd.DataFrame([dict(zip(index.feature_names, row.tolist(), strict=True)) | texts])


def _requirements(store: Store, folder: str) -> list[str]:
    """Return the packages, with versions, that decide the model's answers."""
    spec = AuditSpec.from_yaml(store.read(f"{folder}/spec.yaml").decode())
    estimator = spec.target.estimator_here
    if estimator is None:
        raise SpecError(
            f"RUN={folder!r} audited a target of kind {spec.target.kind}, trained elsewhere; only a model that the "
            "audit itself trained can be exported"
        )
    versions = {**estimator.versions, "umbrameter": __version__}
    return [f"{name}=={version}" for name, version in versions.items()]
