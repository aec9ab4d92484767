"""The command line: `umbrameter audit spec.yaml` and the other commands.

Belongs here: arguments, what is printed where, exit codes. Does not belong here: the work itself.

Exit codes: see `EXIT_CODES`.
"""

import json
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.exceptions import TyperException

import umbrameter
from umbrameter import checkout
from umbrameter.cli.flow import amounts, audit_by_flow
from umbrameter.cli.local import audit_locally, refuse_settings, works_locally
from umbrameter.cli.runs import claims_in_words, is_sweep, print_found, read, root_and_folder, show, write
from umbrameter.errors import SpecError, UmbrameterError

app = typer.Typer(
    help="Measure how much a trained classifier gives away about which records it was trained on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

STOPPED = 130
"""The exit code after Ctrl-C."""

EXIT_CODES = (
    "Exit codes: 0 done, and no limit is shown to be exceeded; 1 the tool or its input failed; 2 a limit is exceeded, "
    "or a privacy claim is disproved; 3 what a limit needs was not measured, or a control failed; 130 stopped by Ctrl-C"
    ". Without limits, in the spec or by --fail-on, 0 says nothing about leaks."
)

SETTINGS = (
    "Settings: umbrameter reference lists them all with type, default and example; umbrameter reference shadows, those "
    "of one section. docs/reference.md is the same page."
)

Spec = Annotated[str, typer.Argument(metavar="SPEC", help="Path of the audit's YAML file.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, such as runs/runs/adult-20260131T120000.")]
Root = Annotated[str, typer.Option(help="Folder or bucket address of the artefacts and run folders.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a setting of the spec: shadows.count=64, attacks.0.kind=lira (repeatable).",
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC=NUMBER",
        help="A limit for every attack, besides those of the spec, such as auc=0.6: exit code 2 if it is exceeded.",
    ),
]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="Address of MLflow; a SQLite file under the root if unset.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print report.json, and nothing else, on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' own logs.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(umbrameter.__version__)
        raise typer.Exit


@app.callback()
def umbrameter_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(epilog=f"{SETTINGS}\n\n{EXIT_CODES}")
def audit(
    spec: Spec,
    root: Root = "runs",
    settings: Settings = None,
    fail_on: FailOn = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of local worker processes; one per core if unset; 0 works in this process."),
    ] = None,
    dask: Annotated[str | None, typer.Option(help="Address of a Dask cluster: tcp://... or tls://...")] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory limit per local worker, such as 4GiB; an equal share of all if unset.")
    ] = None,
    resources: Annotated[
        list[str] | None,
        typer.Option("--resource", metavar="NAME=N", help="Cluster resources that a task needs, such as GPU=1."),
    ] = None,
    models_a_task: Annotated[
        int | None,
        typer.Option(help="Shadow models per task; if unset, a few seconds of work, or on GPUs a worker's share."),
    ] = None,
    tls_ca: Annotated[
        str | None, typer.Option(help="For tls://: the certificate authority's certificate (PEM).")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(help="For tls://: this client's certificate (PEM).")] = None,
    tls_key: Annotated[str | None, typer.Option(help="For tls://: this client's key (PEM).")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Work on this machine, without Prefect, Dask and MLflow.")
    ] = False,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run an audit from its spec to a report in MLflow; finished work of earlier runs is reused."""
    cluster: dict[str, Any] = {
        "workers": workers,
        "dask": dask,
        "tls_ca": tls_ca,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
    }
    cluster |= {"memory": memory, "models_a_task": models_a_task, "resources": amounts(resources or ())}
    if works_locally(local):
        refuse_settings(cluster | {"tracking_uri": tracking_uri})
        raise typer.Exit(audit_locally(spec, root, settings or (), fail_on or (), workers, as_json, debug))
    raise typer.Exit(audit_by_flow(spec, root, settings or (), fail_on or (), cluster, tracking_uri, as_json, debug))


@app.command(epilog=f"{SETTINGS}\n\n{EXIT_CODES}")
def score(
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS", help="Table of the target's predictions: a file or a folder.")
    ],
    shadow: Annotated[str | None, typer.Option(help="The same for shadow models, with model_id.")] = None,
    spec: Annotated[str | None, typer.Option(help="YAML with attacks and limits, such as an audit's spec.")] = None,
    fail_on: FailOn = None,
    out: Annotated[str | None, typer.Option(help="Folder for report.json, report.html and figures.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="A column of another name, such as label=target or prediction=proba_*."),
    ] = None,
    answers: Annotated[
        str | None, typer.Option(help="The scale of predictions: probabilities (the default), percent or logits.")
    ] = None,
    rounded: Annotated[bool, typer.Option(help="Predictions are rounded or truncated and need not sum to 1.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Audit stored predictions within seconds, without a model or a cluster."""
    from umbrameter.evaluation.decidable import sentences
    from umbrameter.spec.limits import expand
    from umbrameter.spec.score import ScoreSpec
    from umbrameter.stored_predictions.audit import report_files, score_stored
    from umbrameter.stored_predictions.files import open_files

    checked = ScoreSpec.load(spec, fail_on or (), column or (), answers)
    target, others = open_files(predictions, shadow, checked, rounded)
    audit_report, curves = score_stored(target, others, checked)
    for line in sentences(expand(checked.limits), (audit_report.target.n_members, audit_report.target.n_nonmembers)):
        typer.echo(f"Limit {line}", err=True)
    places = {}
    if out is not None:
        write(out, report_files(audit_report, curves))
        places = {"Report": f"{out}/report.html"}
    raise typer.Exit(print_found(audit_report, places, audit_report.model_dump_json(indent=1) if as_json else None))


@app.command(epilog=EXIT_CODES)
def report(run: Run, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the report of a finished run again."""
    root, folder = root_and_folder(run)
    raise typer.Exit(show(root, folder, None, as_json))


@app.command()
def records(run: Run, debug: Debug = False) -> None:
    """Write per-record scores, under pseudonyms, into a run's folder and nowhere else."""
    from umbrameter.report.model import read_report
    from umbrameter.report.record_scores import exposure, record_key
    from umbrameter.store.artefacts import Store

    root, folder = root_and_folder(run)
    audit_report = read_report(read(root, folder, "report.json"))
    store = Store(root)
    store.put(folder, {"records.parquet": exposure(store, folder, record_key())})
    typer.echo(f"Written: {root}/{folder}/records.parquet")
    correlations = [
        r.rank_correlation for r in audit_report.repeats if r.mitigation is None and r.rank_correlation is not None
    ]
    agreement = (
        f"the repeats' ranks correlate by {min(correlations):.2f} to {max(correlations):.2f}"
        if correlations
        else "without repeats, it is unknown whether its score would hold"
    )
    typer.echo(f"A single record's score says little: {agreement}.")


@app.command()
def track(run: Run, tracking_uri: TrackingUri = None, debug: Debug = False) -> None:
    """Log a finished run to MLflow, such as one whose tracking failed."""
    root, folder = root_and_folder(run)
    tracking = checkout.load("tasks.mlflow_client.runs")
    log = tracking.log_sweep if is_sweep(root, folder) else tracking.log_run
    read(root, folder, "sweep.json" if is_sweep(root, folder) else "report.json")
    parent = log(root, folder, tracking_uri)
    typer.echo(f"Logged to MLflow as run {parent}.")


@app.command()
def export(
    run: Run,
    to: Annotated[str, typer.Option(metavar="DIR", help="Folder to write; it must not exist yet.")],
    mitigation: Annotated[
        str | None, typer.Option(help="The mitigation as the report names it, or none; the recommended one if unset.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Export a run's target under a mitigation as an MLflow model that serves mitigated predictions."""
    root, folder = root_and_folder(run)
    read(root, folder, "report.json")
    name = checkout.load("tasks.mlflow_client.export").export(root, folder, mitigation, to)
    typer.echo(f"Written: {to}, mitigation {name}; its model card is {to}/MODEL_CARD.md")
    for sentence in claims_in_words(root, folder, name):
        typer.echo(f"Privacy, {sentence}")
    typer.echo(f"Serve it: mlflow models serve -m {to} --env-manager local")


@app.command()
def ui(
    root: Root = "runs",
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    debug: Debug = False,
) -> None:
    """Open the MLflow UI on the audits under a root; Ctrl-C ends it."""
    command = checkout.load("tasks.mlflow_client.tracking_store").ui_command(root, tracking_uri, port)
    typer.echo(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    # -2 and 130 are the codes after Ctrl-C, which is the way to end it.
    raise typer.Exit(1 if subprocess.run(command, check=False).returncode not in (0, -2, 130) else 0)


@app.command()
def datasets(root: Root = "runs", debug: Debug = False) -> None:
    """List the data sets that a spec can name: size, licence, where each one is, and how to get it."""
    typer.echo(checkout.load("data.listing").listing(root, shutil.get_terminal_size().columns))


@app.command()
def schema(
    of: Annotated[
        Literal["spec", "report"], typer.Argument(help="The schema of an audit's spec, or of report.json.")
    ] = "spec",
    debug: Debug = False,
) -> None:
    """Print a JSON schema."""
    from umbrameter.report import schema as report_schema
    from umbrameter.spec.audit import AuditSpec

    typer.echo(json.dumps(AuditSpec.model_json_schema() if of == "spec" else report_schema(), indent=1))


@app.command()
def reference(
    section: Annotated[
        str | None, typer.Argument(metavar="[SECTION]", help="A section: data, attacks, target.estimator, score, ...")
    ] = None,
    debug: Debug = False,
) -> None:
    """Print every setting of a spec, as Markdown: type, default, meaning and an example."""
    from umbrameter.spec.reference import page

    typer.echo(page(section), nl=False)


@app.command(epilog=SETTINGS)
def validate(
    spec: Spec, settings: Settings = None, fail_on: FailOn = None, root: Root = "runs", debug: Debug = False
) -> None:
    """Check a spec and its data without running it, and say what an audit would find and how long it would take."""
    from umbrameter.evaluation.decidable import sentences
    from umbrameter.spec.limits import expand
    from umbrameter.spec.sweep import Sweep, load

    loaded = load(spec, settings or (), fail_on or ())
    if isinstance(loaded, Sweep):
        typer.echo(f"{spec} is a sweep over {loaded.title}: {', '.join(point.label for point in loaded.points)}")
    checked = loaded.points[0].spec if isinstance(loaded, Sweep) else loaded
    typer.echo(
        f"{spec} is valid: {checked.name}, {checked.n_shadows} shadow models, "
        f"attacks {', '.join(a.label for a in checked.attacks)}; "
        f"mitigations {', '.join(m.label for m in checked.mitigations) or 'none'}"
    )
    specs = [point.spec for point in loaded.points] if isinstance(loaded, Sweep) else [loaded]
    for sizes in dict.fromkeys(entry.sizes for entry in specs):
        for line in sentences(expand(checked.limits), sizes):
            typer.echo(f"Limit {line}")
    source = _source_at_hand(checked.data, root)
    if source is None:
        typer.echo(f"Data: {checked.data.name} is not at hand, so it was not opened; an audit gets it first")
        return
    from umbrameter.cli.preview import describe

    for line in describe(checked, source):
        typer.echo(line)


def _source_at_hand(data: Any, root: str) -> Any:
    """Return the files of a spec's records; None where they must be downloaded first."""
    if hasattr(data, "paths"):
        return data
    catalogue = checkout.load("data.catalogue")
    at_hand = {entry.name for entry, path in catalogue.available(root) if path is not None}
    is_missing = data.kind == "catalogue" and data.name in catalogue.CATALOGUE and data.name not in at_hand
    return None if is_missing else catalogue.source_of(data, root)


@app.command()
def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A table: CSV, Parquet, Feather, or a folder of them.")],
    label: Annotated[str, typer.Option(help="The column with the class.")],
    out: Annotated[str | None, typer.Option(help="The spec's file; standard output if unset.")] = None,
    debug: Debug = False,
) -> None:
    """Write a commented spec for a table, which `umbrameter audit` runs as it is."""
    from umbrameter.cli.first_spec import first_spec

    text = first_spec(file, label)
    if out is None:
        typer.echo(text, nl=False)
        return
    folder, _, name = out.rpartition("/")
    if Path(out).exists():
        raise SpecError(f"--out={out!r} exists already; give another name, or remove it")
    write(folder or ".", {name: text.encode()})
    typer.echo(f"Written: {out}; run it: umbrameter audit {out}")


@app.command()
def version(debug: Debug = False) -> None:
    """Print the version."""
    typer.echo(umbrameter.__version__)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
    except UmbrameterError as error:
        _fail(str(error), debug)
    except TyperException as error:
        _fail(f"{error.format_message()}; see umbrameter --help", debug)
    except Exception as error:
        _fail(f"unexpected {type(error).__name__}: {' '.join(str(error).split())}; run again with --debug", debug)
    if code == STOPPED:
        _fail("stopped; finished work is kept, and the same command continues from there", False, STOPPED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, debug: bool, code: int = 1) -> NoReturn:
    if debug:
        traceback.print_exc()
    typer.echo(f"umbrameter: {text}", err=True)
    sys.exit(code)
