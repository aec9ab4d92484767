"""Measure the utility of a target's answers, and what a mitigation costs."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from umbrameter.evaluation.utility import AnswerQuality, utility_and_change
from umbrameter.mitigations import PostHoc, as_settings
from umbrameter.statistics import paired
from umbrameter.statistics.estimates import Metric, NotMeasured
from umbrameter.steps.target_answers import read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of


class UtilityFigures(BaseModel):
    """The utility of answers, its change from the unmitigated target, and notes for the reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    utility: dict[str, Metric]
    change: dict[str, Metric]
    notes: list[str]


@dataclass(frozen=True)
class MeasureUtility:
    """Measure the utility of answers.

    Parameters
    ----------
    answers
        Path of the answers on members and non-members.
    mitigations
        The mitigations that they pass through, in order.
    unmitigated
        Path of the unmitigated target's answers, for comparison; None if `answers` are these.
    """

    answers: str
    mitigations: tuple[PostHoc, ...]
    unmitigated: str | None

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the figures."""
        facts = {
            "answers": key_of(self.answers),
            "mitigations": as_settings(self.mitigations),
            "base": self.unmitigated and key_of(self.unmitigated),
        }
        return Recipe("utility", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.answers, *((self.unmitigated,) if self.unmitigated else ()))

    def make(self, store: Store, draft: Draft) -> None:
        """Write `utility.json`."""
        answers = read_answers(store.open(self.answers), self.mitigations)
        quality, before, distances = AnswerQuality.of(answers.vectors), answers.vectors, None
        if self.unmitigated is not None:
            before = read_answers(store.open(self.unmitigated)).vectors
            distances = paired.distortion(answers.vectors.predictions, before.predictions)
        base = None if self.unmitigated is None else AnswerQuality.of(before)
        figures = utility_and_change(quality, answers.is_member, base, distances)
        # One-hot answers say nothing about confidence, and a wrong one would have an infinite log-loss.
        if base is None and any(mitigation.hides_confidences for mitigation in self.mitigations):
            why = NotMeasured(not_measured="the target answers labels alone, without confidences")
            figures["utility"] |= {"log_loss": why, "calibration_error": why}
        notes = [note for m in self.mitigations if (note := m.note(before.predictions)) is not None]
        draft.data("utility.json", UtilityFigures(**figures, notes=notes).model_dump_json().encode())


def read_utility(artefact: Artefact) -> UtilityFigures:
    """Return the utility of a target's answers, and its change."""
    return UtilityFigures.model_validate_json(artefact.data("utility.json"))
