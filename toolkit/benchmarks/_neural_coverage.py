"""Coverage of 90 % intervals, the same method for a regression and for a net, on five data sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from toolkit.data.catalog import load_dataset
from toolkit.models.intervals import ConformalRegressor
from toolkit.models.neural.regression import NeuralRegression

__all__ = ["CASES"]

SETS = ("concrete_strength", "airfoil_noise", "insurance_charges", "abalone", "wine_quality")
REPEATS, MOST_ROWS = 5, 1500
LOW, HIGH = 0.88, 0.92


def _arms() -> dict[str, Any]:
    """Cheap models of both sides: the coverage must not depend on how good they are."""
    splines = make_pipeline(
        StandardScaler(), SplineTransformer(5, extrapolation="linear"), RidgeCV(np.logspace(-3, 3, 7))
    )
    return {"regression": splines, "neural": NeuralRegression(preset="quick", members=2, epochs=24, width=64)}


def coverage(name: str, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of judged rows within their CV+ interval, mean of five random halves."""
    data = load_dataset(name)
    X = pd.get_dummies(data.X, drop_first=True).astype(float)
    y = data.y.to_numpy(float)
    rows = []
    for arm, estimator in _arms().items():
        shares = []
        for repeat in range(REPEATS):
            order = np.random.default_rng(repeat).permutation(len(X))[:MOST_ROWS]
            train, judge = np.array_split(order, 2)
            wrapped = ConformalRegressor(estimator, random_state=repeat).fit(X.iloc[train], y[train])
            lower, upper = wrapped.predict_interval(X.iloc[judge])
            shares.append(np.mean((lower <= y[judge]) & (y[judge] <= upper)))
        value = float(np.mean(shares))
        progress(f"coverage {name} {arm}: {value:.3f}")
        row = {"case": f"coverage_{name}", "arm": arm, "metric": "coverage_90", "value": value, "bar": 0.9}
        row |= {"se": float(np.std(shares, ddof=1) / np.sqrt(REPEATS)), "holds": LOW <= value <= HIGH}
        rows.append(
            {**row, "note": f"CV+, {REPEATS} random halves of at most {MOST_ROWS} rows; wanted {LOW} to {HIGH}"}
        )
    return rows


CASES = {f"coverage_{name}": partial(coverage, name) for name in SETS}
