"""How a model is trained."""

import warnings
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from umbrameter.errors import DataError, UmbrameterError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import InTraining, wrapped
from umbrameter.records.reader import Records
from umbrameter.store.steps import key_of
from umbrameter.typing import Classifier, Ints


@dataclass(frozen=True)
class Training:
    """How a model is trained: on which records, by which estimator, under which mitigations in order, and seed.

    There is no estimator where the target was trained elsewhere and no attack needs shadow models.
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
    def facts(self) -> dict[str, Any]:
        """What decides a model trained so."""
        return {
            "records": key_of(self.records),
            "split": key_of(self.split),
            "estimator": self._estimator.model_dump(mode="json"),
            "mitigations": [mitigation.model_dump(mode="json") for mitigation in self.mitigations],
            "seed": self.seed,
            "versions": self._estimator.versions,
        }

    def build(self, records: Records, seed: int) -> Classifier:
        """Return the unfitted model."""
        built: Classifier = wrapped(self._estimator.build(seed, records.categorical, records.binary), self.mitigations)
        return built

    def describe(self) -> str:
        """Return the estimator in a few words."""
        return self._estimator.describe()

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
                    f"estimator={self._estimator.describe()} could not be trained on {len(rows)} "
                    f"records: {type(error).__name__}: {error}; change its parameters or the data"
                ) from error
        return model
