"""Gather shadow models' logits of the audited records, with which some attacks compare the target's."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umbrameter.attacks import References
from umbrameter.mitigations import PostHoc, as_settings
from umbrameter.records.parts import audited_rows, pool_rows
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.steps.shadow_models import read_compared
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.steps import key_of
from umbrameter.typing import Array, Bools, Floats, Ints


class ReferenceMetadata(Metadata):
    """Facts about gathered logits.

    Parameters
    ----------
    n_audited
        The number of audited records, which come first; records to choose thresholds on follow.
    temperature
        Temperature of the logits.
    """

    n_audited: int
    temperature: float


@dataclass(frozen=True)
class ReferenceData:
    """Gather each shadow model's scaled logit of each compared record.

    Parameters
    ----------
    shadows
        Paths of the `shadow_predictions` artefacts, by model number.
    mitigations
        The mitigations that the shadow models' answers pass through, in order.
    temperature
        Temperature of the logits.
    split
        Path of the `split` artefact.
    plan
        The plan, which says which records are compared.
    drawn
        Path of the `shadow_records` artefact, if shadow models were trained on drawn records.
    """

    shadows: tuple[str, ...]
    mitigations: tuple[PostHoc, ...]
    temperature: float
    split: str
    plan: ShadowPlan
    drawn: str | None = None

    @property
    def title(self) -> str:
        """A title, such as `unmitigated at temperature 1`."""
        through = " + ".join(mitigation.label for mitigation in self.mitigations) or "unmitigated"
        return f"{through} at temperature {self.temperature:g}"

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the logits."""
        facts = {
            "shadows": [key_of(path) for path in self.shadows],
            "mitigations": as_settings(self.mitigations),
            "split": key_of(self.split),
            "temperature": self.temperature,
        }
        return Recipe("references", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        drawn = (self.drawn,) if self.drawn else ()
        return (self.split, *self.shadows, *drawn)

    def make(self, store: Store, draft: Draft) -> None:
        """Write one row per record: its logit under each model, and which models were trained on it."""
        split = store.open(self.split)
        audited = audited_rows(split)
        rows = self.plan.compared(audited, pool_rows(store, split, self.drawn))
        logits = np.empty((len(rows), len(self.shadows)), dtype=np.float32)
        is_in = np.empty(logits.shape, dtype=np.bool_)
        for model, path in enumerate(self.shadows):
            logits[:, model], is_in[:, model] = self._of_model(store.open(path), rows)
        columns = {"record_id": rows, "logit": vector_column(logits), "is_in": vector_column(is_in)}
        draft.table("references.parquet", pa.table(columns))
        ReferenceMetadata(n_audited=len(audited), temperature=self.temperature).write(draft)

    def _of_model(self, source: Artefact, rows: Ints) -> tuple[Floats, Bools]:
        """Return one model's logits of some records, and which of them it was trained on."""
        answers = read_compared(source, rows, self.mitigations)
        return answers.logit(self.temperature).astype(np.float32), np.asarray(answers.is_in)


def read_references(artefact: Artefact) -> tuple[References, References | None]:
    """Return the references of the audited records, and of the records to choose thresholds on, if there are any."""
    table, n = artefact.table("references.parquet"), ReferenceMetadata.read(artefact).n_audited
    logits, is_in = vectors(table["logit"]).T, _bools(table["is_in"]).T
    calibration = None if logits.shape[1] == n else References(logits[:, n:], is_in[:, n:])
    return References(logits[:, :n], is_in[:, :n]), calibration


def _bools(column: pa.ChunkedArray) -> Array:
    """Return a column of fixed-size lists of booleans, which Arrow keeps as bits, as an array."""
    return np.asarray(column.combine_chunks().flatten()).reshape(-1, column.type.list_size)
