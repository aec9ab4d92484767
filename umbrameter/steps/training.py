"""How the target and the shadow models are trained."""

import warnings
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.estimators import Estimator, Form, global_seed, with_coded_weights
from umbrameter.mitigations import InTraining, as_settings, wrapped
from umbrameter.mitigations.label_only import LabelClassifier
from umbrameter.records.reader import RecordReader
from umbrameter.store.steps import key_of
from umbrameter.targets.columns import Columns, given
from umbrameter.targets.source_models import OnSource
from umbrameter.typing import Answering, Classifier, Ints


@dataclass(frozen=True)
class Training:
    """The records, estimator, mitigations and seed of a training.

    Parameters
    ----------
    records, split
        Paths of the `records` and `split` artefacts.
    estimator
        The estimator; None if the target was trained elsewhere and no attack needs shadow models.
    mitigations
        The mitigations that act in the training, in order.
    seed
        The audit's seed.
    """

    records: str
    split: str
    estimator: Estimator | None
    mitigations: tuple[InTraining, ...]
    seed: int

    @property
    def _estimator(self) -> Estimator:
        if self.estimator is None:
            raise ValueError("there is no estimator to train")
        return self.estimator

    @property
    def needs_secret(self) -> bool:
        """Whether the target's random numbers must be secret, for the privacy that its mitigations claim."""
        claiming = [mitigation for mitigation in self.mitigations if mitigation.claims_privacy]
        return bool(claiming) and all(mitigation.needs_secret for mitigation in claiming)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that determine a trained model, besides its rows."""
        return {
            "records": key_of(self.records),
            "split": key_of(self.split),
            "estimator": self._estimator.facts,
            "mitigations": as_settings(self.mitigations),
            "seed": self.seed,
            "versions": self._estimator.versions,
        }

    def build(self, records: RecordReader, seed: int | None) -> Classifier:
        """Return the unfitted model.

        Parameters
        ----------
        records
            The records, whose columns determine what is encoded and scaled.
        seed
            The model's own seed; None for random numbers that nobody can draw again.
        """
        meta, estimator = records.metadata, self._estimator
        built = estimator.build(seed, meta.categorical, meta.binary)
        if estimator.form != "matrix":
            built = with_coded_weights(built, meta.classes)
        model: Classifier = wrapped(built, self.mitigations)
        return model if estimator.answers_probabilities else LabelClassifier(model)

    @property
    def form(self) -> Form:
        """How records are given to the model."""
        return self._estimator.form

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns that the model reads, if it takes a frame and does not read all."""
        return self._estimator.columns

    def reader(self, records: RecordReader) -> RecordReader:
        """Return the records as the model takes them."""
        return records if self.form == "matrix" else records.as_source

    def answering(self, model: Classifier, records: RecordReader) -> Answering:
        """Return a fitted model so that it answers what `reader` returns."""
        return model if self.form == "matrix" else OnSource(model, Columns.of(records), self.form, self.columns)

    @property
    def _advice(self) -> str:
        # What a frame may hold and a matrix never does.
        return "" if self.form == "matrix" else ", or set its takes to matrix to have text and categories encoded"

    def describe(self) -> str:
        """Return the estimator in a few words."""
        return self._estimator.describe()

    def fit(self, records: RecordReader, rows: Ints, seed: int | None) -> Classifier:
        """Train a model.

        Parameters
        ----------
        records, rows
            The records, and the rows to train on, shape (n_rows,).
        seed
            The model's own seed; None for random numbers that nobody can draw again.

        Raises
        ------
        DataError
            When the estimator cannot be trained on them; the message has its parameters and the cause.
        """
        model = self.build(records, seed)
        X, y = self.reader(records).take(rows)
        if self.form != "matrix":
            X = given(X, Columns.of(records), self.columns, as_frame=self.form == "frame")
        with warnings.catch_warnings():
            # How many iterations to run is the choice of whoever set the parameters, so no warning about it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                with global_seed(model, seed):
                    model.fit(X, y)
            except (MemoryError, UmbrameterError):
                raise  # another worker may have more memory; our own errors say what to do
            except Exception as error:  # a user's estimator may raise anything, and would again
                raise DataError(
                    f"estimator={self.describe()} could not be trained on {len(rows)} records: "
                    f"{type(error).__name__}: {error}; change its parameters or the data{self._advice}"
                ) from error
        return model
