"""Limits on an audit's figures, and presets: published sets of limits."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from umbrameter.statistics.metrics import METRICS

ANY = "any"
"""Stands for every attack of the audit."""


AISVS = "OWASP AISVS 1.0, C11.2.5, and its research note"


PRESETS: dict[str, tuple[dict[str, object], ...]] = {
    "owasp_aisvs": (
        {"metric": "auc", "limit": 0.55, "source": f"{AISVS}: AUC below 0.55"},
        {
            "metric": "tpr_at_fpr_0.01",
            "limit": 0.02,
            "source": f"{AISVS}: TPR near the baseline at 1 % FPR (read as at most twice the FPR)",
        },
        {
            "metric": "tpr_at_fpr_0.001",
            "limit": 0.002,
            "source": f"{AISVS}: TPR near the baseline at 0.1 % FPR (read as at most twice the FPR)",
        },
    ),
}
"""Sets of limits with a source, by name."""


class Limit(BaseModel):
    """The largest accepted value of a figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(description=f"The figure: one of {', '.join(METRICS)}.")
    attack: str = Field(ANY, description="The attack, as reports name it; `any` stands for every attack.")
    limit: float = Field(description="The largest accepted value.")
    warn: float | None = Field(None, description="A value below the limit; larger figures give a warning.")
    source: str = Field(min_length=1, description="Who set the limit and why; printed beside it.")

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"is not a figure of an audit; the figures are {', '.join(METRICS)}")
        return metric


class Preset(BaseModel):
    """A published set of limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["owasp_aisvs"] = Field(description="The set's name.")

    def limits(self) -> tuple[Limit, ...]:
        """Return the limits of the set."""
        return tuple(Limit.model_validate(entry) for entry in PRESETS[self.preset])


def _which(entry: object) -> str:
    """Return the class that an entry of a spec's limits is meant as, so that errors concern only that one."""
    is_preset = isinstance(entry, Preset) or (isinstance(entry, dict) and "preset" in entry)
    return "Preset" if is_preset else "Limit"


def expand(limits: Sequence[Limit | Preset]) -> tuple[Limit, ...]:
    """Return limits with each preset replaced by its limits."""
    return tuple(limit for entry in limits for limit in (entry.limits() if isinstance(entry, Preset) else (entry,)))


AnyLimit = Annotated[
    Annotated[Limit, Tag("Limit")] | Annotated[Preset, Tag("Preset")],
    Discriminator(_which),
]
