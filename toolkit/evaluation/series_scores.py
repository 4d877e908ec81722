"""Scores of point forecasts: errors in target units, relative to a naive forecast, in per cent.

Every function here works on the predictions table. Definitions are those of the M4 competition (Makridakis, Spiliotis
and Assimakopoulos, International Journal of Forecasting 36, 2020, 54-74) unless another source is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from toolkit.errors import InputError, unknown
from toolkit.evaluation.scores import within_range

__all__ = [
    *("OFFICIAL_NAIVE2", "SERIES_METRICS", "SeriesMetric", "averaged", "owa", "relative", "score_by_horizon"),
    *("series_score", "series_score_table"),
]

SCORE_COLUMNS = ("arm", "metric", "mean", "se", "lower", "upper", "per_fold")
# Naive2 in the official evaluation sheet of the M4 competition (Mcompetitions/M4-methods): (sMAPE in %, MASE).
OFFICIAL_NAIVE2 = {"m4_weekly": (9.161, 2.777), "m4_hourly": (18.383, 2.395)}


@dataclass(frozen=True)
class SeriesMetric:
    """One way to score forecasts.

    Attributes
    ----------
    row_loss : callable
        Rows of the predictions table -> loss [n], NaN where it is not defined.
    by_series : bool
        True when `finish` is applied to each series' mean loss and the results are averaged, as for RMSSE.
    functional : str
        What a forecaster should predict to do well: mean or median.
    """

    name: str
    label: str
    row_loss: Callable[[pd.DataFrame], np.ndarray]
    finish: Callable[[float], float] = float
    by_series: bool = False
    functional: str = "median"
    in_target_units: bool = False


def _error(rows: pd.DataFrame) -> np.ndarray:
    return rows["observed"].to_numpy(dtype=float) - rows["predicted"].to_numpy(dtype=float)


def _smape(rows: pd.DataFrame) -> np.ndarray:
    """200 |y - f| / (|y| + |f|), 0 where both are 0: between 0 and 200 %."""
    total = np.abs(rows["observed"].to_numpy(dtype=float)) + np.abs(rows["predicted"].to_numpy(dtype=float))
    return np.divide(200 * np.abs(_error(rows)), total, out=np.zeros(len(rows)), where=total > 0)


def _smape_signed(rows: pd.DataFrame) -> np.ndarray:
    """200 |y - f| / (y + f), the sum without absolute values as in the M3 competition; NaN where not positive."""
    total = rows["observed"].to_numpy(dtype=float) + rows["predicted"].to_numpy(dtype=float)
    return np.divide(200 * np.abs(_error(rows)), total, out=np.full(len(rows), np.nan), where=total > 0)


def _mape(rows: pd.DataFrame) -> np.ndarray:
    """100 |y - f| / |y|; NaN where nothing was observed but zero."""
    size = np.abs(rows["observed"].to_numpy(dtype=float))
    return np.divide(100 * np.abs(_error(rows)), size, out=np.full(len(rows), np.nan), where=size > 0)


SERIES_METRICS: dict[str, SeriesMetric] = {
    m.name: m
    for m in (
        SeriesMetric("mase", "MASE", lambda r: np.abs(_error(r)) / r["scale"].to_numpy(dtype=float)),
        SeriesMetric(
            "rmsse",
            "RMSSE",
            lambda r: (_error(r) / r["root_scale"].to_numpy(dtype=float)) ** 2,
            lambda v: float(np.sqrt(v)),
            by_series=True,
            functional="mean",
        ),
        SeriesMetric("mae", "MAE", lambda r: np.abs(_error(r)), in_target_units=True),
        SeriesMetric(
            "rmse",
            "RMSE",
            lambda r: _error(r) ** 2,
            lambda v: float(np.sqrt(v)),
            functional="mean",
            in_target_units=True,
        ),
        SeriesMetric("mse", "MSE", lambda r: _error(r) ** 2, functional="mean"),
        SeriesMetric("smape", "sMAPE (M4) in %", _smape),
        SeriesMetric("smape_m3", "sMAPE (M3) in %", _smape_signed),
        SeriesMetric("mape", "MAPE in %", _mape),
    )
}


def series_score(metric: str | SeriesMetric, rows: pd.DataFrame) -> float:
    """The score of one arm's rows: the average of row losses, or of each series' finished score.

    Raises
    ------
    InputError
        For an unknown metric, and for one that is defined on no row (MASE of a series that repeats itself).
    """
    if isinstance(metric, str):
        if metric not in SERIES_METRICS:
            raise unknown("metric", metric, SERIES_METRICS)
        metric = SERIES_METRICS[metric]
    loss = metric.row_loss(rows)
    fine = np.isfinite(loss)
    if not fine.any():
        raise InputError(
            f"{metric.label} is defined on none of {len(rows)} rows: the observed values are zero or the past of the "
            "series repeats itself; take mae"
        )
    if not metric.by_series:
        return metric.finish(float(loss[fine].mean()))
    keys = [rows["series"].to_numpy()[fine], rows["target"].to_numpy()[fine]]
    return float(pd.Series(loss[fine]).groupby(keys).mean().map(metric.finish).mean())


def series_score_table(predictions: pd.DataFrame, metrics: tuple[str, ...], confidence: float = 0.95) -> pd.DataFrame:
    """Scores of every arm, averaged over origins; the columns of `scores.score_table`.

    The standard error is that of the mean over origins, without the factor for overlapping training rows: judged
    blocks of different origins do not overlap as long as the step is not below the horizon. With a single origin it is
    that of the mean over series, and NaN with a single series.
    """
    rows = []
    for arm, part in predictions.groupby("arm", sort=False):
        folds = [fold for _, fold in part.groupby(["repeat", "fold"], sort=True)]
        for name in metrics:
            per_fold = [series_score(name, fold) for fold in folds]
            units = per_fold if len(per_fold) > 1 else _per_series(name, folds[0])
            rows.append((arm, name, *averaged(per_fold, units, confidence)))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def averaged(
    per_fold: list[float], units: list[float], confidence: float = 0.95
) -> tuple[float, float, float, float, list[float]]:
    """(mean over folds, standard error from the units, lower, upper, the folds)."""
    n, mean = len(units), float(np.mean(per_fold))
    se = float(np.std(units, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * se if n > 1 else float("nan")
    return mean, se, *within_range(False, mean - half, mean + half), per_fold


def _per_series(name: str, fold: pd.DataFrame) -> list[float]:
    """Scores of single series where they are defined."""
    metric, found = SERIES_METRICS[name], []
    loss = pd.Series(metric.row_loss(fold))
    means = loss.groupby([fold["series"].to_numpy(), fold["target"].to_numpy()]).mean().dropna()
    found.extend(metric.finish(value) for value in means)
    return found


def score_by_horizon(predictions: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Scores of every arm at every step ahead, over all origins: arm, horizon, value, n."""
    rows = [
        (arm, int(step), series_score(metric, part), len(part))
        for (arm, step), part in predictions.groupby(["arm", "horizon"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["arm", "horizon", "value", "n"])


def relative(predictions: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """The same rows in units in which a plain metric gives the scaled one: MASE is the MAE of errors over `scale`.

    Returns
    -------
    predictions : DataFrame
        Observed, predicted and interval limits divided by the scale, rows without one left out.
    metric : str
        The plain metric's name; tables for a metric that is not scaled come back unchanged.
    """
    plain = {"mase": ("mae", "scale"), "rmsse": ("rmse", "root_scale")}
    if metric not in plain:
        return predictions, metric
    name, column = plain[metric]
    kept = predictions[predictions[column].notna()].copy()
    values = ["observed", "predicted", "lower", "upper"]
    kept[values] = kept[values].div(kept[column], axis=0)
    return kept, name


def owa(smape: float, mase: float, naive2: tuple[float, float]) -> float:
    """Overall weighted average of M4: mean of sMAPE and MASE, each relative to Naive2's (smape, mase)."""
    return (smape / naive2[0] + mase / naive2[1]) / 2
