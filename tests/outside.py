"""Classes as a third-party package would define them: an attack with its own input and step, and so on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from sklearn.dummy import DummyRegressor

from umbrameter.attacks import Attack, Input, Signals
from umbrameter.mitigations import LearnedPostHoc, MitigatedClassifier
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.parts import audited_rows
from umbrameter.records.reader import Records
from umbrameter.steps.inputs import Available, Reading, read_input, steps_of
from umbrameter.steps.target_answers import QueryMetadata, QueryStep
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.targets import ExternalTarget
from umbrameter.targets.connection import Connection, ConnectionContext
from umbrameter.targets.querying import aligned_answers
from umbrameter.typing import Array, Bools, Floats


@dataclass(frozen=True)
class StretchedConfidence(Input):
    """The target's confidence in the label of each record with all its features a little larger."""

    label: ClassVar[str] = "stretched records"
    asks_target: ClassVar[bool] = True
    factor: float


class Stretch(Attack):
    """Score by the confidence in the label where the record is stretched."""

    kind: Literal["tests.outside.Stretch"] = Field("tests.outside.Stretch", description="Confidence when stretched.")
    factor: float = Field(1.5, gt=1, description="By which features are multiplied.")

    @property
    def label(self) -> str:
        return f"stretch({self.factor:g})"

    @property
    def inputs(self) -> frozenset[Input]:
        return frozenset({StretchedConfidence(self.factor)})

    @property
    def assumption(self) -> str:
        return "the attacker asks the model about the record and about a stretched one"

    def score(self, signals: Signals) -> Floats:
        return signals.extra[StretchedConfidence(self.factor)]

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        return None


@dataclass(frozen=True)
class StretchedQuery(QueryStep):
    """Ask the target about stretched records."""

    purpose = "stretched records"
    split: str
    factor: float

    @property
    def recipe(self) -> Recipe:
        facts = {"target": key_of(self.target), "split": key_of(self.split), "factor": self.factor, "version": 1}
        return Recipe("stretched_answers", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.target, self.records, self.split

    def n_queries(self, store: Store) -> int:
        return len(audited_rows(store.open(self.split)))

    def make(self, store: Store, draft: Draft) -> None:
        records = Records.open(store, self.records)
        X, y = records.take(audited_rows(store.open(self.split)))
        answers = aligned_answers(self.model(store), len(records.classes))(X * np.float32(self.factor))
        draft.table("confidence.parquet", pa.table({"confidence": answers[np.arange(len(y)), y]}))
        QueryMetadata(queries=len(y)).write(draft)


@steps_of.register
def _stretched(entry: StretchedConfidence, available: Available) -> tuple[StretchedQuery, ...]:
    return (StretchedQuery(available.target, available.records, available.split, entry.factor),)


@read_input.register
def _read_stretched(entry: StretchedConfidence, artefacts: Sequence[Artefact], reading: Reading) -> dict[str, Any]:
    return {"extra": {entry: np.asarray(artefacts[0].table("confidence.parquet")["confidence"])}}


class Blend(LearnedPostHoc):
    """Blend answers with the mean answer of shadow models on OUT records."""

    kind: Literal["tests.outside.Blend"] = Field("tests.outside.Blend", description="Answers nearer to the mean one.")
    share: float = Field(0.5, ge=0, lt=1, description="Share of the mean answer.")

    @property
    def label(self) -> str:
        return f"blend({self.share:g})"

    def fit(self, shadow: Vectors, seed: int) -> "Blended":
        out = shadow.predictions[~np.asarray(shadow.is_in)]
        return Blended(self, DummyRegressor().fit(np.zeros((len(out), 1)), out))

    def restore(self, model: Any, seed: int) -> "Blended":
        return Blended(self, model)


@dataclass(frozen=True)
class Blended:
    """The mitigation after it has learned."""

    mitigation: Blend
    model: DummyRegressor

    def transform(self, predictions: Floats) -> Floats:
        mean = self.model.constant_.ravel().astype(predictions.dtype)
        share = predictions.dtype.type(self.mitigation.share)
        return np.asarray((1 - share) * predictions + share * mean)

    def wrap(self, estimator: Any) -> MitigatedClassifier:
        return MitigatedClassifier(estimator, self)


class Threshold(ExternalTarget):
    """A model of two classes that looks at the first feature alone, and was too sure of its training records."""

    kind: Literal["tests.outside.Threshold"] = Field("tests.outside.Threshold", description="One feature, two classes.")
    steepness: float = Field(4.0, gt=0, description="How sure it is of records far from 0.")

    def connect(self, context: ConnectionContext) -> Connection:
        model = Logistic(self.steepness)
        return Connection({"kind": self.kind, "steepness": self.steepness}, "a threshold on one feature", model)


class Logistic:
    """A logistic function of the first feature."""

    classes_ = np.array([0, 1])

    def __init__(self, steepness: float):
        self.steepness = steepness

    def predict_proba(self, X: Array) -> Floats:
        one = 1 / (1 + np.exp(-self.steepness * X[:, 0]))
        return np.column_stack([1 - one, one])
