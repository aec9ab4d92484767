"""Tables of sweeps beside published results: one row per point, with the attack models' figures over seeds."""

from collections.abc import Sequence

import numpy as np

from benches.tables import markdown, spread

LADDERS = {
    "location30-ladder": {"real": 0.678, "noisy(0.1)": 0.666, "noisy(0.2)": 0.613},
    "purchase-ladder": {"real": 0.935, "marginal(of all classes)": 0.795, "model_based": 0.896},
}
"""Attack precision by shadow data in Shokri et al. (2017), section VI, for targets on a cloud platform."""

SIZES = {"cifar10-sizes": {2500: 0.78, 5000: 0.74, 10000: 0.72, 15000: 0.71}}
"""Median attack precision over classes by training size, in figure 4 of the same paper."""


def ladder(name: str, sweeps: Sequence[dict]) -> str:
    """Return precision and recall of the first attack by shadow data, beside the published precision."""
    rows = []
    for points in zip(*(report["points"] for report in sweeps), strict=True):
        label = points[0]["label"]
        attacks = [point["attacks"][0] for point in points]
        figures = [
            spread([a["metrics"][m].get("value", np.nan) for a in attacks]) for m in ("precision", "recall", "auc")
        ]
        medians = spread([np.median(a["class_precision"]) for a in attacks])
        # Only kinds that query the target have a number of queries per record.
        drawn = [point["drawn"] for point in points if point["drawn"] and point["drawn"]["queries"]]
        queries = spread([d["queries"] / d["n_records"] for d in drawn]) if drawn else "–"
        published = LADDERS[name].get(label)
        rows.append([label, "–" if published is None else f"{published:.3f}", *figures, medians, queries])
    head = [
        "shadow data",
        "precision, published",
        "precision",
        "recall",
        "AUC",
        "median over classes",
        "queries per record",
    ]
    return markdown(head, rows)


def sizes(name: str, report: dict) -> str:
    """Return the median over classes of each attack's precision by training size, beside the published one."""
    rows = []
    for point in report["points"]:
        accuracies = f"{point['train_accuracy']:.3f} / {point['test_accuracy']:.3f}"
        for attack in point["attacks"]:
            # The paper's attack networks see raw vectors, so only those compare with its figures.
            published = SIZES[name][point["step"]] if attack["attack"] == "shokri(mlp)" else None
            median = np.median(attack["class_precision"]) if attack["class_precision"] else np.nan
            shown = [attack["metrics"][m].get("value", np.nan) for m in ("precision", "recall", "accuracy", "auc")]
            cells = [f"{median:.3f}", *(f"{value:.3f}" for value in shown)]
            rows.append(
                [point["label"], accuracies, attack["attack"], "–" if published is None else f"{published:.2f}", *cells]
            )
    head = ["members", "train / test", "attack", "median, published", "median over classes", "precision", "recall"]
    return markdown([*head, "accuracy", "AUC"], rows)
