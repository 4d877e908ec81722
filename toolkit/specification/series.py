"""What tests say about a series before a regression is written down: transform, differences, seasons."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from statsmodels.base.transform import BoxCox
from statsmodels.tsa.seasonal import MSTL, STL
from statsmodels.tsa.stattools import adfuller, kpss

__all__ = ["SeriesTests", "examine", "guerrero", "seasonal_strengths", "unit_root", "useful_power"]

ALPHA = 0.05
STRONG_SEASON = 0.64  # strength above which a seasonal difference is taken (Wang, Smith and Hyndman 2006; FPP3, 9.1)
MOST_DIFFERENCES = 2
LEVELS_APART = 1.5  # highest mean of a stretch over the lowest, below which no power is taken
MOST_VALUES = 1_000  # the newest, for the tests of unit roots: more cost seconds and change nothing in the answer
MOST_SEASONS = 10  # of the longest period, the newest, for the decomposition
LONGEST_STL = 400  # steps of a season that is decomposed by local regressions


@dataclass(frozen=True)
class SeriesTests:
    """Answers for one series; NaN where a test cannot be asked, because the series is constant or too short.

    Attributes
    ----------
    power : float
        Box-Cox power that evens out the spread of the seasons (Guerrero 1993); NaN when a value is not above 0.
    useful_power : float
        The power to take, see `useful_power`.
    strengths : dict of int to float
        Seasonal period -> strength between 0 and 1, 1 - var(rest) / var(season + rest).
    trend : float
        The same of the trend.
    adf_p_value, kpss_p_value : float
        After the seasonal difference, where one is advised. Nulls: a unit root; a stationary series.
    differences : int
        First differences until the two tests no longer agree on a unit root.
    seasonal_difference : int
        The period of the strongest season where its strength exceeds .64, else 0.
    """

    power: float
    useful_power: float = 1.0
    strengths: dict[int, float] = field(default_factory=dict)
    trend: float = np.nan
    adf_p_value: float = np.nan
    kpss_p_value: float = np.nan
    differences: int = 0
    seasonal_difference: int = 0


def examine(y: np.ndarray, periods: Sequence[int] = ()) -> SeriesTests:
    """All tests of one series.

    Parameters
    ----------
    y : ndarray, [n]
        Without missing values, in target units.
    periods : sequence of int
        Seasonal periods in steps; those of which y holds fewer than two are passed over.
    """
    y = np.asarray(y, dtype=float)
    power, use = guerrero(y, min(periods, default=0)), useful_power(y, min(periods, default=0))
    if len(y) < 8 or np.ptp(y) == 0:
        return SeriesTests(power, use)
    strengths, trend = seasonal_strengths(y, periods)
    strongest = max(strengths, key=strengths.__getitem__, default=0)
    lag = strongest if strengths.get(strongest, 0.0) > STRONG_SEASON else 0
    z = y[lag:] - y[:-lag] if lag else y
    first = found = unit_root(z)
    count = 0
    while found["unit_root"] and count < MOST_DIFFERENCES:
        count += 1
        found = unit_root(np.diff(z, n=count))
    return SeriesTests(power, use, strengths, trend, first["adf_p_value"], first["kpss_p_value"], count, lag)


def guerrero(y: np.ndarray, period: int = 0) -> float:
    """Box-Cox power between -1 and 2 for which spread and level of the seasons have nothing to do with each other.

    Parameters
    ----------
    y : ndarray, [n]
    period : int
        Length of the stretches whose spreads are compared; 2 without a season, as `forecast::BoxCox.lambda` does.

    Returns
    -------
    float
        NaN with a value at or below 0, or fewer than two whole stretches with a spread.

    References
    ----------
    Guerrero, Journal of Forecasting 12 (1993), 37-48.
    """
    window = max(int(period), 2)
    y = np.asarray(y, dtype=float)
    groups = len(y) // window
    if groups < 2 or y.min() <= 0:
        return np.nan
    spread = y[len(y) - groups * window :].reshape(groups, window).std(axis=1, ddof=1)
    if np.count_nonzero(spread) < 2:
        return np.nan
    return float(BoxCox().transform_boxcox(y, method="guerrero", window_length=window)[1])


def seasonal_strengths(y: np.ndarray, periods: Sequence[int]) -> tuple[dict[int, float], float]:
    """(period -> strength of that season, strength of the trend), from STL or, with several periods, MSTL.

    A season of more than 400 steps, such as the year of hourly values, is measured on the means of the shortest one, as
    three pairs of sines and cosines beside a straight line: the local regressions of STL would take minutes.

    References
    ----------
    Wang, Smith and Hyndman, Data Mining and Knowledge Discovery 13 (2006), 335-364; FPP3, section 4.3.
    """
    y = np.asarray(y, dtype=float)
    usable = sorted({int(p) for p in periods if p > 1 and len(y) >= 2 * p + 2})
    short = [p for p in usable if p <= LONGEST_STL]
    if not short:
        return {p: _harmonic_strength(y, p, 1) for p in usable}, np.nan
    newest = y[-MOST_SEASONS * short[-1] :]
    jump = max(short[0] // 10, 1)  # local regressions at every so many steps, interpolated between, as R does
    jumps = {"trend_jump": jump, "low_pass_jump": jump}
    if len(short) == 1:
        parts = STL(newest, period=short[0], **jumps).fit()
        seasons = np.asarray(parts.seasonal)[:, None]
    else:
        parts = MSTL(newest, periods=tuple(short), stl_kwargs=jumps).fit()
        seasons = np.asarray(parts.seasonal).reshape(len(newest), -1)
    rest = np.asarray(parts.resid)
    strengths = {period: _strength(seasons[:, k], rest) for k, period in enumerate(short)}
    strengths |= {p: _harmonic_strength(y, p, short[0]) for p in usable if p > LONGEST_STL}
    return strengths, _strength(np.asarray(parts.trend), rest)


def _harmonic_strength(y: np.ndarray, period: int, block: int) -> float:
    """Strength of three harmonics of a period beside a straight line, in means of `block` values."""
    count = len(y) // block
    means = y[len(y) - count * block :].reshape(count, block).mean(axis=1)
    t = np.arange(count)
    angle = 2 * np.pi * t[:, None] * np.arange(1, 4) * block / period
    waves = np.column_stack([np.sin(angle), np.cos(angle)])
    X = np.column_stack([np.ones(count), t / count, waves])
    beta = np.linalg.lstsq(X, means, rcond=None)[0]
    return _strength(waves @ beta[2:], means - X @ beta)


def _strength(part: np.ndarray, rest: np.ndarray) -> float:
    both = float(np.var(part + rest))
    return max(0.0, 1.0 - float(np.var(rest)) / both) if both > 0 else 0.0


def unit_root(y: np.ndarray, alpha: float = ALPHA) -> dict[str, float | bool]:
    """ADF (null: unit root) and KPSS (null: stationary) of one series; a unit root is concluded when both say so.

    Returns
    -------
    dict
        adf_p_value, kpss_p_value (NaN for a constant or very short series), unit_root.
    """
    y = np.asarray(y, dtype=float)[-MOST_VALUES:]
    if len(y) < 8 or np.ptp(y) < 1e-12 * max(1.0, float(np.abs(y).max())):
        return {"adf_p_value": np.nan, "kpss_p_value": np.nan, "unit_root": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # KPSS warns when its p-value lies beyond the table
        p_adf, p_kpss = float(adfuller(y, autolag="AIC")[1]), float(kpss(y, nlags="auto")[1])
    return {"adf_p_value": p_adf, "kpss_p_value": p_kpss, "unit_root": bool(p_adf > alpha and p_kpss < alpha)}


def useful_power(y: np.ndarray, period: int = 0) -> float:
    """A Box-Cox power for use: Guerrero's between 0 (log) and 1 (none), to one decimal.

    1 where none can be found, and where the level of the series changes so little that a power would change nothing but
    the units: of ten stretches of the series the highest mean must be at least 1.5 times the lowest. Forecasts can hit
    the upper limit that negative powers have; powers above 1 spread small values.
    """
    power = guerrero(y, period)
    if np.isnan(power):
        return 1.0
    means = [part.mean() for part in np.array_split(np.asarray(y, dtype=float), 10) if len(part)]
    return round(float(np.clip(power, 0.0, 1.0)), 1) if max(means) >= LEVELS_APART * min(means) else 1.0
