"""The first seconds of an audit's command: what is shown, and what is loaded."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbrameter.spec.audit import AuditSpec
    from umbrameter.spec.sweep import Sweep


@contextmanager
def fast_imports() -> Iterator[None]:
    """Load modules without looking for garbage among what they make, which stays; that took a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor is it looked through later
        gc.enable()


def announced(
    spec: str, settings: Iterable[str], fail_on: Iterable[str], say: Callable[[str], object]
) -> "AuditSpec | Sweep":
    """Read a spec, and say how much there is to do.

    Parameters
    ----------
    spec, settings, fail_on
        The command's arguments.
    say
        Shows a line.
    """
    from umbrameter.spec.sweep import Sweep, load  # takes a second: the first line is on the screen before

    checked = load(spec, settings, fail_on)
    points = checked.points if isinstance(checked, Sweep) else ()
    one = checked.points[0].spec if isinstance(checked, Sweep) else checked
    counts = {"points": len(points), "shadow models": one.n_shadows, "attacks": len(one.attacks)}
    counts |= {"mitigations": len(one.mitigations)}
    say(f"{checked.name}: {', '.join(f'{n} {what}' for what, n in counts.items() if n)}")
    return checked
