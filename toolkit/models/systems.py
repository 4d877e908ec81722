"""Several targets together: vector autoregression, in differences or with error correction, by tests (statsmodels)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator
from statsmodels.tsa.api import VAR, VECM
from statsmodels.tsa.stattools import adfuller, kpss
from statsmodels.tsa.vector_ar.vecm import select_coint_rank

from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.models.forecast_frames import answer, fill_missing, series_rows

__all__ = ["VectorAutoregression", "unit_root"]


def unit_root(y: np.ndarray, alpha: float = 0.05) -> dict[str, Any]:
    """ADF (null: unit root) and KPSS (null: stationary) of one series; a unit root is concluded when both say so."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # KPSS warns when its p-value lies beyond the table
        p_adf, p_kpss = float(adfuller(y, autolag="AIC")[1]), float(kpss(y, nlags="auto")[1])
    return {"adf_p_value": p_adf, "kpss_p_value": p_kpss, "unit_root": p_adf > alpha and p_kpss < alpha}


class VectorAutoregression(BaseEstimator):
    """VAR in levels, VAR in differences or VECM of all targets of each series.

    Levels when no target has a unit root; otherwise a VECM with the cointegration rank of Johansen's trace test, or
    differences where that rank is 0.

    Parameters
    ----------
    horizon : int
    form : "auto", "levels", "differences" or "vecm"
    most_lags : int
        Of the order, chosen by AIC.
    coverage : float
    """

    def __init__(self, horizon: int = 1, form: str = "auto", most_lags: int = 8, coverage: float = 0.9):
        self.horizon = horizon
        self.form = form
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
        self.fits_ = {name: self._fit_one(y, history.targets, name) for name, y in _matrices(history)}
        first = next(iter(self.fits_.values()))
        self.fit_info_ = {
            "formula": first["formula"],
            "parameters": first["parameters"],
            "unit_roots": first["unit_roots"],
            "granger": first["granger"],
            "stable": first["stable"],
            "rank": first["rank"],
            "notes": ["the system is not stable"] if first["stable"] is False else [],
        }
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast with the coefficients learned in `fit` from the newest rows of `past`."""
        predicted, intervals = {}, {}
        for name, y in _matrices(past):
            if name not in self.fits_:
                continue
            path, spread = self._path(self.fits_[name], y)
            half = norm.ppf(0.5 + self.coverage / 2) * spread
            for k, target in enumerate(past.targets):
                predicted[name, target] = path[:, k]
                intervals[name, target] = (path[:, k] - half[:, k], path[:, k] + half[:, k])
        return answer(past, future, predicted, intervals)

    def _fit_one(self, y: np.ndarray, targets: tuple[str, ...], name: Any) -> dict[str, Any]:
        n, k = y.shape
        lags = max(1, min(self.most_lags, (n // 3 - 1) // k))
        if n < 3 * (k + 2):
            raise InputError(f"series '{name}' has {n} rows, too few for a system of {k} targets")
        roots = {target: unit_root(y[:, i]) for i, target in enumerate(targets)}
        form, rank = self.form, 0
        if form == "auto" and not any(r["unit_root"] for r in roots.values()):
            form = "levels"
        elif form in ("auto", "vecm"):
            rank = int(select_coint_rank(y, 0, max(lags // 2, 1)).rank)
            form = "vecm" if form == "vecm" or 0 < rank < k else ("levels" if rank == k else "differences")
        used = np.diff(y, axis=0) if form == "differences" else y
        frame = pd.DataFrame(used, columns=list(targets))
        order = max(1, int(VAR(frame).select_order(lags).selected_orders["aic"]))
        fit = VAR(frame).fit(order)
        if form == "vecm":
            vecm = VECM(y, k_ar_diff=order, coint_rank=max(rank, 1), deterministic="co").fit()
            representation, constant = vecm.var_rep, _constant(vecm, y)
            sigma = vecm.sigma_u
        else:
            representation, constant, sigma = fit.coefs, fit.intercept, np.asarray(fit.sigma_u)
        granger = [
            {"cause": a, "effect": b, "p_value": float(fit.test_causality(b, [a], kind="f").pvalue)}
            for a in targets
            for b in targets
            if a != b
        ]
        label = {"levels": f"VAR({order})", "differences": f"VAR({order}) in first differences"}
        return {
            "form": form,
            "coefficients": np.asarray(representation),
            "constant": np.asarray(constant).ravel(),
            "sigma": np.asarray(sigma),
            "formula": label.get(form, f"VECM, {order} lagged differences, cointegration rank {rank}"),
            "rank": rank,
            "parameters": int(np.asarray(representation).size + k),
            "stable": bool(fit.is_stable()) if form != "vecm" else None,
            "unit_roots": roots,
            "granger": granger,
        }

    def _path(self, fit: dict[str, Any], y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean [horizon, k], standard deviation [horizon, k]) of the levels."""
        A, differenced = fit["coefficients"], fit["form"] == "differences"
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


def _constant(vecm: Any, y: np.ndarray) -> np.ndarray:
    """Constant of the VAR form of a VECM with a constant outside the cointegration relation, [k]."""
    return np.asarray(vecm.det_coef)[:, 0] if np.asarray(vecm.det_coef).size else np.zeros(y.shape[1])


def _matrices(data: SeriesData) -> list[tuple[Any, np.ndarray]]:
    """(series, targets [n, k]) from the row at which all targets have begun, without holes."""
    out = []
    values = data.frame[list(data.targets)].to_numpy(dtype=float)
    for name, rows in series_rows(data.frame, data.series).items():
        y = values[rows]
        begun = int(max(np.argmax(np.isfinite(column)) for column in y.T))
        out.append((name, np.column_stack([fill_missing(c, max(data.periods, default=1)) for c in y[begun:].T])))
    return out
