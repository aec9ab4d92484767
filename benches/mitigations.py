"""Eleven mitigations of the answer on the Purchase-like audit, relative to the time of training its shadow models."""

import tempfile
from pathlib import Path

from benches import audit
from benches.compare import Row, report
from umbrameter.spec.audit import AuditSpec

SPEC = Path(__file__).parents[1] / "deployments" / "specs" / "purchase-mitigations.yaml"
ROWS = [
    *({"kind": "top_k", "k": k} for k in (1, 3, 10)),
    {"kind": "top_k", "k": 3, "renormalise": True},
    {"kind": "label_only"},
    *({"kind": "rounding", "decimals": d} for d in (1, 2, 3)),
    *({"kind": "temperature", "t": t} for t in (2, 5, 20)),
]
STAGES = ("fit attack models", "score", "evaluate")


def main() -> None:
    spec = AuditSpec.load(SPEC).model_dump(mode="json")
    with tempfile.TemporaryDirectory() as name:
        # In the same root, so that the second audit finds the shadow models of the first.
        unmitigated = audit.command(Path(name), spec | {"mitigations": []}, "root", 2)[1]["ledger"]["seconds"]
        whole = audit.command(Path(name), spec | {"mitigations": ROWS}, "root", 2)[1]["ledger"]["seconds"]
    taken, shadows = sum(whole[stage] for stage in STAGES), unmitigated["fit shadow models"]
    row = Row(
        "eleven mitigations of the answer by two attackers, against the training of 20 shadow models",
        f"{taken:.1f} s ({', '.join(f'{stage} {whole[stage]:.1f}' for stage in STAGES)})",
        f"{shadows:.1f} s",
        taken / shadows,
        at_least=0.25,
        at_most=True,
    )
    report([row])


if __name__ == "__main__":
    main()
