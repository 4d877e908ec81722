"""Exponential smoothing, ARIMA, theta and their ensemble, one model per series (statsforecast)."""

from __future__ import annotations

import time
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.data.series import SeriesData
from toolkit.errors import unknown
from toolkit.models.forecast_frames import answer, channels, fill_missing, steps_ahead, trim
from toolkit.models.ticker import ticking

__all__ = ["Arima", "Classical", "Ets", "Theta"]

LONGEST_SEASON = 24  # of the state-space models; longer or several seasons are taken out by MSTL first
MEMBERS = ("arima", "ces", "ets", "theta")
WATCHED = 10  # series whose in-sample errors are looked at
# The orders of ARIMA are searched by conditional sums of squares, and only the best is estimated exactly, for longer
# series and seasons (as `forecast::auto.arima` does) and for panels, where the exact search takes hours.
LONG, LONG_SEASON, MANY = 150, 12, 200


class Classical(BaseEstimator):
    """Median of ETS, complex exponential smoothing, ARIMA and theta, each selected by its own criterion.

    The combination of Petropoulos and Svetunkov, International Journal of Forecasting 36 (2020), 110-115. Models are
    fitted on the past of each forecast; seasons longer than 24 steps, or several of them, are taken out by MSTL.

    Parameters
    ----------
    horizon : int
    coverage : float
        Of the intervals: the median of the members' limits.
    members : tuple of str
        Of arima, ces, ets and theta.
    budget : float
        Seconds of each forecast call; a series whose turn comes later is left out and named in `failed_series_`.
    n_jobs : int
    """

    def __init__(
        self,
        horizon: int = 1,
        coverage: float = 0.9,
        members: tuple[str, ...] = MEMBERS,
        budget: float = 900.0,
        n_jobs: int = 1,
    ):
        self.horizon = horizon
        self.coverage = coverage
        self.members = members
        self.budget = budget
        self.n_jobs = n_jobs

    def fit(self, history: SeriesData) -> Classical:
        """Check the settings; models are fitted on the past of each forecast."""
        for member in self._members():
            if member not in MEMBERS:
                raise unknown("member", member, MEMBERS)
        name = " + ".join(self._members())
        self.fit_info_ = {"formula": f"median({name})" if len(self._members()) > 1 else name, "notes": []}
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast every row of `future`; a series that fails, or comes too late, is named in `failed_series_`."""
        ahead, deadline = steps_ahead(future, past.series), time.monotonic() + self.budget
        jobs = [(name, target, y) for name, target, y in channels(past) if name in ahead and len(trim(y))]
        made = joblib.Parallel(self.n_jobs, return_as="generator")(
            joblib.delayed(_one)(
                trim(y), past.periods, ahead[name], self._members(), self.coverage, deadline, len(jobs) > MANY
            )
            for name, _, y in jobs
        )
        predicted: dict[tuple[Any, str], np.ndarray] = {}
        intervals: dict[tuple[Any, str], tuple[np.ndarray, np.ndarray]] = {}
        self.failed_series_: dict[Any, str] = {}
        for (name, target, _), outcome in zip(jobs, ticking(made, len(jobs)), strict=True):
            if isinstance(outcome, str):
                self.failed_series_[name] = outcome.replace("BUDGET", f"{self.budget:g} s")
                continue
            predicted[name, target], intervals[name, target] = outcome[0], (outcome[1], outcome[2])
        return answer(past, future, predicted, intervals)

    def fitted_one_step(self, past: SeriesData) -> dict[tuple[Any, str], tuple[np.ndarray, int]]:
        """In-sample forecasts one step ahead, and the number of dynamic coefficients, the largest of the members.

        Of at most `WATCHED` series, evenly spread: each of them is estimated once more.
        """
        jobs = [(name, target, y) for name, target, y in channels(past) if len(trim(y)) > 3 and np.nanstd(y) > 0]
        jobs = jobs[:: -(-len(jobs) // WATCHED)] if jobs else []
        made = joblib.Parallel(self.n_jobs)(
            joblib.delayed(_fitted)(trim(y), past.periods, self._members()) for _, _, y in jobs
        )
        return {(name, target): out for (name, target, _), out in zip(jobs, made, strict=True)}

    def _members(self) -> tuple[str, ...]:
        return tuple(self.members)


class _Single(Classical):
    """One member alone."""

    member = ""

    def __init__(self, horizon: int = 1, coverage: float = 0.9, budget: float = 900.0, n_jobs: int = 1):
        self.horizon = horizon
        self.coverage = coverage
        self.budget = budget
        self.n_jobs = n_jobs

    def _members(self) -> tuple[str, ...]:
        return (self.member,)


class Arima(_Single):
    """Seasonal ARIMA by AICc (Hyndman and Khandakar 2008)."""

    member = "arima"


class Ets(_Single):
    """Exponential smoothing state space model by AICc."""

    member = "ets"


class Theta(_Single):
    """Theta model with its variant selected in-sample."""

    member = "theta"


def _one(
    y: np.ndarray,
    periods: tuple[int, ...],
    steps: int,
    members: tuple[str, ...],
    coverage: float,
    deadline: float,
    many: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | str:
    """(median, lower, upper) of one series, or the cause of its failure."""
    if time.monotonic() > deadline:
        return "not begun: the time budget of BUDGET was used up"
    y = fill_missing(y, max(periods, default=1)).astype(np.float64)
    if len(y) < 3:
        return f"{len(y)} values, too few for a model"
    if np.ptp(y) == 0:
        return np.full(steps, y[0]), np.full(steps, y[0]), np.full(steps, y[0])
    level, paths, causes = round(100 * coverage), [], []
    for member in members:
        try:
            out = _model(member, periods, len(y), many).forecast(y=y, h=steps, level=[level])
            path = np.array([out["mean"], out[f"lo-{level}"], out[f"hi-{level}"]])
            if not np.isfinite(path[0]).all():
                raise ValueError("forecasts are not finite numbers")
            paths.append(path)
        except Exception as error:  # the libraries below raise whatever their optimisers raise
            causes.append(f"{member}: {type(error).__name__}: {error}")
    if len(paths) < len(members):
        return "; ".join(causes).splitlines()[0][:200]
    middle = np.median(np.stack(paths), axis=0)
    return middle[0], middle[1], middle[2]


def _fitted(y: np.ndarray, periods: tuple[int, ...], members: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """(median of the members' in-sample forecasts [n], dynamic coefficients) of one series."""
    y = fill_missing(y, max(periods, default=1)).astype(np.float64)
    fitted, counts = [], []
    for member in members:
        model = _model(member, periods, len(y)).fit(y)
        fitted.append(model.predict_in_sample()["fitted"])
        counts.append(_dynamic_coefficients(getattr(model, "trend_forecaster", model).model_))
    return np.median(np.stack(fitted), axis=0), max(counts)


def _dynamic_coefficients(fit: dict[str, Any]) -> int:
    """p + q + P + Q of an ARIMA; the smoothing parameters of the others, each of which is a moving average's."""
    if "arma" in fit:
        return int(sum(fit["arma"][:4]))
    if isinstance(fit["par"], dict):  # CES has two or four, theta one beside its line
        return sum(name.startswith(("alpha", "beta")) for name in fit["par"])
    return int(np.isfinite(fit["par"][:4]).sum())  # alpha, beta, gamma, phi of ETS


def _model(member: str, periods: tuple[int, ...], n: int, many: bool = False) -> Any:
    from statsforecast import models

    def build(season: int, **more: Any) -> Any:
        if member == "arima":
            approximate = many or n > LONG or season > LONG_SEASON
            return models.AutoARIMA(season_length=season, approximation=approximate)
        made = {"ces": models.AutoCES, "ets": models.AutoETS, "theta": models.AutoTheta}[member]
        return made(season_length=season, **more)

    seasons = [p for p in periods if n >= 2 * p + 4]
    if not seasons:
        return build(1)
    if len(seasons) == 1 and seasons[0] <= LONGEST_SEASON:
        return build(seasons[0])
    # What is left after MSTL has no season; exponential smoothing has to be told so.
    unseasonal = {"ets": {"model": "ZZN"}, "ces": {"model": "N"}}.get(member, {})
    return models.MSTL(season_length=seasons, trend_forecaster=build(1, **unseasonal))
