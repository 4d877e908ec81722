"""The command `toolkit respecify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.app import Uri, app, past, write_pipeline
from toolkit.cli.terminal import Terminal
from toolkit.errors import InputError

__all__ = ["respecify"]


@app.command()
def respecify(
    run_named: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run id, or a folder such as reports/NAME.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file to write [NAME_respecified.yaml].")
    ] = None,
    tracking_uri: Uri = None,
) -> None:
    """Write the pipeline that runs the regression with the ledger's terms against the net, on fresh folds."""
    from toolkit.comparison.gap_follow import respecified_settings
    from toolkit.settings import validate

    comparison = past(run_named, tracking_uri)
    if comparison.gap_ledger is None:
        raise InputError(f"{run_named}: the run has no gap ledger; run it again with --set gap=true")
    if not comparison.settings.get("data"):
        raise InputError(f"{run_named}: the run has no settings (details.json is missing), so that none can be written")
    settings = respecified_settings(comparison.settings, comparison.gap_ledger)
    path = out or Path(f"{settings['name']}.yaml")
    validate(settings, str(path))
    found_here = "The terms were found on these rows; rows that nobody has seen are the harder test."
    write_pipeline(settings, path, f"{comparison.gap_ledger.sentence} {found_here}")
    reporter = Terminal()
    file = settings["data"].get("file")
    if file is not None and not Path(file).exists() and not (path.parent / file).exists():
        reporter.warn(f"{file} is not here: keep {path.name} beside the pipeline that named it")
    print(f"toolkit run {path}")
