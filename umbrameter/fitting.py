"""Train the target and ask it; train a shadow model and ask it."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning

from umbrameter.errors import DataError
from umbrameter.mitigations import InTraining
from umbrameter.networks import all_networks, fit_side_by_side, on_gpu
from umbrameter.plan import ShadowPlan
from umbrameter.probabilities import align_probabilities
from umbrameter.records import Records
from umbrameter.seeds import integer
from umbrameter.split import rows_of
from umbrameter.store import Draft, Recipe, Store
from umbrameter.tables import shadow_predictions, target_predictions, vector_column
from umbrameter.targets import TrainedTarget
from umbrameter.typing import Classifier, Floats, Ints
from umbrameter.work import dump_model, key_of, load_model

BATCH = 2**23
"""Values of features that a model is asked about at once, so that a large query holds one batch of them."""


@dataclass(frozen=True)
class Training:
    """How a model is trained: on which records, by which estimator, under which mitigation and seed."""

    records: str
    split: str
    target: TrainedTarget
    mitigation: InTraining | None
    seed: int

    @property
    def facts(self) -> dict[str, Any]:
        """What decides a model trained so."""
        return {
            "records": key_of(self.records),
            "split": key_of(self.split),
            "estimator": self.target.estimator.model_dump(mode="json"),
            "mitigation": None if self.mitigation is None else self.mitigation.model_dump(mode="json"),
            "seed": self.seed,
            "versions": self.target.estimator.versions,
        }

    def build(self, records: Records, seed: int) -> Classifier:
        """Return the unfitted model."""
        return self.target.build(seed, self.mitigation, records.categorical, records.binary)

    def fit(self, records: Records, rows: Ints, seed: int) -> Classifier:
        """Train a model on some records."""
        model = self.build(records, seed)
        X, y = records.take(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(X, y)
            except MemoryError:
                raise  # another worker may have more
            except Exception as error:  # whatever somebody's estimator raises will be raised again
                raise DataError(
                    f"target.estimator={self.target.estimator.describe()} could not be trained on {len(rows)} "
                    f"records: {type(error).__name__}: {error}; change its parameters or the data"
                ) from error
        return model


@dataclass(frozen=True)
class TargetFit:
    """Train the target on the members."""

    training: Training

    @property
    def recipe(self) -> Recipe:
        """What decides the target."""
        return Recipe("targets", self.training.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the fitted target as a skops file."""
        records = Records.open(store, self.training.records)
        members = rows_of(store.open(self.training.split), "member")
        draft.data(
            "model.skops", dump_model(self.training.fit(records, members, integer(self.training.seed, "target")))
        )


@dataclass(frozen=True)
class TargetQuery:
    """Ask a trained target about members and non-members."""

    target: str
    records: str
    split: str

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        facts = {"target": key_of(self.target), "records": key_of(self.records), "split": key_of(self.split)}
        return Recipe("target_predictions", facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the target's prediction vectors, members first."""
        records, split = Records.open(store, self.records), store.open(self.split)
        model = load_model(store.open(self.target).data("model.skops"))
        members, others = rows_of(split, "member"), rows_of(split, "nonmember")
        rows = np.concatenate([members, others])
        predictions, labels = ask(model, records, rows)
        columns = [rows, labels, np.arange(len(rows)) < len(members), vector_column(predictions)]
        draft.table("predictions.parquet", pa.table(columns, schema=target_predictions(len(records.classes))))
        draft.meta["queries"] = len(rows)


@dataclass(frozen=True)
class ShadowFit:
    """Train one shadow model and ask it about its IN and its OUT records."""

    training: Training
    plan: ShadowPlan
    model_id: int
    model: Classifier | None = field(default=None, compare=False)
    """The fitted model, where it was trained side by side with others."""

    @property
    def recipe(self) -> Recipe:
        """What decides the model and its answers; the number of shadow models does not."""
        facts = {"size": self.plan.size, "n_out": self.plan.n_out, "model_id": self.model_id}
        return Recipe("shadow_predictions", self.training.facts | facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the prediction vectors by class, one row group a class."""
        records = Records.open(store, self.training.records)
        rows_in, rows_out = self.rows(store)
        model = self.model or self.training.fit(records, rows_in, self.seed)
        rows = np.concatenate([rows_in, rows_out])
        predictions, labels = ask(model, records, rows)
        is_in = np.arange(len(rows)) < len(rows_in)
        right = predictions.argmax(axis=1) == labels
        draft.meta |= {"train_accuracy": right[is_in].mean().item(), "test_accuracy": right[~is_in].mean().item()}
        draft.meta |= {"queries": len(rows), "labels": np.unique(labels).tolist()}
        columns = [np.full(len(rows), self.model_id), rows, labels, is_in, vector_column(predictions)]
        table = pa.table(columns, schema=shadow_predictions(len(records.classes)))
        with draft.writer("predictions.parquet", table.schema) as writer:
            for label in draft.meta["labels"]:
                writer.write_table(table.filter(labels == label))

    @property
    def seed(self) -> int:
        """The model's own seed."""
        return integer(self.training.seed, "shadow-model", self.model_id)

    def rows(self, store: Store) -> tuple[Ints, Ints]:
        """Return the IN rows and the OUT rows."""
        return self.plan.rows(rows_of(store.open(self.training.split), "pool"), self.model_id)

    @staticmethod
    def together(store: Store, works: Sequence["ShadowFit"]) -> Iterator["ShadowFit"]:
        """Yield the works, their networks trained side by side where there is a GPU."""
        training = works[0].training
        records = Records.open(store, training.records)
        networks = [training.build(records, work.seed) for work in works]
        if not on_gpu() or not all_networks(networks):
            yield from works
            return
        rows = [work.rows(store)[0] for work in works]
        own = np.unique(np.concatenate(rows))
        X, y = records.take(own)
        fit_side_by_side(networks, X, y, [np.searchsorted(own, r) for r in rows])
        yield from (replace(work, model=network) for work, network in zip(works, networks, strict=True))


def ask(model: Classifier, records: Records, rows: Ints) -> tuple[Floats, Ints]:
    """Return a model's prediction vectors on some records, in batches, and the records' labels.

    Returns
    -------
    predictions
        float32, shape (n_records, n_classes); a class that the model has never seen gets 0.
    labels
        Shape (n_records,).
    """
    answers, labels, n = [], [], max(1, BATCH // records.n_features)
    for start in range(0, len(rows), n):
        X, y = records.take(rows[start : start + n])
        try:
            found = model.predict_proba(X)
        except MemoryError:
            raise
        except Exception as error:
            raise DataError(
                f"{type(model).__name__} could not answer {len(X)} records: {type(error).__name__}: {error}; "
                "change its parameters"
            ) from error
        answers.append(align_probabilities(found, model.classes_, len(records.classes)))
        labels.append(y)
    return np.concatenate(answers).astype(np.float32), np.concatenate(labels)
