"""Several targets together: vector autoregression, in differences or with error correction, by tests (statsmodels)."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator
from statsmodels.tsa.api import VAR, VECM
from statsmodels.tsa.vector_ar.vecm import select_coint_rank

from toolkit.data.series import SeriesData
from toolkit.errors import InputError, unknown
from toolkit.models.forecast_frames import answer, fill_missing, series_rows
from toolkit.models.forecasting_channels import TRANSFORMS, BoxCox, named_power
from toolkit.specification.series import unit_root, useful_power

__all__ = ["VectorAutoregression"]

FORMS = ("levels", "differences", "vecm")
MEAN_METRICS = ("rmse", "mse", "rmsse")


class VectorAutoregression(BaseEstimator):
    """VAR in levels, VAR in differences or VECM of all targets of each series.

    Levels when no target has a unit root; otherwise a VECM with the cointegration rank of Johansen's trace test, or
    differences where that rank is 0.

    Parameters
    ----------
    horizon : int
    metric : str
        A mean (rmse, mse, rmsse) or a median (all others) is forecast, which differ under logarithms.
    form : "auto", "levels", "differences" or "vecm"
    transform : "auto", "none" or "log"
        Logarithms of all targets; "auto" takes them when all values are above 0 and the powers of Guerrero lie nearer
        to 0 than to 1.
    most_lags : int
        Of the order in levels, chosen by AIC.
    coverage : float
    """

    def __init__(
        self,
        horizon: int = 1,
        metric: str = "mase",
        form: str = "auto",
        transform: str = "auto",
        most_lags: int = 8,
        coverage: float = 0.9,
    ):
        self.horizon = horizon
        self.metric = metric
        self.form = form
        self.transform = transform
        self.most_lags = most_lags
        self.coverage = coverage

    def fit(self, history: SeriesData) -> VectorAutoregression:
        """Choose form, order and rank of every series and estimate.

        Raises
        ------
        InputError
            With a single target, or too few rows.
        """
        if len(history.targets) < 2:
            raise InputError(f"arm var needs several targets; there is one, '{history.targets[0]}'")
        if self.form not in ("auto", *FORMS):
            raise unknown("form", self.form, ("auto", *FORMS))
        self.fits_ = {name: self._fit_one(y, history.targets, name) for name, y in _matrices(history)}
        first = next(iter(self.fits_.values()))
        white = first["whiteness"]
        self.fit_info_ = {
            "formula": first["formula"],
            "parameters": first["parameters"],
            "stable": first["stable"],
            "rank": first["rank"],
            "frozen": {"form": first["form"], "transform": named_power(first["transform"].power)},
            "tables": [
                {"title": "Unit roots", "rows": [{"target": t, **row} for t, row in first["unit_roots"].items()]},
                {"title": "Cointegration rank (Johansen's trace test)", "rows": first["johansen"]},
                {"title": "Granger causality (null: the lags of the cause add nothing)", "rows": first["granger"]},
            ],
            "notes": [
                f"largest root {first['largest_root']:.3f}: the system is {'' if first['stable'] else 'not '}stable",
                f"residuals, null of no autocorrelation up to lag {white['lags']}: p = {white['p_value']:.3f}",
                *([f"tables are of the first of {len(self.fits_)} series"] if len(self.fits_) > 1 else []),
            ],
        }
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast with the coefficients learned in `fit` from the newest rows of `past`."""
        predicted, intervals = {}, {}
        for name, y in _matrices(past):
            if name not in self.fits_:
                continue
            path, spread = self._path(self.fits_[name], y)
            half, back = norm.ppf(0.5 + self.coverage / 2) * spread, self.fits_[name]["transform"].back
            middle = back(path, spread**2 if self.metric in MEAN_METRICS else 0.0)
            for k, target in enumerate(past.targets):
                predicted[name, target] = middle[:, k]
                intervals[name, target] = (back(path - half)[:, k], back(path + half)[:, k])
        return answer(past, future, predicted, intervals)

    def fitted_one_step(self, past: SeriesData) -> dict[tuple[Any, str], tuple[np.ndarray, int]]:
        """In-sample forecasts one step ahead, and the lags of an equation."""
        return {key: (path, self.fits_[key[0]]["order"]) for key, path in self._one_step(past).items()}

    def forecast_one_step(self, data: SeriesData, rows: dict[Any, int]) -> dict[tuple[Any, str], np.ndarray]:
        """The latest `rows` of each series, each from everything before it, with the coefficients as they are."""
        return {key: path[-rows[key[0]] :] for key, path in self._one_step(data).items()}

    def _one_step(self, data: SeriesData) -> dict[tuple[Any, str], np.ndarray]:
        """One step ahead at every row, target units; NaN where lags are missing."""
        found = {}
        for name, y in _matrices(data):
            if name not in self.fits_:
                continue
            fit = self.fits_[name]
            z, A, differenced = fit["transform"](y), fit["coefficients"], fit["form"] == "differences"
            used, order = np.diff(z, axis=0) if differenced else z, len(A)
            path = np.full_like(z, np.nan)
            lagged = sum(used[order - 1 - i : len(used) - 1 - i] @ A[i].T for i in range(order))
            path[len(z) - len(lagged) :] = fit["constant"] + lagged
            path = fit["transform"].back(path + np.r_[z[:1], z[:-1]] if differenced else path)
            found |= {(name, target): path[:, k] for k, target in enumerate(data.targets)}
        return found

    def _fit_one(self, y: np.ndarray, targets: tuple[str, ...], name: Any) -> dict[str, Any]:
        n, k = y.shape
        if n < 3 * (k + 2):
            raise InputError(f"series '{name}' has {n} rows, too few for a system of {k} targets")
        constant = [target for target, column in zip(targets, y.T, strict=True) if np.ptp(column) == 0]
        if constant:
            raise InputError(f"series '{name}': target '{constant[0]}' is constant before the origin; leave it out")
        transform = self._transform(y, targets, name)
        y = transform(y)
        lags = max(1, min(self.most_lags, (n // 3 - 1) // k))
        roots = {target: unit_root(y[:, i]) for i, target in enumerate(targets)}
        levels = _order(y, lags)
        form, rank, johansen = self.form, 0, []
        if form in ("auto", "vecm") and (form == "vecm" or any(root["unit_root"] for root in roots.values())):
            rank, johansen = _rank(y, levels - 1)
            if form == "auto":
                form = "vecm" if 0 < rank < k else "levels" if rank == k else "differences"
        form = "levels" if form == "auto" else form
        fit = _estimate(form, y, targets, lags, max(rank, 1))
        label = {
            "levels": f"VAR({fit['order']})",
            "differences": f"VAR({fit['order']}) in first differences",
            "vecm": f"VECM, {fit['order'] - 1} lagged differences, cointegration rank {max(rank, 1)}",
        }[form]
        logs = " of logarithms" if transform.power == 0 else ""
        return {
            **fit, "form": form, "transform": transform, "rank": rank, "unit_roots": roots, "johansen": johansen,
            "formula": f"{label}{logs}: {', '.join(targets)}",
            "parameters": int(fit["coefficients"].size + k),
        }  # fmt: skip

    def _transform(self, y: np.ndarray, targets: tuple[str, ...], name: Any) -> BoxCox:
        """Logarithms of all targets or of none."""
        lowest = int(np.argmin(y.min(axis=0)))
        if self.transform not in ("auto", *TRANSFORMS):
            raise unknown("transform", self.transform, ("auto", *TRANSFORMS))
        if self.transform == "log" and y[:, lowest].min() <= 0:
            raise InputError(
                f"transform 'log' needs values above 0; '{targets[lowest]}' of series '{name}' has "
                f"{y[:, lowest].min():g}: take transform: none"
            )
        if self.transform != "auto":
            return BoxCox(TRANSFORMS[self.transform])
        powers = [useful_power(column) for column in y.T]
        return BoxCox(0.0 if y.min() > 0 and np.median(powers) < 0.5 else 1.0)

    def _path(self, fit: dict[str, Any], y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(median [horizon, k], standard deviation [horizon, k]) of the transformed levels."""
        A, differenced = fit["coefficients"], fit["form"] == "differences"
        y = fit["transform"](y)
        z = list(np.diff(y, axis=0) if differenced else y)
        order, k = A.shape[0], A.shape[1]
        impulse, spread, total = [np.eye(k)], [], np.zeros((k, k))
        response = np.eye(k)
        for step in range(self.horizon):
            z.append(fit["constant"] + sum(A[i] @ z[-1 - i] for i in range(order)))
            if step:
                impulse.append(sum(impulse[step - 1 - i] @ A[i] for i in range(min(order, step))))
                response = response + impulse[step] if differenced else impulse[step]
            total = total + response @ fit["sigma"] @ response.T
            spread.append(np.sqrt(np.diag(total)))
        path = np.array(z[-self.horizon :])
        return (y[-1] + np.cumsum(path, axis=0) if differenced else path), np.array(spread)


def _order(y: np.ndarray, lags: int) -> int:
    """Lag order of a VAR by AIC, at least 1."""
    return max(1, int(VAR(y).select_order(lags).selected_orders["aic"]))


def _rank(y: np.ndarray, differences: int) -> tuple[int, list[dict[str, Any]]]:
    """Cointegration rank by Johansen's trace test at 5 %, and the steps to it."""
    found = select_coint_rank(y, 0, differences)
    steps = [
        {"null": f"rank at most {r}", "trace": float(statistic), "critical_5": float(critical)}
        for r, (statistic, critical) in enumerate(zip(found.test_stats, found.crit_vals, strict=True))
    ]
    return int(found.rank), steps


def _estimate(form: str, y: np.ndarray, targets: tuple[str, ...], lags: int, rank: int) -> dict[str, Any]:
    """Order, coefficients [order, k, k], constant [k], covariance [k, k], stability and tests of one form."""
    if form == "vecm":
        order = _order(y, lags)
        fit: Any = VECM(y, k_ar_diff=order - 1, coint_rank=rank, deterministic="co").fit()
        representation, constant, sigma = fit.var_rep, np.asarray(fit.det_coef)[:, 0], fit.sigma_u

        def granger(effect: int, cause: int) -> Any:
            return fit.test_granger_causality(caused=effect, causing=cause)
    else:
        used = np.diff(y, axis=0) if form == "differences" else y
        order = _order(used, lags)
        fit = VAR(used).fit(order)
        representation, constant, sigma = fit.coefs, fit.intercept, fit.sigma_u

        def granger(effect: int, cause: int) -> Any:
            return fit.test_causality(effect, [cause], kind="f")

    roots = np.linalg.eigvals(_companion(np.asarray(representation)))
    # A VECM has as many roots at 1 as common trends; they are those nearest to it.
    trends = y.shape[1] - rank if form == "vecm" else 0
    free = np.abs(roots[np.argsort(np.abs(roots - 1))[trends:]])
    largest = float(free.max(initial=0.0))
    white = fit.test_whiteness(nlags=order + 6, adjusted=True)
    return {
        "order": order,
        "coefficients": np.asarray(representation),
        "constant": np.asarray(constant).ravel(),
        "sigma": np.asarray(sigma),
        "stable": largest < 1,
        "largest_root": largest,
        "whiteness": {"statistic": float(white.test_statistic), "p_value": float(white.pvalue), "lags": order + 6},
        "granger": [
            {"cause": targets[a], "effect": targets[b], **_test(granger(b, a), len(targets))}
            for a, b in permutations(range(len(targets)), 2)
        ],
    }


def _test(found: Any, targets: int) -> dict[str, float]:
    """F statistic, p-value and partial R2 of the lags of one target in the equation of another."""
    df1, df2 = (float(v) for v in found.df)  # statsmodels counts the rows of all equations
    share = float(found.test_statistic) * df1 * targets
    return {
        "statistic": float(found.test_statistic), "df1": df1, "df2": df2, "p_value": float(found.pvalue),
        "partial_r2": share / (share + df2),
    }  # fmt: skip


def _companion(A: np.ndarray) -> np.ndarray:
    """Companion matrix of coefficients [order, k, k]."""
    order, k, _ = A.shape
    below = np.eye((order - 1) * k, order * k)
    return np.vstack([np.hstack(list(A)), below])


def _matrices(data: SeriesData) -> list[tuple[Any, np.ndarray]]:
    """(series, targets [n, k]) from the row at which all targets have begun, without holes."""
    out = []
    values = data.frame[list(data.targets)].to_numpy(dtype=float)
    for name, rows in series_rows(data.frame, data.series).items():
        y = values[rows]
        begun = int(max(np.argmax(np.isfinite(column)) for column in y.T))
        out.append((name, np.column_stack([fill_missing(c, max(data.periods, default=1)) for c in y[begun:].T])))
    return out
