"""Time contestants in turn, and tabulate the results."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Row:
    """One comparison: our figure, the other's, their ratio, and the ratio that we require and aim at."""

    what: str
    ours: str
    other: str
    ratio: float | None
    at_least: float | None = None
    reach: float | None = None
    at_most: bool = False

    @property
    def met(self) -> str:
        if self.ratio is None or self.at_least is None:
            return ""
        return "yes" if (self.ratio <= self.at_least if self.at_most else self.ratio >= self.at_least) else "**no**"


@dataclass(frozen=True)
class Time:
    """Median CPU and wall seconds."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s CPU, {self.wall:.2f} s"


def full() -> bool:
    return "--full" in sys.argv


def installed(name: str) -> bool:
    """Return whether a package is installed; if not, say so on standard error, since its rows will be missing."""
    if find_spec(name) is None:
        print(f"  {name} is not installed: pip install '.[bench]'", file=sys.stderr, flush=True)
        return False
    return True


def in_turn(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Time]:
    """Run all contestants in turn, several times over, so that a slow phase hits all; return each one's median."""
    taken: dict[str, list[Time]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            taken[name].append(Time(time.process_time() - cpu, time.perf_counter() - wall))
            print(f"  {name}: {taken[name][-1]}", file=sys.stderr, flush=True)
    return {
        name: Time(statistics.median(t.cpu for t in times), statistics.median(t.wall for t in times))
        for name, times in taken.items()
    }


def versus(what: str, ours: Time, other: Time, at_least: float | None = None, reach: float | None = None) -> Row:
    """Return a row with the ratio of CPU times.

    Parameters
    ----------
    what
        What is compared.
    ours, other
        The times.
    at_least, reach
        The ratio required, and the ratio aimed at; none if unset.
    """
    return Row(what, str(ours), str(other), other.cpu / ours.cpu, at_least, reach)


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| ours against | ours | the other | ratio | at least | reach for | met |", "| --- " * 7 + "|"]
    for row in rows:
        sign = "at most " if row.at_most else ""
        cells = [
            row.what,
            row.ours,
            row.other,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.at_least is None else f"{sign}{row.at_least:g}",
            "" if row.reach is None else f"{sign}{row.reach:g}",
            row.met,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def report(rows: list[Row]) -> None:
    """Print the rows as JSON, the last line of a bench."""
    # Standard output is for this line alone: `benches.__main__` parses it.
    print(json.dumps([asdict(row) for row in rows]))
