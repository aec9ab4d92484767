"""Compare the shipped specs' results with published ones: `python -m benches.results [SPEC ...]`; all specs if unset.

Writes each spec's table into docs/results.md, between its markers. Location audits run with three seeds.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml

from benches import audit, sweeps
from benches.data import full_sets
from benches.tables import markdown, spread

SPECS = Path(__file__).parents[1] / "deployments" / "specs"
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
SEEDS = (0, 1, 2)
COLUMNS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "tpr_at_fpr_0.01": "TPR at 1 % FPR",
    "precision": "precision",
    "recall": "recall",
}
PURCHASE = {
    "none": (0.66, 0.92, 0.87, None),
    "top_k(3)": (0.66, 0.92, 0.87, 0.99),
    "top_k(1)": (0.66, 0.89, 0.83, 1.00),
    "label_only": (0.66, 0.66, 0.60, 0.99),
    "rounding(3)": (0.66, 0.92, 0.87, 0.99),
    "rounding(1)": (0.66, 0.89, 0.83, 1.00),
    "temperature(5)": (0.66, 0.88, 0.86, 0.93),
    "temperature(20)": (0.66, 0.84, 0.83, 0.86),
    "l2(0.0001)": (0.68, 0.87, 0.81, 0.96),
    "l2(0.001)": (0.72, 0.77, 0.73, 0.86),
    "l2(0.01)": (0.63, 0.53, 0.54, 0.52),
}
"""Test accuracy, attack accuracy, precision and recall on Purchase-100 in Shokri et al. (2017), section IX."""

PRIVATE = {
    "dp-mnist": {1: (0.762, 0.757), 2: (0.874, 0.870), 4: (0.909, 0.906), 8: (0.937, 0.932), None: (0.999, 0.970)},
    "dp-cifar10": {1: (0.247, 0.253), 2: (0.450, 0.450), 4: (0.608, 0.607), 8: (0.686, 0.681), None: (0.944, 0.737)},
}
"""Published train and test accuracy by epsilon; None is training without privacy."""


def main() -> None:
    full_sets()
    makers = {
        "location30": lambda name: over_seeds(reports(name, SEEDS)),
        "location30-online": lambda name: over_seeds(reports(name, SEEDS)),
        "location30-memguard": lambda name: guarded(*reports(name, [0])),
        "purchase-mitigations": lambda name: purchase(*reports(name, [0])),
        **dict.fromkeys(PRIVATE, lambda name: private(name, *reports(name, [0]))),
        "location30-ladder": lambda name: sweeps.ladder(name, reports(name, SEEDS)),
        "purchase-ladder": lambda name: sweeps.ladder(name, reports(name, [0])),
        "cifar10-sizes": lambda name: sweeps.sizes(name, *reports(name, [0])),
    }
    for name in sys.argv[1:] or makers:
        table = makers[name](name)
        print(f"\n{name}\n{table}", file=sys.stderr, flush=True)
        # Written after each spec, so that an interruption loses the current one alone.
        begin, end = (f"<!-- {name}: {mark} -->" for mark in ("begin", "end"))
        head, _, after_begin = PAGE.read_text(encoding="utf8").partition(begin)
        PAGE.write_text(f"{head}{begin}\n\n{table}\n\n{end}{after_begin.partition(end)[2]}", encoding="utf8")


def reports(name: str, seeds: Iterable[int]) -> list[dict]:
    """Run a spec as a user does, once per seed, and return the reports."""
    settings = yaml.safe_load((SPECS / f"{name}.yaml").read_text(encoding="utf8"))
    with tempfile.TemporaryDirectory() as folder:
        return [audit.command(Path(folder), settings | {"seed": seed}, "root", 2)[1] for seed in seeds]


def over_seeds(audits: list[dict]) -> str:
    """Return each attack's mean and standard deviation over seeds, in falling order of AUC."""
    rows = []
    for results in zip(*(report["results"] for report in audits), strict=True):
        values = {m: [r["metrics"][m].get("value", np.nan) for r in results] for m in COLUMNS}
        rows.append((results[0]["attack"], values))
    rows.sort(key=lambda row: -np.mean(row[1]["auc"]))
    # Of these figures, ties alone can leave one without a value: the TPR.
    cells = [[name, *(spread(values[m], "not reachable") for m in COLUMNS)] for name, values in rows]
    return markdown(["attack", *COLUMNS.values()], cells)


def guarded(report: dict) -> str:
    """Return attack accuracy by mitigation, for the static and the adaptive attacker."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    utilities: dict[str, list[str]] = {}
    for result in report["results"]:
        name = result["mitigation"] or "none"
        accuracy = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**result["metrics"]["accuracy"])
        # Without a mitigation there is one kind of attacker; its figure goes into the column of the adaptive one.
        rows.setdefault((name, result["attack"]), {})[result["attacker"] or "adaptive"] = accuracy
        utility = result["utility"]
        utilities[name] = [
            f"{utility[m]['value']:.3f}" if m in utility else "" for m in ("test_accuracy", "distortion")
        ]
    cells = [
        [mitigation, attack, by_attacker.get("static", ""), by_attacker["adaptive"], *utilities[mitigation]]
        for (mitigation, attack), by_attacker in rows.items()
    ]
    return markdown(
        ["mitigation", "attack", "static attacker", "adaptive attacker", "test accuracy", "distortion"], cells
    )


def purchase(report: dict) -> str:
    """Return our figures beside the paper's: those of its attack models, and of the strongest attack."""
    rows = []
    for name, published in PURCHASE.items():
        results = [r for r in report["results"] if (r["mitigation"] or "none") == name]
        models = next(r for r in results if r["attack"].startswith("shokri") and r["attacker"] != "static")
        figures = [models["metrics"][m].get("value", np.nan) for m in ("accuracy", "precision", "recall")]
        best = max(results, key=lambda r: r["metrics"]["accuracy"].get("value", 0))
        strongest = f"{best['metrics']['accuracy']['value']:.2f} ({best['attack']})"
        measured = [models["utility"]["test_accuracy"]["value"], *figures]
        rows.append([name, *map(two, published), *map(two, measured), strongest])
    names = ("test", "attack", "precision", "recall")
    return markdown(["mitigation", *(f"{n}, published" for n in names), *names, "strongest attack"], rows)


def private(name: str, report: dict) -> str:
    """Return train and test accuracy beside the published ones, the strongest attack, and the epsilon proved."""
    claims = {g["mitigation"]: g for g in report["guarantees"]}
    rows = []
    for epsilon, published in PRIVATE[name].items():
        mitigation = None if epsilon is None else next(m for m in claims if m.startswith(f"dp_sgd(epsilon={epsilon},"))
        results = [r for r in report["results"] if r["mitigation"] == mitigation]
        best = max(results, key=lambda r: r["metrics"]["auc"]["value"])
        auc = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**best["metrics"]["auc"])
        accuracies = [results[0]["utility"][m]["value"] for m in ("train_accuracy", "test_accuracy")]
        claim = claims.get(mitigation)
        proved = max(r["metrics"]["epsilon_lower_bound"]["value"] for r in results)
        epsilons = (
            ["none", f"{proved:.2f}"]
            if claim is None
            else [f"{claim['epsilon']:.3f}", f"{claim['epsilon_lower_bound']:.2f}"]
        )
        shown = [f"{p:.3f}" for p in published] + [f"{a:.3f}" for a in accuracies]
        rows.append([str(epsilon or "without"), *shown, f"{auc} ({best['attack']})", *epsilons])
    head = [
        "ε",
        "train, published",
        "test, published",
        "train",
        "test",
        "strongest attack's AUC",
        "ε claimed",
        "ε proved",
    ]
    return markdown(head, rows)


def two(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.2f}"


if __name__ == "__main__":
    main()
