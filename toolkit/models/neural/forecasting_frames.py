"""From a long frame of series to the tensors of a panel: everything learned here is learned from the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.errors import InputError
from toolkit.models.neural.forecasting_panel import Panel, seasonal_scale

__all__ = ["ChannelScales", "ColumnEncoder", "SeriesEncoder", "calendar_features", "fill_forward"]

LEVELS = 50  # most levels of a text covariate that get an input of their own; the rest share "none of them"


@dataclass
class ColumnEncoder:
    """Covariates as numbers: standardised, or one input per level; what is missing counts as average.

    Attributes
    ----------
    columns : tuple of str
    numbers : dict
        Column -> (mean, standard deviation) in the training rows.
    levels : dict
        Column -> its levels in the training rows.
    """

    columns: tuple[str, ...]
    numbers: dict[str, tuple[float, float]] = field(default_factory=dict)
    levels: dict[str, list] = field(default_factory=dict)

    def fit(self, frame: pd.DataFrame) -> ColumnEncoder:
        for column in self.columns:
            values = frame[column]
            if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
                numbers = values.to_numpy(float, na_value=np.nan)
                seen = numbers[np.isfinite(numbers)]
                mean, deviation = (float(seen.mean()), float(seen.std())) if len(seen) else (0.0, 1.0)
                self.numbers[column] = (mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0)
            else:
                self.levels[column] = list(values.dropna().astype(str).value_counts().index[:LEVELS])
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Inputs, [rows, inputs], float32."""
        parts = [np.empty((len(frame), 0), dtype=np.float32)]
        for column in self.columns:
            if column not in frame.columns:
                raise InputError(f"column '{column}' was there when the net was fitted and is missing now")
            if column in self.numbers:
                mean, deviation = self.numbers[column]
                scaled = (frame[column].to_numpy(float, na_value=np.nan) - mean) / deviation
                parts.append(np.nan_to_num(np.clip(scaled, -10, 10)).astype(np.float32)[:, None])
            else:
                text = frame[column].astype(str).to_numpy()
                parts.append((text[:, None] == np.array(self.levels[column], dtype=object)).astype(np.float32))
        return np.concatenate(parts, axis=1)


def calendar_features(times: pd.Series, yearly: bool) -> np.ndarray:
    """Inputs from time stamps, [rows, inputs], float32; none for series that are only counted.

    Hour of the day as six harmonics, day of the week as one input per level; with `yearly` the month as one input per
    level and the day of the year as two harmonics.
    """
    if not pd.api.types.is_datetime64_any_dtype(times):
        return np.empty((len(times), 0), dtype=np.float32)
    stamp = times.dt
    day = (stamp.hour * 60 + stamp.minute).to_numpy(float) / 1440
    year = (stamp.dayofyear.to_numpy(float) - 1 + day) / 365.25
    waves = [f(2 * np.pi * k * day) for k in range(1, 7) for f in (np.sin, np.cos)]
    weekday = stamp.dayofweek.to_numpy()[:, None] == np.arange(7)
    if not yearly:
        return np.column_stack([*waves, weekday]).astype(np.float32)
    waves += [f(2 * np.pi * k * year) for k in (1, 2) for f in (np.sin, np.cos)]
    month = stamp.month.to_numpy()[:, None] == np.arange(1, 13)
    return np.column_stack([*waves, weekday, month]).astype(np.float32)


@dataclass
class ChannelScales:
    """Numbers of each series and target, [series, targets], float64.

    Attributes
    ----------
    unit : what values are divided by before the logarithm (mean absolute value)
    offset : what is added before the logarithm: 0 where all values are positive, else 1
    spread : typical change over half a season on the modelling scale
    scale : target units that count as an error of one
    """

    unit: np.ndarray
    offset: np.ndarray
    spread: np.ndarray
    scale: np.ndarray


def fill_forward(values: np.ndarray) -> np.ndarray:
    """Missing values take the last one seen, leading ones the first; all missing: 0. [n, k] -> [n, k]."""
    return pd.DataFrame(values).ffill().bfill().fillna(0.0).to_numpy()


class SeriesEncoder:
    """Learns scales and codes of a set of series; makes panels of these or of other rows.

    Parameters
    ----------
    data : SeriesData
        Training rows.
    log : bool
        Model logarithms.
    scaling : {"seasonal", "deviation", "none"}
        What an error is divided by in the loss: the mean absolute seasonal change (MASE), the standard deviation, or
        nothing.
    """

    def __init__(self, data, log: bool, scaling: str) -> None:
        self.series, self.time = data.series, data.time
        self.targets = tuple(data.targets)
        self.log, self.scaling = log, scaling
        self.season = int(data.periods[0]) if data.periods else 1
        self.known = ColumnEncoder(tuple(data.known_ahead)).fit(data.frame)
        self.past = ColumnEncoder(tuple(data.past_only)).fit(data.frame)
        self.static = ColumnEncoder(tuple(data.static)).fit(data.frame)
        self.yearly = spans_years(data.frame[self.time])
        self.moving = calendar_features(data.frame[self.time], self.yearly).std(axis=0) > 1e-6
        names, first, stop = runs(data.frame[self.series])
        self.places = {name: i for i, name in enumerate(names)}
        values = data.frame[list(self.targets)].to_numpy(float)
        self.scales = self._scales(values, first, stop)

    def _scales(self, values: np.ndarray, first: np.ndarray, stop: np.ndarray) -> ChannelScales:
        shape = (len(first), values.shape[1])
        scales = ChannelScales(*(np.ones(shape) for _ in range(4)))
        for s, (begin, end) in enumerate(zip(first, stop, strict=True)):
            for k in range(shape[1]):
                column = values[begin:end, k]
                seen = column[np.isfinite(column)]
                if not len(seen):
                    continue
                scales.unit[s, k] = np.abs(seen).mean() or 1.0
                scales.offset[s, k] = 0.0 if seen.min() > 0 else 1.0
                scales.scale[s, k] = self._loss_scale(column, seen)
                z = self.to_model(column, scales.unit[s, k], scales.offset[s, k])
                # Half a season apart: the size of the seasonal swing and of changes, not of the level. Next to nothing
                # for a constant series, so that its forecast is that constant.
                flat = np.ptp(seen) <= 1e-12 * np.abs(seen).max()
                scales.spread[s, k] = 1e-6 * (abs(z[0]) or 1.0) if flat else seasonal_scale(z, max(1, self.season // 2))
        return scales

    def _loss_scale(self, column: np.ndarray, seen: np.ndarray) -> float:
        if self.scaling == "none":
            return 1.0
        if self.scaling == "seasonal" or seen.std() <= 1e-9 * np.abs(seen).max():
            return seasonal_scale(column, self.season)
        return float(seen.std())

    def to_model(self, values, unit, offset):
        """Values in target units on the modelling scale; what has no logarithm takes a very small one."""
        if not self.log:
            return values
        return np.log(np.maximum(values / unit + offset, 1e-6))

    def panel(self, frame: pd.DataFrame) -> tuple[Panel, list]:
        """All rows of a frame that is sorted by series and time, and the names of its series.

        Missing targets are not seen. Series that were not in the training rows get scales from their rows here.
        """
        names, first, stop = runs(frame[self.series])
        values = frame[list(self.targets)].to_numpy(float)
        scales = self._known_scales(names, values, first, stop)
        length = stop - first
        unit, offset = np.repeat(scales.unit, length, axis=0), np.repeat(scales.offset, length, axis=0)
        model = self.to_model(values, unit, offset)
        filled = np.concatenate([fill_forward(model[a:b]) for a, b in zip(first, stop, strict=True)])
        static = self.static.transform(frame.iloc[first])
        calendar = calendar_features(frame[self.time], self.yearly)[:, self.moving]
        raw = values / np.repeat(scales.scale, length, axis=0)

        def tensor(array: np.ndarray, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(kind)

        panel = Panel(
            values=tensor(filled, torch.float64),
            seen=tensor(np.isfinite(values), torch.bool),
            raw=tensor(np.nan_to_num(raw)),
            known=tensor(self.known.transform(frame)),
            past=tensor(self.past.transform(frame) if self.past.columns else np.empty((len(frame), 0))),
            calendar=tensor(calendar),
            static=tensor(static),
            first=tensor(first, torch.int64),
            stop=tensor(stop, torch.int64),
            spread=tensor(scales.spread),
            scale=tensor(scales.scale),
            unit=tensor(scales.unit, torch.float64),
            offset=tensor(scales.offset, torch.float64),
            identity=tensor(self._identities(names), torch.int64),
            log=self.log,
        )
        return panel, names

    def _identities(self, names: Sequence) -> np.ndarray:
        """Numbers of the channels from 1, and 0 for unknown series, [series, targets]."""
        place = np.array([self.places.get(name, -1) for name in names])[:, None]
        return np.where(place >= 0, place * len(self.targets) + np.arange(len(self.targets)) + 1, 0)

    def _known_scales(self, names: Sequence, values: np.ndarray, first: np.ndarray, stop: np.ndarray) -> ChannelScales:
        """Scales as learned in training; for a series that was not there, those of its own rows."""
        known = [self.places.get(name, -1) for name in names]
        if min(known, default=0) >= 0:
            s = self.scales
            return ChannelScales(s.unit[known], s.offset[known], s.spread[known], s.scale[known])
        own = self._scales(values, first, stop)
        for row, k in enumerate(known):
            if k >= 0:
                for name in ("unit", "offset", "spread", "scale"):
                    getattr(own, name)[row] = getattr(self.scales, name)[k]
        return own


def spans_years(times: pd.Series) -> bool:
    """Whether two full years were seen: a month that was seen once cannot be told from what happened in it."""
    return pd.api.types.is_datetime64_any_dtype(times) and (times.max() - times.min()).days >= 2 * 365


def runs(series: pd.Series) -> tuple[list, np.ndarray, np.ndarray]:
    """Names of the series in order, and the first row and the row behind the last of each; rows must be grouped."""
    codes, names = pd.factorize(series)
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.array([], dtype=int)
    if len(first) != len(names):
        raise InputError(f"rows of one '{series.name}' must stand together, sorted by time")
    return list(names), first, np.r_[first[1:], len(codes)]
