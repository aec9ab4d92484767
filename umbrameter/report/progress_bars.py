"""An audit's progress on a terminal: a clock for the whole, and one bar per stage, the current one at the bottom.

Belongs here: how progress looks on a screen. Does not belong here: what is counted (`umbrameter.running.progress`).
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class LiveProgress(logging.Handler):
    """A log handler that draws records with a `stage` as progress bars.

    A stage has `name`, `total`, `done`, `n_reused` and `left`, the estimated seconds left or None. Records marked
    `is_notice` are printed above the bars.

    Parameters
    ----------
    console
        The terminal.

    Examples
    --------
    >>> live = LiveProgress(Console())  # then: with live: ... logging.getLogger("umbrameter.progress") ...
    """

    def __init__(self, console: Console):
        super().__init__(logging.INFO)
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("  {task.description:<18}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remarks]}"),
            console=console,
        )
        # Without a total it keeps moving, also while modules are loaded or results are logged.
        self._whole = self._progress.add_task("audit", total=None, remarks="")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(f"  {line}", markup=False)  # types, such as timestamp[us], have brackets

    def __enter__(self) -> "LiveProgress":
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the bars on the screen as they are."""
        self._progress.update(self._whole, total=1, completed=error is None)
        self._progress.stop()

    def emit(self, record: logging.LogRecord) -> None:
        """Draw or move a stage's bar, or print a notice."""
        stage = getattr(record, "stage", None)
        if stage is None:
            if getattr(record, "is_notice", False):
                self.say(record.getMessage())
            return
        if stage.name not in self._bars:
            self._bars[stage.name] = self._progress.add_task(stage.name, total=stage.total, remarks="")
        reused = f"{stage.n_reused} reused" if stage.n_reused else ""
        left = "" if stage.left is None or stage.done >= stage.total else f"about {stage.left:.0f} s left"
        remarks = ", ".join(filter(None, (reused, left)))
        self._progress.update(self._bars[stage.name], completed=stage.done, remarks=remarks)


@contextmanager
def progress_on_stderr(debug: bool) -> Iterator[Callable[[str], object]]:
    """Show progress: as bars on a terminal, as lines elsewhere or when debugging.

    Yields
    ------
    A function that shows a line at once, before there is a stage.
    """
    log = logging.getLogger("umbrameter")
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    if debug:
        # Prefect reads it when it is imported, which happens within this block.
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "DEBUG"
    console = Console(stderr=True)
    if console.is_terminal and not debug:
        with LiveProgress(console) as bars:
            for name in ("umbrameter.progress", "umbrameter.audit"):
                logging.getLogger(name).addHandler(bars)
            yield bars.say
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    # By the handler alone: Prefect's, on the same logger, would miss the flow's run.
    yield lambda line: handler.handle(logging.makeLogRecord({"msg": line}))


@contextmanager
def progress_shown(is_shown: bool = True) -> Iterator[None]:
    """Show progress until the block ends, and leave the caller's logging as it was.

    As bars on a terminal and in a notebook, as lines in a notebook without ipywidgets, and elsewhere not at all.

    Parameters
    ----------
    is_shown
        Whether to show any.
    """
    console = Console(stderr=True)
    has_bars = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    if not is_shown or not (has_bars or console.is_jupyter):
        yield
        return
    with LiveProgress(console) if has_bars else nullcontext(logging.StreamHandler(sys.stdout)) as shown:
        names = ("umbrameter.progress", "umbrameter.audit") if has_bars else ("umbrameter.audit",)
        for logger in map(logging.getLogger, names):
            logger.addHandler(shown)
        try:
            yield
        finally:
            for logger in map(logging.getLogger, names):
                logger.removeHandler(shown)
