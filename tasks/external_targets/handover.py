"""A target that was trained elsewhere, on its way to a flow and as a run found it."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.target_answers import QueryStep
from umbrameter.store.arrow import as_parquet
from umbrameter.store.steps import perform
from umbrameter.targets.predictions import StoredAnswers
from umbrameter.typing import Answering


class ModelHandle:
    """A Python object on its way to a flow; opaque, since Prefect writes a flow's parameters into its database.

    Parameters
    ----------
    model
        The fitted classifier.
    """

    __slots__ = ("model",)  # without a dictionary nothing of it can be encoded

    def __init__(self, model: Any):
        self.model = model


@dataclass(frozen=True)
class Connection:
    """A target that was trained elsewhere, as this run found it.

    Parameters
    ----------
    target
        Who it is.
    asked
        What answers.
    """

    target: TargetIdentity
    model: Answering | StoredAnswers

    def perform(self, root: str, steps: Sequence[QueryStep]) -> None:
        """Make steps that ask the target, in this process; an endpoint's ledger says what for."""
        asking = getattr(self.model, "asking", None)
        with asking(steps[0].purpose) if asking is not None else nullcontext():
            perform(root, [replace(step, connection=self.model) for step in steps])

    def part(self) -> None:
        """Check at the end that the target is still who it was; nothing where it cannot have changed."""

    def sent(self) -> int | None:
        """Return how many records this run has sent, where there is a ledger."""
        return None

    def files(self) -> dict[str, bytes]:
        """Return what goes into the run's folder: the ledger of an endpoint, as Parquet."""
        ledger = getattr(self.model, "ledger", None)
        return {} if ledger is None else {"ledger.parquet": as_parquet(ledger())}

    def close(self) -> None:
        """End connections."""
        getattr(self.model, "close", bool)()
