"""What to measure of stored predictions."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from umbrameter.attacks import AnyAttack
from umbrameter.errors import SpecError
from umbrameter.mitigations import AnyMitigation
from umbrameter.mitigations.composition import composed
from umbrameter.spec.attackers import attackers
from umbrameter.spec.limits import AnyLimit


class ScoreSpec(BaseModel):
    """What to measure of stored predictions; an audit's spec serves, too, and what it says of training is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field("stored-predictions", description="The audited model's name.")
    seed: int = Field(0, ge=0, lt=2**32, description="The one seed of the audit.")
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
    )
    limits: tuple[AnyLimit, ...] = Field((), description="What the figures are held against.")
    mitigations: tuple[AnyMitigation, ...] = Field((), description="Mitigations to measure beside none.")
    accepted_loss: float = Field(0.01, ge=0, le=1, description="The loss of test accuracy that is accepted.")

    _compositions = field_validator("mitigations", mode="before")(composed)

    @property
    def attackers(self) -> tuple[AnyAttack, ...]:
        """The attacks, and those that every mitigation has to face; as of `rows.attackers`."""
        return attackers(self.attacks, self.mitigations)

    @classmethod
    def load(cls, path: str | Path | None) -> "ScoreSpec":
        """Read a spec from a YAML file; the defaults without one.

        Raises
        ------
        SpecError
            When it cannot be read or is no spec.
        """
        if path is None:
            return cls()
        try:
            return cls.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SpecError(f"--spec={str(path)!r} cannot be read ({' '.join(str(error).split())})") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise SpecError(f"--spec={str(path)!r}: {where}: {first['msg']}; it is {first['input']!r}") from None
