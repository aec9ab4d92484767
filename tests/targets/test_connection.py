"""Who a target is: told by its answers on made-up records, kept under a name, and given up once it has changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.people import Softmax, dealt, people
from umbrameter.errors import TargetError
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.store.artefacts import Store
from umbrameter.targets.columns import same
from umbrameter.targets.connection import (
    Connection,
    MutableConnection,
    draw_canaries,
    identify,
    known_answers,
)
from umbrameter.typing import Floats

FACTS = {"kind": "endpoint", "url": "https://models.example/churn"}
CANARIES = 155 + np.arange(32, dtype=np.float32).reshape(16, 2)


def answering(seed: int, n: int = 16) -> Floats:
    """Return one model's answers, unlike those of another seed."""
    return np.random.default_rng(seed).dirichlet(np.ones(3), n).astype(np.float32)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return people(tmp_path_factory.mktemp("people"))


# Canaries


def test_canaries_are_nobody_s_record_but_made_of_non_members_values(records: Records) -> None:
    split = dealt(records)
    canaries = draw_canaries(records, split, 30)
    outside = records.own(rows_of(split, "nonmember"))
    assert canaries.schema.equals(outside.schema)
    for canary, known in zip(canaries.columns, outside.columns, strict=True):
        assert sorted(canary.to_pylist()) == sorted(known.to_pylist())  # each column is the non-members', dealt anew
    everybody = {tuple(row.values()) for row in records.own(np.arange(records.n_records)).to_pylist()}
    assert sum(tuple(row.values()) in everybody for row in canaries.to_pylist()) <= 1


def test_fewer_canaries_are_drawn_where_there_are_fewer_non_members(records: Records) -> None:
    assert [len(draw_canaries(records, dealt(records), n)) for n in (1, 16, 30, 500)] == [1, 16, 30, 30]


def test_canaries_are_the_same_in_every_run_and_others_for_another_split(records: Records) -> None:
    first, second = (draw_canaries(records, dealt(records), 16) for _ in range(2))
    other = draw_canaries(records, dealt(records, seed=1), 16)
    assert first.equals(second) and not first.equals(other)


# Identities


def generation(store: Store, answers: Floats, **facts: Any) -> int:
    return int(identify(store, FACTS | facts, CANARIES, answers)["generation"])


def test_a_model_that_was_met_before_is_known_again(tmp_path: Path) -> None:
    first = identify(Store(tmp_path), FACTS, CANARIES, answering(0))
    again = identify(Store(tmp_path), FACTS, CANARIES, answering(0))
    assert first == again and first.items() > FACTS.items() and first["generation"] == 0


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_models_are_numbered_in_the_order_in_which_they_were_first_met(
    tmp_path_factory: pytest.TempPathFactory, met: list[int]
) -> None:
    store, order = Store(tmp_path_factory.mktemp("store")), list(dict.fromkeys(met))
    assert [generation(store, answering(model)) for model in met] == [order.index(model) for model in met]


def test_answers_that_differ_in_the_last_digits_are_one_model_s(tmp_path: Path) -> None:
    store, answers = Store(tmp_path), answering(0)
    assert generation(store, answers) == 0
    assert generation(store, np.roll(answers, 0) + np.float32(5e-5)) == 0
    assert generation(store, answers + np.float32(2e-3)) == 1


def test_one_answer_of_many_tells_two_models_apart(tmp_path: Path) -> None:
    store, answers = Store(tmp_path), answering(0)
    other = answers.copy()
    other[7] = other[7][::-1]
    assert [generation(store, answers), generation(store, other)] == [0, 1]


@pytest.mark.parametrize("facts", [{"url": "https://models.example/other"}, {"labels": ["a", "b", "c"]}])
def test_another_name_is_another_target_though_it_answers_alike(tmp_path: Path, facts: dict[str, Any]) -> None:
    store = Store(tmp_path)
    assert generation(store, answering(0)) == generation(store, answering(0), **facts) == 0
    assert generation(store, answering(1)) == 1
    assert len(list(tmp_path.glob("store/identities/*"))) == 3


def test_other_canaries_are_another_question(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = identify(store, FACTS, CANARIES, answering(0))
    other = identify(store, FACTS, CANARIES + 1, answering(1))
    assert first["canaries"] != other["canaries"] and other["generation"] == 0


def test_the_answers_are_kept_as_they_came(tmp_path: Path) -> None:
    store, answers = Store(tmp_path), answering(0)
    identity = identify(store, FACTS, CANARIES, answers)
    kept = known_answers(store, identity)
    assert np.array_equal(kept, answers) and kept.dtype == np.float32


def test_no_record_is_kept_with_an_identity(tmp_path: Path, records: Records) -> None:
    canaries = draw_canaries(records, dealt(records), 16)
    identify(Store(tmp_path), FACTS, canaries, answering(0))
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    heights = canaries["height"].to_numpy()  # float32, as in the file
    assert not any(np.dtype(kind).type(height).tobytes() in written for height in heights for kind in ("f4", "f8"))


# Targets that change


def connection(store: Store, model: Any, **options: Any) -> MutableConnection:
    answers = np.asarray(model.predict_proba(CANARIES), dtype=np.float32)
    identity = identify(store, FACTS, CANARIES, answers)
    return MutableConnection(identity, "the churn model", model, store, CANARIES, **options)


def test_a_target_that_stays_the_same_passes_and_leaves_no_mark(tmp_path: Path) -> None:
    store, model = Store(tmp_path), Softmax()
    met = connection(store, model)
    met.verify_unchanged()
    met.verify_unchanged()
    assert model.n_asked == 3 * len(CANARIES)
    assert len(list(tmp_path.glob("store/identities/*"))) == 1


def test_a_target_that_changed_is_refused_and_the_error_says_how_much_was_asked(tmp_path: Path) -> None:
    model = Softmax()
    met = connection(Store(tmp_path), model)
    model.sharpness = 0.3
    with pytest.raises(TargetError, match=r"the churn model .* 16 records"):
        met.verify_unchanged()


def test_a_model_that_was_replaced_meanwhile_is_never_taken_for_the_first_one_again(tmp_path: Path) -> None:
    """Answers that were kept under a spoilt identity may be of two models: whoever comes next is asked anew."""
    store, model = Store(tmp_path), Softmax(0.1)
    met = connection(store, model)
    model.sharpness = 0.3
    with pytest.raises(TargetError):
        met.verify_unchanged()
    first_again, second = connection(store, Softmax(0.1)), connection(store, Softmax(0.3))
    assert [met.facts["generation"], first_again.facts["generation"], second.facts["generation"]] == [0, 1, 2]
    first_again.verify_unchanged()
    assert connection(store, Softmax(0.1)).facts == first_again.facts


def test_random_answers_are_a_new_model_each_time_and_spoil_each(tmp_path: Path) -> None:
    class Random(Softmax):
        def predict_proba(self, X: Any) -> Floats:
            self.sharpness *= 1.7
            return super().predict_proba(X)

    store, model = Store(tmp_path), Random()
    for expected in (0, 1, 2):
        met = connection(store, model)
        assert met.facts["generation"] == expected
        with pytest.raises(TargetError):
            met.verify_unchanged()


def test_only_the_canaries_are_asked_about_again_by_whatever_way_is_given(tmp_path: Path) -> None:
    store, model = Store(tmp_path), Softmax()
    asked: list[Floats] = []

    def anew(X: Floats) -> Floats:
        asked.append(X)
        return model.predict_proba(X)

    met = connection(store, model, ask=anew)
    met.verify_unchanged()
    assert len(asked) == 1 and np.array_equal(asked[0], CANARIES)


# A target that cannot change


def test_what_cannot_change_has_no_budget_no_ledger_and_nothing_to_verify() -> None:
    plain = Connection({"kind": "predictions"}, "stored answers", object())
    plain.verify_unchanged()
    plain.close()
    with plain.querying("audited records"):
        pass
    assert (plain.budget, plain.n_canaries, plain.n_sent(), plain.n_sent_ever()) == (None, 0, None, 0)
    assert (plain.n_witnesses(10**6, 9), plain.n_answered(), plain.files()) == (0, {}, {})


def test_the_facts_are_a_copy_that_nobody_changes_by_accident() -> None:
    facts = {"kind": "predictions"}
    plain = Connection(facts, "stored answers", None)
    facts["kind"] = "endpoint"
    assert plain.facts == {"kind": "predictions"}


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 9), st.floats(0, 2e-4, allow_nan=False), st.integers(0, 47))
def test_being_the_same_is_symmetric_and_holds_of_itself(seed: int, moved: float, place: int) -> None:
    a = answering(seed).astype(np.float64)
    b = a.copy()
    b.flat[place] += moved
    assert same(a, a) and same(a, b) == same(b, a)
    assert same(a, b) == (abs(b.flat[place] - a.flat[place]) <= 1e-4 and bool((a.argmax(1) == b.argmax(1)).all()))


@pytest.mark.parametrize("other", [answering(0, 15), answering(0)[:, :2], np.full((16, 3), np.nan, np.float32)])
def test_answers_of_another_shape_or_none_at_all_are_another_model_s(other: Floats) -> None:
    assert not same(answering(0), other)
