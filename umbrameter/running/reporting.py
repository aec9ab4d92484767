"""Write an audit's report into its run folder."""

from collections.abc import Sequence

import yaml

from umbrameter.report.assemble import assemble
from umbrameter.report.html import page_and_figures
from umbrameter.report.run_artefacts import FILE, RunArtefacts
from umbrameter.running.jobs import job
from umbrameter.running.session import Session
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import paths_of
from umbrameter.targets.connection import Connection


def write_report(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> str:
    """Write the run's folder, and return its path relative to the root.

    Parameters
    ----------
    session
        The running audit.
    variants
        The planned targets with their steps, all of them made.
    connection
        The connection to a target trained elsewhere, else None.
    """
    results = [path for v in variants for step in (v.guarantees, v.controls) for path in paths_of(step)]
    results += [step.recipe.path for v in variants for m in v.measurements for step in (m.evaluation, m.utility)]
    future = session.graph.submit(_write_report, results, session, variants, connection)
    folder = future.result()
    session.graph.note(future, [folder])
    return folder


@job("write the report")
def _write_report(session: Session, variants: Sequence[TrainedVariant], connection: Connection | None) -> str:
    """Write the run's folder: report, figures, spec and the list of artefacts; return its path."""
    store, spec, folder = session.store, session.spec, session.run_folder()
    n_sent, artefacts = None if connection is None else connection.n_sent(), RunArtefacts.of(variants)
    figures: dict[str, bytes] = {}
    with session.stage("report", 0):
        if session.driver.draws_figures:
            from umbrameter.report.run_figures import drawn_figures  # begun with the session; see `prepare_records`

            figures = drawn_figures(assemble(spec, store, variants, session.cost(n_sent)), store, artefacts)
    report = assemble(spec, store, variants, session.cost(n_sent))  # again, so that the figures' time is in its cost
    files = {
        "spec.yaml": yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode(),
        FILE: artefacts.model_dump_json(indent=1).encode(),
        **(page_and_figures(report, figures) if session.driver.draws_figures else {}),
        **({} if connection is None else connection.files()),
        # The last file, so that a folder with a report is complete.
        "report.json": report.model_dump_json(indent=1).encode(),
    }
    store.put(folder, files)
    return folder
