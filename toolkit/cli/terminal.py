"""What a person sees while the work goes on: plan, progress with time left, findings, and the first screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

__all__ = ["Terminal", "duration", "gathered"]

SHOWN_ALIKE = 3  # of more findings of one kind only the first is printed in full
SECONDS_BETWEEN_LINES = 10.0  # without a terminal, progress is a line at most this often


def duration(seconds: float | None) -> str:
    """Seconds in words: 42 s, 3 min 20 s, 1 h 05 min."""
    if seconds is None:
        return "estimating"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def gathered(findings: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], list[str]]]:
    """Findings to print: of many columns with the same trouble the first, with the names of the others."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for finding in findings:
        by_name.setdefault(finding["finding"], []).append(finding)
    out: list[tuple[dict[str, Any], list[str]]] = []
    for alike in by_name.values():
        if len(alike) <= SHOWN_ALIKE:
            out += [(finding, []) for finding in alike]
        else:
            out.append((alike[0], [str(finding["column"]) for finding in alike[1:]]))
    return out


class Terminal:
    """Reports to standard error; standard output stays free for results.

    Parameters
    ----------
    quiet : bool
        Only warnings.
    """

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self.bar: Progress | None = None
        self.last_line = 0.0
        self.failed = False

    def planned(self, todo: Any) -> None:
        """The `Plan`: rows, folds, arms and what looks wrong, before the first fit."""
        dataset, pair = todo.dataset, todo.pair
        if todo.quick:
            self.say("[bold yellow]Quick run: fewer rows, folds and epochs. This is not the full answer.[/]")
        targets, features = ", ".join(dataset.targets), len(dataset.features)
        self.say(
            f"[bold]{escape(dataset.name)}[/]: {len(dataset.frame):,} rows, {features} feature{'s' * (features != 1)}, "
            f"target {escape(targets)} ({dataset.target_kind}), metric {todo.metric}"
        )
        for reason, count in dataset.dropped.items():
            self.say(f"  left out: {count:,} rows, {escape(str(reason))}")
        self.say(f"  splits: {escape(todo.splits.reason)}")
        self.say(f"  arms: {escape(', '.join(todo.arms))}; compared: {escape(pair[0])} against {escape(pair[1])}")
        if todo.ledger is not None and todo.settings.gap is not None:
            self.say(f"  gap ledger: from {escape(todo.ledger)} to {escape(pair[1])}")
        if dataset.weights is not None:
            self.say(f"  weights: '{escape(dataset.weights)}' in every fit; scores count each row once")
        for finding, columns in gathered(todo.findings):
            advice = f"; {finding['advice']}" if finding.get("advice") else ""
            more = f"; the same holds for {len(columns)} more: {', '.join(columns)}" if columns else ""
            self.say(f"  [yellow]noticed[/] {escape(finding['message'] + more)}[dim]{escape(advice)}[/]")

    def say(self, text: str) -> None:
        if not self.quiet:
            (self.bar.console if self.bar else self.console).print(text)

    def stage(self, name: str) -> None:
        if name != "fits":
            self._close()
        if name not in ("fits",):
            self.say(f"[dim]{name} ...[/]")

    def fitted(self, label: str, done: int, total: int, seconds_left: float | None) -> None:
        if self.quiet:
            return
        left = (
            "done" if done == total else f"{duration(seconds_left)} left" if seconds_left is not None else "estimating"
        )
        if not self.console.is_terminal:
            now = time.monotonic()
            if done == total or now - self.last_line >= SECONDS_BETWEEN_LINES:
                self.last_line = now
                self.say(f"  {done}/{total} fits, {left} ({escape(label)})")
            return
        if self.bar is None:
            columns = (
                TextColumn("  {task.completed}/{task.total} fits"),
                BarColumn(30),
                TextColumn("{task.description}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=total)
            self.bar.start()
        self.bar.update(self.task, completed=done, description=f"{left}, {escape(label)}")
        if done == total:
            self._close()

    def warn(self, message: str) -> None:
        self._close()
        self.console.print(f"[bold yellow]warning[/] {escape(message)}")

    def finished(self, analysis: Any, folder: Path | None) -> None:
        self._close()
        self.failed = any(arm.failures for arm in analysis.arms.values())
        for arm in analysis.arms.values():
            for failure in arm.failures:
                self.console.print(f"[bold red]{escape(arm.name)} failed[/] in {escape(failure)}")

    def links(self, analysis: Any, folder: Path | None) -> None:
        """The last lines: where the report is, and how to open the dashboard."""
        if folder is not None:
            self.say(f"report     {folder / 'report.html'}")
        if analysis.mlflow.get("run_id"):
            self.say(f"dashboard  {analysis.mlflow.get('link') or 'toolkit ui'}")

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        sys.stderr.flush()
