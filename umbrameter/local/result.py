"""What an audit from Python returns: figures, pictures and files.

Belongs here: the result as a value in a script or a notebook. Does not belong here: what a report says
(`umbrameter.report`). matplotlib is loaded where a picture is drawn, since it takes as long as a small audit.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any
from weakref import finalize

from umbrameter import checkout
from umbrameter.errors import StoreError
from umbrameter.report.html import page_and_figures
from umbrameter.report.model import Report, Verdict, read_report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import finding
from umbrameter.report.templating import filled
from umbrameter.report.text import STATUS, attacker_name, figure, metric_name, mitigation_name
from umbrameter.statistics.estimates import Interval, LowerBound
from umbrameter.store.artefacts import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = ("auc", "tpr_at_fpr_0.01", "accuracy")
"""The figures of the short table."""


class AuditResult:
    """A finished audit.

    Parameters
    ----------
    root
        The root of its artefacts and its run folder.
    folder
        The run folder, relative to the root.
    is_temporary
        Whether the root is removed with the result.

    Attributes
    ----------
    report : Report
        All figures, with intervals, controls and the verdict, as in `report.json`.
    """

    def __init__(self, root: str, folder: str, is_temporary: bool = False):
        self.root, self.folder = root, folder
        if is_temporary:
            finalize(self, rmtree, root, ignore_errors=True)
        self.report: Report = read_report(Store(root).read(f"{folder}/report.json"))

    @property
    def plot(self) -> "Plots":
        """The pictures."""
        return Plots(self)

    @property
    def verdict(self) -> Verdict:
        """Whether the limits hold, and why."""
        return self.report.verdict

    def __repr__(self) -> str:
        """Return the finding, the verdict and a line for each attack on the unmitigated model."""
        rows = [f"  {attack:<34}{auc:<24}{tpr}" for attack, auc, tpr, _ in _rows(self.report)]
        head = f"  {'attack':<34}{'AUC':<24}{metric_name('tpr_at_fpr_0.01')}"
        verdict = f"Verdict: {STATUS[self.verdict.status]}. {self.verdict.reason}"
        lines = [f"Audit of {self.report.audit.name!r}", finding(self.report), verdict, head, *rows]
        mitigations = {r.mitigation for r in self.report.results} - {None}
        more = f"  and {len(mitigations)} mitigations: see to_frame() and plot.mitigations()"
        return "\n".join([*lines, more] if mitigations else lines)

    def _repr_html_(self) -> str:
        """Return the same as HTML, which notebooks show."""
        return filled(
            "result.html.j2",
            name=self.report.audit.name,
            finding=finding(self.report),
            verdict=STATUS[self.verdict.status],
            reason=self.verdict.reason,
            head=["attack", *map(metric_name, SHOWN)],
            rows=_rows(self.report),
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return every figure as a pandas data frame: one row per attack, attacker, mitigation and metric."""
        import pandas as pd  # takes half a second, and many audits need none

        return pd.DataFrame(
            [
                {
                    "attack": result.attack,
                    "attacker": attacker_name(result),
                    "mitigation": mitigation_name(result),
                    "metric": name,
                    **_numbers(metric),
                }
                for result in self.report.results
                for name, metric in result.metrics.items()
            ]
        )

    def to_html(self) -> str:
        """Return the whole report as one HTML page."""
        self._draw()
        return Store(self.root).read(f"{self.folder}/report.html").decode()

    def save(self, folder: str | Path) -> Path:
        """Write report, figures and spec into a folder, and return it.

        Parameters
        ----------
        folder
            Made if it does not exist.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        self._draw()
        source, place = Path(self.root, self.folder), Path(folder)
        try:
            for file in sorted(path for path in source.rglob("*") if path.is_file()):
                copy = place / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        except OSError as error:
            raise StoreError(f"folder={str(folder)!r} cannot be written ({error.strerror}); give another one") from None
        return place

    def log_to_mlflow(self, tracking_uri: str | None = None) -> str:
        """Log figures, report and models to MLflow, and return the run's id there.

        Parameters
        ----------
        tracking_uri
            MLflow's address; the one that MLflow is set to in this process if None.

        Raises
        ------
        MissingRingError
            When MLflow, or the part of umbrameter that logs, is not installed.
        TrackingError
            When MLflow cannot be reached.
        """
        client = checkout.load("tasks.mlflow_client.runs")
        self._draw()
        return str(client.log_run(self.root, self.folder, tracking_uri or client.current_uri()))

    def _draw(self) -> None:
        """Write the page and its figures, unless they are there."""
        store = Store(self.root)
        if not store.fs.get_file_info(f"{self.folder}/report.html").is_file:
            from umbrameter.report.run_figures import drawn_figures

            pictures = drawn_figures(self.report, store, read_run_artefacts(store, self.folder))
            store.put(self.folder, page_and_figures(self.report, pictures))


class Plots:
    """The pictures of a result; each is a figure of matplotlib that notebooks show.

    Parameters
    ----------
    result
        The finished audit.
    """

    def __init__(self, result: AuditResult):
        self._result = result

    @cached_property
    def _report(self) -> Report:
        return self._result.report

    def roc(self) -> "Picture":
        """Draw the ROC curves of the attacks on the unmitigated model, on logarithmic axes."""
        from umbrameter.report import run_figures

        store = Store(self._result.root)
        return Picture(run_figures.roc(self._report, store, read_run_artefacts(store, self._result.folder)))

    def classes(self) -> "Picture":
        """Draw each class's attack precision under the strongest attacks."""
        from umbrameter.report import run_figures

        return Picture(run_figures.class_precision(self._report))

    def mitigations(self) -> "Picture":
        """Draw how much each mitigation lets leak against the accuracy that it keeps."""
        from umbrameter.report import figures

        return Picture(figures.mitigations(self._report))


class Picture:
    """A figure that notebooks show whether or not pyplot is loaded.

    Parameters
    ----------
    figure
        The figure of matplotlib, to change or to save.
    """

    def __init__(self, figure: "Figure"):
        self.figure = figure

    def _repr_png_(self) -> bytes:
        from umbrameter.report import figures

        return figures.png(self.figure)

    def save(self, path: str | Path) -> None:
        """Write the picture into a file, in the format of its ending."""
        self.figure.savefig(path)


def _rows(report: Report) -> Sequence[tuple[str, ...]]:
    unmitigated = [result for result in stronger(report.results) if result.mitigation is None]
    return [(r.attack, *(figure(r.metrics[name]) for name in SHOWN)) for r in unmitigated]


def _numbers(metric: Any) -> dict[str, float | str | None]:
    """Return a figure as numbers, or the reason why it was not measured."""
    if isinstance(metric, Interval | LowerBound):
        return {"value": metric.value, "low": metric.low, "high": metric.high, "not_measured": None}
    return {"value": None, "low": None, "high": None, "not_measured": metric.not_measured}
