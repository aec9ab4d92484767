"""Meet a target that was trained elsewhere: tell who it is, ask it, and see at the end that it is still the same.

Belongs here: what a run does with such a target. Does not belong here: how an endpoint is asked (`endpoint`), or a
model fetched (`registry`).
"""

import hashlib
import logging
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.connection import read_token
from tasks.endpoint import FEWEST, WITNESSES, Endpoint, own_records
from tasks.session import Held, Met, Session
from umbrameter.errors import TargetError
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.shadow_data.base import BLOCK_VALUES
from umbrameter.steps.layout import Variant
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis
from umbrameter.steps.target import TargetMet
from umbrameter.steps.target_answers import Asking, NoisyQuery
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Recipe, Store, digest
from umbrameter.targets import EndpointTarget, GivenTarget, RegistryTarget, StoredTarget
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns, same
from umbrameter.targets.querying import BATCH
from umbrameter.typing import Floats

log = logging.getLogger("umbrameter.audit")

CHECKS = "to see that the model stays the same"

CANARIES = 16
"""Made-up records that a target is asked about at the beginning and at the end."""

MANY_CANARIES = 256
"""The same of a target that answers labels, rounded or in part: two models often agree on such answers."""


@dataclass(frozen=True)
class Changeable(Met):
    """A target that may become another model while it is audited, or between two audits.

    Parameters
    ----------
    store
        Where it is noted who was met.
    meeting
        What decides whether it is the same: what it is called, and which model behind that name.
    canaries
        Records that it is asked about again.
    """

    store: Store
    meeting: Mapping[str, Any]
    canaries: Floats
    before: int = 0
    """Records that earlier runs had sent."""

    def sent(self) -> int | None:
        """Return how many records this run has sent, where there is a ledger."""
        return self.asked.n_sent - self.before if isinstance(self.asked, Endpoint) else None

    def part(self) -> None:
        """Ask about the same records again.

        Raises
        ------
        TargetError
            When the answers differ: some of the audit's answers may be another model's.
        """
        before = vectors(self.store.open(Recipe("meetings", self.meeting).path).table("answers.parquet")["prediction"])
        if same(before, _canary(self.asked, self.canaries)):
            return
        with self.store.write(Recipe("meetings", {**self.meeting, "is_spoilt": True})):
            pass
        raise TargetError(
            f"{self.target.description} answers the same {len(self.canaries)} records otherwise than at the beginning: "
            "it was replaced by another model meanwhile, or its answers are random; nothing was measured. Run again "
            "once it stays the same, and everything will be asked anew"
        )


def meet(session: Session, records: Records, split: Artefact, model: Held | None, tracking_uri: str | None) -> None:
    """Find the target of a session; as of `Session.met` from then on.

    Parameters
    ----------
    session
        The run.
    records, split
        The opened artefacts.
    model
        The Python object, for a target of kind `object`.
    tracking_uri
        Where MLflow is.

    Raises
    ------
    TargetError
        When there is no such target, or it does not answer.
    """
    store, target, columns = session.store, session.spec.target, Columns.of(records)
    canaries = _canaries(records, split, MANY_CANARIES if getattr(target, "answers", ()) else CANARIES)
    if isinstance(target, StoredTarget):
        answers = target.read(len(records.classes))
        facts = {"kind": target.kind, "answers": _dumped(target), "records": records.artefact.key}
        session.met = Met(TargetMet(facts, f"stored answers of {target.path.rpartition('/')[2]}"), answers)
    elif isinstance(target, RegistryTarget):
        from tasks import registry

        found, facts = registry.load(target, columns, records.classes, store.root, tracking_uri)
        session.met = Met(TargetMet(facts, f"{target.model}, version {facts['version']}"), found)
    elif isinstance(target, GivenTarget):
        session.met = _given(store, target, columns, records, model, canaries)
    elif isinstance(target, EndpointTarget):
        session.met = _endpoint(store, target, columns, records, canaries)
    if session.met is not None:
        session.make([session.met.target])


def announce(session: Session, variants: Sequence[Variant]) -> None:
    """Say how many queries the audit needs, before any is made.

    Raises
    ------
    TargetError
        When that is more than the budget.
    """
    store, target = session.store, session.spec.target
    works = {work.recipe.path: work for v in variants for work in _asking(v)}
    made = {path: artefact for path, work in works.items() if (artefact := store.find(work.recipe)) is not None}
    needed, checks = Counter[str](), Counter[str]()
    for work in (work for path, work in works.items() if path not in made):
        n = work.n_queries(store)
        needed[work.purpose] += n
        if isinstance(target, EndpointTarget):
            checks[work.purpose] += most_witnesses(target.batch_size, n, most_calls(work, n, store))
    canaries = len(session.met.canaries) if isinstance(session.met, Changeable) else CANARIES
    n_checks = checks.total() + canaries if isinstance(target, EndpointTarget) else 0
    each = [(needed[purpose], purpose) for purpose in needed] + [(n_checks, CHECKS)]
    parts = "; ".join(f"{n:,} {purpose}" for n, purpose in each if n) or "none"
    total = needed.total() + n_checks
    log.info(f"Queries this audit needs, at most: {total:,} ({parts})", extra={"is_notice": True})
    asked = None if session.met is None else session.met.asked
    if not isinstance(target, EndpointTarget) or target.budget is None or not isinstance(asked, Endpoint):
        return
    before = _answered(asked, [(works[path].purpose, artefact) for path, artefact in made.items()])
    known = sum(min(before[purpose], needed[purpose] + checks[purpose]) for purpose in needed)
    if asked.n_sent + total - known > target.budget:
        less = f"; of these {known:,} were answered before" if known else ""
        raise TargetError(
            f"target.budget={target.budget:,}: the audit needs up to {total - known:,} queries more ({parts}{less}), "
            f"and {asked.n_sent:,} were sent already; raise target.budget, leave out attacks, or lower split, "
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


def most_calls(work: Asking, n: int, store: Store) -> int:
    """Return how often a work calls the target to ask about `n` records, at most."""
    n_features = int(store.open(work.records).meta["n_features"])
    if isinstance(work, Synthesis):  # a search that waits for a place begins once one of the others has ended
        most, n_searches = work.data.iter_max, n // work.data.iter_max
        return most + max(0, n_searches - 1) * most // work.data.side_by_side
    if isinstance(work, ShadowRecords):
        return -(-n // max(1, BLOCK_VALUES // n_features))
    copies = 1 + work.noise.copies if isinstance(work, NoisyQuery) else 1
    return -(-n // copies // max(1, BATCH // n_features)) * copies


def _answered(asked: Endpoint, made: Sequence[tuple[str, Artefact]]) -> Counter[str]:
    """Return how many records the model has answered for each purpose, without those of works that were ended."""
    found, size = Counter(asked.answered()), asked.target.batch_size
    for purpose, artefact in made:
        n = int(artefact.meta.get("queries", 0))
        found[purpose] -= n + most_witnesses(size, n, 1)
    return +found


def _asking(variant: Variant) -> list[Asking]:
    """Return the works of a variant that ask its target."""
    drawn = [] if variant.drawn is None else [variant.drawn]
    works = [variant.query, *variant.population, *variant.noisy, *variant.searches, *drawn]
    return [work for work in works if isinstance(work, Asking)]


def _canaries(records: Records, split: Artefact, n: int) -> Floats:
    """Return made-up records: each feature of some non-members, dealt anew."""
    rng = generator(0, "canaries")
    rows = rng.permutation(rows_of(split, "nonmember"))[:n]
    return rng.permuted(records.take(rows)[0], axis=0)


def _given(
    store: Store, target: GivenTarget, columns: Columns, records: Records, model: Held | None, canaries: Floats
) -> Changeable:
    if model is None:
        raise TargetError("target.kind=object: there is no object; hand it over: audit(spec, model=Held(classifier))")
    asked = Adapted(model.model, columns, records.classes, target.labels, target.answers, target.name)
    facts = {"kind": target.kind, "name": target.name, "answers": _dumped(target), "labels": _listed(target.labels)}
    facts["run"] = uuid.uuid4().hex  # an object has no name that is its own, and asking it costs nothing
    meeting = _meeting(store, facts, canaries, _canary(asked, canaries))
    return Changeable(TargetMet(meeting, target.name), asked, store, meeting, canaries)


def _endpoint(store: Store, target: EndpointTarget, columns: Columns, records: Records, canaries: Floats) -> Changeable:
    asked = Endpoint(target, store, columns, records.classes, read_token(target.token))
    before = asked.n_sent
    try:
        meeting = _meeting(store, {"kind": target.kind, **target.identity}, canaries, _canary(asked, canaries))
    except BaseException:
        asked.close()
        raise
    asked.model = digest(meeting)
    known = vectors(store.open(Recipe("meetings", meeting).path).table("answers.parquet")["prediction"])
    unsure = known.max(axis=1).argsort()[:WITNESSES]  # where models differ the most
    asked.witnesses = canaries[unsure], known[unsure]
    return Changeable(TargetMet(meeting, target.place), asked, store, meeting, canaries, before)


def _meeting(store: Store, facts: Mapping[str, Any], canaries: Floats, answers: Floats) -> dict[str, Any]:
    """Return which of the models met under a name this is, by what it answers; a new one is noted."""
    asked = hashlib.sha256(canaries.tobytes()).hexdigest()
    for generation in count():
        meeting = {**facts, "canaries": asked, "generation": generation}
        known = store.find(Recipe("meetings", meeting))
        spoilt = store.find(Recipe("meetings", {**meeting, "is_spoilt": True})) is not None
        if known is None:
            with store.write(Recipe("meetings", meeting)) as draft:
                draft.table("answers.parquet", pa.table({"prediction": vector_column(answers)}))
            return meeting
        if not spoilt and same(vectors(known.table("answers.parquet")["prediction"]), answers):
            return meeting
    raise AssertionError("there is always another number")


def _canary(asked: Any, canaries: Floats) -> Floats:
    """Return answers on the canaries, always asked anew."""
    ask = asked.canary if isinstance(asked, Endpoint) else asked.predict_proba
    return np.asarray(ask(canaries), dtype=np.float32)


def _listed(labels: Sequence[Any] | None) -> list[Any] | None:
    return None if labels is None else [*labels]


def _dumped(target: GivenTarget | StoredTarget) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json") for part in target.answers]
