"""What `umbrameter validate` says of a spec's data: what an audit would find, and how much work it would be.

Belongs here: the look at the data, the plan, its sizes and times, in words. Does not belong here: the checks themselves
(`records`, `steps`).
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from umbrameter.errors import UmbrameterError
from umbrameter.records.build import AnyData, build
from umbrameter.records.in_words import found_in_words, listed
from umbrameter.records.metadata import SourceMetadata
from umbrameter.records.reader import Records
from umbrameter.running.refusals import all_at_once, unknown_target
from umbrameter.running.stages import queries_of
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import Split, SplitMetadata
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.training import Training
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import ensure

PROBES = (100, 400)
"""Records of the two trainings that times are estimated from."""


@dataclass(frozen=True)
class Preview:
    """An audit that has been laid out on its records, without any of its work.

    Parameters
    ----------
    spec
        The audit.
    records
        The opened records.
    sizes
        The sizes of the split's parts.
    variants
        The planned targets with their steps, of the first repeat.
    seconds
        Estimated time of all trainings on one core; None if nothing is trained, or a few records cannot tell.
    """

    spec: AuditSpec
    records: Records
    sizes: SplitMetadata
    variants: tuple[TrainedVariant, ...]
    seconds: float | None


def preview(spec: AuditSpec, source: AnyData, store: Store, is_timed: bool = True) -> Preview:
    """Read an audit's records, split them and lay the audit out.

    Parameters
    ----------
    spec
        The audit.
    source
        Its records, in files.
    store
        Where the records and the split are written.
    is_timed
        Whether to estimate the time of the trainings, by two small ones.

    Raises
    ------
    DataError
        When something is wrong with the data; the text has all of it.
    PlanError
        When the audit asks for more than the data hold.
    """
    with all_at_once(spec, lambda: source):
        records = Records.open(store, build(source, store, spec.membership).path)
        step = Split(records.artefact.path, spec.n_members, spec.n_nonmembers, spec.seed)
        split = store.open(ensure(store, step))
    target = unknown_target(spec)
    variants = lay_out(AuditInputs(spec.repeated()[0], records, split, target))
    # A recipe that will be read off the target is not known yet.
    seconds = _seconds(spec, records, variants) if is_timed and spec.estimator is not None else None
    return Preview(spec, records, SplitMetadata.read(split), variants, seconds)


def describe(spec: AuditSpec, source: AnyData) -> list[str]:
    """Return what an audit would find, a line each; see `preview`."""
    with tempfile.TemporaryDirectory(prefix="umbrameter-") as root:
        store = Store(root)
        return list(in_words(preview(spec, source, store), store))


def in_words(found: Preview, store: Store) -> Iterator[str]:
    """Yield what an audit would find, a line each; the store has the records."""
    meta = SourceMetadata.read(found.records.artefact)
    yield from map(": ".join, found_in_words(found.records).items())
    pairs = zip(meta.classes, meta.label_counts, strict=True)
    classes = listed([f"{value} ({n:,})" for value, n in pairs])
    yield f"Records: {meta.n_records:,} with {meta.n_features:,} features, in {len(meta.classes)} classes: {classes}"
    yield from (f"Warning: {warning}" for warning in meta.warnings)
    s = found.sizes
    unused = f", {s.n_unused:,} unused" if s.n_unused else ""
    yield f"Split: {s.n_members:,} members, {s.n_nonmembers:,} non-members, {s.n_pool:,} in the pool{unused}"
    repeats = f", {found.spec.repeats} times" if found.spec.repeats > 1 else ""
    n_targets, n_shadows = _models(found.variants)
    n_steps = len({path for variant in found.variants for path in variant.steps})
    yield f"Work: {n_targets} targets and {n_shadows} shadow models to train, in {n_steps:,} steps{repeats}"
    if found.seconds is not None:
        yield f"Time: about {_duration(found.seconds)} of training on one core, besides reading and reporting"
    yield from _queries(found, store)


def _models(variants: Sequence[TrainedVariant]) -> tuple[int, int]:
    own = [variant for variant in variants if variant.has_own_models]
    n_targets = sum(not isinstance(variant.target, TargetIdentity) for variant in own)
    return n_targets, sum(len(variant.trained) for variant in own)


def _queries(found: Preview, store: Store) -> Iterator[str]:
    if found.spec.target.trained_here or not found.spec.target.can_be_queried:
        return
    needed = Counter[str]()
    for step in {step.recipe.path: step for variant in found.variants for step in queries_of(variant)}.values():
        needed[step.purpose] += step.n_queries(store)
    shares = "; ".join(f"{n:,} {purpose}" for purpose, n in needed.items())
    yield f"Queries: {needed.total():,} at most ({shares}), and some to check that the model stays the same"


def _seconds(spec: AuditSpec, records: Records, variants: Sequence[TrainedVariant]) -> float | None:
    """Return the estimated time of all trainings, in seconds on one core: linear in the records of a model."""
    total = 0.0
    for variant in (variant for variant in variants if variant.has_own_models):
        sizes = [shadow.plan.size for shadow in variant.trained]
        if not isinstance(variant.target, TargetIdentity):
            sizes.append(spec.n_members or records.n_records // 2)
        if not sizes:
            continue
        times = [_time(variant.training, records, n) for n in PROBES]
        if any(seconds is None for seconds in times):
            return None
        short, long = (seconds or 0.0 for seconds in times)
        slope = max(0.0, long - short) / (PROBES[1] - PROBES[0])
        total += sum(short + slope * max(0, size - PROBES[0]) for size in sizes)
    return total * spec.repeats if total else None


def _time(training: Training, records: Records, n: int) -> float | None:
    """Return the seconds of training on about `n` records, the same share of each class; None if it fails."""
    rows = np.argsort(records.labels(), kind="stable")[:: max(1, records.n_records // n)]
    try:
        training.fit(records, rows, 0)  # loads and compiles what the first training needs
        start = time.perf_counter()
        training.fit(records, rows, 0)
    except (UmbrameterError, ValueError):
        return None
    return time.perf_counter() - start


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{max(1, round(seconds))} s"
