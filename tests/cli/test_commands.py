"""The command line: exit codes, errors in one line, and no heavy imports for light commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from umbrameter import __version__

ROOT = Path(__file__).resolve().parents[2]
SPEC = str(ROOT / "deployments" / "specs" / "adult.yaml")
Command = Callable[..., tuple[int, str, str]]


def test_version_and_help(command: Command) -> None:
    assert command("version") == (0, f"{__version__}\n", "")
    assert command("--version") == (0, f"{__version__}\n", "")
    code, out, _ = command("--help")
    assert code == 0 and all(name in out for name in ("audit", "report", "track", "ui", "datasets", "schema", "valid"))


@pytest.mark.parametrize("name", ["audit", "score", "validate"])
def test_help_says_where_the_settings_are(command: Command, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0 and "umbrameter reference" in out and "docs/reference.md" in out


def test_the_reference_is_printed_whole_or_a_section(command: Command) -> None:
    code, out, _ = command("reference")
    assert code == 0 and out == (ROOT / "docs" / "reference.md").read_text()
    code, section, _ = command("reference", "shadows.data")
    assert code == 0 and section in out and "by_class" in section and "## `attacks`" not in section
    code, out, err = command("reference", "atacks")
    assert (code, out) == (1, "") and "SECTION='atacks' is not a section; did you mean attacks?" in err


@pytest.mark.parametrize("of", ["spec", "report"])
def test_schema_is_json(command: Command, of: str) -> None:
    code, out, _ = command("schema", of)
    assert code == 0 and json.loads(out)["type"] == "object"


def test_validate(command: Command) -> None:
    code, out, _ = command("validate", SPEC, "--set", "shadows.count=3")
    assert code == 0 and "is valid: adult, 3 shadow models" in out
    code, out, err = command("validate", SPEC, "--set", "shadows.cuont=3")
    assert (code, out) == (1, "") and "shadows.cuont=3: there is no such setting" in err


def test_datasets_are_listed_with_where_they_are(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("datasets", "--root", str(tmp_path))
    assert code == 0 and "adult: " in out and "location30: " in out


def spec_with(folder: Path, **data: object) -> str:
    path = folder / "spec.yaml"
    content = {
        "name": "mine",
        "data": data,
        "split": {"members": 20},
        "target": {"kind": "train", "estimator": {"kind": "logistic_regression"}},
    }
    path.write_text(json.dumps(content))
    return str(path)


BAD = [
    (("audit",), "Missing argument"),
    (("audit", "none.yaml"), "SPEC='none.yaml' cannot be read"),
    (("audit", SPEC, "--set", "shadow=1"), "shadow=1: there is no such setting"),
    (("audit", SPEC, "--set", "attacks=[{kind: lottery}]"), "attacks[0]"),
    (("audit", SPEC, "--shadows", "3"), "No such option"),
    (("audit", SPEC, "--workers", "-1"), "--workers=-1: Input should be greater than or equal to 0"),
    (("audit", SPEC, "--workers", "some"), "Invalid value for '--workers': Input should be a valid integer"),
    (("audit", SPEC, "--dask", "nonsense"), "--dask='nonsense': String should match"),
    (("audit", SPEC, "--dask", "tcp://a:1", "--workers", "1"), "workers and dask exclude each other"),
    (("audit", SPEC, "--dask", "tls://a:1"), "needs tls_ca, tls_cert and tls_key"),
    (("report", "nowhere"), "RUN='nowhere' is not a run's folder; expected <root>/runs/<name>-<time>"),
    (("track", "a/runs/b"), "there is no report.json in it; give the folder of a finished run"),
    (("ui", "--root", "nowhere"), "root='nowhere' has no MLflow store yet; run an audit there first"),
    (("schema", "nothing"), "'nothing' is not one of"),
    (("nonsense",), "No such command"),
]


@pytest.mark.pipeline
@pytest.mark.parametrize(("arguments", "text"), BAD, ids=range(len(BAD)))
def test_bad_input_is_one_line_and_exit_code_1(command: Command, arguments: tuple[str, ...], text: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (1, "")
    *announcements, error = err.splitlines()
    assert error.startswith("umbrameter: ") and text in error and "Traceback" not in err
    # An audit's first lines are on the screen before its spec is read.
    assert [line for line in announcements if not line.startswith(f"umbrameter audit: {arguments[1]}")] == []


@pytest.mark.pipeline
def test_bad_data_is_said_plainly_and_debug_shows_where(tmp_path: Path) -> None:
    """Through a real flow, whose own log would print tracebacks."""
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    spec = spec_with(tmp_path, kind="parquet", path=str(tmp_path / "broken.parquet"), label="y")
    arguments = [sys.executable, "-c", "from umbrameter.cli import main; main()", "audit", spec]
    for debug in ([], ["--debug"]):
        done = subprocess.run(
            [*arguments, "--root", str(tmp_path / "root"), "--workers", "0", *debug],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1].startswith("umbrameter: data.path=")
        assert ("Traceback" in done.stderr) == bool(debug)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import umbrameter", {"numpy", "sklearn", "pyarrow", "pydantic", "pandas"}),
        ("from umbrameter import ShadowModelBundle, AttackModelBundle, prepare_attack_data", set()),
        ("import sys; sys.argv = ['umbrameter', 'version']", set()),
        (f"import sys; sys.argv = ['umbrameter', 'validate', {SPEC!r}]", set()),
    ],
)
def test_light_commands_import_nothing_heavy(statement: str, absent: set[str]) -> None:
    heavy = absent | {"prefect", "dask", "distributed", "mlflow", "jax", "torch", "matplotlib"}
    code = f"{statement}\nimport sys\nif 'argv' in {statement!r}:\n    from umbrameter.cli import main\n    " + (
        f"try:\n        main()\n    except SystemExit:\n        pass\nprint(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_within_a_destructor_is_not_lost() -> None:
    code = """
import os, signal, time
from umbrameter.cli.stopping import heed_ctrl_c
class Slow:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
heed_ctrl_c()
try:
    Slow()
    time.sleep(5)
except KeyboardInterrupt:
    print("heeded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("heeded\n", "")
