"""What an audit from Python returns: figures, pictures and files.

Belongs here: the result as a value in a script or a notebook. Does not belong here: what a report says
(`umbrameter.report`).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from umbrameter import checkout
from umbrameter.errors import MissingRingError, StoreError
from umbrameter.report import figures
from umbrameter.report.model import Report, Verdict, read_report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.report.selection import stronger, strongest
from umbrameter.report.sentences import finding
from umbrameter.report.templating import filled
from umbrameter.report.text import STATUS, attacker_name, figure, metric_name, mitigation_name
from umbrameter.statistics.estimates import Interval, LowerBound
from umbrameter.steps.evaluations import read_roc
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
    temporary
        The temporary folder that the root is, which is removed with the result; None for a root that stays.

    Attributes
    ----------
    report : Report
        All figures, with intervals, controls and the verdict, as in `report.json`.
    plot : Plots
        The pictures.
    """

    def __init__(self, root: str, folder: str, temporary: "TemporaryDirectory[str] | None" = None):
        self.root, self.folder, self._temporary = root, folder, temporary
        self.report: Report = read_report(Store(root).read(f"{folder}/report.json"))
        self.plot = Plots(self)

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
        """Return every figure as a pandas data frame: one row per attack, attacker, mitigation and metric.

        Raises
        ------
        MissingRingError
            When pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise MissingRingError("to_frame() needs pandas; run: pip install pandas") from None
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
        return str(client.log_run(self.root, self.folder, tracking_uri or client.current_uri()))


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
        store = Store(self._result.root)
        listed = read_run_artefacts(store, self._result.folder).without_mitigation()
        curves = {attack: read_roc(store.open(paths.evaluation)) for attack, paths in listed.items()}
        title = f"{self._report.audit.name}: attacks on the unmitigated target"
        return Picture(figures.roc(curves, self._report.target.n_nonmembers, title))

    def classes(self) -> "Picture":
        """Draw each class's attack precision under the strongest attacks."""
        return Picture(figures.class_precision({r.attack: r.by_class for r in strongest(self._report.results)}))

    def mitigations(self) -> "Picture":
        """Draw how much each mitigation lets leak against the accuracy that it keeps."""
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
