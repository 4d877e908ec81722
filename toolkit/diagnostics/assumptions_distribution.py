"""Normality where it matters, and the joint distribution of several targets."""

from __future__ import annotations

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.view import ArmView

__all__ = [
    "anderson_darling",
    "check_anderson_darling",
    "check_jarque_bera",
    "check_multivariate_normality",
    "check_residual_correlation",
    "jarque_bera",
    "lm_independence",
    "mardia",
]

ENOUGH_ROWS = 500  # from here on coefficients are normal whatever the residuals are: Lumley et al. (2002)


def jarque_bera(residual: np.ndarray) -> tuple[float, float, float, float]:
    """Statistic, p-value, skewness and excess kurtosis (as `tseries::jarque.bera.test`)."""
    centred = residual - residual.mean()
    variance = float(np.mean(centred**2))
    skewness = float(np.mean(centred**3)) / variance**1.5
    excess = float(np.mean(centred**4)) / variance**2 - 3
    statistic = len(residual) * (skewness**2 / 6 + excess**2 / 24)
    return statistic, float(stats.chi2.sf(statistic, 2)), skewness, excess


def anderson_darling(residual: np.ndarray) -> tuple[float, float]:
    """A2 with estimated mean and variance, and its p-value (as `nortest::ad.test`, Stephens 1986)."""
    n = len(residual)
    z = np.sort((residual - residual.mean()) / residual.std(ddof=1))
    i = np.arange(1, n + 1)
    a2 = -n - float(np.mean((2 * i - 1) * (stats.norm.logcdf(z) + stats.norm.logsf(z[::-1]))))
    a = (1 + 0.75 / n + 2.25 / n**2) * a2
    if a < 0.2:
        p = 1 - np.exp(-13.436 + 101.14 * a - 223.73 * a**2)
    elif a < 0.34:
        p = 1 - np.exp(-8.318 + 42.796 * a - 59.938 * a**2)
    elif a < 0.6:
        p = np.exp(0.9177 - 4.279 * a - 1.38 * a**2)
    elif a < 10:
        p = np.exp(1.2937 - 5.709 * a + 0.0186 * a**2)
    else:
        p = 3.7e-24
    return a2, float(p)


def _why_not(view: ArmView) -> str:
    if view.family != "gaussian":
        return f"a {view.family} residual is not normal by nature; see quantile residuals"
    return ""


def _matters(view: ArmView) -> tuple[str, str]:
    """Cap of the verdict, and the words that go with it."""
    if view.n >= ENOUGH_ROWS:
        return "notice", f" (with {view.n:,} rows it matters for intervals only)"
    return "poor", ""


def check_jarque_bera(view: ArmView) -> Check:
    entry = CATALOGUE["jarque_bera"]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    statistic, p_value, skewness, excess = jarque_bera(view.residual)
    cap, note = _matters(view)
    effect = max(abs(skewness) / 2, abs(excess) / 7)
    said = f"skewness {skewness:+.2f}, excess kurtosis {excess:+.2f}{note}"
    details = {"skewness": skewness, "excess_kurtosis": excess}
    return entry.answer(
        view.arm, said, effect=effect, statistic=statistic, p_value=p_value, at_most=cap, details=details
    )


def check_anderson_darling(view: ArmView) -> Check:
    entry = CATALOGUE["anderson_darling"]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    statistic, p_value = anderson_darling(view.residual)
    z = (view.residual - view.residual.mean()) / view.residual.std(ddof=1)
    low, high = float(np.mean(z < -1.96)), float(np.mean(z > 1.96))
    cap, note = _matters(view)
    said = f"of a nominal 95 % interval {low:.1%} fall below and {high:.1%} above, 2.5 % each if normal{note}"
    effect = 100 * (abs(low - 0.025) + abs(high - 0.025))
    return entry.answer(view.arm, said, effect=effect, statistic=statistic, p_value=p_value, at_most=cap)


def mardia(residuals: np.ndarray) -> tuple[float, float, float, float]:
    """Mardia's skewness statistic and p-value, kurtosis b2 and its two-sided p-value.

    Parameters
    ----------
    residuals : ndarray, [n, k]

    Notes
    -----
    Skewness sums over all pairs of rows through third moments: with whitened z it is the sum of squared means of
    z_a z_b z_c over all a, b, c, which needs no n x n table.
    """
    n, k = residuals.shape
    centred = residuals - residuals.mean(axis=0)
    covariance = centred.T @ centred / n
    z = np.linalg.solve(np.linalg.cholesky(covariance), centred.T).T
    b1 = sum(float(np.sum(((z * z[:, [a]]).T @ z / n) ** 2)) for a in range(k))
    statistic = n * b1 / 6
    b2 = float(np.mean(np.sum(z**2, axis=1) ** 2))
    standard = (b2 - k * (k + 2)) / np.sqrt(8 * k * (k + 2) / n)
    df = k * (k + 1) * (k + 2) / 6
    return statistic, float(stats.chi2.sf(statistic, df)), b2, float(2 * stats.norm.sf(abs(standard)))


def lm_independence(residuals: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Breusch-Pagan (1980): n times the sum of squared correlations, p-value, correlations [k, k]."""
    n, k = residuals.shape
    r = np.corrcoef(residuals, rowvar=False)
    statistic = n * float(np.sum(np.tril(r, -1) ** 2))
    return statistic, float(stats.chi2.sf(statistic, k * (k - 1) / 2)), r


def check_multivariate_normality(arm: str, residuals: np.ndarray, targets: tuple[str, ...], family: str) -> Check:
    """`residuals` [n, k], one column per target."""
    entry = CATALOGUE["multivariate_normality"]
    if why := _why_not_joint(residuals, targets, family):
        return entry.not_applicable(arm, why)
    k = len(targets)
    skewness, p_skewness, b2, p_kurtosis = mardia(residuals)
    effect = abs(b2 / (k * (k + 2)) - 1)
    said = f"Mardia's kurtosis is {b2:.1f}, {k * (k + 2)} if jointly normal"
    details = {"skewness_statistic": skewness, "skewness_p": p_skewness}
    return entry.answer(
        arm, said, effect=effect, statistic=b2, p_value=min(1.0, 2 * min(p_kurtosis, p_skewness)), at_most="notice",
        details=details,
    )  # fmt: skip


def check_residual_correlation(arm: str, residuals: np.ndarray, targets: tuple[str, ...], family: str) -> Check:
    """`residuals` [n, k], one column per target."""
    entry = CATALOGUE["residual_correlation"]
    if why := _why_not_joint(residuals, targets, "gaussian"):
        return entry.not_applicable(arm, why)
    statistic, p_value, r = lm_independence(residuals)
    lower = np.abs(np.tril(r, -1))
    a, b = np.unravel_index(int(np.argmax(lower)), lower.shape)
    said = f"residuals of {targets[a]} and {targets[b]} correlate with {r[a, b]:+.2f}"
    return entry.answer(
        arm, said, effect=float(lower[a, b]), statistic=statistic, p_value=p_value, at_most="notice",
        details={"correlations": r.tolist(), "targets": list(targets)},
    )  # fmt: skip


def _why_not_joint(residuals: np.ndarray, targets: tuple[str, ...], family: str) -> str:
    if len(targets) < 2:
        return "there is one target"
    if family != "gaussian":
        return f"a {family} residual is not normal by nature"
    if len(residuals) < 10 * len(targets):
        return f"needs {10 * len(targets)} rows, there are {len(residuals)}"
    spread = residuals.std(axis=0)
    if np.any(spread <= 0) or np.linalg.matrix_rank(residuals / np.maximum(spread, 1e-300)) < len(targets):
        return "the residuals of the targets are linearly dependent"
    return ""
