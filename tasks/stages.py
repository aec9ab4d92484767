"""The stages of an audit as Prefect tasks: each asks the store, hands what is missing to the cluster, and waits.

Belongs here: names, states, retries, and how a stage's work is dealt out. Does not belong here: the work itself
(`umbrameter`), nor the order of the stages (`flows.audit`).
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml
from prefect import task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from data.catalogue import locate, write_generated
from tasks.external_targets.handover import ModelHandle
from tasks.session import CLUSTER, Session
from umbrameter.errors import ComputeError, UmbrameterError
from umbrameter.records.build import build, records_recipe
from umbrameter.records.membership import Membership
from umbrameter.records.reader import Records
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.report import Report, html
from umbrameter.report.assemble import assemble, drawn_figures
from umbrameter.report.text import attacker_name, figure, mitigation_name, reading, stronger
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.layout import AuditInputs, Measurement, TrainedVariant, Unmeasurable, lay_out
from umbrameter.steps.shadow_models import unusable
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetFit
from umbrameter.store.steps import Step
from umbrameter.targets import StoredTarget, TrainedTarget

UNKNOWN_SECONDS = 1.0
"""What training a shadow model is taken to last, where no target was trained here."""


class Chunk:
    """Steps that are made together, with a title for people; opaque, so that nothing looks for futures inside."""

    def __init__(self, title: str, steps: Sequence[Step]):
        self.title = title
        self.steps = steps


def _worth_retrying(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Say whether a failure may pass: the cluster's may, a spec or data that are wrong will stay so."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ComputeError) or not isinstance(error, UmbrameterError)


def run_name() -> str:
    """Return a flow run's name: the audit's or the sweep's, as the spec or its path gives it."""
    spec = flow_run.parameters["spec"]
    if isinstance(spec, str):
        return spec.rpartition("/")[2].removesuffix(".yaml")
    return str(spec["name"] if isinstance(spec, dict) else spec.name)


@task(
    task_run_name="{chunk.title}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=2,
    retry_condition_fn=_worth_retrying,
)
def make(session: Session, chunk: Chunk) -> State[None]:
    """Make one chunk of a stage; the state is named `Cached` when all of it was in the store."""
    reused = session.make(chunk.steps)
    n = len(chunk.steps)
    return Completed(name="Cached", message=f"{n} in the store already") if reused else Completed(message=f"{n} made")


def in_stage(session: Session, stage: str, chunks: Sequence[Chunk]) -> None:
    """Make all chunks of a stage side by side and wait for them."""
    if chunks:
        with session.stage(stage, sum(len(chunk.steps) for chunk in chunks)):
            make.with_options(name=stage).map(unmapped(session), chunks).result()


@task(cache_policy=NO_CACHE, task_run_name="prepare the records")
def prepare(session: Session) -> str:
    """Write the records as Parquet parts, checked, and return their path."""
    spec = session.spec
    with session.stage("prepare", 1):
        found = source_of(spec.data, session.store.root)
        membership = membership_of(spec)
        recipe = records_recipe(found, membership)
        there = session.store.find(recipe) is not None
        if not there:
            session.begin(CLUSTER, session.cluster.start)
        path = build(found, session.store, membership).path
        session.count({path}, set() if there else {path})
    return path


def source_of(data: CatalogueData | GeneratedData | ParquetData | SidesData, root: str) -> ParquetData | SidesData:
    """Return where records lie; those of the catalogue are found, or made, first."""
    if isinstance(data, CatalogueData):
        return locate(data.name, root)
    if isinstance(data, GeneratedData):
        sizes = (data.records, data.features, data.classes)
        path = write_generated(data.like, *sizes, data.density, data.distinctness, data.seed, root)
        return ParquetData(path=str(path), label="y", duplicates="drop")
    return data


def membership_of(spec: AuditSpec) -> Membership | None:
    """Return the table that says who is member, if one does."""
    if isinstance(spec.target, StoredTarget):
        return Membership(spec.target.path, "record_id", "target.path")
    if isinstance(spec.data, ParquetData) and spec.data.membership:
        return Membership(spec.data.membership, str(spec.data.id), "data.membership")
    return None


def split_records(session: Session, records: str) -> tuple[str, ...]:
    """Deal the records into members, non-members and pool, once for each repeat, and return the splits' paths."""
    steps = [Split(records, spec.n_members, spec.n_nonmembers, spec.seed) for spec in session.spec.repeated()]
    in_stage(session, "split", [Chunk("split the records", [step]) for step in steps])
    return tuple(step.recipe.path for step in steps)


@task(cache_policy=NO_CACHE, task_run_name="meet the target")
def meet(
    session: Session, records: str, splits: Sequence[str], model: ModelHandle | None, tracking_uri: str | None
) -> None:
    """Find the target, where it was trained elsewhere: who it is, and how it is asked."""
    if isinstance(session.spec.target, TrainedTarget):
        return
    _targets().meet(session, Records.open(session.store, records), session.store.open(splits[0]), model, tracking_uri)


@task(cache_policy=NO_CACHE, task_run_name="plan the audit")
def plan(session: Session, records: str, splits: Sequence[str]) -> tuple[TrainedVariant, ...]:
    """Lay out every step of every repeat, so that an impossible plan ends here."""
    opened = Records.open(session.store, records)
    each = enumerate(zip(session.spec.repeated(), map(session.store.open, splits), strict=True))
    met = None if session.met is None else session.met.target
    found = tuple(
        v for i, (spec, split) in each for v in lay_out(AuditInputs(spec, opened, split, met, i, session.barren))
    )
    if met is not None:
        _targets().announce(session, found)
    return found


def draw(
    session: Session, records: str, splits: Sequence[str], variants: Sequence[TrainedVariant]
) -> tuple[TrainedVariant, ...]:
    """Draw the shadow models' records, where they are made; return the plan, changed where too few could be had."""
    searches = {step.recipe.path: (v, step) for v in variants for step in v.searches}
    chunks = [Chunk(f"search for classes {_span(w.labels)} of {v.title}", [w]) for v, w in searches.values()]
    in_stage(session, "search for records", chunks)
    drawn = {v.drawn.recipe.path: (v, v.drawn) for v in variants if v.drawn is not None}
    in_stage(session, "draw records", [Chunk(f"draw records for {v.title}", [step]) for v, step in drawn.values()])
    reasons = {path: unusable(session.store, path, v.trained) for path, (v, _) in drawn.items()}
    session.barren = {path: why for path, why in reasons.items() if why is not None}
    return plan(session, records, splits) if session.barren else tuple(variants)


def train_targets(session: Session, variants: Sequence[TrainedVariant], tracking_uri: str | None) -> None:
    """Train the target, and one more for each mitigation of the training; few workers are busy, so load MLflow too."""
    variants = [v for v in _unguarded(variants) if isinstance(v.target, TargetFit)]
    if any(session.store.find(v.target.recipe) is None for v in variants):
        session.begin("MLflow", lambda: tracking().get_ready(session.store.root, tracking_uri))
    in_stage(session, "train target", [Chunk(f"train {v.title}", [v.target]) for v in variants])


def query_targets(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Ask each target about members and non-members, then about whatever else an attack looks at."""
    variants = _unguarded(variants)
    queries = [Chunk(f"query {v.title}", [v.query]) for v in variants]
    others = [Chunk(f"query {v.title} about others", [step]) for v in variants for step in v.population]
    noisy = [Chunk(f"query {v.title} under noise", [step]) for v in variants for step in v.noisy]
    in_stage(session, "query target", queries)
    in_stage(session, "query others", others + noisy)


def fit_shadows(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Train the shadow models and ask them, in chunks of a few seconds, as the target's training lets expect."""
    chunks = []
    for v in _unguarded(variants):
        seconds = session.store.open(v.target.recipe.path).meta["seconds"]
        guess = seconds if isinstance(v.target, TargetFit) else UNKNOWN_SECONDS
        for steps in session.chunks(v.trained, guess):
            chunks.append(Chunk(f"shadow models {_span([w.model_id for w in steps])} of {v.title}", steps))
    in_stage(session, "fit shadow models", chunks)


def merge(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Merge the shadow models' answers into labelled IN/OUT vectors, one partition a class."""
    in_stage(session, "merge", _merges(_unguarded(variants)))


def guard(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit guards on the merged vectors, pass all answers through them, and merge these."""
    guarded = [v for v in variants if v.guard is not None]
    in_stage(session, "fit guards", [Chunk(f"fit the guard of {v.title}", [v.guard]) for v in guarded if v.guard])
    answers = [(v, [v.query, *v.population, *v.shadows]) for v in guarded]
    chunks = [Chunk(f"guard answers of {v.title}", part) for v, steps in answers for part in session.chunks(steps)]
    in_stage(session, "guard answers", chunks)
    in_stage(session, "merge guarded", _merges(guarded))


def _merges(variants: Sequence[TrainedVariant]) -> list[Chunk]:
    merges = [(v, step) for v in variants for step in v.merges]
    return [Chunk(f"merge classes {_span(w.labels)} of {v.title}", [w]) for v, w in merges]


def _unguarded(variants: Sequence[TrainedVariant]) -> list[TrainedVariant]:
    """Return the variants with targets and shadow models of their own."""
    return [v for v in variants if v.guard is None]


def gather(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Gather the shadow models' answers on the audited records, for the attacks that compare."""
    chunks = [Chunk(f"answers for {v.title}, {w.title}", [w]) for v in variants for w in v.references]
    in_stage(session, "gather", chunks)


def fit_attacks(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Fit the attack models, over chunks of the classes, the largest first; those of some mitigations together."""
    alike: dict[tuple[object, ...], list[AttackFit]] = {}
    for fit in (fit for measurement in _cases(variants) for fit in measurement.fits):
        alike.setdefault((fit.attack.label, fit.data, fit.labels), []).append(fit)
    parts = [part for fits in sorted(alike.values(), key=lambda f: -len(f[0].labels)) for part in _halves(fits)]
    chunks = [Chunk(f"{fits[0].attack.label}: classes {_span(fits[0].labels)}", fits) for fits in parts]
    in_stage(session, "fit attack models", chunks)


def score(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Score the audited records by each attack on each variant and mitigation."""
    chunks = [
        Chunk(f"score {title}", [c.scoring for c in measurements]) for title, measurements in _dealt(variants).items()
    ]
    in_stage(session, "score", chunks)


def evaluate(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Measure each attack and what each mitigation costs, with intervals; hold claims of privacy against attacks."""
    chunks = [
        Chunk(f"evaluate {title}", [c.evaluation for c in measurements])
        for title, measurements in _dealt(variants).items()
    ]
    costs = {entry.costing.recipe.path: entry for entry in _entries(variants)}
    chunks += [Chunk(f"what {e.row.label or 'the target as it is'} is worth", [e.costing]) for e in costs.values()]
    chunks += [Chunk(f"guarantee of {v.title}", [step]) for v in variants for step in v.guarantees]
    in_stage(session, "evaluate", chunks)


def control(session: Session, variants: Sequence[TrainedVariant]) -> None:
    """Check the audit itself."""
    in_stage(session, "control", [Chunk(f"control {v.title}", [step]) for v in variants for step in v.controls])


@task(cache_policy=NO_CACHE, task_run_name="see that the target is still the same")
def part(session: Session) -> None:
    """Ask a target that was trained elsewhere about the same records again, and keep its ledger."""
    if session.met is not None:
        session.met.part()


@task(cache_policy=NO_CACHE, task_run_name="write the report")
def report(session: Session, variants: Sequence[TrainedVariant]) -> str:
    """Write the run's folder: report, figures, spec and the list of artefacts; return its path under the root."""
    store, folder = session.store, session.run_folder()
    with session.stage("report", 0):
        figures = drawn_figures(assemble(session.spec, store, variants, session.cost()), store, variants)
    found = assemble(session.spec, store, variants, session.cost())
    files = {
        "report.html": html.render(found, figures).encode(),
        "spec.yaml": yaml.safe_dump(session.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode(),
        "artefacts.json": json.dumps(_artefacts(variants), indent=1).encode(),
        **{f"figures/{name}.png": png for name, png in figures.items()},
        **({} if session.met is None else session.met.files()),
        "report.json": found.model_dump_json(indent=1).encode(),
    }
    store.put(folder, files)
    create_table_artifact(table=_table(found), key=_slug(f"audit-{found.audit.name}"), description=reading(found))
    return folder


@task(cache_policy=NO_CACHE, task_run_name="log to MLflow")
def track(session: Session, folder: str, tracking_uri: str | None) -> str:
    """Log the finished run to MLflow; the audit is complete on disk whatever happens here."""
    return str(tracking().log_run(session.store.root, folder, tracking_uri))


def tracking() -> Any:
    """Return `tasks.mlflow_client.runs`, which takes two seconds to load."""
    from tasks.mlflow_client import runs as track

    return track


def _targets() -> Any:
    """Return `tasks.external_targets.meeting`, which loads HTTP and MLflow."""
    from tasks.external_targets import meeting as targets

    return targets


def _halves(fits: Sequence[AttackFit], most: int = 4) -> list[Sequence[AttackFit]]:
    """Return fits on the same vectors, which are read once for some of them, in parts that workers can share."""
    return [fits[i : i + most] for i in range(0, len(fits), most)]


def _cases(variants: Sequence[TrainedVariant]) -> list[Measurement]:
    return [measurement for variant in variants for measurement in variant.measurements]


def _entries(variants: Sequence[TrainedVariant]) -> list[Measurement | Unmeasurable]:
    """Return what becomes an entry of the report's results each."""
    found: list[Measurement | Unmeasurable] = []
    for variant in variants:
        found += [*variant.measurements, *variant.unmeasurable]
    return found


def _dealt(variants: Sequence[TrainedVariant]) -> dict[str, list[Measurement]]:
    """Return measurements by title of a chunk; those of one mitigation and attacker, of the same vectors, together."""
    dealt: dict[str, list[Measurement]] = {}
    for v in variants:
        for measurement in v.measurements:
            unaware = ", unknown to the attacker" if measurement.attacker == "static" else ""
            title = (
                measurement.title
                if measurement.mitigation is None
                else f"all attacks on {measurement.mitigation}{unaware}"
            )
            dealt.setdefault(f"{title}, repeat {v.repeat}" if v.repeat else title, []).append(measurement)
    return dealt


def _span(numbers: Sequence[int]) -> str:
    """Return numbers in short: `3`, or `0-7`, or `0-7 (5 of them)` with gaps."""
    first, last = min(numbers), max(numbers)
    if first == last:
        return str(first)
    gaps = "" if last - first + 1 == len(numbers) else f" ({len(numbers)} of them)"
    return f"{first}-{last}{gaps}"


def _slug(name: str) -> str:
    """Return a name as Prefect wants an artefact's key: lower case, digits, dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _artefacts(variants: Sequence[TrainedVariant]) -> dict[str, Any]:
    """Return the paths of all artefacts of a run, by what they are."""
    return {
        "records": variants[0].training.records,
        "split": variants[0].training.split,
        "targets": [v.target.recipe.path for v in _unguarded(variants)],
        "target_predictions": [v.query.recipe.path for v in variants],
        "models": [*{m["mitigation"]: m for v in variants for e in _entries([v]) for m in [_model(v, e)]}.values()],
        "shadow_records": [*dict.fromkeys(v.drawn.recipe.path for v in variants if v.drawn is not None)],
        "shadow_predictions": [w.recipe.path for v in variants for w in v.shadows],
        "guards": [v.guard.recipe.path for v in variants if v.guard is not None],
        "attack_data": [w.recipe.path for v in variants for w in v.merges],
        "references": [w.recipe.path for v in variants for w in v.references],
        "attack_models": [_of_case(c) | {"paths": [f.recipe.path for f in c.fits]} for c in _cases(variants) if c.fits],
        "scores": [_of_case(c) | {"path": c.scoring.recipe.path} for c in _cases(variants)],
        "controls": [step.recipe.path for v in variants for step in v.controls],
        "costs": [*dict.fromkeys(entry.costing.recipe.path for entry in _entries(variants))],
        "guarantees": [step.recipe.path for v in variants for step in v.guarantees],
        "evaluations": [_of_case(c) | {"path": c.evaluation.recipe.path} for c in _cases(variants)],
    }


def _model(variant: TrainedVariant, entry: Measurement | Unmeasurable) -> dict[str, str | None]:
    """Return where the model under a mitigation lies, and its guard, if it has one."""
    guard = None if variant.guard is None else variant.guard.recipe.path
    return {"mitigation": entry.row.label, "target": variant.target.recipe.path, "guard": guard}


def _of_case(measurement: Measurement) -> dict[str, str | None]:
    return {"attack": measurement.attack.label, "mitigation": measurement.mitigation, "attacker": measurement.attacker}


def _table(report: Report) -> list[dict[str, str]]:
    """Return the results as rows for people."""
    return [
        {
            "mitigation": mitigation_name(result),
            "attack": result.attack,
            "attacker": attacker_name(result),
            "AUC [low, high]": figure(result.metrics["auc"]),
            "attack accuracy [low, high]": figure(result.metrics["accuracy"]),
            "TPR at 1 % FPR [low, high]": figure(result.metrics["tpr_at_fpr_0.01"]),
            "target's test accuracy [low, high]": figure(result.utility["test_accuracy"]),
        }
        for result in stronger(report.results)
    ]
