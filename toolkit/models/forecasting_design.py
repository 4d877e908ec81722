"""Columns of a dynamic regression: the place in the seasons, covariates as splines, holidays and their neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.preprocessing import SplineTransformer

from toolkit.data.calendar import HOLIDAY, NONE, is_holiday
from toolkit.models.forecasting_channels import Channel

__all__ = ["Design", "fourier"]

KNOTS = 6  # of a covariate's spline, at quantiles
FOURIER_YEAR = 3  # pairs of sine and cosine for a season of more than 60 steps
MOST_DUMMIES = 60
MOST_LEVELS = 30


@dataclass
class Design:
    """Learned once from the training channels, then applied to any stretch of a channel.

    Parameters
    ----------
    periods : tuple of int
        Seasonal periods in steps, ascending.
    clock : bool
        The place in the shortest season is left to the caller, who fits one regression for each.
    linear : bool
        Numbers enter as they are, not as splines: for many covariates and short series.
    """

    periods: tuple[int, ...]
    clock: bool = False
    linear: bool = False
    splines_: dict[str, SplineTransformer] = field(default_factory=dict)
    levels_: dict[str, list] = field(default_factory=dict)
    means_: dict[str, float] = field(default_factory=dict)
    terms_: list[tuple[str, int]] = field(default_factory=list)  # (term, columns) in order

    def fit(self, channels: list[Channel]) -> Design:
        """Learn knots, levels and means from the training rows of all channels."""
        known = pd.concat([channel.known.iloc[: len(channel)] for channel in channels], ignore_index=True)
        for column in known.columns:
            values = known[column]
            if column == HOLIDAY:
                days = values[values != values.shift()].value_counts()  # stretches of a name, mostly single days
                names = [name for name in days.index if name != NONE and days[name] >= 2 * len(channels)]
                self.levels_[column] = sorted(names)[:MOST_LEVELS]
                continue
            if pd.api.types.is_bool_dtype(values):
                continue
            if pd.api.types.is_numeric_dtype(values):
                self.means_[column] = float(values.mean())
                if values.nunique() > 2 * KNOTS and not self.linear:
                    sample = values.dropna().to_numpy(dtype=float)[:, None]
                    transformer = SplineTransformer(KNOTS, degree=3, knots="quantile", extrapolation="linear",
                                                    include_bias=False)  # fmt: skip
                    self.splines_[column] = transformer.fit(np.unique(sample, axis=0) if _tied(sample) else sample)
            else:
                self.levels_[column] = list(values.astype(str).value_counts().index[1:MOST_LEVELS])
        self.terms_ = []
        self.columns(channels[0].until(min(len(channels[0]), 500)))
        return self

    @property
    def width(self) -> int:
        return sum(count for _, count in self.terms_)

    def columns(self, channel: Channel) -> np.ndarray:
        """Design of every row of the channel and of its future, [n + ahead, p]."""
        parts = [*self._seasonal(channel.ordinal)]
        for column in channel.known.columns:
            parts += self._covariate(column, channel)
        self.terms_ = [(name, part.shape[1]) for name, part in parts]
        if not parts:
            return np.zeros((len(channel.ordinal), 0))
        return np.column_stack([part for _, part in parts])

    def _seasonal(self, ordinal: np.ndarray) -> list[tuple[str, np.ndarray]]:
        parts, before = [], 1
        for number, period in enumerate(self.periods):
            places, within = period // before, period % before == 0
            if number == 0 and self.clock:
                pass
            elif within and places <= MOST_DUMMIES and not (number == 0 and period > MOST_DUMMIES):
                place = (ordinal // before) % places
                parts.append((f"C(place in {period})", np.eye(places)[place][:, 1:]))
            else:
                pairs = FOURIER_YEAR if period > 60 else min(period // 2, 6)
                parts.append((f"fourier({period}, {pairs})", fourier(ordinal, period, pairs)))
            if within:
                before = period
        return parts

    def _covariate(self, column: str, channel: Channel) -> list[tuple[str, np.ndarray]]:
        values, day = channel.known[column], self.periods[0] if self.periods else 1
        if column == HOLIDAY:
            here = is_holiday(values).astype(float)
            both = _with_yesterday(here, day if day in (24, 48, 96, 1440) else 1)
            parts = [("holiday, today and yesterday", both)]
            if self.levels_[column]:  # the penalty draws each holiday to the effect that all have in common
                names = np.column_stack([values == name for name in self.levels_[column]])
                parts.append(("C(holiday)", names.astype(float)))
            return parts
        if pd.api.types.is_bool_dtype(values) or (values.dtype == object and values.isin([True, False]).all()):
            here = values.to_numpy(dtype=float)
            step = day if self.clock else 1
            return [(f"{column}, now and {step} before", _with_yesterday(here, step))]
        if column in self.levels_:
            text = values.astype(str).to_numpy()
            return [(f"C({column})", np.column_stack([text == level for level in self.levels_[column]]).astype(float))
                    ] if self.levels_[column] else []  # fmt: skip
        numbers = values.fillna(self.means_[column]).to_numpy(dtype=float)
        if column not in self.splines_:
            return [(column, numbers[:, None])]
        spline = self.splines_[column]
        parts = [(f"s({column})", spline.transform(numbers[:, None]))]
        if self.clock and day > 2:
            series = pd.Series(numbers)
            for name, made in (
                ("mean", series.rolling(day, min_periods=1).mean()),
                ("max", series.rolling(day, min_periods=1).max()),
                ("min", series.rolling(day, min_periods=1).min()),
                ("mean of 3 seasons", series.rolling(3 * day, min_periods=1).mean()),
            ):
                parts.append((f"s({column}, {name} of the last {day})", spline.transform(made.to_numpy()[:, None])))
            short = max(day // 12, 1)
            lagged = np.r_[np.full(min(short, len(numbers)), numbers[0]), numbers[:-short]][: len(numbers)]
            parts.append((f"s({column}, {short} steps before)", spline.transform(lagged[:, None])))
        return parts


def _tied(sample: np.ndarray) -> bool:
    """Whether quantile knots of the sample would coincide."""
    knots = np.quantile(sample, np.linspace(0, 1, KNOTS))
    return len(np.unique(knots)) < KNOTS


def fourier(ordinal: np.ndarray, period: int, pairs: int) -> np.ndarray:
    """Sines and cosines of the first harmonics, [n, 2 pairs], less the sine that is 0 at every whole step."""
    angle = 2 * np.pi * ordinal[:, None] * np.arange(1, pairs + 1) / period
    sines = np.sin(angle)[:, : pairs - 1 if 2 * pairs == period else pairs]
    return np.concatenate([sines, np.cos(angle)], axis=1)


def _with_yesterday(here: np.ndarray, step: int) -> np.ndarray:
    """An indicator and its value `step` before, [n, 2]."""
    return np.column_stack([here, np.r_[np.zeros(min(step, len(here))), here[:-step]][: len(here)]])
