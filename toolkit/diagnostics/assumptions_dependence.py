"""Are residuals independent? Durbin-Watson, Breusch-Godfrey, Ljung-Box, clusters."""

from __future__ import annotations

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.least_squares import basis, partial_test
from toolkit.diagnostics.view import ArmView

__all__ = [
    "breusch_godfrey",
    "check_breusch_godfrey",
    "check_cluster_correlation",
    "check_durbin_watson",
    "check_ljung_box",
    "durbin_watson",
    "intraclass_correlation",
    "ljung_box",
]


def durbin_watson(residual: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
    """Statistic and two-sided p-value by the normal approximation of `lmtest::dwtest(exact = FALSE)`.

    Parameters
    ----------
    residual : ndarray, [n]
        In the order of time.
    columns : ndarray, [n, k]
        Regressors with the constant: they move mean and variance of the statistic.
    """
    n = len(residual)
    statistic = float(np.sum(np.diff(residual) ** 2) / np.sum(residual**2))
    q = basis(columns)
    k = q.shape[1]
    # A is the second-difference matrix; with orthonormal q: tr(Q'AQ) and tr((Q'AQ)^2), tr(Q'AAQ)
    aq = _second_difference(q)
    inner = q.T @ aq
    p_trace = 2 * (n - 1) - np.trace(inner)
    q_trace = 2 * (3 * n - 4) - 2 * np.sum(aq**2) + np.sum(inner**2)
    mean = p_trace / (n - k)
    variance = 2 / ((n - k) * (n - k + 2)) * (q_trace - p_trace * mean)
    z = (statistic - mean) / np.sqrt(variance)
    return statistic, float(2 * stats.norm.sf(abs(z)))


def _second_difference(q: np.ndarray) -> np.ndarray:
    """A q, with A tridiagonal: 1, 2, ..., 2, 1 on the diagonal and -1 beside it."""
    out = 2 * q
    out[0] -= q[0]
    out[-1] -= q[-1]
    out[1:] -= q[:-1]
    out[:-1] -= q[1:]
    return out


def breusch_godfrey(
    residual: np.ndarray, columns: np.ndarray, order: int, series: np.ndarray | None = None
) -> tuple[float, float, float] | None:
    """LM statistic (n R2, chi-squared with `order` df), p-value and adjusted partial R2 of the lagged residuals.

    Lags before the first row are zero, as in `lmtest::bgtest`; with `series` (codes, rows sorted by series and time)
    lags do not cross from one series into the next.
    """
    lags = np.column_stack([_lag(residual, lag, series) for lag in range(1, order + 1)])
    base = basis(columns)
    found = partial_test(residual, base, lags, robust=False)
    if found is None:
        return None
    q = basis(np.column_stack([base, lags]))
    explained = float(np.sum((q.T @ residual) ** 2))
    statistic = len(residual) * explained / float(residual @ residual)
    return statistic, float(stats.chi2.sf(statistic, order)), found.share


def _lag(values: np.ndarray, lag: int, series: np.ndarray | None) -> np.ndarray:
    out = np.zeros_like(values)
    out[lag:] = values[:-lag]
    if series is not None:
        out[lag:][series[lag:] != series[:-lag]] = 0.0
    return out


def ljung_box(residual: np.ndarray, lags: int) -> tuple[float, float, np.ndarray]:
    """Statistic, p-value and autocorrelations [lags]."""
    n = len(residual)
    centred = residual - residual.mean()
    denominator = float(centred @ centred)
    r = np.array([float(centred[lag:] @ centred[:-lag]) / denominator for lag in range(1, lags + 1)])
    statistic = float(n * (n + 2) * np.sum(r**2 / (n - np.arange(1, lags + 1))))
    return statistic, float(stats.chi2.sf(statistic, lags)), r


def intraclass_correlation(residual: np.ndarray, groups: np.ndarray) -> tuple[float, float, float, float]:
    """One-way analysis of variance: F, p-value, intra-class correlation, design effect 1 + (m - 1) icc.

    m is the size-weighted mean group size, so that a few large groups count as they do in a clustered variance.
    """
    sizes = np.bincount(groups).astype(float)
    sums = np.bincount(groups, weights=residual)
    n, k = len(residual), int(np.sum(sizes > 0))
    sizes, sums = sizes[sizes > 0], sums[sizes > 0]
    between = float(np.sum(sums**2 / sizes) - residual.sum() ** 2 / n) / (k - 1)
    within = float(np.sum(residual**2) - np.sum(sums**2 / sizes)) / (n - k)
    typical = (n - np.sum(sizes**2) / n) / (k - 1)
    if within <= 0:
        return np.inf, 0.0, 1.0, float(np.sum(sizes**2) / n)
    f = between / within
    icc = max(0.0, (between - within) / (between + (typical - 1) * within))
    return f, float(stats.f.sf(f, k - 1, n - k)), icc, 1 + (float(np.sum(sizes**2)) / n - 1) * icc


def _why_not_ordered(view: ArmView) -> str:
    if not view.ordered:
        return "the rows have no order in time"
    if view.extra.get("multi_step"):
        return "errors of several steps ahead overlap by construction; see the checks of one-step innovations"
    return "" if view.n >= 30 else f"needs 30 rows in order, there are {view.n}"


def check_durbin_watson(view: ArmView) -> Check:
    entry = CATALOGUE["durbin_watson"]
    if why := _why_not_ordered(view):
        return entry.not_applicable(view.arm, why)
    if view.series is not None:
        return entry.not_applicable(view.arm, "there are several series; see Breusch-Godfrey, which lags within each")
    statistic, p_value = durbin_watson(view.pearson, view.base)
    rho = 1 - statistic / 2
    said = f"neighbouring residuals correlate with {rho:+.2f} (Durbin-Watson {statistic:.2f})"
    return entry.answer(view.arm, said, effect=abs(rho), statistic=statistic, p_value=p_value, details={"rho": rho})


def check_breusch_godfrey(view: ArmView) -> Check:
    entry = CATALOGUE["breusch_godfrey"]
    if why := _why_not_ordered(view):
        return entry.not_applicable(view.arm, why)
    order = int(min(10, view.n // 10))
    found = breusch_godfrey(view.pearson, view.base, order, view.series)
    if found is None:
        return entry.not_applicable(view.arm, f"too few rows ({view.n}) for {order} lags")
    statistic, p_value, share = found
    said = f"the last {order} residuals explain {share:.1%} of the residual variance"
    return entry.answer(view.arm, said, effect=share, statistic=statistic, p_value=p_value, details={"order": order})


def check_ljung_box(view: ArmView) -> Check:
    entry = CATALOGUE["ljung_box"]
    if why := _why_not_ordered(view):
        return entry.not_applicable(view.arm, why)
    if view.series is not None:
        return entry.not_applicable(view.arm, "there are several series; see Breusch-Godfrey, which lags within each")
    lags = int(min(10, view.n // 5))  # with 24 lags 200 rows reject 8 % at a nominal 5 %
    statistic, p_value, r = ljung_box(view.pearson, lags)
    worst = int(np.argmax(np.abs(r)))
    said = f"the largest of {lags} autocorrelations is {r[worst]:+.2f} at lag {worst + 1}"
    details = {"autocorrelation": r.tolist(), "lag": worst + 1, "band": 1.96 / np.sqrt(view.n)}
    return entry.answer(
        view.arm, said, effect=float(abs(r[worst])), statistic=statistic, p_value=p_value, details=details
    )


def check_cluster_correlation(view: ArmView) -> Check:
    entry = CATALOGUE["cluster_correlation"]
    if view.groups is None:
        return entry.not_applicable(view.arm, "the data name no groups")
    count = int(view.groups.max()) + 1
    if count > view.n - 5:
        return entry.not_applicable(view.arm, "almost every group has one row")
    f, p_value, icc, effect = intraclass_correlation(view.pearson, view.groups)
    hold = "hold" if effect < 1.05 else f"are {np.sqrt(effect):.1f} times too small"
    said = f"intra-class correlation {icc:.2f} over {count} groups: plain standard errors {hold}"
    return entry.answer(
        view.arm, said, effect=effect, statistic=f, p_value=p_value, details={"icc": icc, "groups": count}
    )
