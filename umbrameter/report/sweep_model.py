"""A sweep's report, which compares its points: `sweep.json`, its tables and its page.

Belongs here: which figures of the points' reports are compared. Does not belong here: any figure's computation.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from umbrameter import __version__
from umbrameter.report.model import DrawnInfo, Report, Result, Status, exit_code
from umbrameter.report.templating import filled, or_not
from umbrameter.report.text import STATUS, figure, intervals_note, number
from umbrameter.report.text import point as word
from umbrameter.spec.sweep import Sweep
from umbrameter.statistics.estimates import Interval, Metric

COMPARED = ("auc", "accuracy", "precision", "recall")
"""The figures of each attack that are compared."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttackAt(_Part):
    """One attack on the unmitigated target at one point."""

    attack: str = Field(description="The attack's name.")
    metrics: dict[str, Metric] = Field(description="AUC, accuracy, precision and recall over all records.")
    class_precision: list[float] = Field(description="Precision of each class for which it was measured.")
    class_recall: list[float] = Field(description="Recall of each class for which it was measured.")
    n_unmeasured: int = Field(description="Number of classes without a precision.")

    @property
    def medians(self) -> dict[str, float | None]:
        """The medians of precision and recall over classes, as Shokri et al. (2017) report them."""
        by_name = {"precision": self.class_precision, "recall": self.class_recall}
        return {name: float(np.median(values)) if values else None for name, values in by_name.items()}


class PointReport(_Part):
    """The results at one value of the setting that varies."""

    label: str = Field(description="The value.")
    step: int = Field(description="The value as a whole number, or its position in the sweep.")
    run: str = Field(description="The folder of the audit's run, relative to the root.")
    train_accuracy: float = Field(description="The target's accuracy on its members; a fraction.")
    test_accuracy: float = Field(description="The target's accuracy on non-members; a fraction.")
    n_members: int = Field(description="Number of records that the target was trained on.")
    n_shadows: int = Field(description="Number of shadow models.")
    drawn: DrawnInfo | None = Field(default=None, description="How shadow data were drawn; null for real records.")
    seconds: float = Field(description="How long the audit took, in seconds.")
    status: Status = Field(description="The audit's verdict.")
    exit_code: int = Field(description="The exit code of this audit alone.")
    attacks: list[AttackAt] = Field(description="The attacks on the unmitigated target.")


class SweepReport(_Part):
    """A whole sweep, as `sweep.json` holds it."""

    schema_version: int = Field(default=1, description="The version of this schema.")
    name: str = Field(description="The sweep's name.")
    axis: str = Field(description="The setting that varies.")
    title: str = Field(description="The name of the setting for readers.")
    spec_digest: str = Field(description="The SHA-256 of all points' specs.")
    version: str = Field(description="The version of umbrameter.")
    started: str = Field(description="When the first audit started: ISO 8601, UTC.")
    points: list[PointReport] = Field(min_length=1, description="The points in the order of the spec.")


def compared(sweep: Sweep, runs: Sequence[str], reports: Sequence[Report]) -> SweepReport:
    """Return the report of a sweep from the reports of its points.

    Parameters
    ----------
    sweep
        The sweep.
    runs, reports
        The run folder and the report of each point, in order.
    """
    points = zip(sweep.points, runs, reports, strict=True)
    return SweepReport(
        name=sweep.name,
        axis=sweep.axis,
        title=sweep.title,
        spec_digest=sweep.digest(),
        version=__version__,
        started=reports[0].audit.started,
        points=[_point(point.label, point.step, run, report) for point, run, report in points],
    )


def _point(label: str, step: int, run: str, report: Report) -> PointReport:
    return PointReport(
        label=label,
        step=step,
        run=run,
        train_accuracy=report.target.train_accuracy,
        test_accuracy=report.target.test_accuracy,
        n_members=report.target.n_members,
        n_shadows=report.shadows.n_models,
        drawn=report.shadows.drawn,
        seconds=report.audit.seconds,
        status=report.verdict.status,
        exit_code=exit_code(report),
        attacks=[_attack(result) for result in report.results if result.mitigation is None],
    )


def _attack(result: Result) -> AttackAt:
    precision = [e.precision.value for e in result.by_class if isinstance(e.precision, Interval)]
    return AttackAt(
        attack=result.attack,
        metrics={name: result.metrics[name] for name in COMPARED},
        class_precision=precision,
        class_recall=[e.recall.value for e in result.by_class if isinstance(e.recall, Interval)],
        n_unmeasured=len(result.by_class) - len(precision),
    )


def rows(report: SweepReport) -> list[dict[str, str]]:
    """Return the table of the page: one row per point and attack."""
    return [
        {
            report.title: point.label,
            "train / test accuracy": f"{number(point.train_accuracy)} / {number(point.test_accuracy)}",
            "attack": attack.attack,
            "AUC [low, high]": figure(attack.metrics["auc"]),
            "attack precision [low, high]": figure(attack.metrics["precision"]),
            **{f"median {name} of classes": or_not(value) for name, value in attack.medians.items()},
            "classes measured": f"{len(attack.class_precision)} of {len(attack.class_precision) + attack.n_unmeasured}",
        }
        for point in report.points
        for attack in point.attacks
    ]


def lines(report: SweepReport) -> list[dict[str, str]]:
    """Return the table of the terminal: one row per point and attack, figures without intervals."""
    return [
        {
            report.title: point.label if i == 0 else "",
            "train/test": f"{number(point.train_accuracy)}/{number(point.test_accuracy)}" if i == 0 else "",
            "attack": attack.attack,
            "AUC": word(attack.metrics["auc"]),
            "precision": word(attack.metrics["precision"]),
            "median": or_not(attack.medians["precision"]),
            "recall": word(attack.metrics["recall"]),
        }
        for point in report.points
        for i, attack in enumerate(point.attacks)
    ]


def queries(report: SweepReport) -> list[dict[str, str]]:
    """Return the table of shadow data made by querying the target: one row per point; empty if there are none."""
    return [
        {
            report.title: point.label,
            "records": f"{drawn.n_records:,} of {drawn.n_wanted:,}",
            "queries": f"{drawn.queries:,}",
            "queries per record": number(drawn.queries / drawn.n_records) if drawn.n_records else "not measured",
            "classes without records": str(sum(row.n_found == 0 for row in drawn.by_class)),
        }
        for point in report.points
        if (drawn := point.drawn) is not None and drawn.queries
    ]


CAPTION = (
    "Attack precision of each class (dots) at each point, and the median over classes (line). The dotted line is "
    "guessing, with as many members as non-members."
)
"""The caption of a sweep's figure."""


def render(report: SweepReport, figure_png: bytes) -> str:
    """Return a sweep as one self-contained HTML page; everything from the report is escaped.

    Parameters
    ----------
    report
        The sweep's report.
    figure_png
        Its figure, a PNG file.
    """
    tables = {
        "Attacks on the unmitigated target": rows(report),
        "Shadow data made by querying the target": queries(report),
        "Verdicts and run folders": [
            {report.title: point.label, "verdict": STATUS[point.status], "run": point.run} for point in report.points
        ],
    }
    return filled(
        "sweep.html.j2",
        report=report,
        caption=CAPTION,
        png=figure_png,
        tables=tables.items(),
        intervals_note=intervals_note(),
    )
