"""Baselines of forecasting: the last value, the value one season ago, the straight line through both ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator

from toolkit.data.series import SeriesData
from toolkit.models.forecast_frames import answer, channels, fill_missing, steps_ahead, trim

__all__ = ["Drift", "Naive", "SeasonalNaive"]


class _Baseline(BaseEstimator):
    """A forecast that is a fixed function of the past values; nothing is learned but the size of its errors."""

    def __init__(self, horizon: int = 1, coverage: float = 0.9):
        self.horizon = horizon
        self.coverage = coverage

    def fit(self, history: SeriesData) -> _Baseline:
        """Note the season; every forecast is made from the past that it is given."""
        self.lag_ = self._lag(history)
        self.fit_info_ = {"formula": self._formula(), "parameters": 0, "notes": []}
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast every row of `future`, with normal intervals from the errors of the same rule within the past."""
        ahead, predicted, intervals = steps_ahead(future, past.series), {}, {}
        for name, target, values in channels(past):
            values = trim(values)
            if name not in ahead or len(values) == 0:
                continue
            steps = ahead[name]
            filled = fill_missing(values, max(past.periods, default=1))
            lag = self.lag_ if len(filled) >= self.lag_ else 1
            predicted[name, target] = self._path(filled, lag, steps)
            changes = (values[lag:] - values[:-lag])[np.isfinite(values[lag:]) & np.isfinite(values[:-lag])]
            if len(changes) > 1:
                half = norm.ppf(0.5 + self.coverage / 2) * self._spread(changes, lag, steps, len(filled))
                intervals[name, target] = (predicted[name, target] - half, predicted[name, target] + half)
        return answer(past, future, predicted, intervals)

    def fitted_one_step(self, past: SeriesData) -> dict[tuple[Any, str], tuple[np.ndarray, int]]:
        """The rule applied to every row of the past; nothing is estimated but a slope."""
        found = {}
        for name, target, values in channels(past):
            if len(values := trim(values)):
                filled = fill_missing(values, max(past.periods, default=1))
                lag = self.lag_ if len(filled) >= self.lag_ else 1
                paths = [self._path(filled[:t], lag, 1)[0] for t in range(lag, len(filled))]
                found[name, target] = np.r_[np.full(min(lag, len(filled)), np.nan), paths], 0
        return found

    def _lag(self, history: SeriesData) -> int:
        return 1

    def _formula(self) -> str:
        raise NotImplementedError

    def _path(self, values: np.ndarray, lag: int, steps: int) -> np.ndarray:
        raise NotImplementedError

    def _spread(self, changes: np.ndarray, lag: int, steps: int, n: int) -> np.ndarray:
        """Standard deviation of the error at each step, [h]: a random walk at every place of the season (FPP3, 5.5)."""
        return np.std(changes) * np.sqrt(np.arange(steps) // lag + 1)


class Naive(_Baseline):
    """Repeat the last value."""

    def _formula(self) -> str:
        return "y[t+h] = y[t]"

    def _path(self, values: np.ndarray, lag: int, steps: int) -> np.ndarray:
        return np.full(steps, values[-1])


class SeasonalNaive(_Baseline):
    """Repeat the last season.

    Parameters
    ----------
    horizon : int
    coverage : float
        Of the intervals.
    period : int, optional
        Season in steps; the data's scaling season (the shortest one, or the one of the competition) when left out.
        A series shorter than the season repeats its last value.
    """

    def __init__(self, horizon: int = 1, coverage: float = 0.9, period: int | None = None):
        super().__init__(horizon, coverage)
        self.period = period

    def _lag(self, history: SeriesData) -> int:
        return self.period or history.scale_period

    def _formula(self) -> str:
        return f"y[t+h] = y[t+h-{self.lag_}k], k the smallest that is observed" if self.lag_ > 1 else "y[t+h] = y[t]"

    def _path(self, values: np.ndarray, lag: int, steps: int) -> np.ndarray:
        return np.resize(values[-lag:], steps)


class Drift(_Baseline):
    """Go on along the line from the first to the last value."""

    def _formula(self) -> str:
        return "y[t+h] = y[t] + h (y[t] - y[1]) / (t - 1)"

    def _path(self, values: np.ndarray, lag: int, steps: int) -> np.ndarray:
        slope = (values[-1] - values[0]) / max(len(values) - 1, 1)
        return values[-1] + slope * np.arange(1, steps + 1)

    def _spread(self, changes: np.ndarray, lag: int, steps: int, n: int) -> np.ndarray:
        h = np.arange(1, steps + 1)
        return np.std(changes, ddof=1) * np.sqrt(h * (1 + h / max(n - 1, 1)))
