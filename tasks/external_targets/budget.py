"""How many queries an audit needs, said before any is made and held against the budget."""

from collections import Counter
from collections.abc import Sequence

from tasks.external_targets.endpoint import FEWEST, WITNESSES, Endpoint, own_records
from tasks.external_targets.meeting import CANARIES, MutableConnection, log
from tasks.session import Session
from umbrameter.errors import TargetError
from umbrameter.shadow_data.base import BLOCK_VALUES
from umbrameter.steps.layout import TrainedVariant
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis
from umbrameter.steps.target_answers import NoisyQuery, QueryStep
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.targets import EndpointTarget
from umbrameter.targets.querying import BATCH

CHECKS = "to see that the model stays the same"


def announce(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Say how many queries the audit needs, before any is made.

    Raises
    ------
    TargetError
        When that is more than the budget.
    """
    store, target = session.store, session.spec.target
    steps = {step.recipe.path: step for v in variants for step in _asking(v)}
    made = {path: artefact for path, step in steps.items() if (artefact := store.find(step.recipe)) is not None}
    needed, checks = Counter[str](), Counter[str]()
    for step in (step for path, step in steps.items() if path not in made):
        n = step.n_queries(store)
        needed[step.purpose] += n
        if isinstance(target, EndpointTarget):
            checks[step.purpose] += most_witnesses(target.batch_size, n, most_calls(step, n, store))
    canaries = len(session.met.canaries) if isinstance(session.met, MutableConnection) else CANARIES
    n_checks = checks.total() + canaries if isinstance(target, EndpointTarget) else 0
    each = [(needed[purpose], purpose) for purpose in needed] + [(n_checks, CHECKS)]
    parts = "; ".join(f"{n:,} {purpose}" for n, purpose in each if n) or "none"
    total = needed.total() + n_checks
    log.info(f"Queries this audit needs, at most: {total:,} ({parts})", extra={"is_notice": True})
    model = None if session.met is None else session.met.model
    if not isinstance(target, EndpointTarget) or target.budget is None or not isinstance(model, Endpoint):
        return
    before = _answered(model, [(steps[path].purpose, artefact) for path, artefact in made.items()])
    known = sum(min(before[purpose], needed[purpose] + checks[purpose]) for purpose in needed)
    if model.n_sent + total - known > target.budget:
        less = f"; of these {known:,} were answered before" if known else ""
        raise TargetError(
            f"target.budget={target.budget:,}: the audit needs up to {total - known:,} queries more ({parts}{less}), "
            f"and {model.n_sent:,} were sent already; raise target.budget, leave out attacks, or lower split, "
            "shadows.records or iter_max"
        )


def most_witnesses(batch_size: int, n: int, n_calls: int) -> int:
    """Return how many witnesses go along with a query about `n` records in so many calls, at most.

    Each call's last request may be small, and a request of few records has none.
    """
    if batch_size < FEWEST:
        return 0
    n_requests = -(-n // own_records(batch_size)) + max(0, n_calls - 1)
    return WITNESSES * min(n_requests, n // (FEWEST - WITNESSES))


def most_calls(step: QueryStep, n: int, store: Store) -> int:
    """Return how often a step calls the target to ask about `n` records, at most."""
    n_features = int(store.open(step.records).meta["n_features"])
    if isinstance(step, Synthesis):  # a search that waits for a place begins once one of the others has ended
        most, n_searches = step.data.iter_max, n // step.data.iter_max
        return most + max(0, n_searches - 1) * most // step.data.side_by_side
    if isinstance(step, ShadowRecords):
        return -(-n // max(1, BLOCK_VALUES // n_features))
    copies = 1 + step.noise.copies if isinstance(step, NoisyQuery) else 1
    return -(-n // copies // max(1, BATCH // n_features)) * copies


def _answered(model: Endpoint, made: Sequence[tuple[str, Artefact]]) -> Counter[str]:
    """Return how many records the model has answered for each purpose, without those of steps that were ended."""
    found, size = Counter(model.answered()), model.target.batch_size
    for purpose, artefact in made:
        n = int(artefact.meta.get("queries", 0))
        found[purpose] -= n + most_witnesses(size, n, 1)
    return +found


def _asking(variant: TrainedVariant) -> list[QueryStep]:
    """Return the steps of a variant that ask its target."""
    drawn = [] if variant.drawn is None else [variant.drawn]
    steps = [variant.query, *variant.population, *variant.noisy, *variant.searches, *drawn]
    return [step for step in steps if isinstance(step, QueryStep)]
