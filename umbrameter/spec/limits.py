"""Limits on an audit's figures, and presets: published sets of limits."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator

from umbrameter.errors import SpecError, one_of
from umbrameter.spec.loading import checked
from umbrameter.statistics.metrics import METRICS

ANY = "any"
"""Stands for every attack of the audit."""

FRACTIONS = ("auc", "accuracy", "precision", "recall", "advantage", "tpr_at_fpr_")
"""What the names of figures that cannot exceed 1 begin with."""

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

    metric: str = Field(description=f"The figure: one of {', '.join(METRICS)}.", examples=["auc"])
    attack: str = Field(
        ANY, description="The attack, as reports name it; `any` stands for every attack.", examples=["loss"]
    )
    limit: float = Field(allow_inf_nan=False, description="The largest accepted value.", examples=[0.6])
    warn: float | None = Field(
        None,
        allow_inf_nan=False,
        description="A value below the limit; larger figures give a warning.",
        examples=[0.55],
    )
    source: str = Field(
        min_length=1, description="Who set the limit and why; printed beside it.", examples=["our own rule"]
    )

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"is not a figure of an audit; {one_of(metric, METRICS, 'the figures are')}")
        return metric

    @field_validator("limit")
    @classmethod
    def _reachable(cls, limit: float, info: ValidationInfo) -> float:
        metric = str(info.data.get("metric"))
        if limit > 1 and metric.startswith(FRACTIONS):
            raise ValueError(f"{metric} is a fraction and cannot exceed 1, so this limit never fails; 60 % is 0.6")
        return limit


class Preset(BaseModel):
    """A published set of limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["owasp_aisvs"] = Field(description="The set's name.")

    def limits(self) -> tuple[Limit, ...]:
        """Return the limits of the set."""
        return tuple(Limit.model_validate(entry) for entry in PRESETS[self.preset])


def with_limits(content: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return a spec's mapping with further limits for every attack, from `METRIC=NUMBER` settings.

    Raises
    ------
    SpecError
        When one is not such a setting, or not a limit.

    Examples
    --------
    >>> with_limits({}, ["auc=0.6"])["limits"][0].limit
    0.6
    """
    further = [_from_setting(setting) for setting in settings]
    there = content.get("limits") or []
    return {**content, "limits": [*there, *further]} if further and isinstance(there, list) else content


def _from_setting(setting: str) -> Limit:
    metric, equals, limit = setting.partition("=")
    if not equals:
        raise SpecError(f"--fail-on {setting!r} must be METRIC=NUMBER, such as auc=0.6")
    try:
        return checked(Limit, {"metric": metric, "limit": limit, "source": "--fail-on"})
    except SpecError as error:
        raise SpecError(f"--fail-on {setting!r}: {error}") from None


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
