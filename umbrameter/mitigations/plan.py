"""The rows of the mitigation × attack matrix: each mitigation, split by where it acts."""

from dataclasses import dataclass
from typing import Any, Literal

from umbrameter.mitigations import InTraining, LearnedPostHoc, Mitigation, PostHoc

Attacker = Literal["adaptive", "static"]
"""Whether the attacker knows the mitigation and applies it to the shadow models too, or ignores it."""


@dataclass(frozen=True)
class MitigationPlan:
    """A mitigation of an audit, or none for the unmitigated target.

    Parameters
    ----------
    mitigation
        The mitigation as in the spec; None for the unmitigated target.

    Examples
    --------
    >>> from umbrameter.mitigations import Composition, Params, TopK
    >>> row = MitigationPlan(Composition((Params({"max_depth": 3}), TopK(1))))
    >>> row.label, row.training, row.answers
    ('params(max_depth=3) + top_k(1)', (Params(kind='params', params={'max_depth': 3}),), (TopK(...),))
    """

    mitigation: Mitigation | None = None

    @property
    def label(self) -> str | None:
        """The mitigation in a few words."""
        return None if self.mitigation is None else self.mitigation.label

    @property
    def params(self) -> dict[str, Any]:
        """The mitigation's settings."""
        return {} if self.mitigation is None else {"mitigation": self.mitigation.model_dump(mode="json")}

    @property
    def training(self) -> tuple[InTraining, ...]:
        """The mitigations that act in the training."""
        return tuple(part for part in self._parts if isinstance(part, InTraining))

    @property
    def learned(self) -> LearnedPostHoc | None:
        """The mitigation that is fitted on shadow models' answers before it can act on any, or None."""
        return next((part for part in self._parts if isinstance(part, LearnedPostHoc)), None)

    @property
    def answers(self) -> tuple[PostHoc, ...]:
        """The mitigations that act on answers and need no fitting."""
        return tuple(part for part in self._parts if isinstance(part, PostHoc))

    @property
    def _parts(self) -> tuple[Mitigation, ...]:
        return () if self.mitigation is None else self.mitigation.parts
