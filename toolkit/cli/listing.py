"""What is there to run, and what was run."""

from __future__ import annotations

import yaml
from rich.console import Console
from rich.table import Table

__all__ = ["print_bundled", "print_runs"]


def print_bundled() -> None:
    """Pipelines with their question, data sets with size and target."""
    from toolkit.data.catalog import list_datasets
    from toolkit.data.places import bundled

    console = Console()
    pipelines = Table("pipeline", "question", title="Pipelines: toolkit run NAME", title_justify="left", box=None)
    for path in sorted(bundled("pipelines").glob("*.yaml")):
        question = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("question", "")
        pipelines.add_row(path.stem, question)
    console.print(pipelines)
    console.print()
    sets = Table("data set", "rows", "target", "title", title="Data sets", title_justify="left", box=None)
    for _, row in list_datasets().iterrows():
        sets.add_row(str(row["name"]), f"{row['rows']:,}", str(row["target"]), str(row["title"]))
    console.print(sets)


def print_runs(tracking_uri: str | None) -> None:
    """Past comparisons, newest first: run id, name, experiment, data, verdict, gain with its interval, time, status."""
    from toolkit.reporting.words import metric_label, number
    from toolkit.tracking import list_runs

    runs = list_runs(tracking_uri)
    if runs.empty:
        print("no comparisons logged yet")
        return
    table = Table("run", "name", "experiment", "data", "verdict", "gain", "", "started", "status", box=None)
    table.columns[0].min_width = 32  # whole, so that it can be copied into `toolkit show`
    for row in runs.itertuples(index=False):
        known = row.gain is not None and row.gain == row.gain
        gain = f"{number(row.gain, 3)} ({number(row.lower, 3)} to {number(row.upper, 3)})" if known else "–"
        cells = (row.run_id, row.name, row.experiment, row.dataset, row.verdict, gain, metric_label(row.metric or ""))
        table.add_row(*(str(cell or "") for cell in cells), f"{row.started:%Y-%m-%d %H:%M}", row.status.lower())
    # Piped into another program, a row stays one line.
    console = Console()
    (console if console.is_terminal else Console(width=400)).print(table)
