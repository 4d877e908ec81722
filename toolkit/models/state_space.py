"""One series with a full summary: regression with seasonal ARIMA errors, and the structural model (statsmodels)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents

from toolkit.data.series import SeriesData
from toolkit.errors import InputError, unknown
from toolkit.models.forecast_frames import answer
from toolkit.models.forecasting_channels import TRANSFORMS, BoxCox, Channel, channels_of, named_power
from toolkit.models.state_space_columns import Columns
from toolkit.models.state_space_parts import coefficients, newest, search_orders, seen_values, three_orders, written
from toolkit.specification.series import useful_power

__all__ = ["Sarimax", "Structural"]

LONGEST_SEASON = 24  # of seasonal orders and seasonal states; longer seasons become sines and cosines
MEAN_METRICS = ("rmse", "mse", "rmsse")
LEVELS = ("local level", "smooth trend", "local linear trend")
SEARCHED = "the form was chosen on the same rows: the p-values are exploratory"


class _StateSpace(BaseEstimator):
    """What both models share: one channel, a transform, covariates that are known ahead, and the Kalman filter.

    Missing values need no filling: the filter passes over them.
    """

    def fit(self, history: SeriesData) -> _StateSpace:
        """Choose what is "auto" and estimate by maximum likelihood.

        Raises
        ------
        InputError
            With several series or targets, a history that is too short, or a log of values that are not above 0.
        """
        channel = self._only_channel(history)
        if len(channel) > self.window:
            channel = newest(channel, self.window)
        season = history.periods[0] if history.periods and history.periods[0] <= LONGEST_SEASON else 0
        season = season if len(channel) >= 2 * season + 2 else 0
        self.season_ = season
        self.transform_ = BoxCox(self._power(channel, season))
        longer = [p for p in history.periods if p > LONGEST_SEASON and len(channel) >= 2 * p]
        self.columns_ = Columns(tuple(longer)).fit(channel, self.transform_(seen_values(channel)))
        z, X = self.transform_(seen_values(channel)), self.columns_(channel)[: len(channel)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # starting values and flat likelihoods; convergence is reported below
            self.result_, formula, frozen, notes = self._estimate(z, X)
        converged = bool((self.result_.mle_retvals or {}).get("converged", True))
        notes = [
            *notes,
            *([] if converged else ["the likelihood did not converge: read the standard errors with care"]),
        ]
        if len(channel) == self.window:
            notes.append(f"estimated on the newest {self.window} rows")
        self.fit_info_ = {
            "formula": f"{self.transform_.label.format(channel.key[1])} ~ {formula}",
            "family": "gaussian",
            "parameters": len(self.result_.params),
            "log_likelihood": float(self.result_.llf),
            "aicc": float(self.result_.aicc),
            "terms": coefficients(self.result_, self.columns_.names),
            "summary": str(self.result_.summary()),
            "frozen": {"transform": named_power(self.transform_.power), **frozen},
            "notes": notes,
        }
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast with the coefficients learned in `fit` from the newest rows of `past`."""
        if len(future) == 0:
            return answer(past, future, {})
        channel = next(iter(channels_of(past, future)))
        ahead = len(channel.ordinal) - len(channel)
        if len(channel) > self.window:
            channel = newest(channel, self.window)
        z, X = self.transform_(seen_values(channel)), self.columns_(channel)
        known, coming = (X[: len(z)], X[len(z) :]) if X.shape[1] else (None, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows without a date index
            paths = self.result_.apply(z, exog=known).get_forecast(ahead, exog=coming)
        middle, variance = np.asarray(paths.predicted_mean), np.asarray(paths.var_pred_mean)
        half = norm.ppf(0.5 + self.coverage / 2) * np.sqrt(variance)
        path = self.transform_.back(middle, variance if self.metric in MEAN_METRICS else 0.0)
        if not np.isfinite(path).all():
            raise ValueError("the forecast is not a finite number")
        limits = (self.transform_.back(middle - half), self.transform_.back(middle + half))
        return answer(past, future, {channel.key: path}, {channel.key: limits})

    def fitted_one_step(self, past: SeriesData) -> dict[tuple[Any, str], tuple[np.ndarray, int]]:
        """In-sample forecasts one step ahead, and the number of dynamic coefficients and variance ratios."""
        names = self.result_.model.param_names
        ratios = max(sum(name.startswith("sigma2") for name in names) - 1, 0)
        dynamic = sum(name.startswith(("ar.", "ma.")) for name in names) + ratios
        return {key: (path, dynamic) for key, path in self._one_step(past).items()}

    def forecast_one_step(self, data: SeriesData, rows: dict[Any, int]) -> dict[tuple[Any, str], np.ndarray]:
        """The latest `rows` of the series, each from everything before it, with the coefficients as they are."""
        return {key: path[-rows[key[0]] :] for key, path in self._one_step(data).items()}

    def _one_step(self, data: SeriesData) -> dict[tuple[Any, str], np.ndarray]:
        """One step ahead at every row, target units; NaN where the states have not met enough values."""
        channel = next(iter(channels_of(data)))
        z, X = self.transform_(seen_values(channel)), self.columns_(channel)[: len(channel)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows without a date index
            filtered = self.result_.apply(z, exog=X if X.shape[1] else None)
        path = self.transform_.back(np.asarray(filtered.fittedvalues, dtype=float))
        path[: max(filtered.loglikelihood_burn, 1)] = np.nan
        return {channel.key: path}

    def _only_channel(self, history: SeriesData) -> Channel:
        channels = list(channels_of(history))
        name = type(self).__name__.lower()
        if len(channels) != 1:
            what = f"{len(history.names)} series" if len(history.names) > 1 else f"{len(history.targets)} targets"
            other = "arima, ets or classical" if len(history.names) > 1 else "var"
            raise InputError(f"arm {name} is for one series with one target; there are {what}: take {other}")
        least = 8 + len(history.known_ahead)
        if len(channels[0]) < least:
            raise InputError(
                f"arm {name} needs at least {least} values before the origin; there are {len(channels[0])}"
            )
        if np.ptp(channels[0].values) == 0:
            raise InputError(f"arm {name}: the series is constant ({channels[0].values[0]:g}) before the origin")
        return channels[0]

    def _power(self, channel: Channel, season: int) -> float:
        if self.transform == "auto":
            return useful_power(channel.values, season)
        if isinstance(self.transform, str) and self.transform not in TRANSFORMS:
            raise unknown("transform", self.transform, ("auto", *TRANSFORMS))
        power = float(TRANSFORMS.get(self.transform, self.transform))
        lowest = float(np.nanmin(seen_values(channel)))
        if power != 1.0 and lowest <= 0:
            raise InputError(
                f"transform {self.transform!r} needs values above 0; '{channel.key[1]}' has {lowest:g}: "
                "take transform: none"
            )
        return power

    def _estimate(self, z: np.ndarray, X: np.ndarray) -> tuple[Any, str, dict[str, Any], list[str]]:
        """(result, formula, frozen settings, notes)."""
        raise NotImplementedError


class Sarimax(_StateSpace):
    """Regression on covariates with seasonal ARIMA errors, by exact maximum likelihood.

    Parameters
    ----------
    horizon : int
    metric : str
        A mean (rmse, mse, rmsse) or a median (all others) is forecast, which differ under a transform.
    order : "auto" or [p, d, q]
    seasonal : "auto" or [P, D, Q]
        At the first seasonal period, when that is at most 24; longer seasons enter as sines and cosines.
    transform : "auto", "none", "log" or float
        "auto" is the power of Guerrero between 0 and 1, where the level changes enough for one; a number is a power.
    coverage : float
        Of the intervals.
    window : int
        Rows at most, the newest.

    Notes
    -----
    Orders left at "auto" are those of the stepwise search by AICc (Hyndman and Khandakar 2008), with the covariates.
    """

    def __init__(
        self,
        horizon: int = 1,
        metric: str = "mase",
        order: str | Sequence[int] = "auto",
        seasonal: str | Sequence[int] = "auto",
        transform: str | float = "auto",
        coverage: float = 0.9,
        window: int = 2_000,
    ):
        self.horizon = horizon
        self.metric = metric
        self.order = order
        self.seasonal = seasonal
        self.transform = transform
        self.coverage = coverage
        self.window = window

    def _estimate(self, z: np.ndarray, X: np.ndarray) -> tuple[Any, str, dict[str, Any], list[str]]:
        order, seasonal, trend, notes = (
            three_orders(self.order, "order"),
            three_orders(self.seasonal, "seasonal"),
            None,
            [],
        )
        if order is None or seasonal is None:
            found, trend = search_orders(z, X, self.season_, order, seasonal)
            order, seasonal = order or found[:3], seasonal or found[3:]
            notes = [SEARCHED]
        trend = trend if trend is not None else ("c" if order[1] + seasonal[1] == 0 else "n")
        season = self.season_ if any(seasonal) else 0
        if any(seasonal) and not season:
            raise InputError(f"seasonal {list(seasonal)} needs a season of 2 to {LONGEST_SEASON} steps; there is none")
        model = SARIMAX(z, X if X.shape[1] else None, order, (*seasonal, season), trend)
        covariates = " + ".join([*self.columns_.terms, ""])
        label = f"ARIMA({written(order)})" + (f"({written(seasonal)})[{season}]" if season else "") + " errors"
        drift = {"c": "constant + ", "t": "drift + "}.get(trend, "")
        frozen = {"order": list(order), "seasonal": list(seasonal)}
        return model.fit(disp=False, maxiter=200), f"{drift}{covariates}{label}", frozen, notes


class Structural(_StateSpace):
    """Structural time series model: level, slope, season and regression as unobserved components.

    Parameters
    ----------
    horizon : int
    metric : str
        As for `Sarimax`.
    level : "auto", "local level", "smooth trend" or "local linear trend"
    autoregressive : "auto", 0 or 1
        Order of an autoregressive component.
    transform : "auto", "none", "log" or float
    coverage : float
    window : int
        Rows at most, the newest.

    Notes
    -----
    What is "auto" is chosen by AICc with the same burn-in for all candidates, without which likelihoods of models with
    different numbers of diffuse states cannot be compared. Seasons of at most 24 steps are stochastic dummies.

    References
    ----------
    Harvey, Forecasting, Structural Time Series Models and the Kalman Filter, 1989.
    """

    def __init__(
        self,
        horizon: int = 1,
        metric: str = "mase",
        level: str = "auto",
        autoregressive: str | int = "auto",
        transform: str | float = "auto",
        coverage: float = 0.9,
        window: int = 2_000,
    ):
        self.horizon = horizon
        self.metric = metric
        self.level = level
        self.autoregressive = autoregressive
        self.transform = transform
        self.coverage = coverage
        self.window = window

    def _estimate(self, z: np.ndarray, X: np.ndarray) -> tuple[Any, str, dict[str, Any], list[str]]:
        if self.level not in ("auto", *LEVELS):
            raise unknown("level", self.level, ("auto", *LEVELS))
        if self.autoregressive not in ("auto", 0, 1):
            raise InputError(f"autoregressive: expected auto, 0 or 1, got {self.autoregressive!r}")
        levels = LEVELS if self.level == "auto" else (self.level,)
        orders = (0, 1) if self.autoregressive == "auto" else (int(self.autoregressive),)
        candidates = list(product(levels, orders))
        best = candidates[0]
        if len(candidates) > 1:
            burn = 2 + max(self.season_ - 1, 0) + X.shape[1]
            fits = {key: self._model(z, X, *key, burn).fit(disp=False, maxiter=200) for key in candidates}
            best = min(fits, key=lambda key: fits[key].aicc)
        fit = self._model(z, X, *best).fit(disp=False, maxiter=200)
        parts = [best[0], *([f"season({self.season_})"] if self.season_ else []), *(["AR(1)"] if best[1] else [])]
        formula = " + ".join([*self.columns_.terms, *parts])
        frozen = {"level": best[0], "autoregressive": best[1]}
        return fit, formula, frozen, [SEARCHED] if len(candidates) > 1 else []

    def _model(
        self, z: np.ndarray, X: np.ndarray, level: str, autoregressive: int, burn: int | None = None
    ) -> UnobservedComponents:
        """The model of a level, with as many values left out of the likelihood as are told."""
        return UnobservedComponents(
            z, level, seasonal=self.season_ or None, autoregressive=autoregressive or None,
            exog=X if X.shape[1] else None, **({} if burn is None else {"loglikelihood_burn": burn}),
        )  # fmt: skip
