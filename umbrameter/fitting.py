"""Train the target and ask it; train a shadow model and ask it."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.mitigations import InTraining
from umbrameter.mitigations.dp_sgd import guarantee
from umbrameter.networks import all_networks, fit_side_by_side, on_gpu
from umbrameter.noise import Noise, robustness
from umbrameter.plan import Asked, ShadowPlan
from umbrameter.probabilities import align_probabilities
from umbrameter.records import Records
from umbrameter.seeds import generator, integer
from umbrameter.split import audited_rows, rows_of
from umbrameter.store import Draft, Recipe, Store
from umbrameter.tables import shadow_predictions, target_predictions, vector_column
from umbrameter.targets import TrainedTarget
from umbrameter.typing import Bools, Classifier, Floats, Ints
from umbrameter.work import dump_model, key_of, load_model

BATCH = 2**23
"""Values of features that a model is asked about at once, so that a large query holds one batch of them."""


MOST_NOISY = 250
"""IN records, and OUT records, of which each shadow model is asked about changed copies, at most."""

MOST_POPULATION = 20_000
"""Records of the pool that a target is asked about, at most, for attacks that need answers on non-members."""


@dataclass(frozen=True)
class Training:
    """How a model is trained: on which records, by which estimator, under which mitigations in order, and seed."""

    records: str
    split: str
    target: TrainedTarget
    mitigations: tuple[InTraining, ...]
    seed: int

    @property
    def facts(self) -> dict[str, Any]:
        """What decides a model trained so."""
        return {
            "records": key_of(self.records),
            "split": key_of(self.split),
            "estimator": self.target.estimator.model_dump(mode="json"),
            "mitigations": [mitigation.model_dump(mode="json") for mitigation in self.mitigations],
            "seed": self.seed,
            "versions": self.target.estimator.versions,
        }

    def build(self, records: Records, seed: int) -> Classifier:
        """Return the unfitted model."""
        return self.target.build(seed, self.mitigations, records.categorical, records.binary)

    def fit(self, records: Records, rows: Ints, seed: int) -> Classifier:
        """Train a model on some records."""
        model = self.build(records, seed)
        X, y = records.take(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(X, y)
            except (MemoryError, UmbrameterError):
                raise  # another worker may have more memory; our own errors say what to do
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
        """Write the fitted target as a skops file, and what its training guarantees, if anything."""
        records = Records.open(store, self.training.records)
        members = rows_of(store.open(self.training.split), "member")
        model = self.training.fit(records, members, integer(self.training.seed, "target"))
        draft.data("model.skops", dump_model(model))
        draft.meta["guarantee"] = guarantee(model)


@dataclass(frozen=True)
class _Query:
    """Ask a trained target about some records."""

    target: str
    records: str
    split: str

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which target is asked, and about what it can be."""
        return {"target": key_of(self.target), "records": key_of(self.records), "split": key_of(self.split)}

    def model(self, store: Store) -> Classifier:
        """Return the target."""
        model: Classifier = load_model(store.open(self.target).data("model.skops"))
        return model

    def answer(self, store: Store, draft: Draft, rows: Ints, is_member: Bools) -> None:
        """Write the target's prediction vectors."""
        records = Records.open(store, self.records)
        predictions, labels = ask(self.model(store), records, rows)
        columns = [rows, labels, is_member, vector_column(predictions)]
        draft.table("predictions.parquet", pa.table(columns, schema=target_predictions(len(records.classes))))
        draft.meta["queries"] = len(rows)


@dataclass(frozen=True)
class TargetQuery(_Query):
    """Ask a trained target about members and non-members."""

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("target_predictions", self.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the target's prediction vectors, members first."""
        split = store.open(self.split)
        rows, n_members = audited_rows(split), len(rows_of(split, "member"))
        self.answer(store, draft, rows, np.arange(len(rows)) < n_members)


@dataclass(frozen=True)
class PopulationQuery(_Query):
    """Ask a trained target about records of the pool, which are no members."""

    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("population_predictions", self.facts | {"seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the target's prediction vectors."""
        pool = rows_of(store.open(self.split), "pool")
        rows = np.sort(generator(self.seed, "population").permutation(pool)[:MOST_POPULATION])
        self.answer(store, draft, rows, np.zeros(len(rows), dtype=np.bool_))


@dataclass(frozen=True)
class NoisyQuery(_Query):
    """Ask a trained target for its labels of changed copies of the audited records."""

    noise: Noise
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the answers."""
        return Recipe("noisy_answers", self.facts | {"noise": self.noise.model_dump(mode="json"), "seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the share of copies whose label holds, record by record."""
        rows = audited_rows(store.open(self.split))
        held = holds(self.model(store), Records.open(store, self.records), rows, self.noise, self.seed)
        draft.table("robustness.parquet", pa.table({"record_id": rows, "robustness": held}))
        draft.meta |= {"queries": len(rows) * (1 + self.noise.copies), "noise": self.noise.model_dump(mode="json")}


@dataclass(frozen=True)
class ShadowFit:
    """Train one shadow model and ask it about its IN and its OUT records."""

    training: Training
    plan: ShadowPlan
    model_id: int
    noises: tuple[Noise, ...] = ()
    """Under which its labels are looked at."""
    model: Classifier | None = field(default=None, compare=False)
    """The fitted model, where it was trained side by side with others."""

    @property
    def recipe(self) -> Recipe:
        """What decides the model and its answers; the number of shadow models does not."""
        noises = {"noises": [noise.model_dump(mode="json") for noise in self.noises]} if self.noises else {}
        return Recipe("shadow_predictions", self.training.facts | self.plan.facts(self.model_id) | noises)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the prediction vectors by class, one row group a class; and what was asked besides."""
        records = Records.open(store, self.training.records)
        asked = self.rows(store)
        model = self.model or self.training.fit(records, asked.rows_in, self.seed)
        rows = np.concatenate([asked.rows_in, asked.rows_out])
        table, right = self._answers(model, records, rows, asked.rows_in)
        labels, is_in = np.asarray(table["label"]), np.asarray(table["is_in"])
        draft.meta |= {"train_accuracy": right[is_in].mean().item(), "test_accuracy": right[~is_in].mean().item()}
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
        return self.plan.rows(audited_rows(split), rows_of(split, "pool"), self.model_id)

    @staticmethod
    def together(store: Store, works: Sequence["ShadowFit"]) -> Iterator["ShadowFit"]:
        """Yield the works, their networks trained side by side where there is a GPU."""
        training = works[0].training
        records = Records.open(store, training.records)
        networks = [training.build(records, work.seed) for work in works]
        if not on_gpu() or not all_networks(networks):
            yield from works
            return
        rows = [work.rows(store).rows_in for work in works]
        own = np.unique(np.concatenate(rows))
        X, y = records.take(own)
        fit_side_by_side(networks, X, y, [np.searchsorted(own, r) for r in rows])
        yield from (replace(work, model=network) for work, network in zip(works, networks, strict=True))


def holds(model: Classifier, records: Records, rows: Ints, noise: Noise, seed: int) -> Floats:
    """Return how well a model's label of some records holds under noise, in batches; as of `noise.robustness`."""
    held, n = [], max(1, BATCH // records.n_features)
    for start in range(0, len(rows), n):
        X, y = records.take(rows[start : start + n])
        held.append(robustness(model, X, y, noise, records.categorical, integer(seed, "noise", start)))
    return np.concatenate(held)


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
