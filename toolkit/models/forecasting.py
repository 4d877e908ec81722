"""The regression arm for series: a dynamic regression whose form is chosen on inner origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.data.series import SeriesData
from toolkit.errors import InputError, unknown
from toolkit.models.forecast_frames import answer
from toolkit.models.forecasting_candidates import (
    Candidate,
    alternatives,
    average_weights,
    first_candidate,
    offers_clock,
)
from toolkit.models.forecasting_channels import TRANSFORMS, Channel, channels_of
from toolkit.models.forecasting_clock import only_first_step
from toolkit.models.forecasting_form import candidate_of, describe, plain
from toolkit.models.forecasting_inner import Inner, fit_candidate, judge_candidate, padded
from toolkit.models.forecasting_tests import Tested, tests_of

__all__ = ["SeriesRegression"]

SEARCH_SERIES = 120  # series of a panel that decide between candidates, evenly spread
MEAN_METRICS = ("rmse", "mse", "rmsse")
STEPS, MEANS = ("direct", "recursive", "clock"), ("none", "linear", "additive", "clock")


class SeriesRegression(BaseEstimator):
    """Dynamic regression on lags, seasons and covariates for one series or a panel.

    The form is chosen on the last part of the training rows: candidates are fitted on what comes before it, forecast
    from several origins inside it, and the best few are averaged and fitted again on everything. Every setting that is
    given is kept; what is left at "auto" is chosen, and `fit_info_["frozen"]` holds the choice for a pipeline file.

    Parameters
    ----------
    horizon : int
        Steps ahead.
    metric : str
        What the choice goes by, and whether the forecast is a mean (rmse, mse, rmsse) or a median (all others).
    random_state : int
        Not used: nothing here is random.
    coverage : float
        Of the intervals, which come from the errors at the inner origins.
    transform : "auto", "none", "log" or float
        Of the target; a number is a Box-Cox power.
    lookback : "auto" or int
        Lags.
    sharing : "auto", "shared" or float
        Whether all series have the same coefficients, or their own with this penalty on the difference.
    steps : "auto", "direct", "recursive" or "clock"
        One regression for each step ahead; one step and on from there; one for each time of day.
    mean : "auto", "none", "linear", "additive" or "clock"
        Mean function of calendar and covariates (as they are, as splines, or as splines with coefficients of their own
        for each time of day), whose deviations are then regressed on their lags.
    average : bool
        Average the best candidates; False keeps the single best one.
    form : list of dict, optional
        Regressions and their weights as `fit_info_["frozen"]` names them: nothing is searched then.
    n_jobs : int
        Processes for the candidates.
    """

    def __init__(
        self,
        horizon: int = 1,
        metric: str = "mase",
        random_state: int = 0,
        coverage: float = 0.9,
        transform: str | float = "auto",
        lookback: str | int = "auto",
        sharing: str | float = "auto",
        steps: str = "auto",
        mean: str = "auto",
        average: bool = True,
        form: list[dict[str, Any]] | None = None,
        n_jobs: int = 1,
    ):
        self.horizon = horizon
        self.metric = metric
        self.random_state = random_state
        self.coverage = coverage
        self.transform = transform
        self.lookback = lookback
        self.sharing = sharing
        self.steps = steps
        self.mean = mean
        self.average = average
        self.form = form
        self.n_jobs = n_jobs

    def check_columns(self, dataset: Any) -> None:
        """Stop on a wrong form before the first fit."""
        if self.form is not None and (not isinstance(self.form, list) or not self.form):
            raise InputError(f"form: expected a list of regressions with their settings, got {self.form!r}")
        for one in self.form or ():
            candidate_of(one)

    def fit(self, history: SeriesData) -> SeriesRegression:
        """Choose the form and learn its coefficients from rows up to the origin.

        Raises
        ------
        InputError
            When no series is long enough, or a setting cannot be used on these data.
        """
        data = replace(history, horizon=self.horizon)
        channels = list(channels_of(data))
        self._check(channels)
        self.scales_ = {channel.key: channel.scale(data.scale_period) for channel in channels}
        self.floor_ = {channel.key: float(channel.values.min()) for channel in channels}
        some = channels[:: max(1, len(channels) // SEARCH_SERIES)]
        tests = tests_of(some, data.periods)
        trials = self._search(data, some, tests)
        weights = self._weights(trials)
        chosen = [(trial, weight) for trial, weight in zip(trials, weights, strict=True) if weight > 0]
        chosen.sort(key=lambda pair: -pair[1])
        self.models_ = joblib.Parallel(self.n_jobs if len(chosen) > 1 else 1)(
            joblib.delayed(fit_candidate)(trial["candidate"], data, channels) for trial, _ in chosen
        )
        self.weights_ = np.array([weight for _, weight in chosen])
        path = sum(weight * trial["forecasts"] for trial, weight in chosen)
        self.half_widths_ = trials[0]["inner"].half_widths(path, self.horizon, self.coverage)
        self.fit_info_ = describe(self.models_, self.weights_, channels, trials, chosen, tests)
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast every row of `future`; a series that fails is left out and named in `failed_series_`."""
        data = replace(past, horizon=self.horizon)
        predicted, intervals, self.failed_series_ = {}, {}, {}
        memory = max(model.memory for model in self.models_) + self.horizon
        for channel in channels_of(data, future, tail=memory):
            try:
                path = self._path(channel)
            except (ValueError, np.linalg.LinAlgError) as error:
                self.failed_series_[channel.key[0]] = str(error)
                continue
            predicted[channel.key] = path
            half = self.half_widths_ * self.scales_.get(channel.key, channel.scale(data.scale_period))
            intervals[channel.key] = (path - half, path + half)
        return answer(data, future, predicted, intervals)

    def forecast_origins(self, data: SeriesData, known: dict[Any, np.ndarray]) -> dict[tuple[Any, str], np.ndarray]:
        """Forecasts from many origins at once, with the coefficients as they are.

        Parameters
        ----------
        data : SeriesData
            All rows, those that are to be forecast included; only rows before an origin are looked at for it, and
            covariates that are known ahead.
        known : dict
            Series -> numbers of its rows that are known at each origin, [origins].

        Returns
        -------
        dict
            (series, target) -> [origins, horizon], in target units.
        """
        data = replace(data, horizon=self.horizon)
        return {channel.key: self._path(channel, known[channel.key[0]]) for channel in channels_of(data)}

    def forecast_one_step(self, data: SeriesData, rows: dict[Any, int]) -> dict[tuple[Any, str], np.ndarray]:
        """The latest `rows` of each series, each from everything before it, with the coefficients as they are."""
        found = {}
        for channel in channels_of(replace(data, horizon=self.horizon)):
            at = np.arange(max(len(channel) - rows[channel.key[0]], 1), len(channel))
            found[channel.key] = self._path(padded(channel, self.horizon), at, first_step=True)[:, 0]
        return found

    def _path(self, channel: Channel, origins: np.ndarray | None = None, first_step: bool = False) -> np.ndarray:
        """The averaged forecast of one channel, [horizon]; fewer future rows than the horizon are made up to it."""
        channel = padded(channel, self.horizon) if origins is None else channel
        if channel.key in self.floor_ and self.floor_[channel.key] > 0:
            # A later value at or below zero has no logarithm: the smallest one of training stands in for it.
            channel = replace(channel, values=np.maximum(channel.values, self.floor_[channel.key] / 2))
        mean = self.metric in MEAN_METRICS
        models = [only_first_step(model) for model in self.models_] if first_step else self.models_
        parts = [model.predict(channel, origins, mean)[..., : 1 if first_step else None] for model in models]
        path = np.tensordot(self.weights_, parts, axes=1)
        if not np.isfinite(path).all():
            raise ValueError("the forecast is not a finite number")
        return path

    def _check(self, channels: list[Channel]) -> None:
        if not channels:
            raise InputError("no series has an observed value before the origin")
        longest = max(len(channel) for channel in channels)
        if longest <= self.horizon + 1:
            raise InputError(
                f"horizon {self.horizon} is as long as the history: the longest series has {longest} values before the "
                "origin; forecast fewer steps"
            )
        self.check_columns(None)
        for value, options, what in ((self.steps, STEPS, "steps"), (self.mean, MEANS, "mean")):
            if value not in ("auto", *options):
                raise unknown(what, value, ("auto", *options))
        if isinstance(self.transform, str) and self.transform not in ("auto", *TRANSFORMS):
            raise unknown("transform", self.transform, ("auto", *TRANSFORMS))
        wanted = TRANSFORMS.get(self.transform, self.transform)
        if wanted not in ("auto", 1.0):
            for channel in channels:
                if channel.values.min() <= 0:
                    raise InputError(
                        f"transform {self.transform!r} needs values above 0; series '{channel.key[0]}' has "
                        f"{channel.values.min():g}: take transform: none"
                    )

    def _search(self, data: SeriesData, channels: list[Channel], tests: Sequence[Tested]) -> list[dict[str, Any]]:
        """Candidates with their forecasts at the inner origins, the first one first."""
        given = [candidate_of(one) for one in self.form] if self.form is not None else []
        clock = any(one.steps == "clock" or one.mean == "clock" for one, _ in given)
        day = data.period if clock or (not given and offers_clock(data, channels)) else 1
        inner = Inner.of(channels, self.horizon, data.scale_period, day)
        trials: dict[Candidate, dict[str, Any]] = {}
        if given:
            self._try(data, channels, inner, [one for one, _ in given], trials, given[0][0])
            missing = [one for one, _ in given if one not in trials]
            if missing:
                raise InputError(f"form: {plain(missing[0])} cannot be fitted: {self.last_cause_}")
            return list(trials.values())
        start = self._frozen(first_candidate(data, channels))
        best = self._try(data, channels, inner, [start], trials, start)
        for vary in alternatives(data, channels, tests):
            options = [o for o in (self._frozen(c) for c in vary(best)) if o not in trials]
            best = self._try(data, channels, inner, list(dict.fromkeys(options)), trials, best)
        if not trials:
            raise InputError(f"no regression can be fitted: {self.last_cause_}")
        return list(trials.values())

    def _try(
        self,
        data: SeriesData,
        channels: list[Channel],
        inner: Inner,
        options: list[Candidate],
        trials: dict[Candidate, dict[str, Any]],
        best: Candidate,
    ) -> Candidate:
        mean = self.metric in MEAN_METRICS
        made = joblib.Parallel(min(self.n_jobs, max(len(options), 1)))(
            joblib.delayed(judge_candidate)(option, data, channels, inner, mean) for option in options
        )
        for option, forecasts in zip(options, made, strict=True):
            if isinstance(forecasts, str):
                self.last_cause_ = forecasts
                continue
            loss = inner.loss(self.metric, forecasts)
            trials[option] = {"candidate": option, "forecasts": forecasts, "loss": loss, "inner": inner}
            if best not in trials or (loss < trials[best]["loss"] and option.steps != "repeat"):
                best = option
        return best

    def _frozen(self, candidate: Candidate) -> Candidate:
        """The candidate with everything that the user has set."""
        given: dict[str, Any] = {}
        if self.transform != "auto":
            given["transform"] = float(TRANSFORMS.get(self.transform, self.transform))
        if self.lookback != "auto" and candidate.steps != "repeat":
            given["lookback"] = int(self.lookback)
            given["centre"] = min(candidate.centre, given["lookback"])
        if self.sharing != "auto":
            given["own"] = np.inf if self.sharing == "shared" else float(self.sharing)
        if self.steps != "auto" and candidate.steps != "repeat":
            given["steps"] = self.steps
        if self.mean != "auto" and candidate.steps in ("direct", "recursive"):
            given["mean"] = self.mean
        return replace(candidate, **given)

    def _weights(self, trials: list[dict[str, Any]]) -> np.ndarray:
        if self.form is not None:
            given = {one: weight for one, weight in map(candidate_of, self.form)}
            weights = np.array([given[trial["candidate"]] for trial in trials])
            return weights / weights.sum()
        loss = np.array([t["loss"] if t["candidate"].steps != "repeat" else np.inf for t in trials])
        if not self.average:
            return np.eye(len(trials))[int(np.argmin(loss))]
        inner = trials[0]["inner"]
        return average_weights(lambda mix: inner.loss(self.metric, mix), [trial["forecasts"] for trial in trials])
