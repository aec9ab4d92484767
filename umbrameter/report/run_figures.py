"""The figures of a finished run, from its report and its artefacts."""

from matplotlib.figure import Figure

from umbrameter.report import figures
from umbrameter.report.model import Report
from umbrameter.report.recommendation import measured_auc
from umbrameter.report.run_artefacts import RunArtefacts
from umbrameter.report.selection import strongest
from umbrameter.steps.evaluations import read_roc
from umbrameter.store.artefacts import Store


def roc(report: Report, store: Store, artefacts: RunArtefacts) -> Figure:
    """Draw the ROC curves of the measured attacks on the unmitigated target.

    Parameters
    ----------
    report
        The run's report.
    store
        The store that holds the run's artefacts.
    artefacts
        Their paths.
    """
    measured = [r.attack for r in report.results if r.mitigation is None and measured_auc(r) is not None]
    paths = artefacts.without_mitigation()
    curves = {attack: read_roc(store.open(paths[attack].evaluation)) for attack in measured}
    return figures.roc(curves, report.target.n_nonmembers, f"{report.audit.name}: attacks on the unmitigated target")


def class_precision(report: Report) -> Figure:
    """Draw each class's precision under the strongest attacks on the unmitigated target."""
    return figures.class_precision({result.attack: result.by_class for result in strongest(report.results)})


def drawn_figures(report: Report, store: Store, artefacts: RunArtefacts) -> dict[str, bytes]:
    """Return all figures as PNG files by name.

    Parameters
    ----------
    report, store, artefacts
        See `roc`.
    """
    drawn = {
        "roc": roc(report, store, artefacts),
        "class_precision": class_precision(report),
        "mitigations": figures.mitigations(report),
    }
    return {name: figures.png(figure) for name, figure in drawn.items()}
