"""Numbers behind the pictures: smooths with a band, group means, and which rows are drawn when there are too many."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["by_level", "feature_telling", "level_codes", "limits", "smooth", "thin"]

BINS = 200  # the smooth works on quantile bins, so a million rows cost one sort
GRID = 80
BANDWIDTH = 0.06  # of the axis in ranks: about 12 % of the rows have weight at any point
Z = 1.96  # 95 % pointwise band


def thin(n: int, most: int, seed: int = 0) -> np.ndarray:
    """Positions of at most `most` of `n` rows, drawn without replacement."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def smooth(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Local linear smooth of y on x with a pointwise 95 % band.

    Parameters
    ----------
    x, y : ndarray, [n]
        Finite values.

    Returns
    -------
    grid, mean, lower, upper : ndarray, [g], or None for fewer than 10 rows or a constant x.

    Notes
    -----
    Local linear regression with a Gaussian kernel on the rank scale (Fan and Gijbels 1996, ch. 3), on quantile bins;
    the standard error comes from the variance of y inside the bins.
    """
    if len(x) < 10 or np.ptp(x) == 0:
        return None
    edges = np.unique(np.quantile(x, np.linspace(0, 1, min(BINS, max(len(x) // 5, 4)) + 1)))
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(bins, minlength=len(edges) - 1).astype(float)
    kept = count > 0
    if kept.sum() < 3:
        return None
    count = count[kept]
    centre = np.bincount(bins, x, len(edges) - 1)[kept] / count
    mean = np.bincount(bins, y, len(edges) - 1)[kept] / count
    spread = np.maximum(np.bincount(bins, y * y, len(edges) - 1)[kept] / count - mean**2, 0)
    # A bin of one row has no spread of its own: it borrows the average one.
    variance = np.where(count > 2, spread, np.average(spread, weights=count)) / count
    rank = (np.cumsum(count) - count / 2) / count.sum()
    at = np.linspace(rank[0], rank[-1], min(GRID, len(rank)))
    distance = rank[None, :] - at[:, None]  # [g, bins]
    weight = count * np.exp(-0.5 * (distance / BANDWIDTH) ** 2)
    s0, s1, s2 = weight.sum(1), (weight * distance).sum(1), (weight * distance**2).sum(1)
    row = weight * (s2[:, None] - s1[:, None] * distance)
    row /= np.maximum(s0 * s2 - s1**2, 1e-300)[:, None]
    fitted, se = row @ mean, np.sqrt(row**2 @ variance)
    return np.interp(at, rank, centre), fitted, fitted - Z * se, fitted + Z * se


def by_level(labels: pd.Series, y: np.ndarray, most: int = 12) -> pd.DataFrame:
    """Mean and standard error of y for each level, the `most` most frequent ones; [levels: level, n, mean, se]."""
    codes, names = level_codes(labels)
    table = pd.DataFrame({"code": codes, "y": y}).groupby("code")["y"].agg(["size", "mean", "std"])
    found = table.set_axis(["n", "mean", "sd"], axis=1).reset_index()
    found.insert(0, "level", [names[code] for code in found.pop("code")])
    found["se"] = found["sd"].fillna(0) / np.sqrt(found["n"])
    kept = found.nlargest(most, "n", keep="first").index
    return found.loc[sorted(kept)].drop(columns="sd").reset_index(drop=True)


def level_codes(labels: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Code of every row, [n], and the text of each level in sorted order; missing values are a level of their own."""
    codes, levels = pd.factorize(labels)
    names = [str(level) for level in levels] + ["(missing)"]
    codes = np.where(codes < 0, len(levels), codes)
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), dtype=int)
    place[order] = np.arange(len(names))
    return place[codes], [names[i] for i in order]


def limits(*parts: np.ndarray, cut: float = 0.002) -> tuple[float, float]:
    """Axis limits that hold all but the outermost `cut` of each side, the same for every panel of a row."""
    values = np.concatenate([np.zeros(0), *(np.asarray(part, dtype=float).ravel() for part in parts)])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return -1.0, 1.0
    low, high = np.quantile(values, [cut, 1 - cut]) if values.size > 500 else (values.min(), values.max())
    pad = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    return float(low - pad), float(high + pad)


def feature_telling(values: pd.Series, residual: np.ndarray) -> float:
    """Share of the residual variance that the bins of a feature explain, corrected for their number."""
    codes = values
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > 20:
        codes = pd.qcut(values, 20, labels=False, duplicates="drop")
    elif pd.api.types.is_datetime64_any_dtype(values):
        codes = pd.qcut(values.astype("int64"), 20, labels=False, duplicates="drop")
    codes = pd.factorize(codes.astype("string").fillna("(missing)"))[0]
    count = np.bincount(codes)
    groups, n, total = len(count), len(residual), float(np.var(residual)) * len(residual)
    if groups < 2 or n <= groups + 1 or total == 0:
        return 0.0
    means = np.bincount(codes, residual) / np.maximum(count, 1)
    between = float(np.sum(count * (means - residual.mean()) ** 2))
    return 1 - (total - between) / total * (n - 1) / (n - groups)
