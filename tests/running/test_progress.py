"""What is said while a stage goes on: counts, the time that is left, and nothing that could stop the work."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.running.progress import LOG_EVERY, Stage, ticks

LOGGER = "umbrameter.audit"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the clock's time, to be set."""
    now = [100.0]
    monkeypatch.setattr("umbrameter.running.progress.time.perf_counter", lambda: now[0])
    return now


def stepped(stage: Stage, n: int, made: int = 0) -> Stage:
    """Finish some more artefacts, the first of which were made now."""
    names = [f"{stage.done + i}" for i in range(n)]
    stage.step(set(names), set(names[:made]))
    return stage


# Counts


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), st.integers(0, 9))
def test_counts_are_those_of_all_steps_together(steps: list[tuple[int, int]], more: int) -> None:
    stage = Stage("fit", sum(n + m for n, m in steps) + more or 1)
    for n_reused, n_made in steps:
        stepped(stage, n_reused + n_made, n_made)
    assert (stage.n_made, stage.n_reused) == (sum(m for _, m in steps), sum(n for n, _ in steps))
    assert stage.done == stage.n_made + stage.n_reused <= stage.total
    assert stage.line.startswith(f"fit: {stage.done} of {stage.total} done")
    assert f"({stage.n_made} made, {stage.n_reused} reused)" in stage.line


def test_steps_from_many_threads_are_all_counted() -> None:
    stage = Stage("fit", 400)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: stage.step({str(i)}, {str(i)} if i % 4 else set()), range(400)))
    assert (stage.n_made, stage.n_reused, len(stage.made)) == (300, 100, 300)


def test_what_is_made_is_known_by_path() -> None:
    stage = Stage("fit", 3)
    stage.step({"a", "b"}, {"b"})
    stage.step({"c"}, {"c"})
    assert stage.made == {"b", "c"}


# Seconds


def test_nothing_is_said_of_the_time_before_anything_was_made(clock: list[float]) -> None:
    stage = Stage("fit", 4)
    clock[0] += 10
    stepped(stage, 2)
    assert stage.left is None
    assert stage.line == "fit: 2 of 4 done (0 made, 2 reused)"


@pytest.mark.parametrize(("made", "left"), [(1, 27.0), (3, 3.0), (4, 0.0)])
def test_the_time_that_is_left_goes_by_the_pace_of_what_was_made(clock: list[float], made: int, left: float) -> None:
    stage = Stage("fit", 6)
    stepped(stage, 2)
    clock[0] += 9
    stepped(stage, made, made)
    assert stage.left == pytest.approx(left)
    assert stage.line.endswith(f"about {left:.0f} s left" if left else "9.0 s")


def test_the_clock_stops_when_a_stage_ends(clock: list[float]) -> None:
    stage = Stage("fit", 1)
    clock[0] += 3
    stage.end()
    clock[0] += 50
    assert stage.seconds() == 3.0
    stage.end()
    assert stage.seconds() == 3.0


# Lines in the log


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for name, _, message in caplog.record_tuples if name == LOGGER]


def test_a_line_waits_for_its_time_but_the_last_one_does_not(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        stage = Stage("fit", 4)
        for seconds in (LOG_EVERY / 2, LOG_EVERY, LOG_EVERY / 2, 0):
            clock[0] += seconds
            stepped(stage, 1)
    assert [line.partition(" (")[0] for line in lines(caplog)] == ["fit: 2 of 4 done", "fit: 4 of 4 done"]


def test_every_step_ticks_though_no_line_is_due(clock: list[float]) -> None:
    seen: list[str] = []

    class Bar(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Bar()
    ticks.addHandler(handler)
    try:
        stage = Stage("fit", 9)
        for _ in range(3):
            stepped(stage, 1)
    finally:
        ticks.removeHandler(handler)
    assert [line.partition(" (")[0] for line in seen] == [f"fit: {n} of 9 done" for n in (1, 2, 3)]


# Elsewhere than in the log


def test_a_display_follows_the_lines_of_the_log(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    shown: list[tuple[float, str]] = []
    stage = Stage("fit", 8, lambda share, line: shown.append((share, line)))
    with caplog.at_level(logging.INFO, logger=LOGGER):
        for _ in range(8):
            clock[0] += LOG_EVERY * 0.75
            stepped(stage, 1, 1)
    assert [share for share, _ in shown] == [25.0, 50.0, 75.0, 100.0]
    assert [line for _, line in shown] == lines(caplog)


def test_a_stage_that_waits_for_its_display_holds_up_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as waiting:
        others = [lambda: stepped(stage, 1).done]

        def slow(_share: float, _line: str) -> None:
            if others:  # while one is shown, somebody else finishes something
                assert waiting.submit(others.pop()).result(timeout=10) == 2

        stage = Stage("fit", 3, slow)
        monkeypatch.setattr("umbrameter.running.progress.LOG_EVERY", 0.0)
        assert stepped(stage, 1).done == 2
    assert others == []
