"""Statistics of one-step innovations: autocorrelation, ARCH, remaining season, unit root."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import gammaln, kv

from toolkit.diagnostics.least_squares import Partial, basis, partial_test

__all__ = ["Dependence", "arch_lm", "cramer_von_mises_tail", "kpss_level", "largest_root", "portmanteau", "seasonal_f"]

HARMONICS = 10  # Fourier pairs that describe a season; a longer season is smooth at this resolution


class Dependence(NamedTuple):
    statistic: float
    p_value: float
    lags: int
    autocorrelation: np.ndarray  # [lags]


def portmanteau(residual: np.ndarray, lags: int, model_df: int = 0) -> Dependence:
    """Ljung-Box on `lags` autocorrelations, chi-squared with `lags - model_df` degrees of freedom.

    Parameters
    ----------
    residual : ndarray, [n]
        One-step innovations in the order of time.
    model_df : int
        Coefficients of the dynamics that were estimated on these rows (p + q of an ARMA); 0 on rows that no
        coefficient has seen. Must be below `lags`.

    Notes
    -----
    Ljung and Box, Biometrika 65 (1978), 297-303; as `statsmodels.stats.diagnostic.acorr_ljungbox(model_df=...)`.
    """
    n = len(residual)
    centred = residual - residual.mean()
    r = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, lags + 1)]) / (centred @ centred)
    statistic = float(n * (n + 2) * np.sum(r**2 / (n - np.arange(1, lags + 1))))
    return Dependence(statistic, float(stats.chi2.sf(statistic, lags - model_df)), lags, r)


def arch_lm(residual: np.ndarray, lags: int, model_df: int = 0) -> tuple[float, float, float]:
    """Engle's LM statistic, its p-value, and the adjusted share of squared innovations that their lags explain.

    (n - model_df) R2 of the regression of e2 on a constant and its own lags, chi-squared with `lags` degrees of
    freedom (Engle, Econometrica 50, 1982, 987-1007; `statsmodels.stats.diagnostic.het_arch(ddof=model_df)`).
    """
    square = residual**2
    rows = np.arange(lags, len(square))
    y = square[rows]
    columns = np.column_stack([np.ones(len(rows)), *(square[rows - lag] for lag in range(1, lags + 1))])
    q = basis(columns / np.maximum(np.abs(columns).max(axis=0), 1e-300))
    rest = y - q @ (q.T @ y)
    total = float(np.sum((y - y.mean()) ** 2))
    if total <= 0:
        return 0.0, 1.0, 0.0
    explained = 1 - float(rest @ rest) / total
    n, k = len(rows), q.shape[1]
    share = max(0.0, 1 - (1 - explained) * (n - 1) / max(n - k, 1))
    statistic = (n - model_df) * explained
    return statistic, float(stats.chi2.sf(statistic, lags)), share


def seasonal_f(residual: np.ndarray, step: np.ndarray, period: int) -> Partial | None:
    """F test that seasonal Fourier terms explain none of the innovations.

    Parameters
    ----------
    step : ndarray of int, [n]
        Number of the row in its series; equal remainders by `period` are the same place in the season.
    """
    harmonics = np.arange(1, min(HARMONICS, period // 2) + 1)
    angle = 2 * np.pi * np.outer(step, harmonics) / period
    return partial_test(residual, basis(np.ones((len(step), 1))), np.c_[np.cos(angle), np.sin(angle)], robust=False)


def kpss_level(residual: np.ndarray) -> tuple[float, float]:
    """KPSS statistic for stationarity around a level, and its p-value.

    The bandwidth is that of Hobijn, Franses and Ooms (Statistica Neerlandica 58, 2004), as in statsmodels. The limit
    is the integral of a squared Brownian bridge, whose tail is that of the Cramer-von Mises statistic: the p-value is
    not confined to the table of Kwiatkowski et al. (Journal of Econometrics 54, 1992, 159-178).
    """
    from statsmodels.tsa.stattools import kpss

    statistic = float(_quiet(kpss, residual, regression="c", nlags="auto")[0])
    return statistic, cramer_von_mises_tail(statistic)


def cramer_von_mises_tail(x: float, terms: int = 20) -> float:
    """P(integral of a squared Brownian bridge > x); Anderson and Darling (1952), Annals of Math. Statistics 23, 193."""
    if x <= 0:
        return 1.0
    k = np.arange(terms)
    y = 4 * k + 1.0
    q = y**2 / (16 * x)
    with np.errstate(under="ignore"):
        weight = np.exp(gammaln(k + 0.5) - gammaln(k + 1.0)) / (np.pi**1.5 * np.sqrt(x))
        inside = float(np.sum(weight * np.sqrt(y) * np.exp(-q) * kv(0.25, q)))
    if inside < 1 - 1e-6:
        return float(np.clip(1 - inside, 0.0, 1.0))
    # Far out the sum rounds to one: the slowest term of the weighted chi-squared sum, pi^2 x of one degree, remains.
    return float(np.clip(np.sqrt(2) * stats.chi2.sf(np.pi**2 * x, 1), 0.0, 1e-6))


def largest_root(residual: np.ndarray) -> tuple[float, float]:
    """Sum of the autoregressive coefficients of the innovations, and the p-value of the null that it is 1 (ADF)."""
    from statsmodels.tsa.stattools import adfuller

    p_value, *_, stored = _quiet(adfuller, residual, regression="c", autolag="AIC", store=True)[1:]
    return 1 + float(stored.resols.params[0]), float(p_value)


def _quiet(ask, *given, **settings):
    """What the function returns, without its warnings about the ends of tables."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ask(*given, **settings)
