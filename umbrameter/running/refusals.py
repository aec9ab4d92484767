"""All that is wrong with an audit, in one error: with its table, with the split, and with what is to be trained.

Belongs here: going on after the first error, to find the others. Does not belong here: the checks (`records`, `steps`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np

from umbrameter.errors import DataError, PlanError, UmbrameterError, errors_in, in_one
from umbrameter.estimators import Estimator
from umbrameter.records.build import AnyData, Look, look_at, write_records
from umbrameter.records.parquet import open_source
from umbrameter.records.reader import Records
from umbrameter.records.sources import SidesData
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.feasibility import AuditInputs, errors_of
from umbrameter.steps.split import PARTS, Split, write_parts
from umbrameter.steps.taken_values import FEW
from umbrameter.steps.target import TargetIdentity
from umbrameter.store.artefacts import Recipe, Store
from umbrameter.typing import Array, Ints


def unknown_target(spec: AuditSpec) -> TargetIdentity | None:
    """Return a target trained elsewhere, before it is connected; None for one that is trained here."""
    # Stands in for a recipe that will be read off the target, of which nothing is known: it trains on any matrix.
    recipe = Estimator(kind="decision_tree") if spec.target.brings_recipe else None
    return None if spec.target.trained_here else TargetIdentity({}, "", recipe)


@contextmanager
def all_at_once(spec: AuditSpec, locate: Callable[[], AnyData]) -> Iterator[None]:
    """Raise, where preparing or splitting the records fails within the block, an error with all else that is wrong.

    Parameters
    ----------
    spec
        The audit.
    locate
        Returns where its records are.
    """
    try:
        yield
    except (DataError, PlanError) as error:
        try:
            others = errors_before_training(spec, locate())
        except UmbrameterError:  # the records are not there, or cannot be opened
            others = []
        said = in_one(others, "the spec and the data")
        if said is None or (not said.parts and str(said) == str(error)):
            raise
        first = [] if any(str(part) in str(error) for part in said.parts) else [error]
        raise (in_one([*first, *others], "the spec and the data") or error) from None


def errors_before_training(spec: AuditSpec, source: AnyData) -> list[UmbrameterError | str]:
    """Return all that is wrong, as far as each thing can be known in spite of the others.

    Parameters
    ----------
    spec
        The audit.
    source
        Its records, in files.

    Raises
    ------
    DataError
        When the files cannot be opened.
    """
    split = Split("", spec.n_members, spec.n_nonmembers, spec.seed)
    try:
        look = look_at(source, spec.membership)
    except DataError as error:  # no column can be read, but the rows can be counted
        sizes = [open_source(path, f"data.{name}", source.csv).n_rows for name, path in source.paths.items()]
        known = np.repeat(np.arange(len(sizes), dtype=np.int8), sizes) if isinstance(source, SidesData) else None
        uncounted = known is None and spec.is_known
        return [error, *([] if uncounted else _undealt(split, np.zeros(sum(sizes), dtype=np.int64), known))]
    known = None if look.known is None else look.known["part"]
    if not look.intake.codes.classes or look.left_out.all():
        no_labels = np.zeros(look.census.n_rows, dtype=np.int64)
        return [*look.faults, *([] if known is None and spec.is_known else _undealt(split, no_labels, known))]
    kept = ~look.dropped
    labels, kept_parts = look.census.labels[kept].astype(np.int64), None if known is None else known[kept]
    if known is None and spec.is_known:  # the table of members is at fault
        return [*look.faults, *_unplanned(spec, look, None)]
    try:
        part = split.parts(labels, look.intake.codes.classes, kept_parts)
    except (DataError, PlanError) as error:
        return [*look.faults, error, *_unplanned(spec, look, None)]
    return [*look.faults, *_unplanned(spec, look, part)]


def _undealt(split: Split, labels: Ints, known: Ints | None) -> list[UmbrameterError]:
    """Return what is wrong with the sizes of the split alone."""
    return errors_in(lambda: split.parts(labels, (), known))


def _unplanned(spec: AuditSpec, look: Look, part: Ints | None) -> list[UmbrameterError]:
    """Return what makes the plan impossible; without parts, only what does not depend on their sizes."""
    sample = replace(look, dropped=~_first_of_each_class(look))
    with TemporaryDirectory(prefix="umbrameter-") as root:
        store = Store(root)
        records = Records(write_records(sample, store, Recipe("records", {}), time.thread_time()))
        recipe = Recipe("split", {})
        with store.write(recipe) as draft:
            write_parts(draft, np.full(records.n_records, PARTS.index("pool")) if part is None else part)
        inputs = AuditInputs(spec, records, store.open(recipe.path), unknown_target(spec))
        return errors_of(inputs, is_split=part is not None)


def _first_of_each_class(look: Look) -> Array:
    """Return which rows are among the first few of their class, shape (n_rows,)."""
    labels = np.where(look.dropped, -1, look.census.labels)
    is_first = np.zeros(len(labels), dtype=bool)
    for label in range(len(look.intake.codes.classes)):
        is_first[np.flatnonzero(labels == label)[:FEW]] = True
    return is_first
