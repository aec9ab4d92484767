"""Meet a target that was trained elsewhere: tell who it is, ask it, and see at the end that it is still the same.

Belongs here: what a run does with such a target. Does not belong here: how an endpoint is asked (`endpoint`), or a
model fetched (`registry`).
"""

import hashlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.external_targets.connection import read_token
from tasks.external_targets.endpoint import WITNESSES, Endpoint
from tasks.external_targets.handover import Connection, ModelHandle
from tasks.session import Session
from umbrameter.errors import TargetError
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.steps.target import TargetIdentity
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Recipe, Store, digest
from umbrameter.targets import EndpointTarget, GivenTarget, RegistryTarget, StoredTarget
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns, same
from umbrameter.typing import Floats

log = logging.getLogger("umbrameter.audit")


CANARIES = 16
"""Made-up records that a target is asked about at the beginning and at the end."""

MANY_CANARIES = 256
"""The same of a target that answers labels, rounded or in part: two models often agree on such answers."""


@dataclass(frozen=True)
class MutableConnection(Connection):
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
        return self.model.n_sent - self.before if isinstance(self.model, Endpoint) else None

    def part(self) -> None:
        """Ask about the same records again.

        Raises
        ------
        TargetError
            When the answers differ: some of the audit's answers may be another model's.
        """
        before = vectors(self.store.open(Recipe("meetings", self.meeting).path).table("answers.parquet")["prediction"])
        if same(before, _canary(self.model, self.canaries)):
            return
        with self.store.write(Recipe("meetings", {**self.meeting, "is_spoilt": True})):
            pass
        raise TargetError(
            f"{self.target.description} answers the same {len(self.canaries)} records otherwise than at the beginning: "
            "it was replaced by another model meanwhile, or its answers are random; nothing was measured. Run again "
            "once it stays the same, and everything will be asked anew"
        )


def meet(
    session: Session, records: Records, split: Artefact, model: ModelHandle | None, tracking_uri: str | None
) -> None:
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
        session.met = Connection(TargetIdentity(facts, f"stored answers of {target.path.rpartition('/')[2]}"), answers)
    elif isinstance(target, RegistryTarget):
        from tasks.mlflow_client import registry

        found, facts = registry.load(target, columns, records.classes, store.root, tracking_uri)
        session.met = Connection(TargetIdentity(facts, f"{target.model}, version {facts['version']}"), found)
    elif isinstance(target, GivenTarget):
        session.met = _given(store, target, columns, records, model, canaries)
    elif isinstance(target, EndpointTarget):
        session.met = _endpoint(store, target, columns, records, canaries)
    if session.met is not None:
        session.make([session.met.target])


def _canaries(records: Records, split: Artefact, n: int) -> Floats:
    """Return made-up records: each feature of some non-members, dealt anew."""
    rng = generator(0, "canaries")
    rows = rng.permutation(rows_of(split, "nonmember"))[:n]
    return rng.permuted(records.take(rows)[0], axis=0)


def _given(
    store: Store, target: GivenTarget, columns: Columns, records: Records, model: ModelHandle | None, canaries: Floats
) -> MutableConnection:
    if model is None:
        raise TargetError(
            "target.kind=object: there is no object; hand it over: audit(spec, model=ModelHandle(classifier))"
        )
    model = Adapted(model.model, columns, records.classes, target.labels, target.answers, target.name)
    facts = {"kind": target.kind, "name": target.name, "answers": _dumped(target), "labels": _listed(target.labels)}
    facts["run"] = uuid.uuid4().hex  # an object has no name that is its own, and asking it costs nothing
    meeting = _meeting(store, facts, canaries, _canary(model, canaries))
    return MutableConnection(TargetIdentity(meeting, target.name), model, store, meeting, canaries)


def _endpoint(
    store: Store, target: EndpointTarget, columns: Columns, records: Records, canaries: Floats
) -> MutableConnection:
    model = Endpoint(target, store, columns, records.classes, read_token(target.token))
    before = model.n_sent
    try:
        meeting = _meeting(store, {"kind": target.kind, **target.identity}, canaries, _canary(model, canaries))
    except BaseException:
        model.close()
        raise
    model.model = digest(meeting)
    known = vectors(store.open(Recipe("meetings", meeting).path).table("answers.parquet")["prediction"])
    unsure = known.max(axis=1).argsort()[:WITNESSES]  # where models differ the most
    model.witnesses = canaries[unsure], known[unsure]
    return MutableConnection(TargetIdentity(meeting, target.place), model, store, meeting, canaries, before)


def _meeting(store: Store, facts: Mapping[str, Any], canaries: Floats, answers: Floats) -> dict[str, Any]:
    """Return which of the models met under a name this is, by what it answers; a new one is noted."""
    model = hashlib.sha256(canaries.tobytes()).hexdigest()
    for generation in count():
        meeting = {**facts, "canaries": model, "generation": generation}
        known = store.find(Recipe("meetings", meeting))
        spoilt = store.find(Recipe("meetings", {**meeting, "is_spoilt": True})) is not None
        if known is None:
            with store.write(Recipe("meetings", meeting)) as draft:
                draft.table("answers.parquet", pa.table({"prediction": vector_column(answers)}))
            return meeting
        if not spoilt and same(vectors(known.table("answers.parquet")["prediction"]), answers):
            return meeting
    raise AssertionError("there is always another number")


def _canary(model: Any, canaries: Floats) -> Floats:
    """Return answers on the canaries, always asked anew."""
    ask = model.canary if isinstance(model, Endpoint) else model.predict_proba
    return np.asarray(ask(canaries), dtype=np.float32)


def _listed(labels: Sequence[Any] | None) -> list[Any] | None:
    return None if labels is None else [*labels]


def _dumped(target: GivenTarget | StoredTarget) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json") for part in target.answers]
