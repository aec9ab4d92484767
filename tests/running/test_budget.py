"""Queries counted before any is made: what is needed, what is there, what was answered, and what may still be sent."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.external_targets.connectors import most_witnesses
from tasks.external_targets.endpoint import FEWEST, WITNESSES, own_records
from umbrameter.errors import TargetError
from umbrameter.running.budget import announce
from umbrameter.steps.target_answers import QueryMetadata, QueryStep
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.steps import ensure
from umbrameter.targets.connection import Connection


@dataclass(frozen=True)
class Question(QueryStep):
    """A step that asks about so many records, in so many calls."""

    purpose: ClassVar[str] = "questions"
    name: str = ""
    n: int = 0
    calls: int = 1

    @property
    def recipe(self) -> Recipe:
        return Recipe("questions", {"name": self.name, "n": self.n, "purpose": self.purpose})

    def make(self, store: Store, draft: Draft) -> None:
        QueryMetadata(queries=self.n).write(draft)

    def n_queries(self, store: Store) -> int:
        return self.n

    def most_calls(self, store: Store, n: int) -> int:
        return self.calls


class Other(Question):
    purpose: ClassVar[str] = "other questions"


def question(n: int, name: str = "a", calls: int = 1, other: bool = False) -> Question:
    return (Other if other else Question)("target", "records", name=name, n=n, calls=calls)


class Account(Connection):
    """A connection that knows what was sent, and takes one known record along with every tenth of a call."""

    def __init__(
        self,
        budget: int | None = None,
        canaries: int = 0,
        sent: int = 0,
        answered: Mapping[str, int] | None = None,
        witnesses: bool = False,
    ):
        super().__init__({}, "an account", None)
        self.budget, self.n_canaries, self._sent = budget, canaries, sent
        self._answered, self._witnesses = dict(answered or {}), witnesses

    def n_sent_ever(self) -> int:
        return self._sent

    def n_answered(self) -> Mapping[str, int]:
        return self._answered

    def n_witnesses(self, n_records: int, n_calls: int) -> int:
        return n_records // 10 + n_calls if self._witnesses else 0


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def announced(caplog: pytest.LogCaptureFixture, *arguments: Any) -> list[int]:
    """Return the numbers in what is said: all queries, then those of each purpose, then the checks."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="umbrameter.audit"):
        announce(*arguments)
    (notice,) = caplog.records
    assert notice.is_notice is True  # type: ignore[attr-defined]
    return numbers(notice.getMessage())


# What is said


def test_what_is_needed_is_said_by_purpose_and_all_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    steps = [question(30), question(1200, "b"), question(7, other=True)]
    assert announced(caplog, Store(tmp_path), Account(canaries=16), steps) == [1253, 1230, 7, 16]
    text = caplog.text
    assert Question.purpose in text and Other.purpose in text


def test_a_step_that_two_attacks_need_is_asked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert announced(caplog, Store(tmp_path), Account(), [question(30), question(30)]) == [30, 30]


def test_what_is_in_the_store_is_not_needed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    ensure(store, question(30))
    assert announced(caplog, store, Account(canaries=2), [question(30), question(5, "b")]) == [7, 5, 2]


def test_where_nothing_is_needed_nothing_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert announced(caplog, Store(tmp_path), Account(), []) == [0]


def test_records_that_go_along_are_counted_as_checks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    steps = [question(30, calls=3), question(10, "b", other=True)]
    witnesses = (3 + 3) + (1 + 1)
    assert announced(caplog, Store(tmp_path), Account(canaries=4, witnesses=True), steps) == [
        40 + witnesses + 4,
        30,
        10,
        witnesses + 4,
    ]


# The budget


@pytest.mark.parametrize(("budget", "is_enough"), [(100, False), (115, False), (116, True), (None, True)])
def test_a_budget_holds_queries_and_canaries(tmp_path: Path, budget: int | None, is_enough: bool) -> None:
    connection = Account(budget, canaries=16)
    if is_enough:
        announce(Store(tmp_path), connection, [question(100)])
        return
    with pytest.raises(TargetError, match=rf"target\.budget={budget}\b.*\b116\b"):
        announce(Store(tmp_path), connection, [question(100)])


def test_what_was_sent_for_whatever_purpose_counts(tmp_path: Path) -> None:
    announce(Store(tmp_path), Account(100, sent=70), [question(30)])
    with pytest.raises(TargetError, match=r"target\.budget=100\b.*\b30\b.*\b71\b.*raise target\.budget"):
        announce(Store(tmp_path), Account(100, sent=71), [question(30)])


def test_answers_that_are_kept_need_not_be_sent_again(tmp_path: Path) -> None:
    """An audit that was stopped after 40 of 100 records has to send 60."""
    announce(Store(tmp_path), Account(100, sent=40, answered={Question.purpose: 40}), [question(100)])
    with pytest.raises(TargetError, match=r"target\.budget=99\b.*\b60\b.*\b40\b"):
        announce(Store(tmp_path), Account(99, sent=40, answered={Question.purpose: 40}), [question(100)])


def test_answers_for_one_purpose_are_none_for_another(tmp_path: Path) -> None:
    answered = {Other.purpose: 40}
    with pytest.raises(TargetError, match=r"\b100\b.*\b40\b"):
        announce(Store(tmp_path), Account(139, sent=40, answered=answered), [question(100)])


def test_answers_that_belong_to_finished_steps_are_not_counted_twice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ensure(store, question(40))
    account = {"sent": 40, "answered": {Question.purpose: 40}}
    announce(store, Account(100, **account), [question(40), question(60, "b")])
    with pytest.raises(TargetError, match=r"target\.budget=99\b.*\b60\b.*\b40\b"):
        announce(store, Account(99, **account), [question(40), question(60, "b")])


def test_more_answers_than_needed_save_no_more_than_is_needed(tmp_path: Path) -> None:
    answered = {Question.purpose: 500}  # as of another audit of the same model
    announce(Store(tmp_path), Account(510, sent=500, answered=answered), [question(100), question(10, other=True)])
    with pytest.raises(TargetError):
        announce(Store(tmp_path), Account(509, sent=500, answered=answered), [question(100), question(10, other=True)])


def by_hand(
    connection: Account, made: Iterable[Question], missing: Sequence[Question], answered: Mapping[str, int]
) -> int:
    """Return how many records have to be sent at most, purpose by purpose."""
    need, left = Counter[str](), Counter(answered)
    for step in missing:
        need[step.purpose] += step.n + connection.n_witnesses(step.n, step.calls)
    for step in made:
        left[step.purpose] -= step.n + connection.n_witnesses(step.n, 1)
    return connection.n_canaries + sum(max(0, n - max(0, left[purpose])) for purpose, n in need.items())


parts = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4), st.booleans(), st.booleans()), max_size=6)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(parts, st.integers(0, 90), st.integers(0, 90), st.integers(0, 20), st.booleans())
def test_the_smallest_budget_that_is_enough_is_what_was_sent_and_what_is_left(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[int, int, bool, bool]],
    a: int,
    b: int,
    canaries: int,
    witnesses: bool,
) -> None:
    store, sent = Store(tmp_path_factory.mktemp("store")), a + b + 5
    steps = [question(n, str(i), calls, other) for i, (n, calls, other, _) in enumerate(parts)]
    made = [step for step, (*_, is_made) in zip(steps, parts, strict=True) if is_made]
    for step in made:
        ensure(store, step)
    answered = {Question.purpose: a, Other.purpose: b}
    connection = Account(None, canaries, sent, answered, witnesses)
    needed = sent + by_hand(connection, made, [step for step in steps if step not in made], answered)
    connection.budget = needed
    announce(store, connection, steps)
    connection.budget = needed - 1
    with pytest.raises(TargetError, match=r"target\.budget="):
        announce(store, connection, steps)


# Known records that go along


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.integers(1, 60), st.lists(st.integers(1, 150), min_size=1, max_size=5))
def test_no_split_into_requests_takes_along_more_than_announced(batch_size: int, calls: list[int]) -> None:
    taken = 0
    for n in calls:
        for start in range(0, n, own_records(batch_size)):
            own = min(own_records(batch_size), n - start)
            taken += WITNESSES if min(own + WITNESSES, batch_size) >= FEWEST else 0
    assert taken <= most_witnesses(batch_size, sum(calls), len(calls))


@pytest.mark.parametrize("batch_size", [1, 10, FEWEST - 1])
def test_small_requests_take_nothing_along(batch_size: int) -> None:
    assert own_records(batch_size) == batch_size
    assert most_witnesses(batch_size, 10_000, 3) == 0


@pytest.mark.parametrize("batch_size", [FEWEST, FEWEST + 1, 500])
def test_a_request_is_never_larger_than_said(batch_size: int) -> None:
    assert own_records(batch_size) + WITNESSES == batch_size
