"""Build the report from the finished artefacts.

Belongs here: which artefact fills which field. Does not belong here: how a figure is computed (`evaluation`) or shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from umbrameter import __version__
from umbrameter.control_data import read_controls
from umbrameter.controls import failures
from umbrameter.costs import read_costs
from umbrameter.evaluation import read_evaluation
from umbrameter.guarantees import broken, read_guarantee
from umbrameter.repeats import Repeated, agreement, spread
from umbrameter.report import figures
from umbrameter.report.leaks import recommend
from umbrameter.report.model import (
    AuditInfo,
    DataInfo,
    Ledger,
    Report,
    Result,
    ShadowInfo,
    TargetInfo,
)
from umbrameter.report.words import strongest
from umbrameter.spec import AuditSpec
from umbrameter.steps import Case, Variant
from umbrameter.store import Artefact, Store
from umbrameter.typing import Floats
from umbrameter.verdict import decide, expand

QUERIES = ("target_predictions", "population_predictions", "noisy_answers")
"""Kinds of artefacts that hold a target's answers."""

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
    """

    started: str
    seconds: float
    stages: Mapping[str, StageCost]
    made: frozenset[str]
    reused: frozenset[str]
    cpu_seconds: float
    works_here: bool
    peak_rss_mb: float


def assemble(spec: AuditSpec, store: Store, variants: Sequence[Variant], cost: Cost) -> Report:
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
    cases = [(case, doubts[variant.title]) for variant in variants for case in variant.cases]
    order = [None, *(mitigation.label for mitigation in spec.mitigations)]
    results = [_result(store, case, doubt) for case, doubt in sorted(cases, key=lambda c: order.index(c[0].mitigation))]
    guarantees = [read_guarantee(store.open(g.recipe.path)) for variant in variants for g in variant.guarantees]
    limits, figures = expand(spec.limits), [(r.attack, r.metrics) for r in results if r.mitigation is None]
    controls = {k: c for work in variants[0].controls for k, c in read_controls(store.open(work.recipe.path)).items()}
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
        repeats=_repeats(store, every) if spec.repeats > 1 else [],
        controls=controls,
        guarantees=guarantees,
        recommendation=recommend(results, limits, spec.accepted_loss),
        verdict=decide(limits, figures, doubtful, [broken(g) for g in guarantees if g.is_broken]),
        ledger=_ledger(store, cost),
    )


def draw(report: Report, store: Store, variants: Sequence[Variant]) -> dict[str, bytes]:
    """Return the report's figures as PNG files by name.

    Parameters
    ----------
    report
        The report.
    store, variants
        As of `assemble`.
    """
    doubt = unlearned(store, variants[0], report.target.n_classes)
    measured = [c for c in variants[0].cases if not (doubt and c.attack.needs_shadows)]
    bare = [case for case in measured if case.mitigation is None]
    curves = {case.attack.label: _curve(store, case) for case in bare}
    classes = {result.attack: result.by_class for result in strongest(report.results)}
    drawn = {
        "roc": figures.roc(curves, report.target.n_nonmembers, f"{report.audit.name}: attacks on the target as it is"),
        "class_precision": figures.class_precision(classes),
        "mitigations": figures.mitigations(report),
    }
    return {name: figures.png(figure) for name, figure in drawn.items()}


def unlearned(store: Store, variant: Variant, n_classes: int) -> str | None:
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


def _repeats(store: Store, variants: Sequence[Variant]) -> list[Repeated]:
    """Compare each attack and mitigation over repeats."""
    of: dict[tuple[str, str | None], list[Case]] = {}
    for variant in variants:
        for case in variant.cases:
            if case.attacker != "static":
                of.setdefault((case.attack.label, case.mitigation), []).append(case)
    return [_repeated(store, cases) for cases in of.values()]


def _repeated(store: Store, cases: Sequence[Case]) -> Repeated:
    results = [_result(store, case, None) for case in cases]
    tables = [store.open(case.scoring.recipe.path).table("scores.parquet") for case in cases]
    scored = [(np.asarray(t["record_id"]), np.asarray(t["is_member"]), np.asarray(t["score"])) for t in tables]
    correlation, overlap = agreement(scored)
    return Repeated(
        attack=cases[0].attack.label,
        mitigation=cases[0].mitigation,
        spread=spread([result.metrics for result in results]),
        rank_correlation=correlation,
        exposed_overlap=overlap,
    )


def _curve(store: Store, case: Case) -> tuple[Floats, Floats]:
    table = store.open(case.evaluation.recipe.path).table("roc.parquet")
    return np.asarray(table["fpr"]), np.asarray(table["tpr"])


def _data(spec: AuditSpec, records: Artefact) -> DataInfo:
    meta = records.meta
    name = spec.data.name if spec.data.kind == "catalogue" else spec.data.path.rstrip("/").rpartition("/")[2]
    return DataInfo(
        name=name,
        n_records=meta["n_records"],
        n_features=meta["n_features"],
        n_classes=len(meta["classes"]),
        warnings=meta["warnings"],
    )


def _target(spec: AuditSpec, store: Store, variant: Variant, records: Artefact) -> TargetInfo:
    worth = read_costs(store.open(variant.cases[0].costing.recipe.path))["utility"]
    return TargetInfo(
        kind=spec.target.kind,
        description=spec.target.estimator.describe(),
        train_accuracy=worth["train_accuracy"]["value"],
        test_accuracy=worth["test_accuracy"]["value"],
        n_members=spec.split.members,
        n_nonmembers=spec.n_nonmembers,
        n_classes=len(records.meta["classes"]),
    )


def _shadows(spec: AuditSpec, store: Store, variant: Variant, cost: Cost) -> ShadowInfo:
    paths = [shadow.recipe.path for shadow in variant.trained]
    metas = [store.open(path).meta for path in paths]
    trained = sum(path in cost.made for path in paths)
    return ShadowInfo(
        n_models=len(paths),
        n_trained=trained,
        n_reused=len(paths) - trained,
        design=DESIGNS[spec.shadows.design],
        data=SOURCES[spec.shadows.design],
        size=variant.trained[0].plan.size if paths else 0,
        train_accuracy=float(np.mean([m["train_accuracy"] for m in metas])) if metas else None,
        test_accuracy=float(np.mean([m["test_accuracy"] for m in metas])) if metas else None,
    )


def _result(store: Store, case: Case, doubt: str | None) -> Result:
    found = read_evaluation(store.open(case.evaluation.recipe.path))
    if doubt is not None and case.attack.needs_shadows:
        found |= {
            "metrics": {name: {"not_measured": doubt} for name in found["metrics"]},
            "by_class": [],
            "worst_class": None,
        }
    costs = read_costs(store.open(case.costing.recipe.path))
    return Result(
        attack=case.attack.label,
        mitigation=case.mitigation,
        attacker=case.attacker,
        params={"attack": case.attack.model_dump(mode="json")} | case.row.params,
        utility=costs["utility"],
        change=found.pop("change") | costs["change"],
        notes=costs["notes"],
        assumption=case.attack.assumption,
        chosen=store.open(case.scoring.recipe.path).meta.get("chosen"),
        n_queries=case.attack.n_queries,
        **found,
    )


def _ledger(store: Store, cost: Cost) -> Ledger:
    made = {path: store.open(path).meta for path in sorted(cost.made)}
    cpu = {name: sum(made[path].get("cpu_seconds", 0.0) for path in stage.made) for name, stage in cost.stages.items()}
    here = sum(seconds for name, seconds in cpu.items() if cost.works_here or name == "prepare")
    worker = max((meta.get("peak_rss_mb", 0.0) for meta in made.values()), default=0.0)
    return Ledger(
        queries=sum(meta["queries"] for path, meta in made.items() if _kind(path) in QUERIES),
        fits=sum(map(_is_fit, made)),
        reused_fits=sum(map(_is_fit, cost.reused)),
        reused=len(cost.reused),
        seconds={name: stage.seconds for name, stage in cost.stages.items()},
        cpu_seconds={**cpu, "orchestration": max(0.0, cost.cpu_seconds - here)},
        peak_rss_mb=max(cost.peak_rss_mb, worker),
        driver_peak_rss_mb=cost.peak_rss_mb,
        worker_peak_rss_mb=worker,
    )


def _is_fit(path: str) -> bool:
    return _kind(path) in ("targets", "shadow_predictions")


def _kind(path: str) -> str:
    return path.split("/")[1]
