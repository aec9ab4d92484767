"""Train the target; train a shadow model and ask it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.networks import all_networks, fit_side_by_side, on_gpu
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, pool_rows
from umbrameter.records.reader import Records, with_drawn
from umbrameter.seeds import integer
from umbrameter.shadow_plan import Asked, ShadowPlan
from umbrameter.steps.training import Training
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.schemas import shadow_predictions
from umbrameter.store.steps import key_of
from umbrameter.targets.querying import ask, holds
from umbrameter.typing import Bools, Classifier, Ints

MOST_NOISY = 250
"""IN records, and OUT records, of which each shadow model is asked about changed copies, at most."""


@dataclass(frozen=True)
class ShadowFit:
    """Train one shadow model and ask it about its IN and its OUT records."""

    training: Training
    plan: ShadowPlan
    model_id: int
    noises: tuple[Noise, ...] = ()
    """Under which its labels are looked at."""
    drawn: str | None = None
    """Path of the `shadow_records` artefact, where records are not those of the pool."""
    model: Classifier | None = field(default=None, compare=False)
    """The fitted model, where it was trained side by side with others."""

    @property
    def recipe(self) -> Recipe:
        """What decides the model and its answers; the number of shadow models does not."""
        more: dict[str, Any] = (
            {"noises": [noise.model_dump(mode="json") for noise in self.noises]} if self.noises else {}
        )
        more |= {"drawn": key_of(self.drawn)} if self.drawn else {}
        return Recipe("shadow_predictions", self.training.facts | self.plan.facts(self.model_id) | more)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the prediction vectors by class, one row group a class; and what was asked besides."""
        records = with_drawn(store, self.training.records, self.drawn)
        asked = self.rows(store)
        model = self.model or self.training.fit(records, asked.rows_in, self.seed)
        rows = np.concatenate([asked.rows_in, asked.rows_out])
        table, right = self._answers(model, records, rows, asked.rows_in)
        labels, is_in = np.asarray(table["label"]), np.asarray(table["is_in"])
        draft.meta |= {"train_accuracy": right[is_in].mean().item(), "test_accuracy": right[~is_in].mean().item()}
        draft.meta["n_in"] = len(asked.rows_in)
        draft.meta |= {"queries": len(rows) + len(asked.besides), "labels": np.unique(labels).tolist()}
        draft.meta["noises"] = [noise.model_dump(mode="json") for noise in self.noises]
        with draft.writer("predictions.parquet", table.schema) as writer:
            for label in draft.meta["labels"]:
                writer.write_table(table.filter(labels == label))
        if len(asked.besides):
            draft.table("compared.parquet", self._answers(model, records, asked.besides, asked.rows_in)[0])
        some = np.concatenate([asked.rows_in[:MOST_NOISY], asked.rows_out[:MOST_NOISY]])
        for i, noise in enumerate(self.noises):
            held = holds(model, records, some, noise, self.training.seed)
            columns = {"record_id": some, "is_in": np.isin(some, asked.rows_in), "robustness": held}
            draft.table(f"noisy-{i}.parquet", pa.table(columns))

    def _answers(self, model: Classifier, records: Records, rows: Ints, rows_in: Ints) -> tuple[pa.Table, Bools]:
        """Return a model's answers as a table, and which of them are right."""
        predictions, labels = ask(model, records, rows)
        columns = [np.full(len(rows), self.model_id), rows, labels, np.isin(rows, rows_in), vector_column(predictions)]
        right = predictions.argmax(axis=1) == labels
        return pa.table(columns, schema=shadow_predictions(len(records.classes))), right

    @property
    def seed(self) -> int:
        """The model's own seed."""
        return integer(self.training.seed, "shadow-model", self.model_id)

    def rows(self, store: Store) -> Asked:
        """Return the model's rows."""
        split = store.open(self.training.split)
        return self.plan.rows(audited_rows(split), pool_rows(store, split, self.drawn), self.model_id)

    @staticmethod
    def together(store: Store, steps: Sequence["ShadowFit"]) -> Iterator["ShadowFit"]:
        """Yield the steps, their networks trained side by side where there is a GPU."""
        training = steps[0].training
        records = with_drawn(store, training.records, steps[0].drawn)
        networks = [training.build(records, step.seed) for step in steps]
        if not on_gpu() or not all_networks(networks):
            yield from steps
            return
        rows = [step.rows(store).rows_in for step in steps]
        own = np.unique(np.concatenate(rows))
        X, y = records.take(own)
        fit_side_by_side(networks, X, y, [np.searchsorted(own, r) for r in rows])
        yield from (replace(step, model=network) for step, network in zip(steps, networks, strict=True))


def unusable(store: Store, drawn: str, shadows: Sequence[ShadowFit]) -> str | None:
    """Say why shadow models cannot be trained on what was drawn, or return None.

    Parameters
    ----------
    store
        Where the artefacts are.
    drawn
        Path of the `shadow_records` artefact.
    shadows
        The shadow models that are to be trained on it.
    """
    labels, meta = Records.open(store, drawn).labels(), store.open(drawn).meta
    found = f"of {meta['n_wanted']} records of shadow data that were to be drawn, {len(labels)} were"
    if len(labels) < 4:
        return f"{found}; shadow models need two classes, IN and OUT"
    split = store.open(shadows[0].training.split)
    audited, pool = audited_rows(split), pool_rows(store, split, drawn)
    for shadow in shadows:
        rows_in = shadow.plan.rows(audited, pool, shadow.model_id).rows_in
        if len(np.unique(labels[rows_in - pool[0]])) < 2:
            return f"{found}, of so few classes that shadow model {shadow.model_id} would be trained on one alone"
    return None
