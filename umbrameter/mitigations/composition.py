"""Several mitigations at once, such as a penalty in the training and rounded answers.

Jia et al. (2019), arXiv 1909.10594, section 5.3, combine a guard with mitigations of the training: one may stop leaks
that another lets through.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

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
    """

    kind: Literal["composition"] = Field("composition", description="Several mitigations, in order.")
    steps: tuple["SingleMitigation", ...] = Field(
        min_length=2,
        description="The mitigations, in order.",
        examples=[[{"kind": "top_k", "k": 3}, {"kind": "rounding", "decimals": 1}]],
    )

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
    """Return a spec's mitigations with each list among them made a composition, all else unchanged."""
    if not isinstance(entries, list | tuple):
        return entries
    return [{"kind": "composition", "steps": e} if isinstance(e, list | tuple) else e for e in entries]
