"""The figures of a finished run, from its report and its artefacts.

Belongs here: which results a figure shows, and keeping it. Does not belong here: how it is drawn (`figures`).
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from umbrameter.report.model import Report
from umbrameter.report.recommendation import measured_auc
from umbrameter.report.run_artefacts import RunArtefacts
from umbrameter.report.selection import strongest
from umbrameter.steps.evaluations import read_roc
from umbrameter.store.artefacts import Draft, Recipe, Store, digest
from umbrameter.store.steps import ensure, key_of

if TYPE_CHECKING:  # matplotlib takes a second to load, which an audit that finds its figures in the store is spared
    from matplotlib.figure import Figure


def roc(report: Report, store: Store, artefacts: RunArtefacts) -> "Figure":
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
    from umbrameter.report import figures

    curves = {attack: read_roc(store.open(path)) for attack, path in _evaluations(report, artefacts).items()}
    return figures.roc(curves, report.target.n_nonmembers, f"{report.audit.name}: attacks on the unmitigated target")


def class_precision(report: Report) -> "Figure":
    """Draw each class's precision under the strongest attacks on the unmitigated target."""
    from umbrameter.report import figures

    return figures.class_precision({result.attack: result.by_class for result in strongest(report.results)})


def _evaluations(report: Report, artefacts: RunArtefacts) -> dict[str, str]:
    """Return the paths of the evaluations whose ROC curves are drawn, by attack."""
    paths = artefacts.without_mitigation()
    measured = [r.attack for r in report.results if r.mitigation is None and measured_auc(r) is not None]
    return {attack: paths[attack].evaluation for attack in measured}


NAMES = ("roc", "class_precision", "mitigations")
"""The figures, in the order in which a page shows them."""


@dataclass(frozen=True)
class DrawFigures:
    """Draw all figures of a run as PNG files.

    Parameters
    ----------
    report
        The run's report; what is not drawn of it, such as its times, does not enter the key.
    artefacts
        The paths of the run's artefacts.
    """

    report: Report
    artefacts: RunArtefacts

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the figures."""
        facts = {
            "name": self.report.audit.name,
            "n_nonmembers": self.report.target.n_nonmembers,
            "results": [result.model_dump(mode="json") for result in self.report.results],
            "curves": {attack: key_of(path) for attack, path in _evaluations(self.report, self.artefacts).items()},
            "matplotlib": version("matplotlib"),
        }
        return Recipe("figures", {"digest": digest(facts)})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return tuple(_evaluations(self.report, self.artefacts).values())

    def make(self, store: Store, draft: Draft) -> None:
        """Write one PNG file a figure."""
        from umbrameter.report import figures

        drawn = (
            roc(self.report, store, self.artefacts),
            class_precision(self.report),
            figures.mitigations(self.report),
        )
        for name, figure in zip(NAMES, drawn, strict=True):
            draft.data(f"{name}.png", figures.png(figure))


def drawn_figures(report: Report, store: Store, artefacts: RunArtefacts) -> dict[str, bytes]:
    """Return all figures as PNG files by name; they are drawn once for the same results.

    Parameters
    ----------
    report, store, artefacts
        See `roc`.
    """
    stored = store.open(ensure(store, DrawFigures(report, artefacts)))
    return {name: stored.data(f"{name}.png") for name in NAMES}
