"""Measure what answers are worth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umbrameter.evaluation.utility import Seen, costs
from umbrameter.mitigations import LabelOnly, PostHoc
from umbrameter.statistics import paired
from umbrameter.statistics.estimates import Metric, NotMeasured
from umbrameter.steps.signals import read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of


@dataclass(frozen=True)
class Costing:
    """Measure what answers are worth.

    Parameters
    ----------
    answers
        Path of the answers on members and non-members.
    mitigations
        What they pass through, in order.
    base
        Path of the answers of the target as it is; None for these themselves.
    """

    answers: str
    mitigations: tuple[PostHoc, ...]
    base: str | None

    @property
    def recipe(self) -> Recipe:
        """What decides the figures."""
        passed = [mitigation.model_dump(mode="json") for mitigation in self.mitigations]
        facts = {"answers": key_of(self.answers), "mitigations": passed, "base": self.base and key_of(self.base)}
        return Recipe("costs", facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write `costs.json`."""
        vectors, is_member = read_answers(store.open(self.answers).table("predictions.parquet"), self.mitigations)
        base = None if self.base is None else read_answers(store.open(self.base).table("predictions.parquet"))[0]
        seen, before = Seen.of(vectors), None if base is None else Seen.of(base)
        distances = None if base is None else paired.distortion(vectors.predictions, base.predictions)
        notes = [n for m in self.mitigations if (n := m.note((base or vectors).predictions)) is not None]
        found = costs(seen, is_member, before, distances)
        if base is None and any(isinstance(m, LabelOnly) for m in self.mitigations):
            why = NotMeasured(not_measured="the target answers labels alone, without confidences")
            found["utility"] |= {"log_loss": why, "calibration_error": why}
        content = {name: _dumped(metrics) for name, metrics in found.items()}
        draft.data("costs.json", json.dumps(content | {"notes": notes}, allow_nan=False).encode())


def read_costs(artefact: Artefact) -> Mapping[str, Any]:
    """Return utility and change, each figure by name, and notes."""
    content: dict[str, Any] = json.loads(artefact.data("costs.json"))
    return content


def _dumped(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    return {name: metric.model_dump(mode="json") for name, metric in metrics.items()}
