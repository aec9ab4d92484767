"""Connections to targets trained elsewhere: the model that answers, its identity, and whether it has changed.

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
from umbrameter.estimators import Estimator
from umbrameter.records.own import is_vector
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Artefact, Recipe, Store
from umbrameter.targets.columns import Rows, same
from umbrameter.typing import Answering, Floats

N_CANARIES = 16
"""Made-up records that a target is asked about at the beginning and the end of an audit."""

N_CANARIES_COARSE = 256
"""The same for a target that returns labels, rounded or partial answers, on which different models often agree."""


@dataclass(frozen=True)
class ConnectionContext:
    """Everything that a target may need in order to connect.

    Parameters
    ----------
    store
        The store, which remembers the models seen under a name.
    records
        The data, whose classes and columns the answers have to fit.
    canaries
        Made-up records, as the source would have them.
    model
        The Python object, for a target that is one.
    tracking_uri
        MLflow's address, if the target does not give one.
    """

    store: Store
    records: Records
    canaries: Rows
    model: Any = None
    tracking_uri: str | None = None


class Connection:
    """A target trained elsewhere, as this run reached it.

    A plain class, so that whatever passes it on does not look inside for values to serialise.

    Parameters
    ----------
    facts
        JSON-able facts that distinguish the target from every other.
    description
        A line about the target, for the report.
    model
        The model that answers, or the stored answers.
    """

    budget: int | None = None
    """Most records that may ever be sent; None without a limit."""

    n_canaries: int = 0
    """Records sent at the end to check that the target has not changed; they count against the budget."""

    def __init__(self, facts: Mapping[str, Any], description: str, model: Any):
        self.facts, self.description, self.model = dict(facts), description, model

    def estimator(self) -> Estimator:
        """Return the recipe by which the target's model can be trained again.

        Raises
        ------
        ValueError
            When its model has none.
        """
        recipe: Callable[[], Estimator] | None = getattr(self.model, "recipe", None)
        if recipe is None:
            raise ValueError("this kind of target has none that could be read off it")
        return recipe()

    def querying(self, purpose: str) -> AbstractContextManager[object]:
        """Return a context in which queries are recorded under a purpose, if the connection keeps a ledger."""
        return nullcontext()

    def n_witnesses(self, n_records: int, n_calls: int) -> int:
        """Return the largest number of records with known answers that are sent along with a query.

        Parameters
        ----------
        n_records
            Number of records that the target is asked about.
        n_calls
            Number of calls that they are divided into.
        """
        return 0

    def n_sent_ever(self) -> int:
        """Return how many records were ever sent; 0 without a ledger."""
        return 0

    def n_sent(self) -> int | None:
        """Return how many records this run has sent; None without a ledger."""
        return None

    def n_answered(self) -> Mapping[str, int]:
        """Return how many records were answered before for each purpose; empty without a ledger."""
        return {}

    def verify_unchanged(self) -> None:
        """Check that the target is still the same model; by default, assume that it cannot change.

        Raises
        ------
        TargetError
            When it has changed, so that some of the audit's answers may be another model's.
        """

    def files(self) -> dict[str, bytes]:
        """Return files for the run's folder, by name."""
        return {}

    def close(self) -> None:
        """Close network connections."""


class MutableConnection(Connection):
    """A connection to a target that may be replaced by another model during an audit, or between two audits.

    Parameters
    ----------
    facts
        The identity that `identify` returned: the target's name, and which model behind it.
    description, model
        See `Connection`.
    store
        The store, which remembers the models seen under a name.
    canaries
        Records to ask about again.
    ask
        Function from canaries to answers that asks anew each time; the model's `predict_proba` if None.
    """

    def __init__(
        self,
        facts: Mapping[str, Any],
        description: str,
        model: Answering,
        store: Store,
        canaries: Rows,
        ask: Callable[[Rows], Floats] | None = None,
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
        # An empty artefact marks the identity, so that its answers are never used again.
        with self.store.write(_spoilt(self.facts)):
            pass
        raise TargetError(
            f"{self.description} no longer gives the answers that it gave to {len(self.canaries)} records at the "
            "beginning: it was replaced by another model meanwhile, or its answers are random; nothing was measured. "
            "Run again once it stays the same, and everything will be asked anew"
        )


def draw_canaries(records: Records, split: Artefact, n: int) -> pa.Table:
    """Return made-up records: non-members whose values are shuffled among them, feature by feature.

    Parameters
    ----------
    records, split
        The opened artefacts.
    n
        How many to make.

    Returns
    -------
    The features as the source has them; n rows, or fewer if there are fewer non-members.
    """
    rng = generator(0, "canaries")  # the same whatever the audit's seed, so that later audits recognise the model
    rows = rng.permutation(rows_of(split, "nonmember"))[:n]
    table = records.own(rows)
    if is_vector(table.schema):
        return pa.table([vector_column(rng.permuted(vectors(table.column(0)), axis=0))], names=table.schema.names)
    return pa.table([column.take(rng.permutation(len(rows))) for column in table.columns], names=table.schema.names)


def identify(store: Store, facts: Mapping[str, Any], canaries: Rows, answers: Floats) -> dict[str, Any]:
    """Return the identity of the model behind a name, recognised by its answers; a new model is recorded.

    Parameters
    ----------
    store
        The store, which remembers the models seen under a name.
    facts
        The target's name and settings.
    canaries, answers
        The canaries, and the answers to them, shape (n_canaries, n_classes).

    Returns
    -------
    The facts, completed by what distinguishes this model from others of the same name.
    """
    content = repr(canaries.to_pydict()).encode() if isinstance(canaries, pa.Table) else canaries.tobytes()
    asked = hashlib.sha256(content).hexdigest()
    for generation in count():
        identity = {**facts, "canaries": asked, "generation": generation}
        known = store.find(_identity(identity))
        if known is None:
            with store.write(_identity(identity)) as draft:
                draft.table("answers.parquet", pa.table({"prediction": vector_column(answers)}))
            return identity
        # A model that changed during an audit is never recognised again: its stored answers may be a mixture.
        is_spoilt = store.find(_spoilt(identity)) is not None
        if not is_spoilt and same(known_answers(store, identity), answers):
            return identity
    raise AssertionError("count() does not end")


def known_answers(store: Store, identity: Mapping[str, Any]) -> Floats:
    """Return the answers to the canaries by which a model is recognised, shape (n_canaries, n_classes)."""
    return vectors(store.open(_identity(identity).path).table("answers.parquet")["prediction"])


def _identity(identity: Mapping[str, Any]) -> Recipe:
    return Recipe("identities", identity)


def _spoilt(identity: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the mark for a model whose answers changed during an audit."""
    return Recipe("identities", {**identity, "is_spoilt": True})
