"""Compare the audits of a sweep, and write the sweep's report."""

from collections.abc import Sequence
from datetime import datetime

from umbrameter.report import sweep_html
from umbrameter.report.figures import png
from umbrameter.report.model import read_report
from umbrameter.report.sweep_model import compared, render
from umbrameter.running.session import free_folder
from umbrameter.spec.sweep import Sweep
from umbrameter.store.artefacts import Store

FIGURE = "figures/class_precision.png"


def write_sweep(sweep: Sweep, root: str, runs: Sequence[str]) -> str:
    """Write the sweep's folder (table, figure, page), and return its path relative to the root.

    Parameters
    ----------
    sweep
        The sweep.
    root
        Where artefacts and run folders are stored.
    runs
        The folders of the points' audits, in the order of the points.
    """
    store = Store(root)
    comparison = compared(sweep, [*runs], [read_report(store.read(f"{run}/report.json")) for run in runs])
    folder = free_folder(store, f"{sweep.name}-sweep", datetime.fromisoformat(comparison.started))
    figure = png(sweep_html.class_precision(comparison))
    page, content = render(comparison, figure), comparison.model_dump_json(indent=1)
    store.put(folder, {FIGURE: figure, "sweep.html": page.encode(), "sweep.json": content.encode()})
    return folder
