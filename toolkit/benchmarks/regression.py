"""The specified regression on bundled tables with known bars, on linear truths, and against the clock."""

from __future__ import annotations

import os
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from toolkit.benchmarks._regression_cases import TABLES, Table, load
from toolkit.errors import InputError, unknown
from toolkit.models.regression import SpecifiedRegression

__all__ = ["CASES", "run"]

LINEAR = {"linear truth, 300 rows": (300, 50), "linear truth, 3000 rows": (3_000, 50)}
SPEED = {"speed, 100000 x 50": (100_000, 50)}
CASES = (*TABLES, *LINEAR, *SPEED)
MOST_TIMES = 40.0  # Gram matrices with a Cholesky factor that a search and fit may take
WORSE = 1.01  # RMSE over that of least squares with the true columns


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row per case. Tables are scored by cross-validation, folds drawn with seed 0 (and 1, 2 where repeated)."""
    rows = []
    for case in cases or CASES:
        if case not in CASES:
            raise unknown("case", case, CASES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = (
                table_rows(case, data) if case in TABLES else linear_rows(case) if case in LINEAR else speed_rows(case)
            )
        for row in made:
            progress(f"{row['case']}: {row['metric']} {row['value']:.4f} (bar {row.get('bar')})")
        rows += made
    return rows


def data_folder(data: Path | None) -> Path:
    """Folder with one folder per data set."""
    named = os.environ.get("TOOLKIT_DATA")
    candidates = [*([data] if data else []), *([Path(named)] if named else [])]
    candidates.append(Path(__file__).resolve().parents[3] / "shared" / "data")
    for one in candidates:
        if one.is_dir():
            return one
    raise InputError("the data sets are not here: give their folder with --data, or set TOOLKIT_DATA")


def table_rows(case: str, data: Path | None) -> list[dict[str, Any]]:
    """Cross-validated score of one table."""
    table = TABLES[case]
    X, y = load(table, data_folder(data))
    scores, begin = [], time.process_time()
    for repeat in range(table.repeats):
        for train, test in KFold(table.folds, shuffle=True, random_state=repeat).split(X):
            model = SpecifiedRegression(kinds=table.kinds, target_kind=table.target_kind, metric=table.metric)
            model.fit(X.iloc[train], y.iloc[train])
            scores.append(table.score(y.to_numpy()[test], model.predict(X.iloc[test])))
    return [score_row(case, table, np.array(scores), time.process_time() - begin)]


def score_row(case: str, table: Table, scores: np.ndarray, seconds: float) -> dict[str, Any]:
    value = float(scores.mean())
    row = {
        "case": case, "arm": "regression", "metric": table.score_name, "value": value,
        "se": float(scores.std(ddof=1) / np.sqrt(len(scores))), "seconds": seconds,
    }  # fmt: skip
    if table.bar is not None:
        row["bar"] = table.bar
        row["holds"] = bool(value <= table.bar)
    return row


def linear_rows(case: str) -> list[dict[str, Any]]:
    """RMSE over that of ordinary least squares where the truth is linear in 20 columns."""
    n, draws = LINEAR[case]
    ratios, begin = [], time.process_time()
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n + 5_000, 20))
        y = X @ np.linspace(-1, 1, 20) + 2 * rng.normal(size=len(X))
        design = np.column_stack([np.ones(len(X)), X])
        ols = design[n:] @ np.linalg.lstsq(design[:n], y[:n], rcond=None)[0]
        predicted = SpecifiedRegression().fit(X[:n], y[:n]).predict(X[n:])
        ratios.append(np.sqrt(np.mean((predicted - y[n:]) ** 2) / np.mean((ols - y[n:]) ** 2)))
    value, se = float(np.mean(ratios)), float(np.std(ratios, ddof=1) / np.sqrt(draws))
    return [
        {
            "case": case, "arm": "regression", "metric": "RMSE over least squares", "value": value, "se": se,
            "seconds": time.process_time() - begin, "bar": WORSE, "holds": bool(value <= WORSE),
        }
    ]  # fmt: skip


def speed_rows(case: str) -> list[dict[str, Any]]:
    """Processor time of search and fit over that of one Gram matrix and Cholesky factor of the same columns."""
    n, p = SPEED[case]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = X[:, 0] + np.sin(2 * X[:, 1]) + X[:, 2] * X[:, 3] + rng.normal(size=n)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(p)])
    gram = min(timed(lambda: np.linalg.cholesky(X.T @ X)) for _ in range(5))
    seconds = timed(lambda: SpecifiedRegression().fit(frame, y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return [
        {
            "case": case, "arm": "regression", "metric": "times Gram and Cholesky", "value": seconds / gram,
            "seconds": seconds, "bar": MOST_TIMES, "holds": bool(seconds / gram <= MOST_TIMES),
        },
        {"case": case, "arm": "regression", "metric": "peak GiB", "value": peak, "bar": 3.0, "holds": peak <= 3.0},
    ]  # fmt: skip


def timed(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
