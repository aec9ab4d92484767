"""What to audit and how: `AuditSpec`, read from YAML.

Belongs here: the fields, their limits, and errors that show the YAML path. Does not belong here: any work.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import TypeIs

from umbrameter.attacks import AnyAttack
from umbrameter.errors import SpecError
from umbrameter.mitigations import AnyMitigation
from umbrameter.mitigations.composition import composed
from umbrameter.plan import Design
from umbrameter.records import CatalogueData, ParquetData
from umbrameter.rows import Row, attackers
from umbrameter.seeds import integer
from umbrameter.store import digest
from umbrameter.targets import AnyTarget
from umbrameter.verdict import ANY, AnyLimit, expand


class SplitSpec(BaseModel):
    """How many records the target is trained on, and how many more it is audited with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(ge=2, description="Records the target is trained on.")
    nonmembers: int | None = Field(None, ge=2, description="Records it is not trained on; as many as members if unset.")


class ShadowSpec(BaseModel):
    """How many shadow models there are and what they are trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(16, ge=1, description="Number of shadow models.")
    size: int | None = Field(None, ge=2, description="IN records of each; as many as the target's members if unset.")
    design: Design = Field(
        "disjoint",
        description="`disjoint`: records from the pool, apart from the target's members and non-members, as an "
        "attacker has them. `audit`: halves of members and non-members together, so that each is IN half of the "
        "models, as only the model's owner can. `mixed`: two models of the one kind, two of the other, by turns.",
    )


class AuditSpec(BaseModel):
    """An audit: one target, one report.

    Examples
    --------
    >>> spec = AuditSpec.from_yaml('''
    ... name: demo
    ... data: {kind: catalogue, name: adult}
    ... split: {members: 1000}
    ... target: {kind: train, estimator: {kind: random_forest}}
    ... ''')
    >>> spec.shadow_size, [attack.label for attack in spec.attacks]
    (1000, ['shokri(mlp)', 'loss'])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The audited model's name.")
    seed: int = Field(0, ge=0, lt=2**32, description="The one seed of the audit.")
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="How often the whole audit is done, each time with another split and other seeds; figures are the "
        "first's, and their spread is over all.",
    )
    data: Annotated[CatalogueData | ParquetData, Field(discriminator="kind")] = Field(description="The records.")
    split: SplitSpec = Field(description="Members and non-members; the rest of the records is the pool.")
    target: AnyTarget = Field(description="The audited model.")
    shadows: ShadowSpec = Field(default_factory=lambda: ShadowSpec(), description="The shadow models.")
    attacks: tuple[AnyAttack, ...] = Field(
        default=({"kind": "shokri"}, {"kind": "loss"}),
        validate_default=True,
        min_length=1,
        description="The attacks.",
    )
    limits: tuple[AnyLimit, ...] = Field((), description="What the figures are held against; presets are sets.")
    mitigations: tuple[AnyMitigation, ...] = Field(
        (), description="Mitigations to measure beside none; a list within the list is several at once, in order."
    )
    accepted_loss: float = Field(
        0.01,
        ge=0,
        le=1,
        description="The loss of test accuracy, a fraction, up to which a mitigation may be recommended.",
    )

    _compositions = field_validator("mitigations", mode="before")(composed)

    @model_validator(mode="after")
    def _distinct(self) -> "AuditSpec":
        for what, labels in (("attacks", [a.label for a in self.attacks]), ("mitigations", self._mitigation_labels())):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is listed twice; remove one of the two")
        return self

    def _mitigation_labels(self) -> list[str]:
        return [m.label for m in self.mitigations]

    @model_validator(mode="after")
    def _mitigable(self) -> "AuditSpec":
        for row in map(Row, self.mitigations):
            self.target.build(0, row.training)
        return self

    @model_validator(mode="after")
    def _attackable(self) -> "AuditSpec":
        design = self.shadows.design
        online = [a.label for a in self.attackers if "IN and OUT shadows" in a.needs]
        if online and design == "disjoint":
            raise ValueError(
                f"attacks: {', '.join(online)} needs shadow models that were trained on audited records, and "
                "shadows.design is disjoint; set shadows.design to audit or mixed, or the attack's mode to offline"
            )
        if design == "audit" and self.shadows.size is not None:
            raise ValueError(
                f"shadows.size={self.shadows.size}: with shadows.design audit each model is trained on half of members "
                "and non-members; leave shadows.size out"
            )
        return self

    @model_validator(mode="after")
    def _limitable(self) -> "AuditSpec":
        names = {attack.label for attack in self.attackers}
        for limit in expand(self.limits):
            if limit.attack != ANY and limit.attack not in names:
                raise ValueError(
                    f"limits: there is no attack {limit.attack!r}; name one of {', '.join(sorted(names))}, or any"
                )
        return self

    def repeated(self) -> tuple["AuditSpec", ...]:
        """Return this spec once for each repeat, with a seed of its own; the first has the audit's."""
        seeds = [self.seed, *(integer(self.seed, "repeat", i) for i in range(1, self.repeats))]
        return tuple(self.model_copy(update={"seed": seed, "repeats": 1}) for seed in seeds)

    @property
    def n_nonmembers(self) -> int:
        """Non-members asked for."""
        return self.split.nonmembers or self.split.members

    @property
    def shadow_size(self) -> int:
        """IN records of each shadow model."""
        return self.shadows.size or self.split.members

    @property
    def attackers(self) -> tuple[AnyAttack, ...]:
        """The attacks, and those that every mitigation has to face; as of `rows.attackers`."""
        return attackers(self.attacks, self.mitigations)

    @property
    def guards(self) -> bool:
        """Whether a mitigation learns from shadow models."""
        return any(row.guard for row in map(Row, self.mitigations))

    @property
    def n_shadows(self) -> int:
        """Shadow models that attacks and mitigations need: 0 when none needs any."""
        return self.shadows.count if self.guards or any(a.needs_shadows for a in self.attackers) else 0

    @property
    def compares(self) -> bool:
        """Whether an attack holds the target's answers against shadow models' answers on the same records."""
        return any(attack.temperatures for attack in self.attackers)

    def digest(self) -> str:
        """Return the SHA-256 (hexadecimal) of the spec with all its defaults."""
        return digest(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, text: str, overrides: Iterable[str] = ()) -> "AuditSpec":
        """Read a spec from YAML text.

        Parameters
        ----------
        text
            The YAML.
        overrides
            `key=value` settings that replace what the text says; a dotted key reaches into parts and lists.

        Raises
        ------
        SpecError
            When it is not YAML, or not a spec: the text gives the path, the value and what is allowed.
        """
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SpecError(f"the spec is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise SpecError(f"the spec must be a mapping of {', '.join(cls.model_fields)}; it is {content!r}")
        for override in overrides:
            _override(content, override)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            found = error.errors()
            causes = [e for e in found if not any(_is_below(other["loc"], e["loc"]) for other in found)]
            raise SpecError("\n".join(_explain(cls, e) for e in causes)) from None

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> "AuditSpec":
        """Read a spec from a YAML file.

        Raises
        ------
        SpecError
            When the file is missing or is not a spec.
        """
        try:
            text = Path(path).read_text(encoding="utf8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"SPEC={str(path)!r} cannot be read ({error}); give the path of a YAML file") from None
        return cls.from_yaml(text, overrides)


def _override(content: dict[str, Any], setting: str) -> None:
    """Set `a.b.0.c=value` in a nested mapping; the value is read as YAML."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise SpecError(f"--set {setting!r} must be key=value, such as shadows.count=24")
    *parents, last = key.split(".")
    place: Any = content
    try:
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        if isinstance(place, list):
            place[int(last)] = yaml.safe_load(value)
        else:
            place[last] = yaml.safe_load(value)
    except (IndexError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        raise SpecError(f"--set {setting!r}: the spec has no place {key!r}, or the value is not YAML") from None


def _is_below(loc: tuple[Any, ...], of: tuple[Any, ...]) -> bool:
    """Say whether one error's place lies within another's, which then only follows from it."""
    return len(loc) > len(of) and loc[: len(of)] == of


def _explain(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    """Return one validation error as: YAML path, value, what is wrong, what is allowed."""
    path, owner, here = _place(model, error["loc"])
    value = error.get("input")
    shown = "" if error["type"] == "missing" or isinstance(value, dict | BaseModel) else f"={value!r}"
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "there is no such setting"
    elif error["type"] == "union_tag_invalid":
        path, shown = f"{path}.kind", f"={error['ctx']['tag']!r}"
        text = f"unknown kind; expected one of {error['ctx']['expected_tags']}"
    elif error["type"] == "union_tag_not_found":
        path, text = f"{path}.kind", f"is missing; say which kind: {_kinds(here)}"
    if error["type"] in ("extra_forbidden", "missing") and _is_model(owner):
        text += f"; the settings here are {', '.join(owner.model_fields)}"
    return f"{path or 'spec'}{shown}: {text}"


def _place(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[str, Any, Any]:
    """Return an error's path as in the YAML (without union tags), the model that owns its last key, and its type."""
    path: list[str] = []
    owner: Any = model
    here: Any = model
    for step in loc:
        choices = {_kind(m) or m.__name__: m for m in _models(here)}
        if isinstance(step, str) and step in choices and not (_is_model(here) and step in here.model_fields):
            here = choices[step]
            owner = here
            continue
        path.append(f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step))
        if isinstance(step, str) and _is_model(here):
            owner = here
            field = here.model_fields.get(step)
            here = None if field is None else _bare(field.annotation)
    return "".join(path), owner, here


def _is_model(value: Any) -> TypeIs[type[BaseModel]]:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _bare(annotation: Any) -> Any:
    """Return the one model in an annotation, or the annotation itself when it holds several or none."""
    models = _models(annotation)
    return models[0] if len(models) == 1 else annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models(part)]


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return None if field is None else next(iter(get_args(field.annotation)), None)


def _kinds(annotation: Any) -> str:
    return ", ".join(k for m in _models(annotation) if (k := _kind(m)))
