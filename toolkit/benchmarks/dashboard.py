"""What diagnostics, report and dashboard cost: seconds, requests, bytes and memory.

CPU seconds stand beside the clock, because the clock of a busy machine says little.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import requests

from toolkit.analysis import Analysis
from toolkit.benchmarks._postgres import free_port, postgres
from toolkit.data.dataset import Dataset
from toolkit.diagnostics.battery import run_checks
from toolkit.errors import InputError, unknown
from toolkit.pipeline import compare
from toolkit.reporting.outputs import write_outputs
from toolkit.reporting.page import write_report
from toolkit.tracking_server import server

__all__ = ["CASES", "run"]

CHECK_ROWS, CHECK_COLUMNS = 50_000, 50
REPORT_ROWS = 1_000_000
BARS = {
    ("checks", "CPU seconds"): 20.0,
    ("report", "CPU seconds"): 10.0,
    ("report", "megabytes"): 1.5,
    ("log sqlite", "seconds"): 6.0,
    ("log postgres", "seconds"): 15.0,
    ("log postgres", "requests"): 40.0,
    ("ui", "seconds"): 15.0,
    ("ui", "MiB"): 600.0,
}


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Rows of the table.

    Parameters
    ----------
    cases : list of str, optional
        checks (all checks of two sides, 50,000 rows x 50 columns), report (1,000,000 judging rows), log sqlite, log
        postgres (a comparison of 5 arms and 10 folds with all checks, figures and both models), ui (`toolkit ui` until
        it answers, and the memory of everything it has started).
    arms, data
        Not used.
    """
    rows: list[dict[str, Any]] = []
    for case in cases or list(CASES):
        if case not in CASES:
            raise unknown("case", case, CASES)
        try:
            found, note = CASES[case]()
        except InputError as error:
            rows.append({"case": case, "arm": "toolkit", "metric": "not measured", "value": None, "note": str(error)})
            continue
        for metric, value in found.items():
            bar = BARS.get((case, metric))
            judged = {} if bar is None else {"bar": bar, "holds": value <= bar}
            rows.append({"case": case, "arm": "toolkit", "metric": metric, "value": value, "note": note, **judged})
        progress(f"{case}: " + ", ".join(f"{value:.4g} {metric}" for metric, value in found.items()))
    return rows


@contextmanager
def _clocks(found: dict[str, float]) -> Iterator[None]:
    """Seconds and CPU seconds of what is done inside."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found |= {"seconds": time.perf_counter() - wall, "CPU seconds": time.process_time() - cpu}


def _rows(n: int, columns: int, arms: tuple[str, ...]) -> tuple[Dataset, pd.DataFrame]:
    """A linear truth, and predictions that miss it by noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, columns))
    y = X[:, :5].sum(axis=1) + rng.normal(size=n)
    names = [f"x{i}" for i in range(columns)]
    dataset = Dataset.from_frame(pd.DataFrame(X, columns=names).assign(y=y), "y", name="synthetic")
    part = {"repeat": 0, "fold": np.arange(n) % 5, "row": np.arange(n), "target": "y", "observed": y}
    predictions = [
        pd.DataFrame({"arm": arm, **part, "predicted": y + rng.normal(size=n)}).assign(n_train=4 * n // 5)
        for arm in arms
    ]
    return dataset, pd.concat(predictions, ignore_index=True)


def _checks() -> tuple[dict[str, float], str]:
    dataset, predictions = _rows(CHECK_ROWS, CHECK_COLUMNS, ("regression", "neural"))
    info = {arm: {"kind": arm, "facts": []} for arm in ("regression", "neural")}
    found: dict[str, float] = {}
    with _clocks(found):
        answers = run_checks(
            predictions, info, dataset=dataset, metric="rmse", design={"regression": dataset.X.astype(float)}
        )
    asked = sum(answer.verdict != "not applicable" for answer in answers)
    return found, f"{CHECK_ROWS:,} rows x {CHECK_COLUMNS} columns, {asked} answers that apply"


def _report() -> tuple[dict[str, float], str]:
    small, (dataset, predictions) = _comparison(), _rows(REPORT_ROWS, 6, ("formula", "linear"))
    big = replace(small, predictions=predictions, members=pd.DataFrame(), data=dataset)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        with _clocks(found):
            path = write_report(big, Path(folder) / "report.html", dataset)
        found["megabytes"] = path.stat().st_size / 1e6
    return found, f"{REPORT_ROWS:,} judging rows for each side"


@cache
def _comparison() -> Analysis:
    """Five arms, ten folds, all checks."""
    rng = np.random.default_rng(0)
    x, level = rng.normal(size=600), rng.choice(["low", "high"], 600)
    y = 1.5 * x + 2.0 * (level == "high") + np.sin(3 * x) + rng.normal(size=600) * 0.3
    frame = pd.DataFrame({"x": x, "z": rng.normal(size=600), "level": level, "y": y})
    arms = {"naive": {}, "linear": {}, "formula": {"formula": "cr(x, df=6) + C(level)"}, "boosting": {"max_iter": 30}}
    arms["regression"] = {"interactions": False, "family": "gaussian"}
    return compare(frame, "y", arms=arms, compare=["formula", "linear"], splits={"folds": 10, "repeats": 1})


def _log(uri: str, folder: Path) -> tuple[dict[str, float], str]:
    analysis, sent = _comparison(), []
    write_outputs(analysis, folder / "outputs", analysis.data)
    send = requests.Session.send

    def counted(self: requests.Session, request: Any, **more: Any) -> Any:
        sent.append(request.path_url)
        return send(self, request, **more)

    from toolkit.tracking import check_server, log_comparison

    check_server(uri)
    found: dict[str, float] = {}
    with patch.object(requests.Session, "send", counted), _clocks(found):
        log_comparison(
            analysis, models=analysis.models, dataset=analysis.data, out_folder=folder / "outputs", tracking_uri=uri
        )
    if sent:
        found["requests"] = float(sum("artifact" not in path for path in sent))
    figures = len(list((folder / "outputs" / "figures").iterdir()))
    asked = len(analysis.checks_found)
    return (
        found,
        f"{len(analysis.arms)} arms, 10 folds, {asked} checks, {figures} figures, {len(analysis.models)} models",
    )


def _log_sqlite() -> tuple[dict[str, float], str]:
    with _workplace() as folder:
        return _log(f"sqlite:///{folder / 'mlflow.db'}", folder)


def _log_postgres() -> tuple[dict[str, float], str]:
    with _workplace() as folder, postgres(folder) as uri, server(uri, free_port()) as (address, _):
        return _log(address, folder)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A folder that is also the working directory: a store may write artifacts beside it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def _ui() -> tuple[dict[str, float], str]:
    with _workplace() as folder:
        uri, port = f"sqlite:///{folder / 'mlflow.db'}", free_port()
        _log(uri, folder)
        code = "import toolkit.cli; toolkit.cli.main()"
        command = [sys.executable, "-c", code, "ui", "--tracking-uri", uri, "--port", str(port), "--no-browser"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stderr.readline()  # the link is printed when the dashboard answers
            seconds = time.perf_counter() - begin
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                page.read()
            memory = sum(map(_memory, _family(process.pid)))
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(timeout=30)
    return {"seconds": seconds, "MiB": memory}, f"{line.split(':')[0]}; status {status} after Ctrl-C"


def _family(pid: int) -> list[int]:
    """A process and everything it has started."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            children += [int(child) for child in (task / "children").read_text().split()]
    return [pid, *(one for child in children for one in _family(child))]


def _memory(pid: int) -> float:
    """Proportional set size in MiB: shared pages are counted once."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))) / 1024


CASES: dict[str, Callable[[], tuple[dict[str, float], str]]] = {
    "checks": _checks, "report": _report, "log sqlite": _log_sqlite, "log postgres": _log_postgres, "ui": _ui,
}  # fmt: skip
