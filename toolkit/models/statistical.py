"""Exponential smoothing, ARIMA, theta and their ensemble, one model per series (statsforecast)."""

from __future__ import annotations

import time
import warnings
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
OUT_OF_ITERATIONS = 1  # scipy's status


class Classical(BaseEstimator):
    """Median of ETS, complex exponential smoothing and ARIMA, each selected by its own criterion, and dynamic theta.

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
        halted = 0
        for (name, target, _), outcome in zip(jobs, ticking(made, len(jobs)), strict=True):
            if isinstance(outcome, str):
                self.failed_series_[name] = outcome.replace("BUDGET", f"{self.budget:g} s")
                continue
            predicted[name, target], intervals[name, target] = outcome[0], (outcome[1], outcome[2])
            halted += outcome[3]
        several = f"{halted} of {len(predicted)} series" if len(predicted) > 1 else "this series"
        self.notes_ = [f"AutoARIMA did not fully converge on {several}"] if halted else []
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
    """Dynamic optimised theta model (Fiorucci et al., International Journal of Forecasting 32 (2016), 1151-1161)."""

    member = "theta"


def _one(
    y: np.ndarray,
    periods: tuple[int, ...],
    steps: int,
    members: tuple[str, ...],
    coverage: float,
    deadline: float,
    many: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool] | str:
    """(median, lower, upper, whether ARIMA's optimiser stopped short) of one series, or the cause of its failure."""
    if time.monotonic() > deadline:
        return "not begun: the time budget of BUDGET was used up"
    y = fill_missing(y, max(periods, default=1)).astype(np.float64)
    if len(y) < 3:
        return f"{len(y)} values, too few for a model"
    if np.ptp(y) == 0:
        return np.full(steps, y[0]), np.full(steps, y[0]), np.full(steps, y[0]), False
    level, paths, causes, halted = round(100 * coverage), [], [], False
    for member in members:
        try:
            model = _fit(member, periods, y, many)
            out = model.predict(h=steps, level=[level])
            halted |= member == "arima" and _stopped_short(model)
            path = np.array([out["mean"], out[f"lo-{level}"], out[f"hi-{level}"]])
            if not np.isfinite(path[0]).all():
                raise ValueError("forecasts are not finite numbers")
            paths.append(path)
        except Exception as error:  # the libraries below raise whatever their optimisers raise
            causes.append(f"{member}: {type(error).__name__}: {error}")
    if len(paths) < len(members):
        return "; ".join(causes).splitlines()[0][:200]
    middle = np.median(np.stack(paths), axis=0)
    return middle[0], middle[1], middle[2], halted


def _fitted(y: np.ndarray, periods: tuple[int, ...], members: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """(median of the members' in-sample forecasts [n], dynamic coefficients) of one series."""
    y = fill_missing(y, max(periods, default=1)).astype(np.float64)
    fitted, counts = [], []
    for member in members:
        model = _fit(member, periods, y)
        fitted.append(model.predict_in_sample()["fitted"])
        counts.append(_dynamic_coefficients(getattr(model, "trend_forecaster", model).model_))
    return np.median(np.stack(fitted), axis=0), max(counts)


def _fit(member: str, periods: tuple[int, ...], y: np.ndarray, many: bool = False) -> Any:
    """A fitted model.

    A search tries dozens of ARIMA models and warns of each whose optimiser is not content, whatever becomes of it: the
    code of the model that was chosen tells what matters. The filter stands here because it has to hold in worker
    processes as well.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="statsforecast")
        return _model(member, periods, len(y), many).fit(y)


def _stopped_short(model: Any) -> bool:
    """Whether the optimiser of an ARIMA used up its iterations.

    It says of nearly every series, of a mere drift too, that rounding ended its line search (code 2): that is no doubt.
    """
    return getattr(model, "trend_forecaster", model).model_.get("code") == OUT_OF_ITERATIONS


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
        made = {"ces": models.AutoCES, "ets": models.AutoETS, "theta": models.DynamicOptimizedTheta}[member]
        return made(season_length=season, **more)

    seasons = [p for p in periods if n >= 2 * p + 4]
    if not seasons:
        return build(1)
    if len(seasons) == 1 and seasons[0] <= LONGEST_SEASON:
        return build(seasons[0])
    # What is left after MSTL has no season; exponential smoothing has to be told so.
    unseasonal = {"ets": {"model": "ZZN"}, "ces": {"model": "N"}}.get(member, {})
    return models.MSTL(season_length=seasons, trend_forecaster=build(1, **unseasonal))
