"""Shadow models' answers on the audited records, model by model: what attacks on single records compare with."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umbrameter.attacks import References, Vectors
from umbrameter.mitigations import PostHoc, answered
from umbrameter.records.parts import audited_rows, pool_rows
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.store.arrow import places, vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Array, Bools, Floats, Ints


@dataclass(frozen=True)
class ReferenceData:
    """Gather each shadow model's scaled logit of each compared record.

    Parameters
    ----------
    shadows
        Paths of the `shadow_predictions` artefacts, by model number.
    mitigations
        What the answers pass through, in order; the attacker's models answer through it, too.
    temperature
        Of the logits.
    split
        Path of the `split` artefact.
    plan
        Which records the models were asked about.
    """

    shadows: tuple[str, ...]
    mitigations: tuple[PostHoc, ...]
    temperature: float
    split: str
    plan: ShadowPlan
    drawn: str | None = None
    """Path of the `shadow_records` artefact, as of `ShadowFit`."""

    @property
    def title(self) -> str:
        """What tells it from others, in words."""
        passed = " + ".join(mitigation.label for mitigation in self.mitigations) or "as it is"
        return f"{passed} at temperature {self.temperature:g}"

    @property
    def recipe(self) -> Recipe:
        """What decides the logits."""
        passed = [mitigation.model_dump(mode="json") for mitigation in self.mitigations]
        facts = {"shadows": [key_of(s) for s in self.shadows], "mitigations": passed, "split": key_of(self.split)}
        return Recipe("references", facts | {"temperature": self.temperature})

    def make(self, store: Store, draft: Draft) -> None:
        """Write one row a record: its logit under each model, and who was trained on it."""
        split = store.open(self.split)
        rows = self.plan.compared(audited_rows(split), pool_rows(store, split, self.drawn))
        logits = np.empty((len(rows), len(self.shadows)), dtype=np.float32)
        is_in = np.empty(logits.shape, dtype=np.bool_)
        for model, path in enumerate(self.shadows):
            logits[:, model], is_in[:, model] = self._of_model(store.open(path), rows)
        columns = {"record_id": rows, "logit": vector_column(logits), "is_in": vector_column(is_in)}
        draft.table("references.parquet", pa.table(columns))
        draft.meta |= {"n_audited": len(audited_rows(split)), "temperature": self.temperature}

    def _of_model(self, source: Artefact, rows: Ints) -> tuple[Floats, Bools]:
        """Return one model's logits of some records, and which it was trained on."""
        name = "compared.parquet" if "compared.parquet" in source.files else "predictions.parquet"
        table = source.table(name)
        ids = np.asarray(table["record_id"])
        own = places(ids, rows)
        predictions = answered(vectors(table["prediction"])[own], self.mitigations)
        labels = np.asarray(table["label"])[own].astype(np.int64)
        logits = Vectors(predictions, labels).logit(self.temperature).astype(np.float32)
        return logits, np.asarray(table["is_in"])[own]


def read_references(artefact: Artefact) -> tuple[References, References | None]:
    """Return the references of the audited records, and those of records to choose thresholds on, if there are any."""
    table, n = artefact.table("references.parquet"), artefact.meta["n_audited"]
    logits, is_in = vectors(table["logit"]).T, _bools(table["is_in"]).T
    rest = None if logits.shape[1] == n else References(logits[:, n:], is_in[:, n:])
    return References(logits[:, :n], is_in[:, :n]), rest


def _bools(column: pa.ChunkedArray) -> Array:
    """Return a column of lists of booleans, which Arrow keeps as bits, as an array."""
    return np.asarray(column.combine_chunks().flatten()).reshape(-1, column.type.list_size)
