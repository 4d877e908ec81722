"""Which regressions are tried on the inner origins, and how their forecasts are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from toolkit.data.series import SeriesData
from toolkit.models.forecasting_channels import BoxCox, Channel
from toolkit.models.forecasting_clock import LEAST_SEASONS, ClockRegression
from toolkit.models.forecasting_design import Design
from toolkit.models.forecasting_ridge import LagRegression
from toolkit.models.forecasting_tests import Tested, common_power

__all__ = ["Candidate", "Repeat", "alternatives", "average_weights", "first_candidate", "losses", "offers_clock"]

LONGEST_LOOKBACK = 800
AVERAGING_STEPS = 10


@dataclass(frozen=True)
class Candidate:
    """Settings of one regression; every one of them can be frozen by the constructor of `SeriesRegression`."""

    steps: str  # direct, recursive, clock, repeat
    transform: float = 1.0
    lookback: int = 1
    centre: int = 1
    own: float = np.inf
    ridge: float = 1e-3
    mean: str = "none"  # none, linear, additive, clock
    difference: int = 0  # lag of a seasonal difference

    def build(
        self, data: SeriesData, channels: list[Channel], most: int = 40_000
    ) -> LagRegression | ClockRegression | Repeat:
        """The unfitted regression on at most so many windows of a channel; its design is learned from the channels."""
        season, transform = max(data.period, 1), BoxCox(self.transform)
        if self.steps == "repeat":
            return Repeat(data.horizon, self.lookback)
        clock = self.steps == "clock" or self.mean == "clock"
        needed = clock or self.mean in ("additive", "linear")
        design = Design(data.periods, clock, self.mean == "linear").fit(channels) if needed else None
        if self.steps == "clock":
            return ClockRegression(data.horizon, season, transform, self.ridge, design)
        return LagRegression(
            data.horizon, self.lookback, season, transform, self.centre, self.own, self.ridge,
            self.steps == "recursive", design, self.difference, most,
        )  # fmt: skip


@dataclass
class Repeat:
    """The last season again: an ingredient of the average, so that a regression can lean towards it."""

    horizon: int
    season: int

    @property
    def label(self) -> str:
        return f"the value {self.season} steps before" if self.season > 1 else "the last value"

    parameters = 0

    @property
    def memory(self) -> int:
        return self.season

    def fit(self, channels: list[Channel]) -> Repeat:
        return self

    def predict(self, channel: Channel, origins: np.ndarray | None = None, mean: bool = False) -> np.ndarray:
        at = np.array([len(channel)]) if origins is None else np.asarray(origins)
        season = min(self.season, int(at.min()))
        y = channel.values[at[:, None] - season + np.arange(self.horizon) % season]
        return y[0] if origins is None else y


def first_candidate(data: SeriesData, channels: list[Channel]) -> Candidate:
    """Where the search begins: direct, the last value taken out, the longest lookback that leaves two windows a lag."""
    lookback = lookbacks(data, channels)[-1]
    several = len(channels) > 3
    return Candidate("direct", 1.0, lookback, 1, 0.4 if several else np.inf, 1e-3 if several else 1e-2)


def alternatives(
    data: SeriesData, channels: list[Channel], tested: Sequence[Tested]
) -> Iterator[Callable[[Candidate], list[Candidate]]]:
    """The settings that are varied one after the other, each from the best candidate so far.

    A test opens a door, the inner origins decide: the power of Guerrero joins the log, series without a unit root may
    also be regressed on deviations from the mean of all their lags, and a strong season may be differenced.
    """
    positive = all(channel.values.min() > 0 for channel in channels)
    power = common_power(tested)
    stationary = sum(one.tests.differences == 0 for one in tested) > len(tested) / 2
    differences = sorted({one.tests.seasonal_difference for one in tested} - {0})
    seasons = [p for p in data.periods if p <= LONGEST_LOOKBACK]
    differences = [lag for lag in differences if lag in seasons]
    covariates = bool(data.known_ahead)
    numbers = any(pd.api.types.is_numeric_dtype(data.frame[column]) for column in data.known_ahead)
    if positive:
        yield lambda best: [replace(best, transform=p) for p in dict.fromkeys((0.0, power)) if p != best.transform]
    yield lambda best: [replace(best, lookback=n) for n in lookbacks(data, channels) if n != best.lookback]
    yield lambda best: [
        replace(best, centre=c)
        for c in dict.fromkeys((*seasons, *([best.lookback] if stationary else [])))
        if c <= best.lookback
    ]
    if differences:
        yield lambda best: [
            replace(best, difference=d, centre=c) for d in differences for c in (1, d) if c <= best.lookback
        ]
    if len(channels) > 3:
        yield lambda best: [replace(best, own=own) for own in (0.1, 1.0, np.inf)]
    else:
        yield lambda best: [replace(best, ridge=ridge) for ridge in (1e-4, 0.1, 1.0)]
    yield lambda best: [replace(best, steps="recursive")]
    if covariates or data.periods:
        yield lambda best: [replace(best, mean=mean) for mean in (("additive", "linear") if numbers else ("additive",))]
    if offers_clock(data, channels):
        yield lambda best: [replace(best, steps="direct", mean="clock")]
        yield lambda best: [Candidate("clock", best.transform, ridge=r) for r in (3.0, 15.0)]
    yield lambda best: [Candidate("repeat", lookback=s) for s in dict.fromkeys((data.scale_period, *seasons[-1:]))]


def offers_clock(data: SeriesData, channels: list[Channel]) -> bool:
    """Whether one regression for each time of day is worth a try: covariates known ahead, long history, few series."""
    length = int(np.median([len(channel) for channel in channels]))
    day = data.period
    return bool(data.known_ahead) and 12 <= day <= 96 and length >= LEAST_SEASONS * day and len(channels) <= 10


def lookbacks(data: SeriesData, channels: list[Channel]) -> list[int]:
    """Numbers of lags to try, ascending: multiples of the seasons of which the series hold enough."""
    length = int(np.median([len(channel) for channel in channels]))
    seasons = [p for p in data.periods if p <= LONGEST_LOOKBACK // 2]
    if seasons:
        day, week = seasons[0], seasons[-1]
        wanted = [2 * day, week + day, 2 * week] if len(seasons) > 1 else [day, 2 * day, 3 * day]
        wanted = [day // 6, *wanted] if day > 24 else wanted
    else:
        wanted = [2, 4, 12, 24]
    room = max((length - data.horizon) // 3, 1)
    return sorted({n for n in wanted if n <= room}) or [max(1, min(room, wanted[0]))]


def losses(metric: str, observed: np.ndarray, predicted: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What the metric makes of each forecast, [n]; its mean decides between candidates."""
    error = observed - predicted
    if metric in ("rmse", "mse"):
        return error**2
    if metric == "rmsse":
        return (error / scale) ** 2
    if metric == "mae":
        return np.abs(error)
    if metric == "mape":
        return np.abs(error) / np.maximum(np.abs(observed), 1e-12)
    if metric in ("smape", "smape_m3"):
        return 2 * np.abs(error) / np.maximum(np.abs(observed) + np.abs(predicted), 1e-12)
    return np.abs(error) / scale


def average_weights(
    loss: Callable[[np.ndarray], float], forecasts: list[np.ndarray], steps: int = AVERAGING_STEPS
) -> np.ndarray:
    """Weights of forecasts [candidates] that sum to 1: again and again the one whose inclusion helps most is added.

    Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004.
    """
    counts, total, best = np.zeros(len(forecasts)), 0.0, np.inf
    kept = counts
    for step in range(1, steps + 1):
        trial = [loss((total + forecast) / step) for forecast in forecasts]
        winner = int(np.argmin(trial))
        counts = counts.copy()
        counts[winner] += 1
        total = total + forecasts[winner]
        if trial[winner] < best - 1e-12:
            best, kept = trial[winner], counts
    return kept / kept.sum()
