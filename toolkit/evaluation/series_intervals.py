"""Intervals of forecasts: by one method for every arm, and how good they and the arms' own are.

Widths and losses of intervals are in units of `scale`, each series' seasonal error before the origin, as MASE is, so
that series of different size weigh the same; a series without a scale keeps its own units.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.evaluation.series_scores import SCORE_COLUMNS, averaged

__all__ = [
    *("INTERVAL_METRICS", "conformal_over_origins", "crps_from_quantiles", "interval_losses", "interval_score_table"),
    *("interval_scores_by_horizon", "pinball", "winkler"),
]

LEAST = 20  # errors from which an interval is taken
# Coverages of the central intervals whose ends are the quantiles that CRPS is computed from.
CENTRAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98)
# score -> what it is; `own_` are the arms' own intervals, the others conformal ones, made alike for every arm
INTERVAL_METRICS = {
    "coverage": "share of observations inside the conformal interval",
    "winkler": "interval score of the conformal interval (Winkler 1972; MSIS of M4)",
    "pinball": "mean quantile loss of both ends of the conformal interval",
    "crps": "continuous ranked probability score of the conformal distribution",
    "own_coverage": "share of observations inside the arm's own interval",
    "own_winkler": "interval score of the arm's own interval",
    "own_pinball": "mean quantile loss of both ends of the arm's own interval",
}


def pinball(observed: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """Loss of a forecast of the quantile at `level`, [n]: half the absolute error at the median."""
    error = np.asarray(observed) - np.asarray(quantile)
    return np.maximum(level * error, (level - 1) * error)


def crps_from_quantiles(observed: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score, [n], as twice the pinball loss integrated over the levels.

    Parameters
    ----------
    observed : [n]
    quantiles : [n, q]
    levels : [q], ascending; the integral is taken by midpoints between levels, the tails by the outermost one.
    """
    levels = np.asarray(levels, dtype=float)
    edges = np.r_[0.0, (levels[1:] + levels[:-1]) / 2, 1.0]
    losses = np.stack([pinball(observed, quantiles[:, i], level) for i, level in enumerate(levels)], axis=1)
    return 2 * losses @ np.diff(edges)


def winkler(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float) -> np.ndarray:
    """Interval score, [n]: the width, plus 2 / (1 - coverage) times the distance of what fell outside.

    Winkler, Journal of the American Statistical Association 67 (1972), 187-191.
    """
    miss = np.maximum(lower - observed, 0) + np.maximum(observed - upper, 0)
    return (upper - lower) + 2 / (1 - coverage) * miss


def conformal_over_origins(predictions: pd.DataFrame, coverage: float = 0.9, least: int = LEAST) -> pd.DataFrame:
    """Intervals from the errors at earlier origins, the same method for every arm.

    At each origin the absolute errors over `scale` that were observed up to it are ranked for each horizon (for all
    horizons together when there are fewer than `least` of one); their ceil(coverage (n + 1))-th smallest is the
    half-width (Vovk et al. 2005; over origins as in Stankeviciute, Alaa and van der Schaar, NeurIPS 2021).

    Returns
    -------
    DataFrame
        The table with `conformal_lower`, `conformal_upper` and `conformal_crps` (target units; of the distribution
        whose central intervals of coverage 10 % to 98 % are made in the same way); NaN at origins with fewer than
        `least` earlier errors.
    """
    unit = predictions["scale"].fillna(1.0).to_numpy(dtype=float)
    observed, predicted = (predictions[name].to_numpy(dtype=float) for name in ("observed", "predicted"))
    sizes = np.abs(observed - predicted) / unit
    half = np.full((len(predictions), len(CENTRAL) + 1), np.nan)  # [rows, coverages]
    wanted = (coverage, *CENTRAL)
    for rows in predictions.groupby(["arm", "target"], sort=False).indices.values():
        part = predictions.iloc[rows]
        times, horizons, folds = (part[name].to_numpy() for name in ("time", "horizon", "fold"))
        for fold in np.unique(folds):
            now = folds == fold
            earlier = (folds < fold) & (times <= part["origin"].to_numpy()[now].max())
            if earlier.sum() >= least:
                half[rows[now]] = _half_widths(sizes[rows[earlier]], horizons[earlier], horizons[now], wanted, least)
    width = half * unit[:, None]
    lower, upper = predicted[:, None] - width, predicted[:, None] + width
    quantiles = np.column_stack([lower[:, :0:-1], predicted, upper[:, 1:]])
    levels = np.r_[(1 - np.array(CENTRAL[::-1])) / 2, 0.5, (1 + np.array(CENTRAL)) / 2]
    crps = crps_from_quantiles(observed, quantiles, levels)
    return predictions.assign(conformal_lower=lower[:, 0], conformal_upper=upper[:, 0], conformal_crps=crps)


def _half_widths(
    sizes: np.ndarray, horizons: np.ndarray, wanted: np.ndarray, coverages: tuple[float, ...], least: int
) -> np.ndarray:
    """Half-widths of the rows that are judged now, [rows, coverages]."""

    def quantiles(sample: np.ndarray) -> np.ndarray:
        rank = np.ceil(np.array(coverages) * (len(sample) + 1)).astype(int)
        return np.sort(sample)[np.minimum(rank, len(sample)) - 1]

    together = quantiles(sizes)
    found = {h: quantiles(sizes[horizons == h]) for h in np.unique(wanted) if (horizons == h).sum() >= least}
    return np.stack([found.get(h, together) for h in wanted])


def interval_losses(predictions: pd.DataFrame, coverage: float) -> dict[str, np.ndarray]:
    """Every score of intervals that the table allows, as a loss of each row, [n]; NaN where there is no interval."""
    y, tail = predictions["observed"].to_numpy(dtype=float), (1 - coverage) / 2
    unit = predictions["scale"].fillna(1.0).to_numpy(dtype=float) if "scale" in predictions else np.ones(len(y))
    found: dict[str, np.ndarray] = {}
    for prefix, low, high in (("", "conformal_lower", "conformal_upper"), ("own_", "lower", "upper")):
        if low not in predictions or predictions[low].isna().all():
            continue
        lower, upper = predictions[low].to_numpy(dtype=float), predictions[high].to_numpy(dtype=float)
        there = np.isfinite(lower) & np.isfinite(upper)
        found[f"{prefix}coverage"] = np.where(there, (y >= lower) & (y <= upper), np.nan)
        found[f"{prefix}winkler"] = winkler(y, lower, upper, coverage) / unit
        found[f"{prefix}pinball"] = (pinball(y, lower, tail) + pinball(y, upper, 1 - tail)) / 2 / unit
        if not prefix:
            found["crps"] = predictions["conformal_crps"].to_numpy(dtype=float) / unit
    return found


def interval_score_table(predictions: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """Scores of the intervals of every arm over origins, in the form of `series_score_table`; see INTERVAL_METRICS.

    An origin without an interval (the first ones, for conformal ones) is left out, for all arms alike.
    """
    rows = []
    for arm, part in predictions.groupby("arm", sort=False):
        for name, loss in interval_losses(part, coverage).items():
            per_fold = _means(loss, part, ["repeat", "fold"])
            units = per_fold if len(per_fold) > 1 else _means(loss, part, ["series", "target"])
            rows.append((arm, name, *averaged(per_fold, units)))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def _means(loss: np.ndarray, part: pd.DataFrame, keys: list[str]) -> list[float]:
    return pd.Series(loss).groupby([part[key].to_numpy() for key in keys]).mean().dropna().tolist()


def interval_scores_by_horizon(predictions: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """The same scores at every step ahead, over all origins: arm, horizon, metric, value, n."""
    parts = []
    for arm, part in predictions.groupby("arm", sort=False):
        horizon = part["horizon"].to_numpy()
        for name, loss in interval_losses(part, coverage).items():
            grouped = pd.Series(loss).groupby(horizon)
            table = pd.DataFrame({"value": grouped.mean(), "n": grouped.count()}).rename_axis("horizon").reset_index()
            parts.append(table[table["n"] > 0].assign(arm=arm, metric=name))
    columns = ["arm", "horizon", "metric", "value", "n"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
