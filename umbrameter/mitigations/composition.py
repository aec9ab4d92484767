"""Several mitigations at once, such as a penalty in the training and rounded answers.

Jia et al. (2019), arXiv 1909.10594, section 5.3, combine a guard with mitigations of the training: one may stop leaks
that another lets through.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from umbrameter.mitigations.base import InTraining, LearnedPostHoc, Mitigation, wrapped

if TYPE_CHECKING:
    from umbrameter.mitigations import SingleMitigation


class Composition(Mitigation):
    """Mitigations that apply in order; in a spec, simply a list of mitigations.

    Examples
    --------
    >>> from umbrameter.mitigations import Rounding, TopK
    >>> Composition((TopK(3), Rounding(1))).label
    'top_k(3) + rounding(1)'
    >>> Composition(TopK(3), Rounding(1)) == Composition((TopK(3), Rounding(1)))
    True
    """

    kind: Literal["composition"] = Field("composition", description="Several mitigations, in order.")
    steps: tuple["SingleMitigation", ...] = Field(
        min_length=1,
        description="The mitigations, in order.",
        examples=[[{"kind": "top_k", "k": 3}, {"kind": "rounding", "decimals": 1}]],
    )

    def __init__(self, *steps: Any, **settings: Any):
        """Take the mitigations as one sequence, or one by one."""
        are_single = bool(steps) and all(isinstance(step, Mitigation) for step in steps)
        super().__init__(*([steps] if are_single else steps), **settings)

    @field_validator("steps", mode="before")
    @classmethod
    def _not_empty(cls, steps: Any) -> Any:
        if isinstance(steps, list | tuple) and not steps:
            raise ValueError("there are no mitigations; name at least one, such as Composition((Rounding(1),))")
        return steps

    @model_validator(mode="after")
    def _in_order(self) -> "Composition":
        is_training = [isinstance(step, InTraining) for step in self.steps]
        first_answer = is_training.index(False) if False in is_training else len(self.steps)
        late = [step.label for step in self.steps[first_answer:] if isinstance(step, InTraining)]
        if late:
            raise ValueError(
                f"{', '.join(late)} acts in the training and comes after {self.steps[first_answer].label}, which acts "
                "on the answer; put it first"
            )
        learned = [step.label for step in self.steps[first_answer + 1 :] if isinstance(step, LearnedPostHoc)]
        if learned:
            raise ValueError(
                f"{self.label}: {', '.join(learned)} needs the model's own confidences, but gets answers that "
                "were already changed; put it before the other mitigations of the answer"
            )
        return self

    @property
    def label(self) -> str:
        """The mitigations in a few words, in order."""
        return " + ".join(step.label for step in self.steps)

    @property
    def parts(self) -> tuple[Mitigation, ...]:
        """The mitigations, in order."""
        return self.steps

    def wrap(self, estimator: Any) -> Any:
        """Return a classifier wrapped by each in turn.

        Raises
        ------
        SpecError
            When one of the mitigations cannot wrap the estimator.
        """
        return wrapped(estimator, self.steps)


def composed(entries: Any) -> Any:
    """Return a spec's mitigations with each list among them made a composition, all else unchanged.

    A list of one mitigation is that mitigation, so that it shares its artefacts.
    """
    if not isinstance(entries, list | tuple):
        return entries
    lists = {i: entry for i, entry in enumerate(entries) if isinstance(entry, list | tuple)}
    made = {i: e[0] if len(e) == 1 else {"kind": "composition", "steps": e} for i, e in lists.items()}
    return [made.get(i, entry) for i, entry in enumerate(entries)]
