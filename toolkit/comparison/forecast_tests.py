"""Tests between forecasts in time order: Diebold-Mariano, Clark-West, Mincer-Zarnowitz, model confidence set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution
from scipy.stats import t

from toolkit.comparison.design import Design, cosine_covariance, cosine_terms, sum_covariance, unit_sums
from toolkit.comparison.estimate import CONFIDENCE
from toolkit.comparison.record import Test
from toolkit.comparison.rows import PairedRows

__all__ = [
    "clark_west",
    "diebold_mariano",
    "diebold_mariano_by_horizon",
    "fixed_b",
    "mincer_zarnowitz",
    "model_confidence_set",
    "unit_means",
]

SMALLEST = 4  # units below which a test of means has nothing to stand on
HORIZONS_SHOWN = 48  # with longer horizons, this many evenly spread ones are tested
ROUNDING = 1e-10  # a forecast that varies by less than this share of its level never changes
CONFIDENCE_SET_UNITS = 2_000  # longer sequences are averaged over neighbours before the bootstrap
CONFIDENCE_SET_DRAWS = 1_000
EQUAL = "the forecasts have the same expected loss"


def unit_means(paired: PairedRows, design: Design) -> np.ndarray:
    """Mean gain of each unit (origin, day), in time order: [units]."""
    sums = unit_sums(np.column_stack([paired.gain, np.ones(len(paired.gain))]), design.units, design.n)
    return sums[:, 0] / sums[:, 1]


def diebold_mariano(gain: np.ndarray, overlap: int = 1) -> dict[str, Any]:
    """Diebold-Mariano test with the correction of Harvey, Leybourne and Newbold.

    Parameters
    ----------
    gain : ndarray, [T]
        Loss differences in time order, first minus second arm.
    overlap : int
        Forecast horizon in units of the sequence: differences are MA(overlap - 1) when forecasts are optimal.

    Returns
    -------
    dict
        statistic, p_value, estimate, se, df, lags; statistic and p-value are None when nothing varies.

    Notes
    -----
    Newey-West variance with max(overlap - 1, ceil(T^(1/3))) lags, statistic times sqrt((T + 1 - 2h + h(h - 1)/T) / T),
    t distribution with T - 1 degrees of freedom: Harvey, Leybourne and Newbold, IJF 13 (1997), 281-291, in the variant
    of statsmodels' `diebold_mariano_test(harvey_adj=True)`.
    """
    gain = np.asarray(gain, dtype=float)
    n = len(gain)
    lags = int(min(max(overlap - 1, np.ceil(n ** (1 / 3))), n - 1))
    centred = gain - gain.mean()
    variance = centred @ centred
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag])
    correction = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n
    estimate = float(gain.mean())
    result = {"estimate": estimate, "df": n - 1, "lags": lags, "overlap": overlap}
    if not variance > 0 or not correction > 0:
        return result | {"statistic": None, "p_value": None, "se": 0.0}
    se = float(np.sqrt(variance / n**2 / correction))
    return result | {"statistic": estimate / se, "p_value": float(2 * t.sf(abs(estimate / se), n - 1)), "se": se}


def fixed_b(gain: np.ndarray, overlap: int = 1) -> dict[str, Any]:
    """Diebold-Mariano test with fixed-smoothing ("fixed-b") asymptotics: cosine variance and its t distribution.

    Lazarus, Lewis, Stock and Watson, JBES 36 (2018), 541-559; for Diebold-Mariano: Coroneo and Iacone, J. Applied
    Econometrics 35 (2020), 391-409. Same arguments and answer as `diebold_mariano`, with `terms` for `lags`.
    """
    gain = np.asarray(gain, dtype=float)
    n, estimate = len(gain), float(np.mean(gain))
    terms = cosine_terms(n, overlap)
    se = float(np.sqrt(cosine_covariance((gain - estimate)[:, None] / n, terms)[0, 0]))
    result = {"estimate": estimate, "df": terms, "terms": terms, "overlap": overlap, "se": se}
    if not se > 0:
        return result | {"statistic": None, "p_value": None}
    return result | {"statistic": estimate / se, "p_value": float(2 * t.sf(abs(estimate / se), terms))}


def _record(name: str, arms: tuple[str, str], found: dict[str, Any], n: int, **details: Any) -> Test:
    half = float(t.ppf(0.5 + CONFIDENCE / 2, found["df"])) * found["se"] if found["statistic"] is not None else None
    return Test(
        name,
        arms,
        EQUAL,
        found["statistic"],
        found["p_value"],
        found["estimate"],
        None if half is None else found["estimate"] - half,
        None if half is None else found["estimate"] + half,
        n,
        {**{k: found[k] for k in ("se", "df", "overlap", "lags", "terms") if k in found}, **details},
    )


def pooled_diebold_mariano(paired: PairedRows, design: Design) -> Test:
    """Diebold-Mariano-HLN on the mean loss difference of each origin or day."""
    gain = unit_means(paired, design)
    return _record(
        "diebold_mariano_hln", paired.arms, diebold_mariano(gain, design.overlap), len(gain), unit=design.unit
    )


def diebold_mariano_by_horizon(paired: PairedRows, design: Design) -> list[Test]:
    """One test per step ahead, over origins; with several series the loss differences are averaged over them first."""
    if "horizon" not in paired.frame or design.unit != "origins":
        return []
    horizon = paired.frame["horizon"].to_numpy()
    steps = np.unique(horizon)
    longest = steps.max()
    if len(steps) < 2:
        return []
    if len(steps) > HORIZONS_SHOWN:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, HORIZONS_SHOWN).round().astype(int))]
    tests = []
    for step in steps:
        at = horizon == step
        sums = unit_sums(np.column_stack([paired.gain[at], np.ones(at.sum())]), design.units[at], design.n)
        gain = sums[sums[:, 1] > 0, 0] / sums[sums[:, 1] > 0, 1]
        if len(gain) < SMALLEST:
            continue
        overlap = max(1, int(np.ceil(design.overlap * step / longest - 1e-9)))
        tests.append(
            _record(
                "diebold_mariano_hln",
                paired.arms,
                diebold_mariano(gain, overlap),
                len(gain),
                horizon=int(step),
                unit=design.unit,
            )
        )
        tests.append(
            _record(
                "diebold_mariano_fixed_b",
                paired.arms,
                fixed_b(gain, overlap),
                len(gain),
                horizon=int(step),
                unit=design.unit,
            )
        )
    return tests


def clark_west(paired: PairedRows, design: Design) -> Test:
    """Clark-West test for a larger model (second arm) that contains the smaller one (first arm).

    Mean of e1² - e2² + (f1 - f2)²: under the null the larger model only adds estimation noise, which the last term
    takes out; one-sided. Clark and West, Journal of Econometrics 138 (2007), 291-311.
    """
    first, second = paired.predicted.T
    adjusted = (paired.observed - first) ** 2 - (paired.observed - second) ** 2 + (first - second) ** 2
    estimate = float(paired.weight @ adjusted)
    variance, df, how = sum_covariance(paired.weight * (adjusted - estimate), design)
    se = float(np.sqrt(max(variance[0, 0], 0.0)))
    return Test(
        "clark_west",
        paired.arms,
        "the larger model does not lower the population mean squared error",
        estimate / se if se > 0 else None,
        float(t.sf(estimate / se, df)) if se > 0 else None,
        estimate,
        estimate - float(t.ppf(CONFIDENCE, df)) * se if se > 0 else None,
        None,
        design.n,
        {"one_sided": True, "se": se, "df": df, "covariance": how},
    )


def mincer_zarnowitz(paired: PairedRows, design: Design, side: int) -> Test:
    """Is the forecast calibrated? observed = a + b forecast, joint test of a = 0 and b = 1.

    Mincer and Zarnowitz (1969); clustered or serial covariance of the design, Hotelling's scaling of the Wald
    statistic. The estimate is b - 1.
    """
    arm, forecast = paired.arms[side], paired.predicted[:, side]
    null = "the forecast is calibrated: intercept 0 and slope 1"
    centre = float(paired.weight @ forecast)
    spread = float(np.sqrt(paired.weight @ (forecast - centre) ** 2))
    if not spread > ROUNDING * abs(centre):
        return Test(
            "mincer_zarnowitz",
            (arm, arm),
            null,
            None,
            None,
            None,
            None,
            None,
            design.n,
            {"arm": arm, "reason": "the forecast never changes"},
        )
    basis = np.column_stack([np.ones(len(forecast)), (forecast - centre) / spread])  # [n, 2], well conditioned
    inverse = np.linalg.inv(basis.T @ (paired.weight[:, None] * basis))
    errors = paired.observed - forecast
    coefficients = inverse @ (basis.T @ (paired.weight * errors))
    left = errors - basis @ coefficients
    meat, df, how = sum_covariance(paired.weight[:, None] * basis * left[:, None], design)
    covariance = inverse @ meat @ inverse
    slope, slope_se = coefficients[1] / spread, float(np.sqrt(covariance[1, 1])) / spread
    intercept = coefficients[0] - slope * centre
    details = {"arm": arm, "intercept": float(intercept), "slope": float(1 + slope), "covariance": how, "df": df}
    statistic = p = None
    if df >= 2 and np.linalg.matrix_rank(covariance) == 2:
        wald = float(coefficients @ np.linalg.solve(covariance, coefficients))
        statistic = wald * (df - 1) / (2 * df)
        p = float(f_distribution.sf(statistic, 2, df - 1))
    half = float(t.ppf(0.5 + CONFIDENCE / 2, df)) * slope_se
    return Test(
        "mincer_zarnowitz",
        (arm, arm),
        null,
        statistic,
        p,
        float(slope),
        float(slope - half),
        float(slope + half),
        design.n,
        details,
    )


def model_confidence_set(
    losses: pd.DataFrame, overlap: int = 1, ordered: bool = True, size: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """Arms that may be the best one: Hansen, Lunde and Nason, Econometrica 79 (2011), 453-497, by `arch`.

    Parameters
    ----------
    losses : DataFrame, [units, arms]
        Smaller is better; in time order when `ordered`.

    Returns
    -------
    DataFrame
        arm, p_value, included; included arms are not rejected as the best one at `size`.
    """
    from arch.bootstrap import MCS

    values = losses.to_numpy(dtype=float)
    size_of = int(np.ceil(len(values) / CONFIDENCE_SET_UNITS))
    if size_of > 1:
        kept = len(values) // size_of
        values = values[: kept * size_of].reshape(kept, size_of, -1).mean(axis=1)
        overlap = max(1, int(np.ceil(overlap / size_of)))
    block = max(overlap, int(np.ceil(len(values) ** (1 / 3)))) if ordered else 1
    unique = ~pd.DataFrame(values).T.duplicated().to_numpy()  # identical arms share their place
    columns = np.array(losses.columns)
    test = MCS(
        pd.DataFrame(values[:, unique], columns=columns[unique]),
        size=size,
        reps=CONFIDENCE_SET_DRAWS,
        block_size=min(block, len(values)),
        method="R",
        bootstrap="circular",
        seed=seed,
    )
    if unique.sum() > 1:
        test.compute()
        p = dict(zip(test.pvalues.index, test.pvalues["Pvalue"], strict=True))
    else:
        p = {columns[unique][0]: 1.0}
    for k in np.flatnonzero(~unique):
        twin = next(j for j in np.flatnonzero(unique) if np.array_equal(values[:, j], values[:, k]))
        p[columns[k]] = p[columns[twin]]
    return pd.DataFrame(
        [(arm, float(p[arm]), bool(p[arm] > size)) for arm in losses.columns], columns=["arm", "p_value", "included"]
    )
