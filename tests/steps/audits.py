"""Whole audits, tiny and performed step by step in this process: what the contracts of steps are tested on."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tests.outside import Blend, Stretch, Threshold
from umbrameter.attacks import AnyAttack, Combined, LabelOnly, Lira, Loss, Quantile, Shokri
from umbrameter.estimators import Estimator
from umbrameter.mitigations import InTraining, Params, PrivacyClaim, Rounding
from umbrameter.mitigations.base import with_params
from umbrameter.records.build import build
from umbrameter.records.noise import Noise
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.shadow_data import Marginal, ModelBased
from umbrameter.spec.audit import AuditSpec, ShadowSpec, SplitSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.target_answers import QueryStep
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import Step, ensure
from umbrameter.targets import StoredTarget, TrainedTarget
from umbrameter.targets.connection import Connection, ConnectionContext

AnyStep = TypeVar("AnyStep")

N, N_MEMBERS, N_CLASSES, N_SHADOWS = 420, 60, 3, 4
NOISE = Noise(copies=2)
TREE = Estimator(kind="sklearn.tree.DecisionTreeClassifier", params={"min_samples_leaf": 2})
LINEAR = Estimator(kind="logistic_regression")
CLAIM = PrivacyClaim(
    epsilon=0.01,
    delta=1e-5,
    noise_multiplier=9.0,
    clip_norm=1.0,
    sampling_rate=0.5,
    n_steps=10,
    accountant="none: made up for tests",
    is_reproducible=True,
)


class Claimed(InTraining):
    """Shallow trees that are claimed to be differentially private, which they are not."""

    claims_privacy: ClassVar[bool] = True
    kind: Literal["tests.steps.audits.Claimed"] = Field("tests.steps.audits.Claimed", description="A false claim.")

    @property
    def label(self) -> str:
        return "claimed"

    @property
    def needs_secret(self) -> bool:
        return False  # so that audits in two stores can be compared

    def wrap(self, estimator: Any) -> Any:
        return with_params(estimator, self.kind, {"min_samples_leaf": 1})

    def guarantee(self, model: Any) -> PrivacyClaim | None:
        return CLAIM


@dataclass(frozen=True)
class Audit:
    """An audit with all of its steps made."""

    store: Store
    records: Records
    split: Artefact
    variants: tuple[TrainedVariant, ...]
    steps: tuple[Step, ...]

    def of(self, kind: type[AnyStep]) -> list[AnyStep]:
        """Return the steps of a class, in the order in which they were made."""
        return [step for step in self.steps if isinstance(step, kind)]

    def made(self, step: Step) -> Artefact:
        """Return what a step made."""
        return self.store.open(step.recipe.path)

    def remade(self, step: Step) -> Artefact:
        """Return what a step makes now, kept apart from what it made."""
        draft = Draft(self.store, Recipe("scratch", {"key": step.recipe.key}))
        self.store.fs.create_dir(draft.recipe.path)
        step.make(self.store, draft)
        return Artefact(self.store, "scratch", draft.recipe.key, draft.recipe.facts, draft.files, draft.meta)

    def copied(self, folder: Path) -> "Audit":
        """Return the audit with a store of its own, in which anything may be made."""
        store = Store(shutil.copytree(self.store.root, folder / "copy"))
        return replace(self, store=store, records=Records.open(store, self.records.artefact.path))


Perform: TypeAlias = Callable[[str], Audit]
"""Performs the audit that a function of this module lays out, by the function's name."""


def table() -> pa.Table:
    """Return records of three classes with a number, a category and a bit, of two sites; no two are alike."""
    rng = np.random.default_rng(5)
    y = rng.choice(N_CLASSES, N, p=[0.5, 0.3, 0.2])
    columns = {
        "height": (170 + 8 * y + rng.normal(0, 9, N)).round(3),
        "colour": np.array(["red", "green", "blue"])[np.where(rng.random(N) < 0.6, y, rng.integers(0, 3, N))],
        "flag": rng.integers(0, 2, N),
        "site": np.where(rng.random(N) < 0.3, "north", "south"),
        "person": rng.permutation(10 * N)[:N],
        "y": np.array(["low", "middle", "high"])[y],
    }
    return pa.table(columns)


def trained(folder: Path) -> Audit:
    """Return an audit of a target that is trained here: attacks of all inputs, mitigations of all places."""
    attacks = (
        Shokri(model=LINEAR),
        Loss(),
        Lira(),
        Quantile(),
        LabelOnly(noise=NOISE),
        Combined(attacks=({"kind": "loss"}, {"kind": "confidence"})),
        Stretch(),
    )
    mitigations = (Rounding(1), Params({"max_depth": 2}), Blend(), Claimed())
    return performed(folder, _spec(folder, attacks=attacks, mitigations=mitigations))


def drawn(folder: Path) -> Audit:
    """Return an audit whose shadow models are trained on records that were searched for."""
    data = ModelBased(iter_max=20, k_max=3, k_min=1, rej_max=3, conf_min=0.1, side_by_side=16)
    return performed(folder, _spec(folder, shadows={"data": data}))


def marginal(folder: Path) -> Audit:
    """Return an audit whose shadow models are trained on records drawn from marginals and labelled by the target."""
    return performed(folder, _spec(folder, shadows={"data": Marginal(by_class=False)}))


def external(folder: Path) -> Audit:
    """Return an audit of a target that was trained elsewhere, who was found by `connect`."""
    whole = table().select(["height", "flag"]).append_column("y", pa.array(np.arange(N) % 2))
    parts = {"members": (0, 60), "nonmembers": (60, 120), "pool": (120, N)}
    for name, (start, end) in parts.items():
        pq.write_table(whole.slice(start, end - start), folder / f"{name}.parquet")
    sides = SidesData(label="y", **{name: str(folder / f"{name}.parquet") for name in parts})
    shadows = ShadowSpec(count=2, estimator=TREE)
    attacks = (LabelOnly(noise=NOISE), Lira())
    spec = AuditSpec(name="external", data=sides, target=Threshold(), shadows=shadows, attacks=attacks)
    return performed(folder, spec)


def stored(folder: Path) -> Audit:
    """Return an audit of a target of which only stored answers are there."""
    people = table()["person"].to_numpy()
    labels = np.unique(table()["y"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    answers = np.random.default_rng(0).dirichlet(np.ones(N_CLASSES), 90).astype(np.float32)
    columns = {
        "record_id": people[:90],
        "label": labels[:90],
        "is_member": np.arange(90) % 2 == 0,
        **{f"p_{i}": answers[:, i] for i in range(N_CLASSES)},
    }
    pq.write_table(pa.table(columns), folder / "answers.parquet")
    target = StoredTarget(path=str(folder / "answers.parquet"))
    return performed(folder, _spec(folder, target=target, split=None, attacks=(Loss(),), shadows={"estimator": TREE}))


def performed(folder: Path, spec: AuditSpec) -> Audit:
    """Return an audit with all of its steps made, each after what it reads."""
    store = Store(folder / "root")
    assert isinstance(spec.data, ParquetData | SidesData)
    records = Records.open(store, build(spec.data, store, spec.membership).path)
    dealing = Split(records.artefact.path, spec.n_members, spec.n_nonmembers, spec.seed)
    split = store.open(ensure(store, dealing))
    connection, identity = None, None
    if not spec.target.trained_here:
        connection = spec.target.connect(ConnectionContext(store, records, np.empty((0, records.n_features))))
        identity = TargetIdentity.of(connection)
    variants = lay_out(AuditInputs(spec, records, split, identity))
    planned = {step.recipe.path: _connected(step, connection) for step in steps_of(variants)}
    made: dict[str, Step] = {dealing.recipe.path: dealing}
    for step in planned.values():
        _make(store, step, planned, made)
    return Audit(store, records, split, variants, tuple(made.values()))


def steps_of(variants: Iterable[TrainedVariant]) -> Iterator[Step]:
    """Yield every step of an audit's variants, some of them twice."""
    for v in variants:
        yield from (v.target, v.query, *v.population, *v.noisy, *v.searches, *v.trained, *v.shadows, *v.merges)
        yield from (*v.references, *v.input_steps.values(), *v.controls, *v.guarantees)
        yield from (step for step in (v.drawn, v.guard) if step is not None)
        for measurement in v.measurements:
            yield from (measurement.scoring, measurement.evaluation, measurement.utility)
        yield from (entry.utility for entry in v.unmeasurable)


def _make(store: Store, step: Step, planned: dict[str, Step], made: dict[str, Step]) -> None:
    for path in step.inputs:
        if path in planned and path not in made:
            _make(store, planned[path], planned, made)
    made.setdefault(ensure(store, step), step)


def _connected(step: Step, connection: Connection | None) -> Step:
    return replace(step, connection=connection) if isinstance(step, QueryStep) else step


def _spec(folder: Path, shadows: dict[str, Any] | None = None, **settings: Any) -> AuditSpec:
    pq.write_table(table(), folder / "data.parquet")
    attacks: tuple[AnyAttack, ...] = (Shokri(model=LINEAR), Lira())
    usual = {
        "name": "tiny",
        "seed": 3,
        "data": ParquetData(path=str(folder / "data.parquet"), label="y", id="person", slices=("site",)),
        "split": SplitSpec(members=N_MEMBERS),
        "target": TrainedTarget(estimator=TREE),
        "shadows": ShadowSpec(**{"count": N_SHADOWS} | (shadows or {})),
        "attacks": attacks,
    }
    return AuditSpec(**usual | settings)
