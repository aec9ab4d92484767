"""An audit from Python in one call: `umbrameter.audit`.

Belongs here: from arguments to a spec, and from a run to a result. Does not belong here: the audit (`driver`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from umbrameter.errors import SpecError, UmbrameterError
from umbrameter.local.driver import audit_here
from umbrameter.local.result import AuditResult
from umbrameter.local.tables import write_sides
from umbrameter.report.progress_bars import progress_shown
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.loading import checked

WITHOUT_SHADOWS: tuple[dict[str, Any], ...] = (
    {"kind": "loss"},
    {"kind": "modified_entropy", "per_class": False},
    {"kind": "entropy", "per_class": False},
    {"kind": "gap"},
)
"""The attacks that need the model's answers alone."""

WITH_SHADOWS: tuple[dict[str, Any], ...] = (
    {
        "kind": "shokri",
        "features": "sorted",
        "model": {"kind": "random_forest", "params": {"n_estimators": 100, "min_samples_leaf": 5}},
    },
    {"kind": "lira"},
    {"kind": "rmia"},
    {"kind": "confidence"},
    {"kind": "modified_entropy"},
    {"kind": "loss"},
    {"kind": "gap"},
)
"""The attacks with shadow models."""

BY_MODE = ("lira", "rmia")
"""Those of them that are stronger with shadow models trained on the audited records, where there are any."""


def audit(
    model: Any,
    members: Any = None,
    nonmembers: Any = None,
    pool: Any = None,
    *,
    shadows: int | Mapping[str, Any] | None = None,
    estimator: Any = None,
    attacks: Sequence[Any] | None = None,
    mitigations: Sequence[Any] = (),
    limits: Sequence[Any] = (),
    answers: Sequence[Any] = (),
    name: str = "model",
    seed: int = 0,
    root: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> AuditResult:
    """Measure how much a classifier gives away about which records it was trained on.

    Parameters
    ----------
    model
        The fitted classifier: anything with `predict_proba`, or with a `predict` that returns probabilities. Or an
        `AuditSpec`, or the path of one in YAML; then only `root`, `workers` and `progress` may be given with it.
    members, nonmembers
        Records that the model was trained on, and records that it was not, each as a pair `(X, y)`: X is a data frame
        of pandas or polars, an Arrow table, an array or a sparse matrix of shape (n_records, n_features), y has one
        class a record.
    pool
        More records like these, as such a pair, from which shadow models are trained.
    shadows
        Number of shadow models, or the section `shadows` of a spec; none if None, and attacks then see the model's
        answers alone. Without a pool, shadow models are trained on halves of members and non-members, which only the
        model's owner could do.
    estimator
        What shadow models are made with: an estimator of scikit-learn, or one in the form of a spec; the model's own
        kind and parameters if None.
    attacks, mitigations, limits
        The sections of a spec.
    answers
        What the model is known to do to its answers, such as `[{"kind": "label_only"}]` for one that returns labels.
    name
        The model's name in the report.
    seed
        The audit's only seed.
    root
        The folder that keeps artefacts and the report, so that another run reuses what is finished; a temporary one
        if None, which is removed with the result.
    workers
        Worker processes: one per core if None, and this process alone if 1 or without shadow models.
    progress
        Whether to show progress.

    Raises
    ------
    UmbrameterError
        When something is wrong with what was given: `SpecError` for a setting, `DataError` for the records,
        `TargetError` for the model.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = DecisionTreeClassifier(random_state=0).fit(X[::2], y[::2])
    >>> result = audit(model, members=(X[::2], y[::2]), nonmembers=(X[1::2], y[1::2]), progress=False)
    >>> result.verdict.status
    'no_limits'
    """
    place = mkdtemp(prefix="umbrameter-") if root is None else str(root)
    try:
        sides = {"members": members, "nonmembers": nonmembers, "pool": pool}
        if isinstance(model, AuditSpec | str | Path):
            more = {"shadows": shadows, "estimator": estimator, "attacks": attacks}
            _refuse_beside_a_spec(sides | more | {"mitigations": mitigations, "limits": limits, "answers": answers})
            spec, target = model if isinstance(model, AuditSpec) else AuditSpec.load(model), None
        else:
            data = _data({n: side for n, side in sides.items() if side is not None or n != "pool"}, place)
            settings = {"name": name, "seed": seed, "data": data, "mitigations": [*mitigations], "limits": [*limits]}
            if hasattr(model, "classes_"):  # which says what the labels are
                data["numeric_label"] = "classes"
            settings["target"] = {"kind": "object", "name": name, "answers": [*answers]}
            spec, target = checked(AuditSpec, settings | _shadowed(shadows, pool, estimator, attacks)), model
        with progress_shown(progress):
            # Nobody opens the page of a temporary root, so it is written when it is asked for.
            folder = audit_here(spec, place, workers, target, draws_figures=root is not None)
    except BaseException as error:
        if root is None:
            rmtree(place, ignore_errors=True)
        if isinstance(error, UmbrameterError):
            # The frames of the library say nothing to somebody who has to correct an argument.
            raise error.with_traceback(None) from None
        raise
    return AuditResult(place, folder, is_temporary=root is None)


def _data(sides: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Write the records under the root, and return the section `data`."""
    paths, label = write_sides(sides, Path(place) / "inputs")
    return {"kind": "sides", **paths, "label": label}


def _shadowed(
    shadows: int | Mapping[str, Any] | None, pool: Any, estimator: Any, attacks: Sequence[Any] | None
) -> dict[str, Any]:
    """Return the sections `shadows` and `attacks`."""
    if shadows is None:
        return {"shadows": {"count": 0}, "attacks": [*(WITHOUT_SHADOWS if attacks is None else attacks)]}
    settings: dict[str, Any] = {"count": shadows} if isinstance(shadows, int) else dict(shadows)
    settings.setdefault("design", "audit" if pool is None else "disjoint")
    settings |= {} if estimator is None else {"estimator": estimator}
    mode = "offline" if settings["design"] == "disjoint" else "online"
    usual = [entry | {"mode": mode} if entry["kind"] in BY_MODE else entry for entry in WITH_SHADOWS]
    return {"shadows": settings, "attacks": usual if attacks is None else [*attacks]}


def _refuse_beside_a_spec(arguments: Mapping[str, Any]) -> None:
    named = [name for name, value in arguments.items() if value is not None and value != ()]
    if named:
        raise SpecError(
            f"audit: {', '.join(named)} cannot be given beside a spec, which says it itself; write it into the spec, "
            "or give a fitted classifier instead"
        )
