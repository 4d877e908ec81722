"""The specified regression on bundled tables with known bars, on linear truths, and against the clock."""

from __future__ import annotations

import os
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from toolkit.benchmarks._regression_cases import TABLES, Table, load
from toolkit.benchmarks._regression_counts import CountModel
from toolkit.errors import InputError, unknown
from toolkit.models.regression import SpecifiedRegression

__all__ = ["CASES", "run"]

LINEAR = {"linear truth n=300": (300, 50), "linear truth n=3000": (3_000, 50)}
SPEED = {"speed n=100000 p=50": (100_000, 50)}
GROWTH = {"growth p=10": (10_000, 100_000, 1_000_000)}
CASES = (*TABLES, *LINEAR, *SPEED, *GROWTH)
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
            made = rows_of(case, data)
        for row in made:
            progress(f"{row['case']}: {row['metric']} {row['value']:.4f} (bar {row.get('bar')})")
        rows += made
    return rows


def rows_of(case: str, data: Path | None) -> list[dict[str, Any]]:
    """The rows of one case."""
    if case in TABLES:
        return table_rows(case, data)
    return (linear_rows if case in LINEAR else speed_rows if case in SPEED else growth_rows)(case)


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
    """Cross-validated score of one table, and of plain count models where the table names them."""
    table = TABLES[case]
    X, y = load(table, data_folder(data))
    arms: dict[str, Callable[[], Any]] = {
        "regression": lambda: SpecifiedRegression(
            kinds=table.kinds, target_kind=table.target_kind, metric="rmse" if table.metric == "r2" else table.metric
        ),
        **{rival: partial(CountModel, rival) for rival in table.rivals},
    }
    scores = {arm: fold_scores(table, X, y, make) for arm, make in arms.items()}
    bar = table.bar if not table.rivals else min(float(scores[rival][0].mean()) for rival in table.rivals)
    return [score_row(case, arm, table, *found, bar if arm == "regression" else None) for arm, found in scores.items()]


def fold_scores(table: Table, X: pd.DataFrame, y: pd.Series, make: Callable[[], Any]) -> tuple[np.ndarray, float]:
    """Score of every fold, and the processor time of all fits."""
    scores, begin = [], time.process_time()
    for repeat in range(table.repeats):
        for train, test in KFold(table.folds, shuffle=True, random_state=repeat).split(X):
            model = make().fit(X.iloc[train], y.iloc[train])
            scores.append(table.score(y.to_numpy()[test], model.predict(X.iloc[test])))
    return np.array(scores), time.process_time() - begin


def score_row(
    case: str, arm: str, table: Table, scores: np.ndarray, seconds: float, bar: float | None
) -> dict[str, Any]:
    value = float(scores.mean())
    row = {
        "case": case, "arm": arm, "metric": table.score_name, "value": value,
        "se": float(scores.std(ddof=1) / np.sqrt(len(scores))), "seconds": seconds,
    }  # fmt: skip
    if bar is not None:
        row["bar"] = bar
        row["holds"] = bool(value >= bar if table.metric == "r2" else value <= bar)
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
    frame, y = made_up(n, p)
    X = frame.to_numpy()
    gram = min(timed(lambda: np.linalg.cholesky(X.T @ X)) for _ in range(5))
    model = SpecifiedRegression()
    seconds = timed(lambda: model.fit(frame, y))
    part = model.parts_[0]
    wide = timed(lambda: wide_gram(part.design, model.columns_.encode(frame), n))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    units = {"the raw columns": gram, f"the {part.design.width} columns of the chosen terms": wide}
    return [
        *(
            {
                "case": case, "arm": "regression", "metric": f"times Gram and Cholesky of {name}",
                "value": seconds / unit, "seconds": seconds, "bar": MOST_TIMES, "holds": seconds / unit <= MOST_TIMES,
            }
            for name, unit in units.items()
        ),
        {"case": case, "arm": "regression", "metric": "peak GiB", "value": peak, "bar": 3.0, "holds": peak <= 3.0},
    ]  # fmt: skip


def growth_rows(case: str) -> list[dict[str, Any]]:
    """Processor time of search and fit at ten times the rows, over ten: at most one where it grows no faster than n."""
    seconds = {}
    for n in GROWTH[case]:
        frame, y = made_up(n, 10)
        seconds[n] = timed(lambda frame=frame, y=y: SpecifiedRegression().fit(frame, y))
    rows = []
    for few, many in pairwise(GROWTH[case]):
        value = seconds[many] / seconds[few] * few / many
        rows.append({
            "case": case, "arm": "regression", "metric": f"seconds per row, {many:,} over {few:,} rows", "value": value,
            "seconds": seconds[many], "bar": 1.0, "holds": bool(value <= 1),
        })  # fmt: skip
    return rows


def made_up(n: int, p: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A line, a wave and a product among normal columns, with normal errors."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = X[:, 0] + np.sin(2 * X[:, 1]) + X[:, 2] * X[:, 3] + rng.normal(size=n)
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(p)]), y


def wide_gram(design: Any, data: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Cholesky factor of the cross-products of a design, a few thousand rows at a time."""
    return np.linalg.cholesky(sum(X.T @ X for _, X in design.chunks(data, n)) + 1e-6 * np.eye(design.width))


def timed(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
