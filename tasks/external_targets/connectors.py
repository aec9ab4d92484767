"""Connect to a target that was trained elsewhere, whatever its kind.

Belongs here: kinds that need a client library, and what the connection to an endpoint counts. Does not belong here:
kinds that need none (they connect themselves), or how an endpoint is queried (`endpoint`).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import singledispatch

from tasks.external_targets.connection import read_token
from tasks.external_targets.endpoint import FEWEST, WITNESSES, Endpoint, own_records
from umbrameter.store.arrow import as_parquet
from umbrameter.store.artefacts import digest
from umbrameter.targets.base import Target
from umbrameter.targets.columns import Columns
from umbrameter.targets.connection import (
    Connection,
    ConnectionContext,
    MutableConnection,
    identify,
    known_answers,
)
from umbrameter.targets.endpoint import EndpointTarget
from umbrameter.targets.registry import RegistryTarget


@singledispatch
def connect(target: Target, context: ConnectionContext) -> Connection:
    """Return the connection to a target; a kind registers here, or has a method `connect` of its own.

    Parameters
    ----------
    target
        The spec's target.
    context
        What a connection may need: the store, the records, canaries and so on.

    Raises
    ------
    TargetError
        When there is no such target, or it does not answer.
    DataError
        When its answers do not fit the data.
    """
    return target.connect(context)


@connect.register
def _registry(target: RegistryTarget, context: ConnectionContext) -> Connection:
    from tasks.mlflow_client import registry  # loads MLflow, which takes seconds

    records = context.records
    columns = Columns.of(records)
    model, facts = registry.load(target, columns, records.classes, context.store.root, context.tracking_uri)
    return Connection(facts, f"{target.model}, version {facts['version']}", model)


@connect.register
def _endpoint(target: EndpointTarget, context: ConnectionContext) -> Connection:
    records = context.records
    endpoint = Endpoint(target, context.store, Columns.of(records), records.classes, read_token(target.token))
    try:
        return EndpointConnection(target, endpoint, context)
    except BaseException:
        endpoint.close()
        raise


class EndpointConnection(MutableConnection):
    """A model behind HTTP(S), with its budget and its ledger.

    Parameters
    ----------
    target
        The spec's target.
    endpoint
        The client that queries it.
    context
        See `connect`.
    """

    def __init__(self, target: EndpointTarget, endpoint: Endpoint, context: ConnectionContext):
        # Read before the first canary is sent, which counts as this run's.
        self._sent_before = endpoint.n_sent
        facts, store, canaries = {"kind": target.kind, **target.identity}, context.store, context.canaries
        others = endpoint.classes[len(context.records.classes) :]
        facts |= {"other_classes": list(map(str, others))} if others else {}
        identity = identify(store, facts, canaries, endpoint.canary(canaries))
        super().__init__(identity, target.place, endpoint, store, canaries, endpoint.canary)
        self.endpoint, self.budget, self.n_canaries = endpoint, target.budget, len(canaries)
        endpoint.model = digest(identity)
        answers = known_answers(store, identity)
        unsure = answers.max(axis=1).argsort()[:WITNESSES]  # models differ most on these
        endpoint.witnesses = canaries.take(unsure), answers[unsure]

    def querying(self, purpose: str) -> AbstractContextManager[object]:
        """Return a context within which the ledger notes a purpose."""
        return self.endpoint.asking(purpose)

    def n_witnesses(self, n_records: int, n_calls: int) -> int:
        """Return how many known records are sent along with a query, at most."""
        return most_witnesses(self.endpoint.target.batch_size, n_records, n_calls)

    def n_sent_ever(self) -> int:
        """Return how many records were ever sent to the endpoint from this root."""
        return self.endpoint.n_sent

    def n_sent(self) -> int | None:
        """Return how many records this run has sent."""
        return self.endpoint.n_sent - self._sent_before

    def n_answered(self) -> Mapping[str, int]:
        """Return how many records this model has answered per purpose, known ones included."""
        return self.endpoint.answered()

    def files(self) -> dict[str, bytes]:
        """Return the ledger, as Parquet."""
        return {"ledger.parquet": as_parquet(self.endpoint.ledger())}

    def close(self) -> None:
        """Close the connections."""
        self.endpoint.close()


def most_witnesses(batch_size: int, n_records: int, n_calls: int) -> int:
    """Return how many known records are sent along with a query, at most.

    The last request of each call may be small, and a small request carries no known records.

    Parameters
    ----------
    batch_size
        Records in one request.
    n_records, n_calls
        Number of records in the query, and of calls over which they are spread.
    """
    if batch_size < FEWEST:
        return 0
    n_requests = -(-n_records // own_records(batch_size)) + max(0, n_calls - 1)
    return WITNESSES * min(n_requests, n_records // (FEWEST - WITNESSES))
