"""The number of queries that an audit needs: logged before any is made, and compared with the budget."""

import logging
from collections import Counter
from collections.abc import Sequence

from umbrameter.errors import TargetError
from umbrameter.steps.target_answers import QueryMetadata, QueryStep
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.targets.connection import Connection

log = logging.getLogger("umbrameter.audit")

CHECKS = "to check that the model stays the same"


def announce(store: Store, connection: Connection, queries: Sequence[QueryStep]) -> None:
    """Log how many queries the audit needs, before any is made.

    Parameters
    ----------
    store
        Where answers are kept.
    connection
        The connection to the target.
    queries
        Every step of the audit that queries it.

    Raises
    ------
    TargetError
        When the queries exceed the budget.
    """
    steps = {step.recipe.path: step for step in queries}
    made = {path: artefact for path, step in steps.items() if (artefact := store.find(step.recipe)) is not None}
    needed, checks = Counter[str](), Counter[str]()
    for step in (step for path, step in steps.items() if path not in made):
        n = step.n_queries(store)
        needed[step.purpose] += n
        checks[step.purpose] += connection.n_witnesses(n, step.most_calls(store, n))
    # The canaries of the beginning have been sent by now; as many follow at the end.
    n_checks = checks.total() + connection.n_canaries
    shares = [(needed[purpose], purpose) for purpose in needed] + [(n_checks, CHECKS)]
    parts = "; ".join(f"{n:,} {purpose}" for n, purpose in shares if n) or "none"
    total = needed.total() + n_checks
    log.info(f"Queries this audit needs, at most: {total:,} ({parts})", extra={"is_notice": True})
    if connection.budget is None:
        return
    answered = _answered(connection, [(steps[path].purpose, artefact) for path, artefact in made.items()])
    # Steps that were interrupted have kept answers, which cost no query.
    n_kept = sum(min(answered[purpose], needed[purpose] + checks[purpose]) for purpose in needed)
    sent = connection.n_sent_ever()
    if sent + total - n_kept > connection.budget:
        deduction = f"; of these {n_kept:,} were answered before" if n_kept else ""
        raise TargetError(
            f"target.budget={connection.budget:,}: the audit needs up to {total - n_kept:,} more queries ({parts}"
            f"{deduction}), and {sent:,} were sent already; raise target.budget, leave out attacks, or lower split, "
            "shadows.records or iter_max"
        )


def _answered(connection: Connection, made: Sequence[tuple[str, Artefact]]) -> Counter[str]:
    """Return how many records were answered per purpose, apart from those of finished steps."""
    answered = Counter(connection.n_answered())
    for purpose, artefact in made:
        n = QueryMetadata.read(artefact).queries
        answered[purpose] -= n + connection.n_witnesses(n, 1)
    return +answered  # drops purposes without any
