"""What the commands share: find a run's files, and print its report."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from umbrameter.errors import StoreError

if TYPE_CHECKING:
    from umbrameter.report import Report


def root_and_folder(run: str) -> tuple[str, str]:
    """Split the path of a run, `<root>/runs/<name>-<time>`, into the root and the run's folder relative to it."""
    parts = (run if "://" in run else str(Path(run).resolve())).rstrip("/").rsplit("/", 2)
    if len(parts) != 3 or parts[1] != "runs":
        raise StoreError(f"RUN={run!r} is not a run's folder; expected <root>/runs/<name>-<time>")
    return parts[0], f"runs/{parts[2]}"


def is_sweep(root: str, folder: str) -> bool:
    """Return whether a run is a sweep."""
    from umbrameter.store.artefacts import Store

    return bool(Store(root).fs.get_file_info(f"{folder}/sweep.json").is_file)


def read(root: str, folder: str, name: str) -> bytes:
    """Return the content of a file in a finished run's folder.

    Parameters
    ----------
    root
        A folder or a bucket's address.
    folder
        The run's folder, relative to the root.
    name
        The file's name.

    Raises
    ------
    StoreError
        When there is no such file.
    """
    from umbrameter.store.artefacts import Store

    if "://" not in root and not Path(root, folder, name).is_file():
        raise StoreError(f"RUN={root}/{folder}: there is no {name} in it; give the folder of a finished run")
    return Store(root).read(f"{folder}/{name}")


def claims_in_words(root: str, folder: str, mitigation: str) -> list[str]:
    """Return what a finished run says of the privacy that a mitigation claims, or that the claim is withdrawn."""
    from umbrameter.report.model import read_report
    from umbrameter.report.sentences import guarantee_sentence, guarantees_of

    return [*map(guarantee_sentence, guarantees_of(read_report(read(root, folder, "report.json")), mitigation))]


def show(root: str, folder: str, tracking_uri: str | None, as_json: bool, is_tracked: bool = True) -> int:
    """Print the report of a run or a sweep, and return the exit code that it means.

    Parameters
    ----------
    root, folder
        The root, and the run's folder relative to it.
    tracking_uri
        The address of MLflow to mention; None for the one under the root.
    as_json
        Whether to print the JSON file instead of the summary.
    is_tracked
        Whether the run was logged to MLflow.

    Raises
    ------
    StoreError
        When the run has no report, or one of another version.
    """
    from umbrameter.report.model import read_report

    if is_sweep(root, folder):
        return _show_sweep(root, folder, tracking_uri, as_json, is_tracked)
    content = read(root, folder, "report.json")
    places = {"Report": f"{root}/{folder}/report.html", "Run folder": f"{root}/{folder}"}
    places |= {"MLflow UI": _ui_hint(root, tracking_uri)} if is_tracked else {}
    return print_found(read_report(content), places, content if as_json else None)


def _show_sweep(root: str, folder: str, tracking_uri: str | None, as_json: bool, is_tracked: bool) -> int:
    """Print a sweep's report and return the worst exit code of its points."""
    from umbrameter.report.sweep_model import SweepReport
    from umbrameter.report.terminal import sweep_summary

    content = read(root, folder, "sweep.json")
    sweep = SweepReport.model_validate_json(content)
    places = {"Report": f"{root}/{folder}/sweep.html"}
    places |= {"MLflow UI": _ui_hint(root, tracking_uri)} if is_tracked else {}
    if as_json:
        typer.echo(content)
    else:
        Console().print(sweep_summary(sweep, places))
    codes = {point.exit_code for point in sweep.points}
    return next((code for code in (2, 3) if code in codes), 0)


def print_found(found: "Report", places: dict[str, str], content: str | bytes | None) -> int:
    """Print a report, and return the exit code that it means.

    Parameters
    ----------
    found
        The report.
    places
        The places to list at the end of the summary, by name.
    content
        The report as JSON, to print instead of the summary; None for the summary.
    """
    from umbrameter.report.model import exit_code
    from umbrameter.report.terminal import summary

    if content is not None:
        typer.echo(content)
    else:
        Console().print(summary(found, places))
    return exit_code(found)


def write(folder: str, files: dict[str, bytes]) -> None:
    """Write a report's files into a local folder."""
    try:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"--out={folder!r} cannot be written ({error.strerror}); give another folder") from None


def _ui_hint(root: str, tracking_uri: str | None) -> str:
    program = sys.argv[0].removeprefix(f"{Path.cwd()}/") if "/" in sys.argv[0] else "umbrameter"
    if tracking_uri is not None:  # without the password before the @
        return tracking_uri.rpartition("@")[2] if "@" in tracking_uri else tracking_uri
    return f"{program} ui" + ("" if root == "runs" else f" --root {shlex.quote(root)}") + ", then http://127.0.0.1:5000"
