"""The catalogue as text: what each data set is, whether it is here, and how to get it."""

import textwrap

from data.cache import FOLDER_VARIABLE
from data.catalogue import available
from data.entries import Entry

NARROWEST = 60


def listing(root: str, width: int) -> str:
    """Return a table of the data sets that a spec can name, three lines or more for each.

    Parameters
    ----------
    root
        The root of the audits, under which downloads are kept.
    width
        Longest line in characters; only an address or a path may be longer.
    """
    lines = [f"{'NAME':<14}{'RECORDS':>9}{'FEATURES':>10}{'CLASSES':>9}  HERE"]
    for entry, place in available(root):
        size = f"{entry.records:>9,}{entry.features:>10,}{entry.classes:>9,}"
        lines.append(f"{entry.name + ':':<14}{size}  {'no' if place is None else 'yes'}")
        here = [f"here: {place}"] if place else []
        for text in (entry.title, f"licence: {entry.licence}", *here, *how(entry)):
            lines += _folded(text, max(width, NARROWEST))
    return "\n".join(lines)


def how(entry: Entry) -> list[str]:
    """Return the ways to get a data set, in order of preference."""
    if entry.sample is not None:
        return ["from: comes with umbrameter"]
    names = f"{entry.name}.parquet" + "".join(f", {name}" for name in (entry.layout.names if entry.layout else ()))
    ways = [f"from: {names} in the folder of {FOLDER_VARIABLE}"]
    if entry.layout is not None:
        urls = [download.url for download in entry.layout.downloads]
        several = f"{len(urls)} files of {urls[0].rpartition('/')[0]}"
        ways.append(f"else: downloaded from {urls[0] if len(urls) == 1 else several}")
    if entry.base is not None:
        ways.append(f"else: made from {entry.base}, or from its stand-in")
    if entry.standin is not None:
        ways.append("else: generated records stand in, and reports say so")
    return ways


def _folded(text: str, width: int) -> list[str]:
    folded = textwrap.wrap(text, width - 10, break_long_words=False, break_on_hyphens=False)
    return [f"{' ' * (10 if i else 4)}{line}" for i, line in enumerate(folded)]
