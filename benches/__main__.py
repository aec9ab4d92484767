"""Run the benches and print their tables: `python -m benches [--full] [--write] [NAME ...]`.

Each bench runs in its own process, on one thread, with its contestants in turn; ratios carry over to other machines,
seconds do not. With `--write`, the tables go into docs/performance.md.
"""

import argparse
import ast
import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benches.compare import Row, table

NAMES = ("network", "cnn", "attacks", "score", "audit", "first_figure", "scale", "imports", "synthesis")
LONG = ("location", "kills", "mitigations")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
# The first three are for OpenMP and BLAS libraries; XLA reads NPROC.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"Which of {', '.join(NAMES + LONG)}; all short ones if unset."
    )
    parser.add_argument("--full", action="store_true", help="More rounds, and the long benches as well.")
    parser.add_argument("--write", action="store_true", help=f"Put the tables into {PAGE.name}.")
    options = parser.parse_args()
    unknown = set(options.names) - {*NAMES, *LONG}
    if unknown:
        parser.error(f"unknown bench {', '.join(sorted(unknown))}; expected some of {', '.join(NAMES + LONG)}")
    for name in options.names or (NAMES + LONG if options.full else NAMES):
        print(f"\n{name}: {about(name)}", flush=True)
        rows = table(measured(name, options.full))
        print(rows, flush=True)
        if options.write:
            put(name, f"### {name}\n\n{about(name)}\n\n{rows}")


def about(name: str) -> str:
    """Return the docstring of a bench's module."""
    text = ast.get_docstring(ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf8")))
    return " ".join((text or "").split())


def put(name: str, section: str) -> None:
    """Replace one bench's section of the page, and the line with the day and the machine."""
    head, _, after_begin = PAGE.read_text(encoding="utf8").partition(BEGIN)
    old, _, tail = after_begin.partition(END)
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", old, flags=re.DOTALL | re.MULTILINE))
    sections[name] = section.partition("\n")[2]
    shown = [f"### {n}\n{sections[n].rstrip()}" for n in NAMES + LONG if n in sections]
    content = "\n\n".join([f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.", *shown])
    PAGE.write_text(f"{head}{BEGIN}\n\n{content}\n\n{END}{tail}", encoding="utf8")


def measured(name: str, full: bool) -> list[Row]:
    """Run one bench and return its rows, which it prints as the last line."""
    command = [sys.executable, "-m", f"benches.{name}", *(["--full"] if full else [])]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def machine() -> str:
    """Return the machine and the versions that the figures depend on, in a line."""
    import numpy  # noqa: F401  # loads the BLAS whose kernels are listed
    import threadpoolctl

    kernels = {info["architecture"] for info in threadpoolctl.threadpool_info() if "architecture" in info}
    versions = []
    for name in ("numpy", "scikit-learn", "jax", "numba", "torch", "mia", "prefect", "distributed", "mlflow"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"{name} not installed")
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, OpenBLAS kernels {', '.join(sorted(kernels))}), Python "
        f"{platform.python_version()}, {', '.join(versions)}"
    )


if __name__ == "__main__":
    main()
