"""The share of each row in a score, so that a test of scores can be made on rows."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from toolkit.evaluation.scores import Metric, get_metric

__all__ = ["gain_of", "resolve_metric", "score_rows"]

# Metrics of forecasts that divide by the in-sample scale of the series (column `scale`): name -> metric of the ratio.
SCALED = {"mase": "mae", "rmsse": "rmse"}


def resolve_metric(metric: str | Metric) -> tuple[Metric, str, bool]:
    """The metric, the name to show and whether both sides are divided by the column `scale` first."""
    if isinstance(metric, Metric):
        return metric, metric.name, False
    if metric in SCALED:
        return get_metric(SCALED[metric]), metric, True
    return get_metric(metric), metric, False


def gain_of(metric: Metric, first: np.ndarray | float, second: np.ndarray | float) -> np.ndarray | float:
    """Gain of the second over the first: positive where the second is better."""
    return second - first if metric.greater_is_better else first - second


def score_rows(
    metric: Metric, observed: np.ndarray, predicted: np.ndarray, cell: np.ndarray, cells: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Scores of each cell and the share of each row in them.

    Parameters
    ----------
    observed, predicted : ndarray, [n]
    cell : ndarray of int, [n]
        Fold and target that the row belongs to, 0..cells-1.

    Returns
    -------
    scores : ndarray, [cells]
    rows : ndarray, [n]
        Pseudo-values: their plain average over a cell is its score, their spread is that of the score (delta method;
        for the area under the curve the placement values of DeLong et al., Biometrics 44 (1988), 837-845).
    row_level : bool
        False where the metric has no such decomposition; then every row carries the score of its cell.
    """
    if metric.row_loss is not None:
        return *_from_losses(metric, metric.row_loss(observed, predicted), cell, cells), True
    if metric.name == "r2":
        loss = (observed - predicted) ** 2
        counts = np.bincount(cell, minlength=cells)
        centre = np.bincount(cell, observed, cells) / counts
        variance = np.bincount(cell, (observed - centre[cell]) ** 2, cells) / counts
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = 1 - loss / np.where(variance > 0, variance, np.nan)[cell]
        return np.bincount(cell, rows, cells) / counts, rows, True
    rows, scores = np.empty(len(observed)), np.empty(cells)
    order = np.argsort(cell, kind="stable")
    for number, part in enumerate(np.split(order, np.cumsum(np.bincount(cell, minlength=cells))[:-1])):
        scores[number] = metric.whole(observed[part], predicted[part])  # type: ignore[misc]
        rows[part] = _placements(observed[part], predicted[part]) if metric.name == "auc" else scores[number]
    return scores, rows, metric.name == "auc"


def _from_losses(metric: Metric, loss: np.ndarray, cell: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.bincount(cell, minlength=cells)
    mean = np.bincount(cell, loss, cells) / counts
    scores = np.array([metric.finish(m) for m in mean])
    step = 1e-6 * np.abs(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.array([metric.finish(m + s) - metric.finish(m - s) for m, s in zip(mean, step, strict=True)])
        slope = np.where(step > 0, rise / (2 * step), 0.0)
    return scores, scores[cell] + slope[cell] * (loss - mean[cell])


def _placements(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pseudo-values of the area under the curve, [n]: how many of the other class each row is ranked right against."""
    positive = observed > 0.5
    n, n_pos, n_neg = len(observed), int(positive.sum()), int((~positive).sum())
    if n_pos == 0 or n_neg == 0:
        return np.full(n, np.nan)
    overall = rankdata(predicted)
    area = (overall[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)
    rows = np.empty(n)
    rows[positive] = (n / n_pos) * ((overall[positive] - rankdata(predicted[positive])) / n_neg - area)
    rows[~positive] = (n / n_neg) * (1 - (overall[~positive] - rankdata(predicted[~positive])) / n_pos - area)
    return rows + area
