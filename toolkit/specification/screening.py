"""Which interactions are worth columns: pairs of variables ranked by what their cells explain of the residuals.

Every variable is cut into a few bins. One cross-product of the bin indicators gives the sums of weighted residuals
and of weights in all cells of all pairs at once; the score of a pair is the reduction in squared error by cell means
beyond
the two margins, less what noise alone would give (the idea of FAST, Lou et al., KDD 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from toolkit.specification.columns import Variable

__all__ = ["PairScore", "bin_codes", "screen_pairs"]

BINS = 8
ROWS = 30_000  # evenly spread rows used for screening


@dataclass(frozen=True)
class PairScore:
    """Strength of one pair: reduction in squared error per residual variance, minus its degrees of freedom."""

    first: str
    second: str
    score: float
    p_value: float


def screen_pairs(
    variables: tuple[Variable, ...], data: dict[str, np.ndarray], residual: np.ndarray, weight: np.ndarray | None
) -> list[PairScore]:
    """All pairs of variables, strongest first.

    Parameters
    ----------
    residual : ndarray, [n]
        Working residuals of the main effects.
    weight : ndarray, [n], optional
        Working weights.
    """
    from scipy.stats import chi2

    n = len(residual)
    rows = np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(int))
    r = residual[rows]
    w = np.ones(len(rows)) if weight is None else weight[rows]
    codes = {v.name: bin_codes(v, data[v.name][rows]) for v in variables}
    names = [v.name for v in variables if v.part != "missing"]
    width = {name: int(codes[name].max()) + 1 for name in names}
    starts = dict(zip(names, np.concatenate([[0], np.cumsum([width[name] for name in names])[:-1]]), strict=True))
    H = np.zeros((len(rows), sum(width.values())), dtype=np.float32)
    for name in names:
        H[np.arange(len(rows)), starts[name] + codes[name]] = 1
    weighted = (H * w[:, None].astype(np.float32)).T @ H  # cell weights
    sums = (H * (w * r)[:, None].astype(np.float32)).T @ H  # cell sums of weighted residuals
    variance = float(np.average(r**2, weights=w)) * float(w.mean()) / float(np.mean(w))
    scores = []
    for a, b in combinations(names, 2):
        cells = np.ix_(starts[a] + np.arange(width[a]), starts[b] + np.arange(width[b]))
        gain, df = cell_gain(sums[cells].astype(float), weighted[cells].astype(float))
        if df > 0:
            statistic = gain / max(variance, 1e-300)
            scores.append(PairScore(a, b, statistic - df, float(chi2.sf(statistic, df))))
    return sorted(scores, key=lambda pair: -pair.score)


def cell_gain(sums: np.ndarray, weights: np.ndarray) -> tuple[float, int]:
    """Reduction in weighted squared error by cell means beyond the margins, and its degrees of freedom."""
    filled = weights > 0
    means = np.divide(sums, weights, out=np.zeros_like(sums), where=filled)
    for _ in range(4):  # remove the margins: alternating weighted centring
        for axis in (0, 1):
            total = weights.sum(axis=axis, keepdims=True)
            centre = np.divide((weights * means).sum(axis=axis, keepdims=True), total, where=total > 0, out=0 * total)
            means = np.where(filled, means - centre, 0)
    rows, columns = filled.any(axis=1).sum(), filled.any(axis=0).sum()
    return float((weights * means**2).sum()), int(filled.sum() - rows - columns + 1)


def bin_codes(variable: Variable, values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Codes of a few bins, [n]: the commonest levels of a factor, quantiles of a number."""
    if variable.kind == "factor":
        return np.clip(np.where(values < 0, bins, values), 0, bins)
    distinct = np.unique(values)
    if len(distinct) <= bins + 4:
        return np.searchsorted(distinct, values)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")
