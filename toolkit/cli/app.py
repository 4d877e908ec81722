"""The commands. Each reads its options, calls one function of the package and prints what came back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from toolkit._version import __version__
from toolkit.cli.terminal import Terminal
from toolkit.errors import InputError

__all__ = ["app"]

ARM_FAILED = 3

app = typer.Typer(
    help="An honest second opinion on 'use a neural net': a properly specified regression beside a well-trained net.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PipelineFile = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A YAML file, or the name of a bundled pipeline.")
]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: arms.neural.members=5")]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer rows, folds and epochs; not the full answer.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of the results [reports/NAME].")]
Uri = Annotated[str | None, typer.Option("--tracking-uri", help="Where MLflow logs [sqlite:///mlflow.db], or none.")]
Engine = Annotated[str, typer.Option("--engine", help="Where fits run: loky, threading, dask or ray.")]
Json = Annotated[bool, typer.Option("--json", help="Print the comparison as one JSON document, nothing else.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"toolkit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def run(
    pipeline: PipelineFile,
    quick: Quick = False,
    changes: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    out: Out = None,
    tracking_uri: Uri = None,
    engine: Engine = "loky",
    as_json: Json = False,
) -> None:
    """Carry out a comparison: fits, checks, tests, verdict, MLflow, report."""
    from toolkit.pipeline import run as run_pipeline

    reporter = Terminal()
    analysis = run_pipeline(
        pipeline, changes=changes, quick=quick, out=out, tracking_uri=tracking_uri, engine=engine, reporter=reporter
    )
    show_result(analysis, out or Path("reports") / analysis.name, reporter, as_json)


@app.command()
def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file (CSV, Parquet, ...) or a data set's name.")],
    target: Annotated[str, typer.Option("--target", "-y", help="Column to predict; several: a,b")],
    metric: Annotated[str | None, typer.Option(help="Metric of the verdict [chosen from the target].")] = None,
    margin: Annotated[str, typer.Option(help="Smallest difference that matters: 1% or in units of the metric.")] = "1%",
    arms: Annotated[str | None, typer.Option(help="Arms, such as linear,regression,neural [all].")] = None,
    drop: Annotated[str | None, typer.Option(help="Columns to leave out: a,b")] = None,
    time: Annotated[str | None, typer.Option(help="Time column.")] = None,
    groups: Annotated[str | None, typer.Option(help="Column whose groups must not be split.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the YAML that would do this again.")] = None,
    quick: Quick = False,
    changes: Set = [],  # noqa: B006
    out: Out = None,
    tracking_uri: Uri = None,
    engine: Engine = "loky",
    as_json: Json = False,
) -> None:
    """Compare without a pipeline file: roles and splits are inferred and printed."""
    from toolkit.pipeline import carry_out, plan
    from toolkit.settings import validate, with_changes

    where: dict[str, Any] = {"file": data} if Path(data).exists() or Path(data).suffix else {"dataset": data}
    names = target.split(",")
    content: dict[str, Any] = {
        "name": Path(data).name.split(".")[0],
        "data": {**where, "target": names if len(names) > 1 else names[0]},
        "margin": margin,
        **({"metric": metric} if metric else {}),
        **({"arms": {name.strip(): {} for name in arms.split(",")}} if arms else {}),
    }
    roles = {"drop": drop.split(",") if drop else None, "time": time, "groups": groups}
    content["data"].update({key: value for key, value in roles.items() if value})
    if tracking_uri is not None:
        content["tracking"] = {"uri": tracking_uri}
    settings = validate(with_changes(content, changes), "compare")
    reporter = Terminal()
    todo = plan(settings, quick=quick, base=Path.cwd())
    if save is not None:
        _save(todo, save, reporter)
    folder = out or Path("reports") / settings.name
    analysis = carry_out(todo, out=folder, engine=engine, reporter=reporter)
    show_result(analysis, folder, reporter, as_json)


@app.command()
def check(pipeline: PipelineFile, changes: Set = []) -> None:  # noqa: B006
    """Look at data and settings only, in seconds: what would be run, what looks wrong."""
    from toolkit.loading import find_pipeline
    from toolkit.pipeline import plan
    from toolkit.settings import read_pipeline

    path = find_pipeline(pipeline)
    reporter = Terminal()
    todo = plan(read_pipeline(path, changes), base=path.parent)
    reporter.planned(todo)
    fits = len(todo.splits.folds) * len(todo.arms)
    kinds: dict[str, list[str]] = {}
    for column, kind in todo.dataset.kinds.items():
        kinds.setdefault(kind, []).append(column)
    for kind, columns in kinds.items():
        reporter.say(f"  {kind}: {', '.join(columns[:12])}{' ...' if len(columns) > 12 else ''}")
    judged = sum(len(fold.judge) for fold in todo.splits.folds)
    reporter.say(f"  {fits} fits, {judged:,} predictions per arm; margin {todo.settings.margin}")
    print(f"{path}: ready to run" + (f", {len(todo.findings)} findings to read first" if todo.findings else ""))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run id, registered name, or path of a logged model.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A file with the columns the model was fitted on.")],
    coverage: Annotated[float, typer.Option(help="Of the prediction interval.")] = 0.9,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV to write; standard output without it.")] = None,
    tracking_uri: Uri = None,
) -> None:
    """New rows through a logged model, with intervals."""
    from toolkit.data.readers import read_table
    from toolkit.tracking import load_logged_model
    from toolkit.tracking_model import predict_rows

    if not 0 < coverage < 1:
        raise InputError(f"--coverage {coverage:g}: a share between 0 and 1 was expected")
    frame = read_table(data)
    text = predict_rows(load_logged_model(model, tracking_uri), frame, coverage).to_csv(index=False)
    if out is None:
        sys.stdout.write(text)
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from None


@app.command(name="list")
def list_everything(
    runs: Annotated[bool, typer.Option("--runs", help="Past comparisons instead of what is bundled.")] = False,
    tracking_uri: Uri = None,
) -> None:
    """Bundled pipelines and data sets; with --runs, past comparisons."""
    from toolkit.cli.listing import print_bundled, print_runs

    print_runs(tracking_uri) if runs else print_bundled()


@app.command()
def show(
    run_named: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run id, or a folder such as reports/NAME.")],
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """The verdict of a past comparison."""
    from toolkit.reporting.contract import to_contract
    from toolkit.reporting.first_screen import first_screen

    comparison = past(run_named, tracking_uri)
    print(json.dumps(to_contract(comparison), indent=2) if as_json else first_screen(comparison))


@app.command()
def report(
    run_named: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run id, or a folder such as reports/NAME.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML file to write [NAME.html].")] = None,
    tracking_uri: Uri = None,
) -> None:
    """Build the report again from what was logged, without fitting."""
    from toolkit.reporting.page import write_report

    comparison = past(run_named, tracking_uri)
    print(write_report(comparison, out or Path(f"{comparison.name}.html"), None))


@app.command()
def ui(
    tracking_uri: Uri = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open the MLflow dashboard on the newest verdict; Ctrl-C stops it."""
    from toolkit.dashboard import serve_ui

    serve_ui(tracking_uri, port=port, open_browser=browser)


@app.command()
def benchmark(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a benchmark; `list` shows them.")],
    cases: Annotated[str | None, typer.Option(help="Only these cases: a,b")] = None,
    arms: Annotated[str | None, typer.Option(help="Only these arms: x,y")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Other cases in the same form.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the tables go.")] = Path("reports/benchmarks"),
    as_json: Json = False,
) -> None:
    """A published comparison, run again."""
    from toolkit.benchmarks.registry import describe, run_benchmark, to_markdown

    if name == "list":
        print(describe())
        return
    reporter = Terminal()
    result = run_benchmark(name, _split(cases), _split(arms), data, out, reporter.say)
    print(json.dumps(result, indent=2) if as_json else to_markdown(result))


def past(run_named: str, tracking_uri: str | None) -> Any:
    """A past comparison, from the folder it was written to or from the run it was logged in."""
    if (Path(run_named) / "comparison.json").is_file():
        from toolkit.reporting.contract import from_contract

        return from_contract(run_named)
    from toolkit.tracking import read_run

    return read_run(run_named, tracking_uri)


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",")] if text else None


def show_result(analysis: Any, folder: Path, reporter: Terminal, as_json: bool) -> None:
    """The result on standard output, the links on standard error, and the exit status."""
    from toolkit.reporting.contract import to_contract
    from toolkit.reporting.first_screen import first_screen

    print(json.dumps(to_contract(analysis), indent=2) if as_json else first_screen(analysis))
    reporter.links(analysis, folder)
    if reporter.failed:
        raise typer.Exit(ARM_FAILED)


def _save(todo: Any, path: Path, reporter: Terminal) -> None:
    """The YAML that would do it again, with what was inferred written out."""
    settings = todo.settings.model_dump(exclude_defaults=True)
    settings["data"]["kinds"] = dict(todo.dataset.kinds)
    settings["metric"] = todo.metric
    named = {"scheme": todo.splits.scheme, "seed": todo.splits.seed}
    if todo.splits.scheme in ("kfold", "group", "time"):
        named["folds"] = len({fold.fold for fold in todo.splits.folds})
    if todo.splits.scheme in ("kfold", "group", "holdout"):
        named["repeats"] = todo.splits.repeats
    settings["splits"] = {**settings.get("splits", {}), **named}
    settings["arms"] = {name: settings.get("arms", {}).get(name, {}) for name in todo.arms}
    settings["compare"] = list(todo.pair)
    write_pipeline(settings, path)
    reporter.say(f"  saved as {path}")


def write_pipeline(settings: dict[str, Any], path: Path, heading: str = "") -> None:
    """Settings as a YAML file, under a comment."""
    import yaml

    comment = "".join(f"# {line}\n" for line in wrap(heading, 110))
    try:
        path.write_text(comment + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
