"""The record sets of an audit as MLflow's dataset inputs: names and digests, never a record, a path or an address."""

from typing import Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag

from umbrameter.report import Report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.steps.split import SplitMetadata
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import key_of


class _RecordsSource(DatasetSource):
    """The records' source, by name and digest: never a path or an address, which may be confidential."""

    def __init__(self, name: str, key: str):
        self.name, self.key = name, key

    @staticmethod
    def _get_source_type() -> str:
        return "umbrameter_records"

    def load(self) -> None:
        """Load nothing: records never go to MLflow."""

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "_RecordsSource":
        raise NotImplementedError

    def to_dict(self) -> dict[Any, Any]:
        return {"data": self.name, "records": self.key}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "_RecordsSource":
        return cls(source_dict["data"], source_dict["records"])


def inputs(store: Store, folder: str, report: Report) -> list[DatasetInput]:
    """Return a run's record sets, with context, size and digest, but without any record.

    Parameters
    ----------
    store
        Where the run's artefacts are.
    folder
        The run's folder, relative to the root.
    report
        The run's report.
    """
    artefacts = read_run_artefacts(store, folder)
    digest = key_of(artefacts.records)
    source = _RecordsSource(report.data.name, digest)
    pool = SplitMetadata.read(store.open(artefacts.split)).n_pool
    sizes = {"members": report.target.n_members, "non-members": report.target.n_nonmembers, "pool": pool}
    datasets = []
    for context, size in sizes.items():
        data = MetaDataset(  # type: ignore[abstract]  # it inherits what it needs
            source, name=f"{report.data.name} {context} ({size:,})", digest=digest[:8]
        )
        datasets.append(DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", context)]))
    return datasets
