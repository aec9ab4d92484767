"""Progress bars on a terminal: steps done, reused and left."""

import io
import logging
from dataclasses import dataclass

from rich.console import Console

from umbrameter.report.progress_bars import LiveProgress


@dataclass
class Stage:
    name: str
    total: int
    done: int = 0
    n_reused: int = 0
    left: float | None = None


def tick(live: LiveProgress, stage: Stage) -> None:
    record = logging.LogRecord("umbrameter.progress", logging.INFO, "", 0, "", None, None)
    record.stage = stage
    live.emit(record)


def test_a_bar_a_stage_that_says_what_is_done_reused_and_left() -> None:
    out = io.StringIO()
    with LiveProgress(Console(file=out, force_terminal=True, width=100, color_system=None)) as live:
        tick(live, Stage("train target", 1, 1))
        tick(live, Stage("fit shadow models", 10, 3, 2, 4.2))
    last = [line for line in out.getvalue().replace("\r", "\n").splitlines() if "shadow" in line][-1]
    assert "3/10" in last and "2 reused, about 4 s left" in last
    assert "1/1" in out.getvalue()


def test_a_notice_is_printed_above_the_bars() -> None:
    out = io.StringIO()
    with LiveProgress(Console(file=out, force_terminal=True, width=100, color_system=None)) as live:
        record = logging.LogRecord(
            "umbrameter.audit", logging.INFO, "", 0, "2,400 queries, born (date32[day])", None, None
        )
        record.is_notice = True
        live.emit(record)
    assert "2,400 queries, born (date32[day])" in out.getvalue()


def test_a_finished_stage_has_nothing_left_and_other_records_are_none_of_its_business() -> None:
    out = io.StringIO()
    with LiveProgress(Console(file=out, force_terminal=True, width=100, color_system=None)) as live:
        live.emit(logging.LogRecord("umbrameter", logging.INFO, "", 0, "a line", None, None))
        tick(live, Stage("merge", 4, 4, 0, 0.0))
    assert "4/4" in out.getvalue() and "left" not in out.getvalue() and "a line" not in out.getvalue()
