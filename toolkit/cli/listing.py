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
    """Past comparisons, newest first."""
    from toolkit.tracking import list_runs

    runs = list_runs(tracking_uri)
    if runs.empty:
        print("no comparisons logged yet")
        return
    table = Table(*map(str, runs.columns), box=None)
    for row in runs.itertuples(index=False):
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
