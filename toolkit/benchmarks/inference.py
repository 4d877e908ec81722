"""Coverage of 95 % intervals for linear terms: formula, searched and split, with equal and unequal variance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import unknown
from toolkit.models.least_squares import least_squares, sandwich
from toolkit.models.regression import SpecifiedRegression

__all__ = ["CASES", "run"]

CASES = ("equal variance", "variance grows with x0")
ARMS = ("formula", "regression", "split")
ROWS, DRAWS, SLOPES = 500, 400, np.array([1.0, -0.5, 0.25])
DRAWS_OF_SEARCHES = 150  # a search takes a hundred times as long as a formula
BAND = (0.93, 0.97)


def draw(case: str, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of three numeric columns and a target that is linear in them."""
    X = rng.normal(size=(ROWS, 3))
    spread = np.ones(ROWS) if case == CASES[0] else 0.3 + np.abs(X[:, 0])
    return pd.DataFrame(X, columns=["x0", "x1", "x2"]), X @ SLOPES + rng.normal(size=ROWS) * spread


def covered(arm: str, X: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """Whether each slope lies in its interval, [slopes]; a slope whose line was not reported counts as not covered."""
    if arm == "formula":
        design = np.column_stack([np.ones(len(y)), X])
        fit = least_squares(design, y)
        estimate, se = fit.beta[1:], np.sqrt(np.diagonal(sandwich(fit, design, "HC3")))[1:]
    elif arm == "regression":
        table = SpecifiedRegression(family="gaussian").fit(X, y).coefficients_.set_index("term")
        estimate, se = table.loc[list(X), "estimate"].to_numpy(), table.loc[list(X), "se"].to_numpy()
    else:
        table = SpecifiedRegression(family="gaussian", inference="split").fit(X, y).split_terms_
        lines = table[table["kind"] == "linear"].set_index("term").reindex(list(X))
        estimate, se = lines["estimate"].to_numpy(), lines["se"].to_numpy()
    return np.abs(estimate - SLOPES) <= 1.959964 * se


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row per case and arm: share of intervals that hold the true slope, with its standard error over draws."""
    rows = []
    for case in cases or CASES:
        if case not in CASES:
            raise unknown("case", case, CASES)
        for arm in arms or ARMS:
            if arm not in ARMS:
                raise unknown("arm", arm, ARMS)
            count = DRAWS if arm == "formula" else DRAWS_OF_SEARCHES
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hits = np.array([covered(arm, *draw(case, np.random.default_rng(seed))) for seed in range(count)])
            value, se = float(hits.mean()), float(hits.mean(axis=1).std(ddof=1) / np.sqrt(count))
            holds = bool(BAND[0] <= value <= BAND[1])
            rows.append(
                {"case": case, "arm": arm, "metric": "coverage", "value": value, "se": se, "bar": 0.95, "holds": holds}
            )
            progress(f"{case}, {arm}: {value:.3f} of intervals hold the slope (standard error {se:.3f})")
    return rows
