"""The series regression with boosted trees on what it leaves: how much of the dynamics is not linear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from toolkit.data.series import SeriesData
from toolkit.models.forecasting import MEAN_METRICS, SeriesRegression
from toolkit.models.forecasting_channels import Channel, channels_of
from toolkit.models.forecasting_inner import padded

__all__ = ["NonlinearSeriesRegression"]

LAGS = 24  # latest values that the trees see, beside the same place in earlier seasons
ROWS = 20_000  # of all channels and steps together
HELD_OUT = 0.2  # share of the latest origins that decides how many trees there are


class NonlinearSeriesRegression(SeriesRegression):
    """`SeriesRegression`, corrected by gradient boosting of its errors on lags, seasons, covariates and the forecast.

    The trees learn from origins inside the training rows, all series together, in units of each series' scale; the
    latest fifth of these origins decides how many there are, none included.
    """

    def fit(self, history: SeriesData) -> NonlinearSeriesRegression:
        """Learn the regression, then its correction."""
        self.trees_: HistGradientBoostingRegressor | None = None
        super().fit(history)
        data = replace(history, horizon=self.horizon)
        self.centres_ = {channel.key: float(channel.values.mean()) for channel in channels_of(data)}
        inputs, errors, late = [], [], []
        channels = list(channels_of(data))
        most = max(ROWS // (self.horizon * len(channels)), 4)
        for channel in channels:
            at = np.arange(min(LAGS, max(len(channel) - self.horizon, 1)), len(channel) - self.horizon + 1)
            at = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), most)).astype(int))] if len(at) else at
            if not len(at):
                continue
            path = super()._path(channel, at)
            ahead = at[:, None] + np.arange(self.horizon)
            error = (channel.values[ahead] - path) / self.scales_[channel.key]
            seen = channel.seen[ahead].ravel()
            inputs.append(self._inputs(channel, at, path, data)[seen])
            errors.append(error.ravel()[seen])
            late.append(np.repeat(at >= np.quantile(at, 1 - HELD_OUT), self.horizon)[seen])
        if inputs:
            self._boost(np.concatenate(inputs), np.concatenate(errors), np.concatenate(late))
        self.periods_ = data.periods
        return self

    def _boost(self, X: np.ndarray, error: np.ndarray, late: np.ndarray) -> None:
        if late.all() or late.sum() < 10:
            return
        loss = "squared_error" if self.metric in MEAN_METRICS else "absolute_error"
        trees = HistGradientBoostingRegressor(
            loss=loss, max_iter=200, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=40, random_state=0,
            early_stopping=True, n_iter_no_change=15, validation_fraction=None,
        )  # fmt: skip
        trees.fit(X[~late], error[~late], X_val=X[late], y_val=error[late])
        power = 2 if loss == "squared_error" else 1
        before, after = (np.abs(left) ** power for left in (error[late], error[late] - trees.predict(X[late])))
        self.trees_ = trees if after.mean() < before.mean() else None

    def _path(self, channel: Channel, origins: np.ndarray | None = None) -> np.ndarray:
        path = super()._path(channel, origins)
        if self.trees_ is None:
            return path
        channel = padded(channel, self.horizon) if origins is None else channel
        at = np.array([len(channel)]) if origins is None else np.asarray(origins)
        scale = self.scales_.get(channel.key, channel.scale(max(self.periods_, default=1)))
        correction = self.trees_.predict(self._inputs(channel, at, np.atleast_2d(path), None)) * scale
        return path + correction.reshape(path.shape)

    def _inputs(self, channel: Channel, at: np.ndarray, path: np.ndarray, data: SeriesData | None) -> np.ndarray:
        """Columns of every origin and step, [origins * horizon, F]."""
        periods = self.periods_ if data is None else data.periods
        y, scale, steps = channel.values, self.scales_.get(channel.key, 1.0), np.arange(self.horizon)
        level = y[at - 1][:, None]
        rows = at[:, None] + steps  # [O, H]
        latest = (y[np.maximum(at[:, None] - 1 - np.arange(LAGS), 0)] - level) / scale  # [O, LAGS]
        parts = [np.repeat(latest[:, None, :], self.horizon, axis=1), np.broadcast_to(steps, rows.shape)[..., None]]
        parts.append(((path - level) / scale)[..., None])
        height = (level - self.centres_.get(channel.key, float(y.mean()))) / scale
        parts.append(np.broadcast_to(height, rows.shape)[..., None])
        for period in periods:
            same = np.maximum(rows - period * (-(-(steps + 1) // period)), 0)
            parts += [((y[same] - level) / scale)[..., None], (channel.ordinal[rows] % period)[..., None]]
        parts.append(self._covariates(channel.known, data is not None, channel)[rows])
        return np.concatenate(parts, axis=2).reshape(rows.size, -1).astype(float)

    def _covariates(self, known: pd.DataFrame, learn: bool, channel: Channel) -> np.ndarray:
        """Numbers as they are, texts as the number of their level in training, [n + ahead, columns]."""
        if learn:
            levels = self.__dict__.setdefault("levels_", {})
            for name in known.columns:
                if not pd.api.types.is_numeric_dtype(known[name]):
                    mine = levels.setdefault(name, {})
                    for level in known[name].iloc[: len(channel)].astype(str).unique():
                        mine.setdefault(level, len(mine))
        columns = [
            known[name].to_numpy(dtype=float)
            if pd.api.types.is_numeric_dtype(known[name])
            else known[name].astype(str).map(self.levels_[name]).to_numpy(dtype=float)
            for name in known.columns
        ]
        return np.column_stack(columns) if columns else np.zeros((len(known), 0))
