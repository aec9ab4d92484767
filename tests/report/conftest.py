"""A report like that of the embedded default audit, for all tests of what shows reports."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from umbrameter.evaluation.controls import Control
from umbrameter.evaluation.guarantees import Guarantee
from umbrameter.report import (
    AuditInfo,
    DataInfo,
    Ledger,
    LimitOutcome,
    Report,
    Result,
    ShadowInfo,
    Status,
    TargetInfo,
    Verdict,
)
from umbrameter.report.model import DrawnClass, DrawnInfo
from umbrameter.report.recommendation import recommend
from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotMeasured
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.statistics.repeats import Repeated, Spread
from umbrameter.statistics.subgroups import Excess

TOO_FEW = "an FPR of 0.001 needs at least 1,000 non-members; there are 500"
ATTACKS = {
    "shokri(mlp)": (
        "the attacker sees whole prediction vectors, knows the record's true label, knows the kind of model and has "
        "records of the same distribution to train shadow models on"
    ),
    "loss": "the attacker sees the model's confidence in the record's true label; shadow models only set the threshold",
}
AUCS = {
    None: (0.617, 0.621),
    "rounding(1)": (0.607, 0.611),
    "top_k(1)": (0.598, 0.604),
    "label_only": (0.575, 0.577),
    "params(min_samples_leaf=20)": (0.503, 0.506),
}
AUDIT = AuditInfo(
    name="adult-forest",
    spec_digest="9f2c" * 16,
    seed=0,
    version="0.1.0",
    started="2026-11-24T09:21:07+00:00",
    seconds=48.2,
)
DATA = DataInfo(
    name="adult", n_records=48_842, n_features=14, n_classes=2, warnings=["52 records occur more than once"]
)
TARGET = TargetInfo(
    kind="train",
    description="random_forest, trained here",
    train_accuracy=0.9998,
    test_accuracy=0.8472,
    n_members=5_000,
    n_nonmembers=500,
    n_classes=2,
)
SHADOWS = ShadowInfo(
    n_models=16,
    n_trained=12,
    n_reused=4,
    design="disjoint",
    data="real records of the pool, apart from members and non-members",
    size=5_000,
    train_accuracy=0.9998,
    test_accuracy=0.8469,
)
LEDGER = Ledger(
    queries=10_000,
    fits=29,
    reused=4,
    seconds={"fit shadows": 30.1, "score": 12.0},
    peak_rss_mb=612.4,
    cpu_seconds={"fit shadows": 58.7, "score": 11.5, "orchestration": 9.0},
    driver_peak_rss_mb=301.2,
    worker_peak_rss_mb=612.4,
)
LIMIT = LimitOutcome(
    metric="auc",
    attack="loss",
    limit=0.6,
    observed=0.621,
    bound=0.610,
    side="lower",
    status="fail",
    source="the data owner",
)
ACCURACIES = dict.fromkeys(AUCS, 0.8472) | {"params(min_samples_leaf=20)": 0.8514}


def interval(value: float, half: float = 0.011, method: str = "DeLong") -> Interval:
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Interval(value=value, low=low, high=high, confidence=0.95, method=method)


def metrics(auc: float) -> dict[str, Metric]:
    accuracy = 0.5 + 0.6 * (auc - 0.5)
    return {
        "auc": interval(auc),
        "accuracy": interval(accuracy, 0.009, "Miettinen-Nurminen"),
        "precision": interval(accuracy + 0.004, 0.01, "MOVER"),
        "recall": interval(0.731, 0.013, "Clopper-Pearson"),
        "advantage": interval(2 * accuracy - 1, 0.018, "Miettinen-Nurminen"),
        "tpr_at_fpr_0.1": interval(0.1 + 0.3 * (auc - 0.5), 0.014, "order statistics"),
        "tpr_at_fpr_0.01": interval(0.0104, 0.0041, "order statistics"),
        "tpr_at_fpr_0.001": NotMeasured(not_measured=TOO_FEW),
        "precision_at_prior_0.1": interval(0.13, 0.01, "MOVER"),
        "precision_at_prior_0.01": interval(0.0127, 0.001, "MOVER"),
    }


def by_class(n_classes: int, seed: int = 0, n_missing: int = 0) -> list[ClassMetrics]:
    draws = np.random.default_rng(seed).beta(8, 4, n_classes)
    missing = NotMeasured(not_measured="there are no members")
    entries = []
    for label, draw in enumerate(draws.tolist()):
        absent = label < n_missing
        figures = {name: missing if absent else interval(draw, 0.08) for name in ("accuracy", "recall", "auc")}
        called = not absent and label != n_missing
        precision = interval(draw, 0.08) if called else NotMeasured(not_measured="the attack called nobody a member")
        entries.append(
            ClassMetrics(label=f"class {label}", n_members=40, n_nonmembers=38, precision=precision, **figures)
        )
    return entries


def change(accuracy: float) -> dict[str, Metric]:
    value = accuracy - ACCURACIES[None]
    return {
        "test_accuracy": Interval(value=value, low=value - 0.003, high=value + 0.003, confidence=0.95, method="paired")
    }


def results() -> list[Result]:
    return [
        Result(
            attack=attack,
            mitigation=mitigation,
            params={"attack": {"kind": attack}},
            assumption=assumption,
            metrics=metrics(auc),
            attacker="adaptive" if mitigation else None,
            utility={"train_accuracy": interval(0.9998), "test_accuracy": interval(ACCURACIES[mitigation])},
            change=change(ACCURACIES[mitigation]) if mitigation else {},
            by_class=by_class(3),
        )
        for mitigation, aucs in AUCS.items()
        for (attack, assumption), auc in zip(ATTACKS.items(), aucs, strict=True)
    ]


def build(name: str = "adult-forest", status: Status = "no_limits", **changes: object) -> Report:
    """Return the sample; `changes` replace whole parts of it."""
    parts: dict[str, object] = {
        "audit": AUDIT.model_copy(update={"name": name}),
        "data": DATA,
        "target": TARGET,
        "shadows": SHADOWS,
        "results": results(),
        "controls": {"copies": Control(status="pass", reason="0.0% of the non-members are copies of members")},
        "verdict": Verdict(
            status=status,
            reason="No limits are set." if status == "no_limits" else "One limit was held against the audit.",
            limits=[] if status == "no_limits" else [LIMIT.model_copy(update={"status": status})],
        ),
        "ledger": LEDGER,
    }
    found = parts | changes
    return Report.model_validate({"recommendation": recommend(found["results"], (), 0.01)} | found)  # type: ignore[arg-type]


def full() -> Report:
    """Return a report in which every optional part is there: static attackers, slices, repeats, claims, drawn data."""
    plain = build(status="fail")
    excess = Excess(group="class 1", excess=interval(0.05, 0.02), p_value=0.0123)
    firsts = {"worst_class": excess, "by_slice": {"sex": by_class(2)}, "worst_slice": {"sex": excess}}
    unmitigated = [r.model_copy(update=firsts) for r in plain.results if r.mitigation is None]
    adaptive = [r.model_copy(update={"notes": ["a note"]}) for r in plain.results if r.mitigation is not None]
    weaker = {"auc": interval(0.5), "epsilon_lower_bound": LowerBound(value=0.4, low=0.4, confidence=0.95, method="m")}
    static = [r.model_copy(update={"attacker": "static", "metrics": r.metrics | weaker}) for r in adaptive]
    spread = {"auc": Spread(mean=0.61, sd=0.02, values=[0.59, 0.63])}
    found = [DrawnClass(label="class 0", n_found=90, n_failed=3, queries=4500, seconds=1.25)]
    lost = [DrawnClass(label="class 1", n_found=0, n_failed=7, queries=500, seconds=0.5)]
    drawn = DrawnInfo(kind="model_based", n_wanted=200, n_records=90, queries=5000, by_class=found + lost)
    return plain.model_copy(
        update={
            "results": [*unmitigated, *adaptive, *static],
            "repeats": [Repeated(attack="loss", spread=spread, rank_correlation=0.375, exposed_overlap=None)],
            "guarantees": [GUARANTEE],
            "shadows": plain.shadows.model_copy(update={"drawn": drawn}),
            "controls": {name: Control(status=status, reason=f"of {name}") for name, status in CONTROLS.items()},
        }
    )


CONTROLS: dict[str, Literal["pass", "fail", "not_measured"]] = {
    "row_order": "pass",
    "blind_baseline": "fail",
    "copies": "not_measured",
    "orientation": "pass",
}
GUARANTEE = Guarantee(
    mitigation="top_k(1)",
    epsilon=2.0,
    delta=1e-5,
    noise_multiplier=1.25,
    clip_norm=1.0,
    sampling_rate=0.5,
    n_steps=1200,
    accountant="an accountant",
    is_reproducible=False,
    one_run_epsilon_lower_bound=2.25,
    epsilon_lower_bound=2.5,
    gaussian_epsilon_lower_bound=3.5,
    confidence=0.95,
    attack="loss",
    n_attacks=4,
)


@pytest.fixture
def report() -> Report:
    return build()


@pytest.fixture
def full_report() -> Report:
    return full()


@pytest.fixture
def build_report() -> Callable[..., Report]:
    return build


@pytest.fixture
def build_classes() -> Callable[..., list[ClassMetrics]]:
    return by_class
