"""The specification of an audit of stored predictions."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from umbrameter.attacks import AnyAttack
from umbrameter.errors import SpecError
from umbrameter.mitigations import AnyMitigation
from umbrameter.mitigations.composition import composed
from umbrameter.predictions.roles import Role
from umbrameter.predictions.scales import Scale
from umbrameter.spec import sweep
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import AnyLimit, with_limits
from umbrameter.spec.loading import checked, read_text, read_yaml
from umbrameter.spec.required_attacks import required_attacks


class ScoreSpec(BaseModel):
    """What to measure on stored predictions; the spec of an audit can be used, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("stored-predictions", description="The audited model's name.", examples=["churn"])
    seed: int = Field(0, ge=0, lt=2**32, description="The audit's only seed.", examples=[7])
    attacks: tuple[AnyAttack, ...] = Field(
        default=(
            {"kind": "gap"},
            {"kind": "loss"},
            {"kind": "confidence"},
            {"kind": "modified_entropy"},
            {"kind": "shokri", "model": {"kind": "logistic_regression"}, "features": "sorted"},
            {"kind": "lira", "mode": "online"},
            {"kind": "lira", "mode": "offline"},
            {"kind": "rmia", "mode": "online"},
            {"kind": "rmia", "mode": "offline"},
        ),
        validate_default=True,
        min_length=1,
        description="The attacks; those that lack data are reported as not measured.",
        examples=[["loss", "gap"]],
    )
    limits: tuple[AnyLimit, ...] = Field(
        (), description="Limits on the figures.", examples=[[{"preset": "owasp_aisvs"}]]
    )
    mitigations: tuple[AnyMitigation, ...] = Field(
        (), description="Mitigations to compare with no mitigation.", examples=[["label_only"]]
    )
    accepted_loss: float = Field(
        0.01, ge=0, le=1, description="The largest accepted loss of test accuracy.", examples=[0.02]
    )
    columns: dict[Role, str] = Field(
        {},
        description="Columns by role, where they have other names, such as label: target; of the answers also a start "
        "of names with a star for the class, such as prediction: proba_*.",
        examples=[{"label": "target", "prediction": "proba_*"}],
    )
    answers: Scale = Field("probabilities", description="The scale of the answers.")

    _compositions = field_validator("mitigations", mode="before")(composed)

    @property
    def required_attacks(self) -> tuple[AnyAttack, ...]:
        """The attacks, including those that every mitigation must face; see `spec.required_attacks`."""
        return required_attacks(self.attacks, self.mitigations)

    @classmethod
    def load(
        cls,
        path: str | Path | None,
        limits: Iterable[str] = (),
        columns: Iterable[str] = (),
        answers: str | None = None,
    ) -> "ScoreSpec":
        """Read a spec from a YAML file, or take the default without one, with further limits; see `sweep.load`.

        The spec of an audit is checked as a whole; its data, target and shadow models are then ignored.

        Parameters
        ----------
        path
            The YAML file, or None.
        limits
            Further limits, each `metric=number`.
        columns
            Columns by role, each `role=name`; they replace those of the spec.
        answers
            The scale of the answers, in place of the spec's.

        Raises
        ------
        SpecError
            When the file is missing, is not a spec, or has an unknown setting.
        """
        if path is None:
            return checked(cls, with_limits(_with_columns({}, columns, answers), limits))
        text = read_text(path, "--spec")
        content = read_yaml(text, cls)
        # Read as an audit's spec first, so that errors in its other settings are reported as well.
        if {"data", "target"} & content.keys():
            if not isinstance(sweep.from_yaml(text), AuditSpec):
                raise SpecError(f"--spec={str(path)!r} is a sweep: a setting is a list; give each a single value")
            content = {name: value for name, value in content.items() if name in cls.model_fields}
        return checked(cls, with_limits(_with_columns(content, columns, answers), limits))


def _with_columns(content: dict[str, Any], columns: Iterable[str], answers: str | None) -> dict[str, Any]:
    """Return a spec's content with the columns and the scale of the command line."""
    named = {}
    for column in columns:
        role, equals, name = column.partition("=")
        if not (equals and name and role in get_args(Role)):
            raise SpecError(f"--column={column!r} must be ROLE=NAME; the roles are {', '.join(get_args(Role))}")
        named[role] = name
    changed = {"columns": content.get("columns", {}) | named} if named else {}
    return content | changed | ({} if answers is None else {"answers": answers})
