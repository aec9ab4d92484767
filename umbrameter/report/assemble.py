"""Build the report from the finished artefacts.

Belongs here: which artefact fills which field. Does not belong here: how a figure is computed (`evaluation`) or shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from umbrameter import __version__
from umbrameter.evaluation.controls import failures
from umbrameter.evaluation.guarantees import broken
from umbrameter.evaluation.verdict import decide
from umbrameter.records.in_words import columns_in_words
from umbrameter.records.metadata import SourceMetadata
from umbrameter.records.reader import Records
from umbrameter.report.model import (
    AuditInfo,
    DataInfo,
    DrawnClass,
    DrawnInfo,
    Ledger,
    Report,
    Result,
    ShadowInfo,
    TargetInfo,
)
from umbrameter.report.recommendation import recommend
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.limits import expand
from umbrameter.statistics.estimates import Metric, NotMeasured
from umbrameter.statistics.metrics import METRICS, ClassMetrics
from umbrameter.statistics.repeats import Repeated, agreement, spread
from umbrameter.steps.attack_models import fitted_labels
from umbrameter.steps.controls import read_controls, read_likeness
from umbrameter.steps.evaluations import read_evaluation
from umbrameter.steps.guarantees import read_guarantee
from umbrameter.steps.scores import ScoresMetadata, read_scores
from umbrameter.steps.shadow_models import ShadowFitMetadata, ShadowMetadata
from umbrameter.steps.shadow_records import DrawnMetadata
from umbrameter.steps.split import SplitMetadata
from umbrameter.steps.target import TargetMetadata
from umbrameter.steps.target_answers import QueryMetadata, check_target
from umbrameter.steps.utility import read_utility
from umbrameter.steps.variants import Measurement, TrainedVariant, Unmeasurable
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.metadata import Cost
from umbrameter.store.steps import kind_of, paths_of

FITTED = ("targets", "shadow_predictions")
"""Kinds of artefacts that take the training of a model, unless the target was trained elsewhere."""

DESIGNS = {
    "disjoint": "each model draws its own IN and OUT records from the pool",
    "audit": "each pair of models splits the audited records, so that every record is IN half of the models",
    "mixed": "two models split the audited records, the next two draw from the pool, and so on",
}

SOURCES = {
    "disjoint": "records from the same source, apart from members and non-members",
    "audit": "the audited records themselves",
    "mixed": "the audited records and others from the same source",
}


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage.

    Parameters
    ----------
    seconds
        Wall-clock time.
    made
        Paths of the artefacts that it made.
    """

    seconds: float
    made: frozenset[str]


@dataclass(frozen=True)
class RunCost:
    """The cost of a run.

    Parameters
    ----------
    started
        Start time, ISO 8601, UTC.
    seconds
        Wall-clock time of the whole run.
    stages
        The cost of each stage, by name.
    made
        Paths of the artefacts that this run made.
    reused
        Paths of the artefacts that it found in the store.
    cpu_seconds
        CPU time of this process, from start to end.
    made_here
        Paths of the artefacts that were made in this process, and whose CPU time is therefore part of its own.
    peak_rss_mb
        Largest resident memory of this process, MiB.
    n_sent
        Number of records sent to an endpoint in this run, by the endpoint's ledger; None for other targets.
    """

    started: str
    seconds: float
    stages: Mapping[str, StageCost]
    made: frozenset[str]
    reused: frozenset[str]
    cpu_seconds: float
    made_here: frozenset[str]
    peak_rss_mb: float
    n_sent: int | None = None


def assemble(spec: AuditSpec, store: Store, variants: Sequence[TrainedVariant], cost: RunCost) -> Report:
    """Return the report of a finished audit.

    Parameters
    ----------
    spec
        The audit's spec.
    store
        The store that holds its artefacts.
    variants
        Its variants, with every step done.
    cost
        The cost of the run.
    """
    for variant in variants:
        check_target(store, variant.target.recipe.path, variant.query.recipe.path)
    artefact = store.open(variants[0].training.records)
    records, schema = SourceMetadata.read(artefact), Records(artefact).schema
    classes = [str(name) for name in records.classes]
    # The results are the first repeat's; the other repeats give the spread.
    firsts = [variant for variant in variants if not variant.repeat]
    doubts = {variant.title: unlearned(store, variant, len(classes)) for variant in firsts}
    results = [_result(store, m, doubts[variant.title], classes) for variant in firsts for m in variant.measurements]
    results += [_not_measured(store, entry) for variant in firsts for entry in variant.unmeasurable]
    order = [None, *(mitigation.label for mitigation in spec.mitigations)]
    # In the order of the spec, the unmitigated target first.
    results.sort(key=lambda result: order.index(result.mitigation))
    guarantees = [read_guarantee(store.open(g.recipe.path)) for variant in firsts for g in variant.guarantees]
    # Limits are for the target as it is, without any mitigation.
    limits, unmitigated = expand(spec.limits), [(r.attack, r.metrics) for r in results if r.mitigation is None]
    controls = {k: c for step in firsts[0].controls for k, c in read_controls(store.open(step.recipe.path)).items()}
    doubtful = [*filter(None, [doubts[firsts[0].title]]), *failures(controls)]
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
        data=DataInfo(
            name=spec.data.name,
            n_records=records.n_records,
            n_features=records.n_features,
            n_classes=len(classes),
            files=records.formats,
            columns=columns_in_words(schema, records.categories),
            warnings=[*records.warnings],
        ),
        target=_target(spec, store, firsts[0], len(classes)),
        shadows=_shadows(spec, store, firsts[0], cost),
        results=results,
        repeats=_repeats(store, variants, classes) if spec.repeats > 1 else [],
        controls=controls,
        guarantees=guarantees,
        recommendation=recommend(results, limits, spec.accepted_loss),
        verdict=decide(limits, unmitigated, doubtful, [broken(g) for g in guarantees if g.is_broken]),
        ledger=_ledger(store, cost),
    )


def unlearned(store: Store, variant: TrainedVariant, n_classes: int) -> str | None:
    """Return why a variant's shadow models are of no use, or None if they beat chance on their own training records.

    Parameters
    ----------
    store, variant
        See `assemble`.
    n_classes
        Number of classes; the accuracy of chance is 1 / n_classes.
    """
    accuracies = [ShadowMetadata.read(store.open(shadow.recipe.path)).train_accuracy for shadow in variant.shadows]
    if not accuracies or np.mean(accuracies) > 1 / n_classes:
        return None
    return (
        f"The shadow models of {variant.title} did not learn: on the records they were trained on, their mean accuracy "
        f"is {np.mean(accuracies):.3f}, and chance is {1 / n_classes:.3f}. Attacks that rely on them measure nothing; "
        "change the estimator's parameters, or check the labels."
    )


def _repeats(store: Store, variants: Sequence[TrainedVariant], classes: Sequence[str]) -> list[Repeated]:
    """Compare each attack and mitigation over repeats."""
    repeats: dict[tuple[str, str | None], list[Measurement]] = {}
    for measurement in (m for variant in variants for m in variant.measurements if m.attacker != "static"):
        repeats.setdefault((measurement.attack.label, measurement.mitigation), []).append(measurement)
    return [_repeated(store, measurements, classes) for measurements in repeats.values()]


def _repeated(store: Store, measurements: Sequence[Measurement], classes: Sequence[str]) -> Repeated:
    results = [_result(store, measurement, None, classes) for measurement in measurements]
    scores = [read_scores(store.open(measurement.scoring.recipe.path)) for measurement in measurements]
    correlation, overlap = agreement([(s.rows, s.is_member, s.scores) for s in scores])
    return Repeated(
        attack=measurements[0].attack.label,
        mitigation=measurements[0].mitigation,
        spread=spread([result.metrics for result in results]),
        rank_correlation=correlation,
        exposed_overlap=overlap,
    )


def _target(spec: AuditSpec, store: Store, variant: TrainedVariant, n_classes: int) -> TargetInfo:
    utility = read_utility(store.open(variant.entries[0].utility.recipe.path)).utility
    sizes = SplitMetadata.read(store.open(variant.training.split))
    target = TargetMetadata.read(store.open(variant.target.recipe.path))
    return TargetInfo(
        kind=spec.target.kind,
        description=target.description,
        train_accuracy=_value(utility["train_accuracy"]),
        test_accuracy=_value(utility["test_accuracy"]),
        n_members=sizes.n_members,
        n_nonmembers=sizes.n_nonmembers,
        n_classes=n_classes,
        is_trained_here=target.is_trained_here,
    )


def _value(metric: Metric) -> float:
    if isinstance(metric, NotMeasured):
        raise ValueError(f"not measured: {metric.not_measured}")
    return metric.value


def _shadows(spec: AuditSpec, store: Store, variant: TrainedVariant, cost: RunCost) -> ShadowInfo:
    paths = paths_of(variant.trained)
    shadows = [ShadowFitMetadata.read(store.open(path)) for path in paths]
    n_trained = sum(path in cost.made for path in paths)
    return ShadowInfo(
        n_models=len(paths),
        n_trained=n_trained,
        n_reused=len(paths) - n_trained,
        design=DESIGNS[spec.shadows.design],
        data=_source(spec),
        recipe=variant.training.describe() if paths and spec.estimator is None else None,
        drawn=_drawn(store, variant),
        size=min((shadow.n_in for shadow in shadows), default=0),
        train_accuracy=float(np.mean([shadow.train_accuracy for shadow in shadows])) if shadows else None,
        test_accuracy=float(np.mean([shadow.test_accuracy for shadow in shadows])) if shadows else None,
        likeness=read_likeness(store.open(variant.controls[0].recipe.path)) if variant.controls else None,
    )


def _source(spec: AuditSpec) -> str:
    data = spec.shadows.data
    return data.assumption if data.is_drawn else SOURCES[spec.shadows.design]


def _drawn(store: Store, variant: TrainedVariant) -> DrawnInfo | None:
    """Return how the shadow data were drawn, or None for real records."""
    if variant.drawn is None:
        return None
    drawn = DrawnMetadata.read(store.open(variant.drawn.recipe.path))
    queries_of_searches = [QueryMetadata.read(store.open(path)).queries for path in paths_of(variant.searches)]
    by_class = [entry.model_dump() | {"label": str(drawn.classes[entry.label])} for entry in drawn.by_class]
    return DrawnInfo(
        kind=variant.drawn.data.label,
        n_wanted=drawn.n_wanted,
        n_records=drawn.n_records,
        queries=drawn.queries + sum(queries_of_searches),
        by_class=[DrawnClass(**entry) for entry in by_class],
    )


def _not_measured(store: Store, entry: Unmeasurable) -> Result:
    reason = NotMeasured(not_measured=entry.reason)
    utility = read_utility(store.open(entry.utility.recipe.path))
    return Result(
        attack=entry.attack.label,
        mitigation=entry.plan.label,
        attacker="adaptive" if entry.plan.mitigation else None,
        params={"attack": entry.attack.model_dump(mode="json")} | entry.plan.params,
        utility=utility.utility,
        change=utility.change,
        notes=utility.notes,
        assumption=entry.attack.assumption,
        n_queries=entry.attack.n_queries,
        metrics=dict.fromkeys(METRICS, reason),
    )


def _result(store: Store, measurement: Measurement, doubt: str | None, classes: Sequence[str]) -> Result:
    evaluation = read_evaluation(store.open(measurement.evaluation.recipe.path))
    utility = read_utility(store.open(measurement.utility.recipe.path))
    metrics, by_class, worst_class = evaluation.metrics, evaluation.by_class, evaluation.worst_class
    if measurement.attack_models:
        fitted = [fitted_labels(store.open(path)) for path in paths_of(measurement.attack_models)]
        known = {classes[label] for labels in fitted for label in labels}
        by_class = [entry if entry.label in known else without_model(entry) for entry in by_class]
    if doubt is not None and measurement.attack.needs_shadows:
        metrics = dict.fromkeys(metrics, NotMeasured(not_measured=doubt))
        by_class, worst_class = [], None
    return Result(
        attack=measurement.attack.label,
        mitigation=measurement.mitigation,
        attacker=measurement.attacker,
        params={"attack": measurement.attack.model_dump(mode="json")} | measurement.plan.params,
        utility=utility.utility,
        change=evaluation.change | utility.change,
        notes=utility.notes,
        assumption=measurement.attack.assumption,
        chosen=ScoresMetadata.read(store.open(measurement.scoring.recipe.path)).chosen,
        n_queries=measurement.attack.n_queries,
        metrics=metrics,
        by_class=by_class,
        worst_class=worst_class,
        by_slice=evaluation.by_slice,
        worst_slice=evaluation.worst_slice,
    )


def without_model(entry: ClassMetrics) -> ClassMetrics:
    """Return a class's figures as not measured, since there is no attack model for the class."""
    reason = "there is no attack model for this class: shadow models had no records of it, or not both IN and OUT"
    none = NotMeasured(not_measured=reason)
    return entry.model_copy(update=dict.fromkeys(("accuracy", "precision", "recall", "auc"), none))


def _ledger(store: Store, cost: RunCost) -> Ledger:
    artefacts = {path: store.open(path) for path in sorted(cost.made)}
    costs = {path: Cost.read(artefact) for path, artefact in artefacts.items()}
    cpu = {name: sum(costs[path].cpu_seconds for path in stage.made) for name, stage in cost.stages.items()}
    asked = sum(QueryMetadata.read(artefact).queries for artefact in artefacts.values())
    # Work done in this process already counts in its stage, so it is taken off the process's own time.
    here = sum(costs[path].cpu_seconds for path in cost.made & cost.made_here)
    worker = max((made.peak_rss_mb for made in costs.values()), default=0.0)
    return Ledger(
        queries=asked if cost.n_sent is None else cost.n_sent,
        fits=sum(map(_is_fit, artefacts.values())),
        reused_fits=sum(_is_fit(store.open(path)) for path in cost.reused if kind_of(path) in FITTED),
        reused=len(cost.reused),
        seconds={name: stage.seconds for name, stage in cost.stages.items()},
        cpu_seconds={**cpu, "orchestration": max(0.0, cost.cpu_seconds - here)},
        peak_rss_mb=max(cost.peak_rss_mb, worker),
        driver_peak_rss_mb=cost.peak_rss_mb,
        worker_peak_rss_mb=worker,
    )


def _is_fit(artefact: Artefact) -> bool:
    """Return whether a model was trained for an artefact."""
    if artefact.kind == "targets":
        return TargetMetadata.read(artefact).is_trained_here
    return artefact.kind in FITTED
