"""The Location audits of the shipped specs over three seeds, as a table of all attacks: `python -m benches.results`.

Writes the tables into docs/results.md, between the markers.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benches import audit
from umbrameter.spec import AuditSpec

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


def main() -> None:
    text = PAGE.read_text(encoding="utf8")
    with tempfile.TemporaryDirectory() as name:
        for spec in ("location30", "location30-online"):
            settings = AuditSpec.load(SPECS / f"{spec}.yaml").model_dump(mode="json")
            found = [audit.command(Path(name), settings | {"seed": seed}, "root", 2)[1] for seed in SEEDS]
            begin, end = (f"<!-- {spec}: {mark} -->" for mark in ("begin", "end"))
            head, _, rest = text.partition(begin)
            text = f"{head}{begin}\n\n{table(found)}\n\n{end}{rest.partition(end)[2]}"
            print(f"\n{spec}\n{table(found)}", file=sys.stderr, flush=True)
    PAGE.write_text(text, encoding="utf8")


def table(reports: list[dict]) -> str:
    """Return each attack's mean and standard deviation over seeds, by falling AUC."""
    rows = []
    for results in zip(*(report["results"] for report in reports), strict=True):
        values = {m: [r["metrics"][m].get("value", np.nan) for r in results] for m in COLUMNS}
        rows.append((results[0]["attack"], values))
    rows.sort(key=lambda row: -np.mean(row[1]["auc"]))
    lines = [f"| {name} | {' | '.join(shown(values[m]) for m in COLUMNS)} |" for name, values in rows]
    head = ["attack", *COLUMNS.values()]
    return "\n".join([f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |", *lines])


def shown(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if np.isfinite(values).all() else "not measured"


if __name__ == "__main__":
    main()
