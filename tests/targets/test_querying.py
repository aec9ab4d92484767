"""Any model, asked in batches: the same answers in every size of batch, over all classes, or an error that says why."""

from typing import Any

import numpy as np
import pytest

from tests.targets.people import Softmax, people
from umbrameter.errors import DataError, StoreError, TargetError
from umbrameter.records.noise import Noise, robustness
from umbrameter.records.reader import Records
from umbrameter.seeds import integer
from umbrameter.targets import querying
from umbrameter.targets.querying import aligned_answers, ask, robustness_to_noise
from umbrameter.typing import Floats

NOISE = Noise(copies=4, rate=0.3)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return people(tmp_path_factory.mktemp("people"))


class Coded(Softmax):
    """Answers over the data's classes by their numbers; of one that is left out nothing is known."""

    def __init__(self, classes: tuple[int, ...] = (0, 1, 2), error: Exception | None = None):
        super().__init__()
        self.classes_, self.error = np.array(classes), error
        self.sizes: list[int] = []

    def predict_proba(self, X: Any) -> Floats:
        if self.error is not None:
            raise self.error
        self.sizes.append(len(X))
        answers = super().predict_proba(X)[:, self.classes_]
        return answers / answers.sum(axis=1, keepdims=True)


# Batches


@pytest.mark.parametrize("batch", [1, 7, 50, 2**23])
def test_answers_are_the_same_in_batches_of_any_size(
    records: Records, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    rows = np.random.default_rng(0).permutation(records.n_records)
    X, y = records.take(rows)
    monkeypatch.setattr(querying, "BATCH", batch * records.n_features)
    model = Coded()
    predictions, labels = ask(model, records, rows)
    assert np.array_equal(predictions, Coded().predict_proba(X).astype(np.float32)) and np.array_equal(labels, y)
    assert predictions.dtype == np.float32 and max(model.sizes) <= batch
    assert sum(model.sizes) == len(rows)


def test_rows_may_repeat_and_come_in_any_order(records: Records) -> None:
    rows = np.array([5, 5, 0, 119, 5])
    predictions, labels = ask(Coded(), records, rows)
    assert np.array_equal(predictions[0], predictions[1]) and np.array_equal(predictions[0], predictions[4])
    assert labels.tolist() == (rows % 3).tolist()


@pytest.mark.parametrize("batch", [1, 40, 2**23])
def test_noise_is_drawn_batch_by_batch_from_the_same_seeds(
    records: Records, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(querying, "BATCH", batch * records.n_features)
    rows = np.arange(90)
    expected = []
    for start in range(0, 90, batch):
        X, y = records.take(rows[start : start + batch])
        seed = integer(3, "noise", start)
        expected.append(robustness(Coded(), X, y, NOISE, records.categorical, seed))
    found = robustness_to_noise(Coded(), records, rows, NOISE, 3)
    assert np.array_equal(found, np.concatenate(expected))
    assert found.shape == (90,) and found.min() >= 0 and found.max() <= 1


def test_robustness_asks_about_every_copy_and_the_records_themselves(records: Records) -> None:
    model = Coded()
    robustness_to_noise(model, records, np.arange(60), NOISE, 0)
    assert model.n_asked == 60 * (1 + NOISE.copies)


# Classes


@pytest.mark.parametrize("classes", [(0, 2), (1, 2), (2, 0), (2, 1, 0)])
def test_answers_land_under_their_classes_and_unknown_ones_get_0(records: Records, classes: tuple[int, ...]) -> None:
    X = records.take(np.arange(20))[0]
    answers = aligned_answers(Coded(classes), 3)(X)
    raw = Coded(classes).predict_proba(X)
    for column, label in enumerate(classes):
        assert np.allclose(answers[:, label], raw[:, column], atol=1e-6)
    assert (np.delete(answers, classes, axis=1) == 0).all()


def test_coarse_answers_need_not_sum_to_1_where_the_model_says_so(records: Records) -> None:
    class Rounded(Coded):
        is_coarse = True

        def predict_proba(self, X: Any) -> Floats:
            return super().predict_proba(X).round(1) * np.float32(0.9)

    X = records.take(np.arange(9))[0]
    assert np.array_equal(aligned_answers(Rounded(), 3)(X), Rounded().predict_proba(X).astype(np.float32))
    Rounded.is_coarse = False
    with pytest.raises(DataError):
        aligned_answers(Rounded(), 3)(X)


# Errors


def test_what_a_model_raises_is_told_with_how_much_it_was_asked(records: Records) -> None:
    with pytest.raises(DataError, match=r"Coded could not answer 12 records: ValueError: needs 4 features"):
        ask(Coded(error=ValueError("needs 4 features")), records, np.arange(12))


@pytest.mark.parametrize("error", [MemoryError(), StoreError("root='x' is full"), TargetError("target.budget=1")])
def test_errors_that_say_what_to_do_come_out_as_they_are(records: Records, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        ask(Coded(error=error), records, np.arange(3))
    assert caught.value is error


@pytest.mark.parametrize(
    "answers",
    [np.full((4, 3), np.nan), np.full((4, 3), 0.5), np.array([[1.5, -0.5, 0]] * 4)],
    ids=["no numbers", "no sum of 1", "out of range"],
)
def test_answers_that_are_no_probabilities_are_refused(records: Records, answers: Any) -> None:
    class Nonsense(Coded):
        def predict_proba(self, X: Any) -> Floats:
            return np.asarray(answers, dtype=np.float64)

    with pytest.raises(DataError, match=r"for record 0 \(4 such"):
        ask(Nonsense(), records, np.arange(4))
