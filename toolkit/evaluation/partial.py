"""What each side makes of one feature: partial dependence of the refitted models on the same rows and grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset

__all__ = ["partial_effects"]

FEATURES = 6
ROWS = 300  # that the effect is averaged over
POINTS = 20
LEVELS = 12
RANKING_ROWS = 20_000
EDGE = 0.02  # of the rows at either end are left out: out there the averages rest on combinations nobody has seen


def partial_effects(
    models: Mapping[str, Any], dataset: Dataset, predictions: pd.DataFrame, seed: int = 0
) -> pd.DataFrame:
    """Mean prediction of every model with one feature set to each value of a grid and the others left as they are.

    Parameters
    ----------
    models : mapping of str to fitted estimator
        Of the compared arms, on all rows.
    dataset : Dataset
    predictions : DataFrame
        The predictions table; the features along which out-of-fold predictions vary most are taken.
    seed : int
        Draws the rows to average over.

    Returns
    -------
    DataFrame
        feature, arm, place (value of a number, position of a level), label (of a level, empty for numbers), mean (units
        of the first target).

    Notes
    -----
    Partial dependence: Friedman, Annals of Statistics 29 (2001), 1189-1232, section 8.2.
    """
    columns = ["feature", "arm", "place", "label", "mean"]
    if not models or not dataset.features or len(dataset.frame) < 2:
        return pd.DataFrame(columns=columns)
    rng = np.random.default_rng(seed)
    X = dataset.X
    sample = X.iloc[np.sort(rng.choice(len(X), min(ROWS, len(X)), replace=False))]
    rows: list[tuple] = []
    for feature in _telling(models, dataset, predictions):
        values, labels = _grid(X[feature])
        if len(values) < 2:
            continue
        block = sample.iloc[np.tile(np.arange(len(sample)), len(values))].reset_index(drop=True)
        block[feature] = values.repeat(len(sample)).reset_index(drop=True)
        for arm, model in models.items():
            mean = _predict(model, block, dataset.target_kind == "binary").reshape(len(values), -1).mean(axis=1)
            places = np.arange(len(values)) if labels else values.to_numpy(dtype=float)
            rows += [
                (feature, arm, float(place), labels[i] if labels else "", float(mean[i]))
                for i, place in enumerate(places)
                if np.isfinite(mean[i])
            ]
    return pd.DataFrame(rows, columns=columns)


def _predict(model: Any, X: pd.DataFrame, binary: bool) -> np.ndarray:
    """Predictions of the first target, [n]."""
    if binary and hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X), dtype=float)[:, -1]
    return np.asarray(model.predict(X), dtype=float).reshape(len(X), -1)[:, 0]


def _grid(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Values of the column's own type, and their labels where it has levels rather than numbers."""
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric and known.nunique() > LEVELS:
        return known.quantile(np.linspace(EDGE, 1 - EDGE, POINTS), "nearest").drop_duplicates(), []
    if pd.api.types.is_datetime64_any_dtype(values) and known.nunique() > LEVELS:
        grid = known.quantile(np.linspace(EDGE, 1 - EDGE, LEVELS), "nearest").drop_duplicates()
        return grid, [str(one.date()) for one in grid]
    levels = known.value_counts().index[:LEVELS]
    grid = pd.Series(sorted(levels, key=lambda one: one if numeric else str(one)), dtype=values.dtype)
    return grid, [] if numeric else [str(one) for one in grid]


def _telling(models: Mapping[str, Any], dataset: Dataset, predictions: pd.DataFrame) -> list[str]:
    """Features whose bins explain most of the variance of either side's out-of-fold predictions."""
    best = dict.fromkeys(dataset.features, 0.0)
    for arm in models:
        mine = predictions[(predictions["arm"] == arm) & (predictions["target"] == dataset.targets[0])]
        mine = mine[np.isfinite(mine["predicted"].to_numpy(dtype=float))]
        mine = mine.iloc[:: max(1, len(mine) // RANKING_ROWS)]
        predicted, rows = mine["predicted"].to_numpy(dtype=float), mine["row"].to_numpy(int)
        if len(mine) < 2 or np.ptp(predicted) == 0:
            continue
        for feature in dataset.features:
            best[feature] = max(best[feature], _share(dataset.frame[feature].iloc[rows], predicted))
    return sorted(best, key=lambda feature: -best[feature])[:FEATURES]


def _share(values: pd.Series, predicted: np.ndarray) -> float:
    """Correlation ratio (eta squared) of predictions on at most 20 bins or the levels of a feature, adjusted."""
    if values.nunique() > 20 and (
        pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)
    ):
        values = pd.Series(pd.qcut(values.rank(), 20, labels=False, duplicates="drop"))
    codes = pd.factorize(values)[0] + 1
    count = np.bincount(codes)
    groups, n = int((count > 0).sum()), len(predicted)
    if groups < 2 or n <= groups + 1:
        return 0.0
    means = np.bincount(codes, predicted) / np.maximum(count, 1)
    left = float(np.var(predicted - means[codes])) / float(np.var(predicted))
    return 1 - left * (n - 1) / (n - groups)
