"""Channels: one array per series and target, with its place in the calendar and its covariates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.series import STEP, SeriesData
from toolkit.models.forecast_frames import fill_missing, series_rows

__all__ = ["TRANSFORMS", "BoxCox", "Channel", "channels_of", "named_power", "ordinals"]

TRANSFORMS = {"none": 1.0, "log": 0.0}  # names of Box-Cox powers


@dataclass(frozen=True)
class Channel:
    """One series and target.

    Attributes
    ----------
    key : (series, target)
    values : ndarray, [n]
        Without holes, in target units.
    seen : ndarray of bool, [n]
        False where `values` was filled in.
    ordinal : ndarray of int, [n + ahead]
        Place on the calendar in steps; equal remainders by a season mean the same place in it.
    known : DataFrame, [n + ahead, columns]
        Covariates known ahead; static ones are no part of it, every channel has a constant of its own.
    past : DataFrame, [n, columns]
        Covariates known up to the origin.
    """

    key: tuple[Any, str]
    values: np.ndarray = field(repr=False)
    seen: np.ndarray = field(repr=False)
    ordinal: np.ndarray = field(repr=False)
    known: pd.DataFrame = field(repr=False)
    past: pd.DataFrame = field(repr=False)

    def __len__(self) -> int:
        return len(self.values)

    def until(self, count: int, ahead: int = 0) -> Channel:
        """The first `count` values, and covariates for `ahead` steps more."""
        return Channel(
            self.key, self.values[:count], self.seen[:count], self.ordinal[: count + ahead],
            self.known.iloc[: count + ahead], self.past.iloc[:count],
        )  # fmt: skip

    def scale(self, lag: int) -> float:
        """Mean absolute change over one season, the unit of this channel's errors."""
        for step in dict.fromkeys((lag, 1)):
            changes = np.abs(self.values[step:] - self.values[:-step])
            changes = changes[self.seen[step:] & self.seen[:-step]]
            if len(changes) and changes.mean() > 0:
                return float(changes.mean())
        return float(np.abs(self.values).mean()) or 1.0


@dataclass(frozen=True)
class BoxCox:
    """(y^power - 1) / power, log(y) for power 0, y itself for power 1 (Box and Cox 1964)."""

    power: float = 1.0

    def __call__(self, y: np.ndarray) -> np.ndarray:
        if self.power == 1.0:
            return y
        return np.log(y) if self.power == 0 else (y**self.power - 1) / self.power

    def back(self, z: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
        """Back in target units: the median, or the mean when the variance of z is given (FPP3, section 5.6)."""
        if self.power == 1.0:
            return z
        if self.power == 0:
            return np.exp(np.minimum(z, 700.0)) * (1 + variance / 2)
        base = np.maximum(self.power * z + 1, 1e-12)
        return base ** (1 / self.power) * (1 + variance * (1 - self.power) / (2 * base**2))

    @property
    def label(self) -> str:
        return {1.0: "{}", 0.0: "log({})"}.get(self.power, f"boxcox({{}}, {self.power:.2f})")


def named_power(power: float) -> str | float:
    """What `TRANSFORMS` calls a Box-Cox power; the power itself without a name."""
    return next((name for name, value in TRANSFORMS.items() if value == power), power)


def ordinals(times: pd.Series, freq: str) -> np.ndarray:
    """Steps since a fixed day, [n]; the number itself when time is one."""
    if freq == STEP:
        return times.to_numpy(dtype=np.int64)
    stamps = pd.DatetimeIndex(times)
    offset = pd.tseries.frequencies.to_offset(freq)
    if isinstance(offset, pd.offsets.Tick):
        return (stamps.as_unit("ns").asi8 // pd.Timedelta(offset).value).astype(np.int64)
    alias = {"MS": "M", "ME": "M", "BMS": "M", "BME": "M", "QS": "Q", "QE": "Q", "YS": "Y", "YE": "Y"}
    base, _, anchor = freq.partition("-")
    name = alias.get(base, base)
    # A quarter or year that starts in another month keeps the same order of its places, which is all that counts.
    return stamps.to_period(f"{name}-{anchor}" if name == "W" and anchor else name).asi8 if name else stamps.asi8


def channels_of(data: SeriesData, future: pd.DataFrame | None = None, tail: int | None = None) -> Iterable[Channel]:
    """Every series and target of the data that has an observation.

    Parameters
    ----------
    future : DataFrame, optional
        Rows to be forecast; series that are not in it are passed over.
    tail : int, optional
        Only the last so many rows of each series, and the hole at its end where there is one.
    """
    frame, season = data.frame, max(data.periods, default=1)
    ahead = series_rows(future, data.series) if future is not None else {}
    columns = list(data.known_ahead)
    observed = np.isfinite(frame[list(data.targets)].to_numpy(dtype=float)).any(axis=1)
    known_all, past_all = frame[columns], frame[list(data.past_only)]
    for name, rows in series_rows(frame, data.series).items():
        if future is not None and name not in ahead:
            continue
        if tail is not None:  # counted from the last observation, so that a series with a hole at its end has one
            hole = int(np.argmax(observed[rows][::-1]))
            rows = slice(max(rows.start, rows.stop - tail - hole), rows.stop)
        times, known = frame[data.time].iloc[rows], known_all.iloc[rows]
        if future is not None:
            extra = future.iloc[ahead[name]]
            times = pd.concat([times, extra[data.time].astype(times.dtype)], ignore_index=True)
            known = pd.concat([known, extra[columns]], ignore_index=True)
        place = ordinals(times, data.freq)
        for target in data.targets:
            values = frame[target].to_numpy(dtype=float)[rows]
            seen = np.isfinite(values)
            if not seen.any():
                continue
            first = int(np.argmax(seen)) if tail is None else 0
            yield Channel(
                (name, target), fill_missing(values[first:], season), seen[first:], place[first:],
                known.iloc[first:].reset_index(drop=True), past_all.iloc[rows].iloc[first:].reset_index(drop=True),
            )  # fmt: skip
