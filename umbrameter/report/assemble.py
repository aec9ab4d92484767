"""Build the report from the finished artefacts.

Belongs here: which artefact fills which field. Does not belong here: how a figure is computed (`evaluation`) or shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from umbrameter import __version__
from umbrameter.evaluation.controls import failures
from umbrameter.evaluation.guarantees import broken
from umbrameter.evaluation.verdict import decide
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.report import figures
from umbrameter.report.model import (
    AuditInfo,
    DataInfo,
    DrawnInfo,
    Ledger,
    Report,
    Result,
    ShadowInfo,
    TargetInfo,
)
from umbrameter.report.recommendation import recommend
from umbrameter.report.text import strongest
from umbrameter.shadow_data import Real
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import expand
from umbrameter.statistics.estimates import NotMeasured
from umbrameter.statistics.metrics import METRICS
from umbrameter.statistics.repeats import Repeated, agreement, spread
from umbrameter.steps.controls import read_controls
from umbrameter.steps.costs import read_costs
from umbrameter.steps.evaluations import read_evaluation
from umbrameter.steps.guarantees import read_guarantee
from umbrameter.steps.layout import Measurement, TrainedVariant, Unmeasurable
from umbrameter.steps.target import TargetIdentity
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.typing import Floats

QUERIES = ("target_predictions", "population_predictions", "noisy_answers", "synthesised", "shadow_records")
"""Kinds of artefacts that hold a target's answers."""

FITTED = ("targets", "shadow_predictions")
"""Kinds of artefacts that a model was trained for."""

DESIGNS = {
    "disjoint": "each draws its own IN and OUT records from the pool",
    "audit": "each pair shares members and non-members among them, so that every record is IN half of the models",
    "mixed": "two share members and non-members among them, the next two draw from the pool, and so on",
}

SOURCES = {
    "disjoint": "records of the same source, apart from members and non-members",
    "audit": "the audited records themselves",
    "mixed": "the audited records, and others of the same source",
}


@dataclass(frozen=True)
class StageCost:
    """What one stage took.

    Parameters
    ----------
    seconds
        By the clock.
    made
        Paths of the artefacts it made.
    """

    seconds: float
    made: frozenset[str]


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Parameters
    ----------
    started
        ISO 8601, UTC.
    seconds
        The whole run.
    stages
        By stage.
    made
        Paths of the artefacts that this run made.
    reused
        Paths of those that were in the store already.
    cpu_seconds
        Of this process, in all.
    works_here
        Whether this process also does what workers do elsewhere.
    peak_rss_mb
        Of this process, MiB.
    sent
        Records that this run sent to an endpoint, by its ledger; None for other targets.
    """

    started: str
    seconds: float
    stages: Mapping[str, StageCost]
    made: frozenset[str]
    reused: frozenset[str]
    cpu_seconds: float
    works_here: bool
    peak_rss_mb: float
    sent: int | None = None


def assemble(spec: AuditSpec, store: Store, variants: Sequence[TrainedVariant], cost: Cost) -> Report:
    """Return the report of a finished audit.

    Parameters
    ----------
    spec
        The audit.
    store
        Where its artefacts are.
    variants
        Its steps, all of them taken.
    cost
        What they took.
    """
    records = store.open(variants[0].training.records)
    every, variants = variants, [v for v in variants if not v.repeat]
    doubts = {variant.title: unlearned(store, variant, len(records.meta["classes"])) for variant in variants}
    measurements = [
        (measurement, doubts[variant.title]) for variant in variants for measurement in variant.measurements
    ]
    order = [None, *(mitigation.label for mitigation in spec.mitigations)]
    classes = [str(name) for name in records.meta["classes"]]
    results = [_result(store, measurement, doubt, classes) for measurement, doubt in measurements]
    results += [_not_measured(store, entry) for variant in variants for entry in variant.unmeasurable]
    results.sort(key=lambda result: order.index(result.mitigation))
    guarantees = [read_guarantee(store.open(g.recipe.path)) for variant in variants for g in variant.guarantees]
    limits, figures = expand(spec.limits), [(r.attack, r.metrics) for r in results if r.mitigation is None]
    controls = {k: c for step in variants[0].controls for k, c in read_controls(store.open(step.recipe.path)).items()}
    doubtful = [*filter(None, [doubts[variants[0].title]]), *failures(controls)]
    return Report(
        audit=AuditInfo(
            name=spec.name,
            spec_digest=spec.digest(),
            seed=spec.seed,
            version=__version__,
            started=cost.started,
            seconds=cost.seconds,
            n_repeats=spec.repeats,
        ),
        data=_data(spec, records),
        target=_target(spec, store, variants[0], records),
        shadows=_shadows(spec, store, variants[0], cost),
        results=results,
        repeats=_repeats(store, every, classes) if spec.repeats > 1 else [],
        controls=controls,
        guarantees=guarantees,
        recommendation=recommend(results, limits, spec.accepted_loss),
        verdict=decide(limits, figures, doubtful, [broken(g) for g in guarantees if g.is_broken]),
        ledger=_ledger(store, cost),
    )


def drawn_figures(report: Report, store: Store, variants: Sequence[TrainedVariant]) -> dict[str, bytes]:
    """Return the report's figures as PNG files by name.

    Parameters
    ----------
    report
        The report.
    store, variants
        As of `assemble`.
    """
    doubt = unlearned(store, variants[0], report.target.n_classes)
    measured = [c for c in variants[0].measurements if not (doubt and c.attack.needs_shadows)]
    bare = [measurement for measurement in measured if measurement.mitigation is None]
    curves = {measurement.attack.label: _curve(store, measurement) for measurement in bare}
    classes = {result.attack: result.by_class for result in strongest(report.results)}
    drawn = {
        "roc": figures.roc(curves, report.target.n_nonmembers, f"{report.audit.name}: attacks on the target as it is"),
        "class_precision": figures.class_precision(classes),
        "mitigations": figures.mitigations(report),
    }
    return {name: figures.png(figure) for name, figure in drawn.items()}


def unlearned(store: Store, variant: TrainedVariant, n_classes: int) -> str | None:
    """Say why a variant's shadow models tell nothing: they know their own training records no better than by chance.

    Parameters
    ----------
    store, variant
        As of `assemble`.
    n_classes
        Of the target; chance is one in so many.
    """
    accuracies = [store.open(shadow.recipe.path).meta["train_accuracy"] for shadow in variant.shadows]
    if not accuracies or np.mean(accuracies) > 1 / n_classes:
        return None
    return (
        f"The shadow models of {variant.title} did not learn: on the records they were trained on, their mean accuracy "
        f"is {np.mean(accuracies):.3f}, and chance is {1 / n_classes:.3f}. Attacks that rely on them measure nothing; "
        "change the estimator's parameters, or check the labels."
    )


def _repeats(store: Store, variants: Sequence[TrainedVariant], classes: Sequence[str]) -> list[Repeated]:
    """Compare each attack and mitigation over repeats."""
    of: dict[tuple[str, str | None], list[Measurement]] = {}
    for variant in variants:
        for measurement in variant.measurements:
            if measurement.attacker != "static":
                of.setdefault((measurement.attack.label, measurement.mitigation), []).append(measurement)
    return [_repeated(store, measurements, classes) for measurements in of.values()]


def _repeated(store: Store, measurements: Sequence[Measurement], classes: Sequence[str]) -> Repeated:
    results = [_result(store, measurement, None, classes) for measurement in measurements]
    tables = [store.open(measurement.scoring.recipe.path).table("scores.parquet") for measurement in measurements]
    scored = [(np.asarray(t["record_id"]), np.asarray(t["is_member"]), np.asarray(t["score"])) for t in tables]
    correlation, overlap = agreement(scored)
    return Repeated(
        attack=measurements[0].attack.label,
        mitigation=measurements[0].mitigation,
        spread=spread([result.metrics for result in results]),
        rank_correlation=correlation,
        exposed_overlap=overlap,
    )


def _curve(store: Store, measurement: Measurement) -> tuple[Floats, Floats]:
    table = store.open(measurement.evaluation.recipe.path).table("roc.parquet")
    return np.asarray(table["fpr"]), np.asarray(table["tpr"])


def _data(spec: AuditSpec, records: Artefact) -> DataInfo:
    meta = records.meta
    return DataInfo(
        name=data_name(spec.data),
        n_records=meta["n_records"],
        n_features=meta["n_features"],
        n_classes=len(meta["classes"]),
        warnings=meta["warnings"],
    )


def data_name(data: CatalogueData | ParquetData | SidesData | GeneratedData) -> str:
    """Return what records are called: their data set's name, or their first file's or folder's."""
    if isinstance(data, CatalogueData | GeneratedData):
        return data.name
    return next(iter(data.paths.values())).rstrip("/").rpartition("/")[2]


def _target(spec: AuditSpec, store: Store, variant: TrainedVariant, records: Artefact) -> TargetInfo:
    costing = (variant.measurements or variant.unmeasurable)[0].costing
    worth = read_costs(store.open(costing.recipe.path))["utility"]
    split, met = store.open(variant.training.split).meta, variant.target
    return TargetInfo(
        kind=spec.target.kind,
        description=met.description if isinstance(met, TargetIdentity) else met.training.describe(),
        train_accuracy=worth["train_accuracy"]["value"],
        test_accuracy=worth["test_accuracy"]["value"],
        n_members=split["n_member"],
        n_nonmembers=split["n_nonmember"],
        n_classes=len(records.meta["classes"]),
    )


def _shadows(spec: AuditSpec, store: Store, variant: TrainedVariant, cost: Cost) -> ShadowInfo:
    paths = [shadow.recipe.path for shadow in variant.trained]
    metas = [store.open(path).meta for path in paths]
    trained = sum(path in cost.made for path in paths)
    return ShadowInfo(
        n_models=len(paths),
        n_trained=trained,
        n_reused=len(paths) - trained,
        design=DESIGNS[spec.shadows.design],
        data=_source(spec),
        drawn=_drawn(store, variant),
        size=min((m["n_in"] for m in metas), default=0),
        train_accuracy=float(np.mean([m["train_accuracy"] for m in metas])) if metas else None,
        test_accuracy=float(np.mean([m["test_accuracy"] for m in metas])) if metas else None,
    )


def _source(spec: AuditSpec) -> str:
    data = spec.shadows.data
    return SOURCES[spec.shadows.design] if isinstance(data, Real) else data.assumption


def _drawn(store: Store, variant: TrainedVariant) -> DrawnInfo | None:
    """Return what was drawn for the shadow models, where it was."""
    if variant.drawn is None:
        return None
    meta = store.open(variant.drawn.recipe.path).meta
    searched = [store.open(step.recipe.path).meta["queries"] for step in variant.searches]
    return DrawnInfo(
        kind=variant.drawn.data.label,
        n_wanted=meta["n_wanted"],
        n_records=meta["n_records"],
        queries=meta["queries"] + sum(searched),
        by_class=[row | {"label": str(meta["classes"][row["label"]])} for row in meta["by_class"]],
    )


def _not_measured(store: Store, entry: Unmeasurable) -> Result:
    why = NotMeasured(not_measured=entry.reason)
    costs = read_costs(store.open(entry.costing.recipe.path))
    return Result(
        attack=entry.attack.label,
        mitigation=entry.row.label,
        attacker="adaptive" if entry.row.mitigation else None,
        params={"attack": entry.attack.model_dump(mode="json")} | entry.row.params,
        utility=costs["utility"],
        change=costs["change"],
        notes=costs["notes"],
        assumption=entry.attack.assumption,
        n_queries=entry.attack.n_queries,
        metrics=dict.fromkeys(METRICS, why),
    )


def _result(store: Store, measurement: Measurement, doubt: str | None, classes: Sequence[str]) -> Result:
    found = read_evaluation(store.open(measurement.evaluation.recipe.path))
    if measurement.fits:
        known = {classes[label] for fit in measurement.fits for label in store.open(fit.recipe.path).meta["labels"]}
        found["by_class"] = [e if e["label"] in known else without_model(e) for e in found["by_class"]]
    if doubt is not None and measurement.attack.needs_shadows:
        found |= {
            "metrics": {name: {"not_measured": doubt} for name in found["metrics"]},
            "by_class": [],
            "worst_class": None,
        }
    costs = read_costs(store.open(measurement.costing.recipe.path))
    return Result(
        attack=measurement.attack.label,
        mitigation=measurement.mitigation,
        attacker=measurement.attacker,
        params={"attack": measurement.attack.model_dump(mode="json")} | measurement.row.params,
        utility=costs["utility"],
        change=found.pop("change") | costs["change"],
        notes=costs["notes"],
        assumption=measurement.attack.assumption,
        chosen=store.open(measurement.scoring.recipe.path).meta.get("chosen"),
        n_queries=measurement.attack.n_queries,
        **found,
    )


def without_model(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a class of which there is no attack model."""
    why = "there is no attack model of this class: shadow models had no records of it, or none both IN and OUT"
    return entry | {name: {"not_measured": why} for name in ("accuracy", "precision", "recall", "auc")}


def _ledger(store: Store, cost: Cost) -> Ledger:
    made = {path: store.open(path).meta for path in sorted(cost.made)}
    cpu = {name: sum(made[path].get("cpu_seconds", 0.0) for path in stage.made) for name, stage in cost.stages.items()}
    asked = sum(meta["queries"] for path, meta in made.items() if _kind(path) in QUERIES)
    here = sum(seconds for name, seconds in cpu.items() if cost.works_here or name == "prepare")
    worker = max((meta.get("peak_rss_mb", 0.0) for meta in made.values()), default=0.0)
    return Ledger(
        queries=asked if cost.sent is None else cost.sent,
        fits=sum(_is_fit(path, meta) for path, meta in made.items()),
        reused_fits=sum(_is_fit(path, store.open(path).meta) for path in cost.reused if _kind(path) in FITTED),
        reused=len(cost.reused),
        seconds={name: stage.seconds for name, stage in cost.stages.items()},
        cpu_seconds={**cpu, "orchestration": max(0.0, cost.cpu_seconds - here)},
        peak_rss_mb=max(cost.peak_rss_mb, worker),
        driver_peak_rss_mb=cost.peak_rss_mb,
        worker_peak_rss_mb=worker,
    )


def _is_fit(path: str, meta: Mapping[str, Any]) -> bool:
    return _kind(path) in FITTED and "description" not in meta  # which a target has that was trained elsewhere


def _kind(path: str) -> str:
    return path.split("/")[1]
