"""Published comparisons that anyone can run again: run one, write its table, show it."""

from __future__ import annotations

import ast
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.assembly import versions
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import available_cores

__all__ = ["describe", "names", "run_benchmark", "to_markdown", "write_tables"]

FOLDER = Path(__file__).parent
NOT_BENCHMARKS = ("__init__", "registry")


def names() -> dict[str, str]:
    """Benchmark -> the first line of its description."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem in NOT_BENCHMARKS or path.stem.startswith("_"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def describe() -> str:
    """The benchmarks, a line each."""
    return "\n".join(f"{name:12} {text}" for name, text in names().items())


def run_benchmark(
    name: str,
    cases: Sequence[str] | None,
    arms: Sequence[str] | None,
    data: Path | None,
    out: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run a benchmark and write `out/NAME.json` and its Markdown twin.

    A part of a benchmark (`cases`, `arms`, other `data`) is written beside the whole one, as `NAME.part.json`.
    """
    known = names()
    if name not in known:
        raise unknown("benchmark", name, known)
    if data is not None and not data.is_dir():
        raise InputError(f"{data}: no such folder; --data names a folder with cases")
    begin = time.perf_counter()
    rows = import_module(f"toolkit.benchmarks.{name}").run(
        None if cases is None else list(cases), None if arms is None else list(arms), data, say
    )
    result = {
        "benchmark": name,
        "versions": versions(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - begin, 1),
        "rows": rows,
    }
    partial = cases is not None or arms is not None or data is not None
    write_tables(result, out, f"{name}.part" if partial else name)
    return result


def machine() -> dict[str, float]:
    """Cores and memory, in GiB, of the machine that measures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else math.nan
    return {"cores": available_cores(), "memory_gib": round(memory, 1)}


def write_tables(result: dict[str, Any], folder: Path, stem: str) -> None:
    """Write the JSON and the Markdown table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps(_plain(result), indent=1) + "\n", encoding="utf-8")
    (folder / f"{stem}.md").write_text(to_markdown(result), encoding="utf-8")


def to_markdown(result: dict[str, Any]) -> str:
    """The table as Markdown: a row a figure, with its bar and whether it holds."""
    software = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [
        f"# {result['benchmark']}",
        "",
        f"`toolkit benchmark {result['benchmark']}`: {result['machine']['cores']} cores, "
        f"{result['machine']['memory_gib']} GiB, {result['seconds']} s. {software}.",
        "",
        "| case | arm | metric | value | se | bar | holds | reference | seconds | note |",
        "|---|---|---|---:|---:|---:|---|---|---:|---|",
    ]
    for row in result["rows"]:
        reference = row.get("reference") or {}
        told = f"{_short(reference.get('value'))} ({reference.get('source')})" if reference else ""
        holds = {True: "yes", False: "no"}.get(row.get("holds"), "")  # type: ignore[arg-type]
        cells = (row["case"], row["arm"], row["metric"], *(_short(row.get(key)) for key in ("value", "se", "bar")))
        end = (holds, told, _short(row.get("seconds")), row.get("note", ""))
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in (*cells, *end)) + " |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """JSON has no NaN and knows no numpy numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
