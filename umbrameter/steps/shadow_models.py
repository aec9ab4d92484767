"""Train the shadow models, and ask each about its IN and OUT records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.mitigations import PostHoc, answered
from umbrameter.networks import all_networks, fit_side_by_side, on_gpu
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.noise import Noise
from umbrameter.records.parts import audited_rows, pool_rows
from umbrameter.records.reader import RecordReader, Records, with_drawn
from umbrameter.seeds import integer
from umbrameter.shadow_plan import ShadowPlan, ShadowRows
from umbrameter.steps.shadow_records import DrawnMetadata
from umbrameter.steps.target_answers import PREDICTIONS
from umbrameter.steps.training import Training
from umbrameter.store.arrow import places, vector_column, vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import shadow_predictions
from umbrameter.store.steps import key_of
from umbrameter.targets.querying import ask, robustness_to_noise
from umbrameter.typing import Answering, Bools, Classifier, Floats, Ints

MOST_NOISY = 250
"""Most IN records, and most OUT records, about whose changed copies each shadow model is asked."""

COMPARED = "compared.parquet"
"""The file of answers on compared records, if these are not among the model's IN and OUT records."""


class ShadowMetadata(Metadata):
    """Facts about a shadow model that also hold after its answers passed through a learned mitigation.

    Parameters
    ----------
    labels
        The classes of its records, in the order of the row groups of its answers.
    train_accuracy, test_accuracy
        Its accuracy on its IN and OUT records, fractions.
    """

    labels: tuple[int, ...]
    train_accuracy: float
    test_accuracy: float


class ShadowFitMetadata(ShadowMetadata):
    """Facts about a trained shadow model.

    Parameters
    ----------
    n_in
        The number of its IN records.
    noises
        The noises that the robustness of its labels was measured under.
    """

    n_in: int
    noises: tuple[Noise, ...]


@dataclass(frozen=True)
class ShadowFit:
    """Train one shadow model and ask it about its IN and OUT records.

    Parameters
    ----------
    training
        How the model is trained.
    plan, model_id
        The plan of all shadow models, and the number of this one.
    noises
        The noises to measure the robustness of its labels under.
    drawn
        Path of the `shadow_records` artefact, if its records do not come from the pool.
    n_classes
        The length of a prediction vector, if the target knows more classes than the data have.
    model
        The fitted model, if it was trained side by side with others.
    """

    training: Training
    plan: ShadowPlan
    model_id: int
    noises: tuple[Noise, ...] = ()
    drawn: str | None = None
    n_classes: int | None = None
    model: Classifier | None = field(default=None, compare=False)

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the model and its answers; the number of shadow models does not."""
        facts: dict[str, Any] = self.training.facts | self.plan.facts(self.model_id)
        # Left out when empty, so that models without noises or drawn records keep their keys.
        facts |= {"noises": [noise.model_dump(mode="json") for noise in self.noises]} if self.noises else {}
        facts |= {"drawn": key_of(self.drawn)} if self.drawn else {}
        facts |= {"n_classes": self.n_classes} if self.n_classes else {}
        return Recipe("shadow_predictions", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        drawn = (self.drawn,) if self.drawn else ()
        return (self.training.records, self.training.split, *drawn)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the prediction vectors, one row group per class, and the model's other answers."""
        records = with_drawn(store, self.training.records, self.drawn)
        rows = self.rows(store)
        fitted = self.model or self.training.fit(records, rows.rows_in, self.seed)
        model, records = self.training.answering(fitted, records), self.training.reader(records)
        table, is_correct = self._answers(model, records, np.concatenate([rows.rows_in, rows.rows_out]), rows.rows_in)
        labels, is_in = np.asarray(table["label"]), np.asarray(table["is_in"])
        classes = np.unique(labels).tolist()
        with draft.writer(PREDICTIONS, table.schema) as writer:
            for label in classes:
                writer.write_table(table.filter(labels == label))
        if len(rows.compared_rows):
            draft.table(COMPARED, self._answers(model, records, rows.compared_rows, rows.rows_in)[0])
        self._write_robustness(draft, model, records, rows)
        ShadowFitMetadata(
            labels=tuple(classes),
            train_accuracy=is_correct[is_in].mean().item(),
            test_accuracy=is_correct[~is_in].mean().item(),
            n_in=len(rows.rows_in),
            noises=self.noises,
        ).write(draft)

    def _answers(self, model: Answering, records: RecordReader, rows: Ints, rows_in: Ints) -> tuple[pa.Table, Bools]:
        """Return a model's answers as a table, and which of them are correct."""
        predictions, labels = ask(model, records, rows, self.n_classes)
        columns = [np.full(len(rows), self.model_id), rows, labels, np.isin(rows, rows_in), vector_column(predictions)]
        is_correct = predictions.argmax(axis=1) == labels
        return pa.table(columns, schema=shadow_predictions(predictions.shape[1])), is_correct

    def _write_robustness(self, draft: Draft, model: Answering, records: RecordReader, rows: ShadowRows) -> None:
        """Write how well the model's labels of a sample of IN and OUT records withstand each noise."""
        # The plan has the rows in random order, so the first ones are a sample.
        sample = np.concatenate([rows.rows_in[:MOST_NOISY], rows.rows_out[:MOST_NOISY]])
        for i, noise in enumerate(self.noises):
            robustness = robustness_to_noise(model, records, sample, noise, self.training.seed)
            columns = {"record_id": sample, "is_in": np.isin(sample, rows.rows_in), "robustness": robustness}
            draft.table(_noisy_file(i), pa.table(columns))

    @property
    def seed(self) -> int:
        """The model's own seed."""
        return integer(self.training.seed, "shadow-model", self.model_id)

    def rows(self, store: Store) -> ShadowRows:
        """Return the model's rows."""
        split = store.open(self.training.split)
        return self.plan.rows(audited_rows(split), pool_rows(store, split, self.drawn), self.model_id)

    @staticmethod
    def together(store: Store, steps: Sequence["ShadowFit"]) -> Iterator["ShadowFit"]:
        """Yield the steps; on a GPU, networks are trained side by side first."""
        training = steps[0].training
        records = with_drawn(store, training.records, steps[0].drawn)
        networks = [training.build(records, step.seed) for step in steps]
        if training.form != "matrix" or not on_gpu() or not all_networks(networks):
            yield from steps
            return
        rows = [step.rows(store).rows_in for step in steps]
        # Networks share one matrix of the records that any of them needs, and have positions in it.
        union = np.unique(np.concatenate(rows))
        X, y = records.take(union)
        fit_side_by_side(networks, X, y, [np.searchsorted(union, r) for r in rows])
        yield from (replace(step, model=network) for step, network in zip(steps, networks, strict=True))


def read_shadow_robustness(artefacts: Sequence[Artefact]) -> dict[Noise, tuple[Floats, Bools]]:
    """Return how well shadow models' labels withstand each noise, and which records were IN.

    Parameters
    ----------
    artefacts
        `shadow_predictions` artefacts, all with the same noises.

    Returns
    -------
    For each noise, robustness and whether the record was IN, shape (n_models * n_records,) each.
    """
    by_noise: dict[Noise, list[pa.Table]] = {}
    for artefact in artefacts:
        for i, noise in enumerate(ShadowFitMetadata.read(artefact).noises):
            by_noise.setdefault(noise, []).append(artefact.table(_noisy_file(i)))
    tables = {noise: pa.concat_tables(parts) for noise, parts in by_noise.items()}
    return {noise: (np.asarray(t["robustness"]), np.asarray(t["is_in"])) for noise, t in tables.items()}


def read_compared(artefact: Artefact, rows: Ints, mitigations: Sequence[PostHoc]) -> Vectors:
    """Return a shadow model's answers on some of the records on which models are compared, each marked IN or OUT.

    Parameters
    ----------
    artefact
        `shadow_predictions`, or these passed through a learned mitigation.
    rows
        Row numbers of the records.
    mitigations
        The mitigations that the answers pass through, in order.
    """
    table = artefact.table(COMPARED if COMPARED in artefact.files else PREDICTIONS)
    return _vectors(table.take(places(np.asarray(table["record_id"]), rows)), mitigations)


def read_trained(artefact: Artefact, mitigations: Sequence[PostHoc]) -> tuple[Ints, Vectors]:
    """Return the row numbers of a shadow model's IN records, and its answers on them; see `read_compared`."""
    table = artefact.table(PREDICTIONS)
    table = table.filter(table["is_in"])
    return np.asarray(table["record_id"]), _vectors(table, mitigations)


def _vectors(table: pa.Table, mitigations: Sequence[PostHoc]) -> Vectors:
    predictions = answered(vectors(table["prediction"]), mitigations)
    return Vectors(predictions, np.asarray(table["label"]).astype(np.int64), np.asarray(table["is_in"]))


def unusable_shadow_data(store: Store, drawn: str, shadows: Sequence[ShadowFit]) -> str | None:
    """Return why shadow models cannot be trained on drawn records, or None if they can.

    Parameters
    ----------
    store
        The store of the artefacts.
    drawn
        Path of the `shadow_records` artefact.
    shadows
        The steps that would train shadow models on these records.
    """
    labels, meta = Records.open(store, drawn).labels(), DrawnMetadata.read(store.open(drawn))
    shortage = f"only {len(labels)} of {meta.n_wanted} records of shadow data could be drawn"
    # Two records IN and two OUT, each of two classes, are the least to train and attack a shadow model with.
    if len(labels) < 4:
        return f"{shortage}; shadow models need two classes, IN and OUT"
    split = store.open(shadows[0].training.split)
    audited, pool = audited_rows(split), pool_rows(store, split, drawn)
    for shadow in shadows:
        rows_in = shadow.plan.rows(audited, pool, shadow.model_id).rows_in
        if len(np.unique(labels[rows_in - pool[0]])) < 2:  # drawn records are numbered after the real ones
            return f"{shortage}, of so few classes that shadow model {shadow.model_id} would be trained on a single one"
    return None


def _noisy_file(place: int) -> str:
    return f"noisy-{place}.parquet"
