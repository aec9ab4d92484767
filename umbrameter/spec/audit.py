"""The specification of an audit: `AuditSpec`, read from YAML.

Belongs here: the settings, their ranges, and checks across settings. Does not belong here: any work.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from umbrameter.attacks import AnyAttack, ReferenceLogits
from umbrameter.attacks.inputs import of_kind
from umbrameter.estimators import Estimator
from umbrameter.mitigations import AnyMitigation, wrapped
from umbrameter.mitigations.composition import composed
from umbrameter.mitigations.plan import MitigationPlan
from umbrameter.records.membership import Membership
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.seeds import integer
from umbrameter.shadow_data import AnyShadowData, Real
from umbrameter.shadow_plan import Design
from umbrameter.spec.limits import ANY, AnyLimit, expand
from umbrameter.spec.loading import checked, read_text, read_yaml
from umbrameter.spec.required_attacks import required_attacks
from umbrameter.store.artefacts import digest
from umbrameter.targets import AnyTarget, Target


class SplitSpec(BaseModel):
    """How many members and non-members the target is audited with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(ge=2, description="Records that the target is trained on.")
    nonmembers: int | None = Field(
        None,
        ge=2,
        description="Records that the target is not trained on; as many as members if unset, or all of them if "
        "membership is known.",
    )


class ShadowSpec(BaseModel):
    """The shadow models: how many, of which kind, and what they are trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(
        16, ge=0, description="Number of shadow models; 0 for attacks that need the target's answers alone."
    )
    size: int | None = Field(
        None, ge=2, description="IN records of each model; as many as the target's members if unset."
    )
    estimator: Estimator | None = Field(
        None,
        description="Their estimator; the target's if unset, which for a target trained elsewhere is read off the "
        "model where scikit-learn can make it again (kinds object, file and registry).",
    )
    data: AnyShadowData = Field(
        default_factory=lambda: Real(), description="Where their records come from; the unchanged pool if unset."
    )
    records: int | None = Field(
        None, ge=4, description="How many records to draw, if they are made; twice the IN records if unset."
    )
    design: Design = Field(
        "disjoint",
        description="`disjoint`: records from the pool, without the target's members and non-members, as an attacker "
        "has them. `audit`: a random half of members and non-members, so that each is IN half of the models, as "
        "only the model's owner can arrange. `mixed`: alternately two models of one design and two of the other.",
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
    # numpy.random.RandomState takes no larger seed.
    seed: int = Field(0, ge=0, lt=2**32, description="The audit's only seed.")
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="How often to run the whole audit, each time with another split and other seeds; figures are from "
        "the first run, and their spread is over all runs.",
    )
    data: Annotated[CatalogueData | ParquetData | SidesData | GeneratedData, Field(discriminator="kind")] = Field(
        description="The records."
    )
    split: SplitSpec | None = Field(
        None,
        description="How many members and non-members; all other records are the pool. If membership is known, this "
        "may be left out, or ask for fewer than there are.",
    )
    target: AnyTarget = Field(description="The audited model.")
    shadows: ShadowSpec = Field(default_factory=lambda: ShadowSpec(), description="The shadow models.")
    attacks: tuple[AnyAttack, ...] = Field(
        default=({"kind": "shokri"}, {"kind": "loss"}),
        validate_default=True,
        min_length=1,
        description="The attacks.",
    )
    limits: tuple[AnyLimit, ...] = Field((), description="Limits on the figures; a preset is a set of limits.")
    mitigations: tuple[AnyMitigation, ...] = Field(
        (), description="Mitigations to compare with no mitigation; a list within the list combines several, in order."
    )
    accepted_loss: float = Field(
        0.01,
        ge=0,
        le=1,
        description="The largest loss of test accuracy, a fraction, at which a mitigation may be recommended.",
    )

    # Lists become compositions before pydantic looks for the kind of each mitigation.
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
        estimator = self.target.estimator_here
        for plan in map(MitigationPlan, self.mitigations):
            if estimator is not None:
                # Built and thrown away, to refuse mitigations that do not fit the estimator.
                wrapped(estimator.build(0), plan.training)
            elif plan.training:
                raise ValueError(
                    f"mitigations: {plan.label} acts in the training, and a target of kind {self.target.kind} was "
                    "trained elsewhere; leave it out, or audit the training with target.kind train"
                )
        return self

    @model_validator(mode="after")
    def _known(self) -> "AuditSpec":
        if not self.is_known and self.split is None:
            raise ValueError("split is missing: say how many members and non-members, such as split: {members: 1000}")
        names_ids = isinstance(self.data, ParquetData) and self.data.id
        has_table = isinstance(self.data, ParquetData) and self.data.membership
        if self.target.membership is not None:
            # Two sources of membership could contradict each other.
            if not names_ids or has_table:
                raise ValueError(
                    f"target.kind={self.target.kind}: stored answers name records by data.id and say which are "
                    "members; give data of kind parquet with id and without membership"
                )
        elif not self.target.trained_here and not self.is_known:
            raise ValueError(
                f"target.kind={self.target.kind}: say which records are in its training set: give data of kind "
                "sides (members and nonmembers), or of kind parquet with id and membership"
            )
        if has_table and not names_ids:
            raise ValueError("data.membership names records by id; set data.id to the column with the ids")
        return self

    @model_validator(mode="after")
    def _shadowed(self) -> "AuditSpec":
        if self.n_shadows and self.estimator is None and not self.target.brings_recipe:
            raise ValueError(
                f"shadows.estimator is missing: the target, of kind {self.target.kind}, is not trained here; give "
                "the shadow models an estimator as similar to the target as is known"
            )
        data = self.shadows.data
        if data.is_drawn and self.shadows.design != "disjoint":
            raise ValueError(
                f"shadows.data.kind={data.kind}: with shadows.design={self.shadows.design} shadow models are trained "
                "on audited records; set shadows.design to disjoint, or leave shadows.data out"
            )
        if data.asks and not self.target.can_be_queried:
            raise ValueError(
                f"shadows.data.kind={data.kind} queries the target, of which only stored answers are available; "
                "choose other shadow data"
            )
        return self

    @model_validator(mode="after")
    def _has_shadows_if_needed(self) -> "AuditSpec":
        needing = [attack.label for attack in self.attacks if attack.needs_shadows]
        needing += [plan.label for plan in map(MitigationPlan, self.mitigations) if plan.learned and plan.label]
        if needing and not self.shadows.count:
            raise ValueError(
                f"shadows.count=0: {', '.join(needing)} needs shadow models; raise shadows.count, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _answerable(self) -> "AuditSpec":
        check_answers("target.estimator", self.target.estimator_here, self.target)
        if self.shadows.estimator is not None:
            check_answers("shadows.estimator", self.estimator, self.target)
        return self

    @model_validator(mode="after")
    def _attackable(self) -> "AuditSpec":
        design = self.shadows.design
        sides = {attack.label: of_kind(attack.inputs, ReferenceLogits) for attack in self.required_attacks}
        online = [label for label, logits in sides.items() if any(entry.sides == "IN and OUT" for entry in logits)]
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
        names = {attack.label for attack in self.required_attacks}
        for limit in expand(self.limits):
            if limit.attack != ANY and limit.attack not in names:
                raise ValueError(
                    f"limits: there is no attack {limit.attack!r}; name one of {', '.join(sorted(names))}, or any"
                )
        return self

    def repeated(self) -> tuple["AuditSpec", ...]:
        """Return one spec per repeat, each with its own seed; the first keeps the audit's."""
        # The first repeat shares its artefacts with an audit without repeats.
        seeds = [self.seed, *(integer(self.seed, "repeat", i) for i in range(1, self.repeats))]
        return tuple(self.model_copy(update={"seed": seed, "repeats": 1}) for seed in seeds)

    @property
    def membership(self) -> Membership | None:
        """The table that says which records are members, if there is one."""
        if self.target.membership is None and isinstance(self.data, ParquetData) and self.data.membership:
            return Membership(self.data.membership, str(self.data.id), "data.membership")
        return self.target.membership

    @property
    def is_known(self) -> bool:
        """Whether membership is known; otherwise the records are split at random."""
        return self.target.membership is not None or self.data.knows_members

    @property
    def n_members(self) -> int | None:
        """Number of members to audit; None for all known ones."""
        return self.split.members if self.split else None

    @property
    def n_nonmembers(self) -> int | None:
        """Number of non-members to audit; None for all known ones."""
        if self.split is None or self.is_known:
            return self.split.nonmembers if self.split else None
        return self.split.nonmembers or self.split.members

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Numbers of members and of non-members to audit; None unless the spec gives both."""
        n_members, n_nonmembers = self.n_members, self.n_nonmembers
        return None if n_members is None or n_nonmembers is None else (n_members, n_nonmembers)

    @property
    def shadow_size(self) -> int | None:
        """Number of IN records of each shadow model; None for as many as there are members."""
        return self.shadows.size or self.n_members

    @property
    def estimator(self) -> Estimator | None:
        """The shadow models' estimator; None if the spec gives none, and it has to be read off the target."""
        chosen = self.shadows.estimator
        return self.target.estimator_here if chosen is None else chosen.resolved()

    @property
    def required_attacks(self) -> tuple[AnyAttack, ...]:
        """The attacks, including those that every mitigation must face; see `spec.required_attacks`."""
        return required_attacks(self.attacks, self.mitigations, has_shadows=self.shadows.count > 0)

    @property
    def learns_from_shadows(self) -> bool:
        """Whether a mitigation learns from shadow models."""
        return any(plan.learned for plan in map(MitigationPlan, self.mitigations))

    @property
    def n_shadows(self) -> int:
        """Number of shadow models; 0 if neither attacks nor mitigations need any."""
        is_needed = self.learns_from_shadows or any(attack.needs_shadows for attack in self.required_attacks)
        return self.shadows.count if is_needed else 0

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
            `key=value` settings that replace those of the text; a dotted key reaches into nested settings and lists.

        Raises
        ------
        SpecError
            When the text is not YAML or not a spec; the error gives the path, the value and what is allowed.
        """
        return checked(cls, read_yaml(text, cls, overrides))

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> "AuditSpec":
        """Read a spec from a YAML file.

        Raises
        ------
        SpecError
            When the file is missing or is not a spec.
        """
        return cls.from_yaml(read_text(path), overrides)


def check_answers(setting: str, estimator: Estimator | None, target: Target) -> None:
    """Check that models of an estimator answer probabilities, or that only their labels are asked for.

    Parameters
    ----------
    setting
        Where the estimator is from, for the error.
    estimator
        The estimator, if there is one.
    target
        The target, which may be known to answer labels alone.

    Raises
    ------
    ValueError
        When they answer no probabilities, which would otherwise show only after training.
    """
    is_label_only = any(part.hides_confidences for part in target.released_answers)
    if estimator is None or is_label_only or estimator.answers_probabilities:
        return
    raise ValueError(
        f"{setting}={estimator.describe()} answers no probabilities (it has no predict_proba). Either wrap it: "
        "{kind: calibrated, params: {estimator: {kind: ...}}}; or audit its labels alone: set target.answers to "
        "[{kind: label_only}] and attacks to [{kind: gap}, {kind: label_only}]"
    )
