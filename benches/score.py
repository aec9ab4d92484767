"""Stored answers on 10,000 records per side, 64 shadow models, 100 classes, scored by all attacks that fit nothing."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benches.compare import Row, report
from umbrameter.store.arrow import vector_column

N, N_CLASSES, N_MODELS = 10_000, 100, 64
SPEC = """
attacks:
  - {kind: gap}
  - {kind: loss}
  - {kind: confidence}
  - {kind: entropy}
  - {kind: modified_entropy}
  - {kind: lira, mode: online}
  - {kind: lira, mode: offline}
  - {kind: rmia, mode: online}
  - {kind: rmia, mode: offline}
"""
SCORE = "from umbrameter.cli import main; main()"
IMPORT = "import umbrameter.stored_predictions.audit, umbrameter.predictions.parquet, umbrameter.cli"


def answers(rng: np.random.Generator, labels, hardness, is_in) -> np.ndarray:
    raw = rng.standard_normal((2 * N, N_CLASSES), dtype=np.float32)
    raw[np.arange(2 * N), labels] += 3 + hardness + 2 * is_in
    raw -= raw.max(axis=1, keepdims=True)
    np.exp(raw, out=raw)
    return raw / raw.sum(axis=1, keepdims=True)


def write(folder: Path) -> None:
    """Write the target's and the shadow models' answers, with half of the records IN each model."""
    rng = np.random.default_rng(0)
    labels, hardness = rng.integers(0, N_CLASSES, 2 * N), rng.normal(0, 2, 2 * N).astype(np.float32)
    common = {"label": labels, "record_id": np.arange(2 * N)}

    def table(**more) -> pa.Table:
        is_in = rng.permutation(2 * N) < N
        vectors = vector_column(answers(rng, labels, hardness, is_in))
        return pa.table({**common, "is_member": is_in, "prediction": vectors, **more})

    pq.write_table(table(), folder / "target.parquet")
    first = table(model_id=np.zeros(2 * N, int))
    with pq.ParquetWriter(folder / "shadow.parquet", first.schema) as writer:
        writer.write_table(first)
        for model in range(1, N_MODELS):
            writer.write_table(table(model_id=np.full(2 * N, model)))


def seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        (folder / "spec.yaml").write_text(SPEC, encoding="utf8")
        # The fastest of several runs, since the first one reads all modules from the disk.
        started = min(seconds(IMPORT) for _ in range(3))
        files = (str(folder / "target.parquet"), "--shadow", str(folder / "shadow.parquet"))
        whole = min(seconds(SCORE, "score", *files, "--spec", str(folder / "spec.yaml")) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    what = f"the whole command, on one core, {peak:,.0f} MiB at most"
    report(
        [
            Row(what, f"{whole:.1f} s", "10 s", whole / 10, 1.0, None, True),
            Row("of that, until the first work", f"{started:.1f} s", "2 s", started / 2, 1.0, None, True),
        ]
    )


if __name__ == "__main__":
    main()
