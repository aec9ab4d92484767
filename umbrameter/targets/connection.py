"""A connection to a target that was trained elsewhere: what answers, who it is, and whether it is still the same.

Belongs here: what all connections share, and canaries. Does not belong here: how one kind of target is reached.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.errors import TargetError
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Recipe, Store
from umbrameter.targets.columns import same
from umbrameter.typing import Answering, Floats

N_CANARIES = 16
"""Made-up records that a target is asked about at the beginning and at the end of an audit."""

N_CANARIES_COARSE = 256
"""The same of a target that answers labels, rounded or in part: two models often agree on such answers."""


@dataclass(frozen=True)
class ConnectionContext:
    """What a target may need to be found.

    Parameters
    ----------
    store
        Where it is noted which models were met under a name.
    records
        The data: their classes and columns are what the answers have to fit.
    canaries
        Made-up records, shape (n_canaries, n_features).
    model
        The Python object, for a target that is one.
    tracking_uri
        Where MLflow is, if the target does not say.
    """

    store: Store
    records: Records
    canaries: Floats
    model: Any = None
    tracking_uri: str | None = None


class Connection:
    """A target that was trained elsewhere, as this run found it.

    A plain class: whatever passes it on does not look inside for values to serialise.

    Parameters
    ----------
    facts
        JSON-able: what tells the target from every other.
    description
        What it is, in a line.
    model
        What answers, or the stored answers.
    """

    budget: int | None = None
    """Records that may ever be sent, if there is a limit."""

    n_canaries: int = 0
    """Records that count against the budget at the end, to see that the target is still the same."""

    def __init__(self, facts: Mapping[str, Any], description: str, model: Any):
        self.facts, self.description, self.model = dict(facts), description, model

    def querying(self, purpose: str) -> AbstractContextManager[object]:
        """Return a context within which queries are noted under a purpose, where anybody notes them."""
        return nullcontext()

    def n_witnesses(self, n_records: int, n_calls: int) -> int:
        """Return how many known records go along with a query, at most.

        Parameters
        ----------
        n_records
            How many records are asked about.
        n_calls
            In how many calls.
        """
        return 0

    def n_sent_ever(self) -> int:
        """Return how many records were ever sent, where there is a ledger; else 0."""
        return 0

    def n_sent(self) -> int | None:
        """Return how many records this run has sent, where there is a ledger."""
        return None

    def n_answered(self) -> Mapping[str, int]:
        """Return how many records were answered before for each purpose, where there is a ledger."""
        return {}

    def verify_unchanged(self) -> None:
        """Check that the target is still who it was; nothing where it cannot have changed.

        Raises
        ------
        TargetError
            When it has changed: some of the audit's answers may be another model's.
        """

    def files(self) -> dict[str, bytes]:
        """Return what goes into the run's folder, by name."""
        return {}

    def close(self) -> None:
        """End connections."""


class MutableConnection(Connection):
    """A target that may become another model while it is audited, or between two audits.

    Parameters
    ----------
    facts
        What the target is called, as `identify` completes it: which model behind that name.
    description, model
        See `Connection`.
    store
        Where it is noted which models were met under a name.
    canaries
        Records that it is asked about again, shape (n_canaries, n_features).
    ask
        From canaries to answers, always asked anew; the model's `predict_proba` if unset.
    """

    def __init__(
        self,
        facts: Mapping[str, Any],
        description: str,
        model: Answering,
        store: Store,
        canaries: Floats,
        ask: Callable[[Floats], Floats] | None = None,
    ):
        super().__init__(facts, description, model)
        self.store, self.canaries = store, canaries
        self._ask = ask or model.predict_proba

    def verify_unchanged(self) -> None:
        """Ask about the canaries again.

        Raises
        ------
        TargetError
            When the answers differ.
        """
        if same(known_answers(self.store, self.facts), np.asarray(self._ask(self.canaries), dtype=np.float32)):
            return
        with self.store.write(_spoilt(self.facts)):
            pass
        raise TargetError(
            f"{self.description} no longer gives the answers that it gave to {len(self.canaries)} records at the "
            "beginning: it was replaced by another model meanwhile, or its answers are random; nothing was measured. "
            "Run again once it stays the same, and everything will be asked anew"
        )


def draw_canaries(records: Records, split: Artefact, n: int) -> Floats:
    """Return made-up records, each feature dealt anew among some non-members, shape (n, n_features) or fewer rows.

    Parameters
    ----------
    records, split
        The opened artefacts.
    n
        How many.
    """
    rng = generator(0, "canaries")
    rows = rng.permutation(rows_of(split, "nonmember"))[:n]
    return rng.permuted(records.take(rows)[0], axis=0)


def identify(store: Store, facts: Mapping[str, Any], canaries: Floats, answers: Floats) -> dict[str, Any]:
    """Return which of the models seen under a name this is, told by its answers; a new one is noted.

    Parameters
    ----------
    store
        Where earlier models are noted.
    facts
        What the target is called.
    canaries, answers
        What was asked, shape (n_canaries, n_features), and the answers, shape (n_canaries, n_classes).

    Returns
    -------
    The facts, with what tells this model from others of the same name.
    """
    asked = hashlib.sha256(canaries.tobytes()).hexdigest()
    for generation in count():
        identity = {**facts, "canaries": asked, "generation": generation}
        known = store.find(_identity(identity))
        if known is None:
            with store.write(_identity(identity)) as draft:
                draft.table("answers.parquet", pa.table({"prediction": vector_column(answers)}))
            return identity
        is_spoilt = store.find(_spoilt(identity)) is not None
        if not is_spoilt and same(known_answers(store, identity), answers):
            return identity
    raise AssertionError("count() does not end")


def known_answers(store: Store, identity: Mapping[str, Any]) -> Floats:
    """Return the answers to the canaries that tell a model, shape (n_canaries, n_classes)."""
    return vectors(store.open(_identity(identity).path).table("answers.parquet")["prediction"])


def _identity(identity: Mapping[str, Any]) -> Recipe:
    return Recipe("identities", identity)


def _spoilt(identity: Mapping[str, Any]) -> Recipe:
    """Return the mark of a model whose answers were not the same at the end."""
    return Recipe("identities", {**identity, "is_spoilt": True})
