"""How the target and the shadow models are trained."""

import warnings
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import InTraining, as_settings, wrapped
from umbrameter.records.reader import RecordReader
from umbrameter.store.steps import key_of
from umbrameter.typing import Classifier, Ints


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
            "estimator": self._estimator.model_dump(mode="json"),
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
        meta = records.metadata
        model: Classifier = wrapped(self._estimator.build(seed, meta.categorical, meta.binary), self.mitigations)
        return model

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
        X, y = records.take(rows)
        with warnings.catch_warnings():
            # How many iterations to run is the choice of whoever set the parameters, so no warning about it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(X, y)
            except (MemoryError, UmbrameterError):
                raise  # another worker may have more memory; our own errors say what to do
            except Exception as error:  # a user's estimator may raise anything, and would again
                raise DataError(
                    f"estimator={self.describe()} could not be trained on {len(rows)} "
                    f"records: {type(error).__name__}: {error}; change its parameters or the data"
                ) from error
        return model
