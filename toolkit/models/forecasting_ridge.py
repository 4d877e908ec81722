"""Direct and recursive multi-step regressions on lags, in closed form, shared between channels as far as it helps.

Every channel is brought to a common scale. The coefficients of all channels together, B, minimise the average squared
error; those of channel i, B_i, minimise its own squared error plus a penalty on B_i - B. A large penalty pools all
channels, none fits each on its own: partial pooling, the ridge form of a random-coefficient model (Swamy 1970).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.models.forecasting_channels import BoxCox, Channel
from toolkit.models.forecasting_design import Design

__all__ = ["LagRegression", "penalty_shares", "solve_by_step"]

IDENTITY = BoxCox(1.0)
BLOCK = 20_000  # windows that are held at once
LEAST_PENALTY = 1e-3  # of a step that is forecast without error, beside the mean of all steps


@dataclass
class LagRegression:
    """Regression of the next values on lags of the deviation from a mean function.

    Parameters
    ----------
    horizon : int
    lookback : int
        Lags.
    season : int
        Steps of the season that scales a channel.
    transform : BoxCox
    centre : int
        The mean of this many latest values is taken out of each window; 1 = the last value.
    own : float
        Penalty on the difference to the shared coefficients, relative to the mean diagonal of the channel's Gram
        matrix; infinity shares all coefficients.
    ridge : float
        Penalty on the shared coefficients, relative to the mean diagonal of their Gram matrix; see `solve_by_step`.
    recursive : bool
        Forecast one step and go on from there, instead of one regression for each step.
    design : Design or None
        Columns of the mean function; None for no covariates. With `design.clock` one mean function for each place in
        the shortest season.
    difference : int
        Seasonal differences of this lag are regressed on their own lags, so that what the penalty draws to is the value
        one season before; 0 for none.
    most : int
        Windows of a channel that are used at most, evenly spread.
    """

    horizon: int
    lookback: int
    season: int
    transform: BoxCox = IDENTITY
    centre: int = 1
    own: float = 0.1
    ridge: float = 1e-4
    recursive: bool = False
    design: Design | None = None
    difference: int = 0
    most: int = 40_000
    shared_: np.ndarray | None = field(default=None, repr=False)  # [lookback + 1 + past, steps]
    own_: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)
    scales_: dict[Any, float] = field(default_factory=dict, repr=False)
    means_: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)
    variance_: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        way = "one step and on from there" if self.recursive else "one equation for each step ahead"
        pooled = "coefficients the same for all series, " if len(self.scales_) > 1 else ""
        pooled = pooled if np.isinf(self.own) else f"own coefficients, drawn to the shared ones by {self.own:g}, "
        less = "their last value" if self.centre == 1 else f"the mean of the last {self.centre}"
        terms = " + ".join(name for name, _ in self.design.terms_) if self.design is not None else ""
        by = " for each time of day" if self.design is not None and self.design.clock else ""
        right = f"{terms}{by} + errors on {self.lookback} lags" if terms else f"{self.lookback} lags"
        name = self.transform.label.format("y")
        name = f"difference({name}, {self.difference})" if self.difference else name
        return f"{name} ~ {right} less {less}; {way}; {pooled}ridge {self.ridge:g}"

    @property
    def parameters(self) -> int:
        count = self.shared_.size if self.shared_ is not None else 0
        return count * (1 if np.isinf(self.own) else max(len(self.own_), 1)) + sum(m.size for m in self.means_.values())

    @property
    def memory(self) -> int:
        """Rows of the past that a forecast looks at."""
        return max(self.lookback, 4 * self.season) + self.difference

    def fit(self, channels: list[Channel]) -> LagRegression:
        """Learn mean functions, scales and coefficients."""
        steps = 1 if self.recursive else self.horizon
        grams: list[tuple[Any, np.ndarray, np.ndarray, np.ndarray, int]] = []
        gram, cross, square, count = 0.0, 0.0, 0.0, 0
        for channel in channels:
            values, _ = self._deviation(channel, learn=True)
            made = self._moments(channel, self._differences(values), steps)
            if made is None:
                continue
            g, c, squares, n = made
            grams.append((channel.key, g, c, squares, n))
            gram, cross, square, count = gram + g / n, cross + c / n, square + squares / n, count + 1
        if not count:
            raise ValueError(f"no series holds {self.lookback} lags and {steps} steps")
        self.shared_ = solve_by_step(gram / count, cross / count, square / count, self.ridge)
        for key, g, c, squares, n in grams:
            coefficients = self.shared_
            if np.isfinite(self.own):
                penalty = self.own * np.trace(g) / len(g) * np.eye(len(g))
                coefficients = self.shared_ + np.linalg.solve(g + penalty, c - g @ self.shared_)
                self.own_[key] = coefficients
            fitted = np.einsum("ij,ij->j", coefficients, 2 * c - g @ coefficients)
            self.variance_[key] = np.maximum(squares - fitted, 0) / n
        return self

    def predict(self, channel: Channel, origins: np.ndarray | None = None, mean: bool = False) -> np.ndarray:
        """Forecasts in target units, [horizon], or [origins, horizon].

        Parameters
        ----------
        channel : Channel
            Known up to the origin, with covariates of the future.
        origins : ndarray of int, optional
            Numbers of values known at each origin; the channel's end when left out.
        mean : bool
            The mean instead of the median, where a transform makes a difference.
        """
        at = np.array([len(channel)]) if origins is None else np.asarray(origins)
        levels, mean_path = self._deviation(channel, learn=False)
        values = self._differences(levels)
        scale = self.scales_.get(channel.key) or self._scale(channel)
        inputs, level = self._inputs(channel, values, at, scale)
        coefficients = self.own_.get(channel.key, self.shared_)
        path = self._iterate(inputs, coefficients) if self.recursive else inputs @ coefficients
        ahead = at[:, None] + np.arange(self.horizon)
        z = self._sums(path * scale + level, levels, at) + (mean_path[ahead] if mean_path is not None else 0.0)
        variance = self.variance_.get(channel.key, np.zeros(1)) * scale**2 if mean and not self.recursive else 0.0
        y = self.transform.back(z, variance)
        return y[0] if origins is None else y

    def _differences(self, values: np.ndarray) -> np.ndarray:
        """Seasonal differences, [n]; before the first one stands the first one."""
        lag = min(self.difference, len(values) - 1)
        if lag <= 0:
            return values
        made = values[lag:] - values[:-lag]
        return np.r_[np.full(lag, made[0]), made]

    def _sums(self, path: np.ndarray, levels: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Forecasts of differences [origins, horizon] as forecasts of levels."""
        lag = min(self.difference, len(levels) - 1)
        if lag <= 0:
            return path
        path = path.copy()
        for step in range(self.horizon):
            path[:, step] += path[:, step - lag] if step >= lag else levels[np.maximum(at + step - lag, 0)]
        return path

    def _iterate(self, inputs: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """One step at a time, [origins, horizon], in the centred units of the first step."""
        window, rest, out = inputs[:, : self.lookback].copy(), inputs[:, self.lookback :], []
        shift = np.zeros(len(window))
        for _ in range(self.horizon):
            level = window[:, -self.centre :].mean(axis=1)
            step = np.c_[window - level[:, None], rest] @ coefficients
            out.append(step[:, 0] + level + shift)
            window = np.c_[window[:, 1:], step[:, 0] + level]
        return np.column_stack(out)

    def _scale(self, channel: Channel) -> float:
        z = self.transform(channel.values)
        lag = self.season if len(z) > 2 * self.season else 1
        size = np.abs(z[lag:] - z[:-lag]).mean() if len(z) > lag else 0.0
        return float(size) if size > 1e-12 else max(float(np.abs(z).mean()), 1e-12)

    def _deviation(self, channel: Channel, learn: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """(deviation from the mean function [n], mean function [n + ahead] or None)."""
        z = self.transform(channel.values)
        if learn:
            self.scales_[channel.key] = self._scale(channel)
        if self.design is None or self.design.width == 0:
            return z, None
        X = self.design.columns(channel)
        places = channel.ordinal % self.design.periods[0] if self.design.clock else np.zeros(len(X), dtype=int)
        if learn:
            self.means_[channel.key] = _fit_mean(X[: len(z)], z, places[: len(z)], channel.seen)
        if channel.key not in self.means_:
            raise ValueError("a series that was not there in training has no mean function")
        coefficients = self.means_[channel.key][places]  # [n + ahead, p + 1]
        path = np.einsum("ij,ij->i", X, coefficients[:, :-1]) + coefficients[:, -1]
        return z - path[: len(z)], path

    def _inputs(
        self, channel: Channel, values: np.ndarray, at: np.ndarray, scale: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(inputs [origins, F], level [origins, 1]); what lies before the first value repeats it."""
        padded = np.r_[np.full(self.lookback, values[0]), values]
        window = padded[at[:, None] + np.arange(self.lookback)]
        level = window[:, -self.centre :].mean(axis=1, keepdims=True)
        parts = [(window - level) / scale]
        if channel.past.shape[1]:
            parts.append(self._past(channel)[np.maximum(at - 1, 0)])
        return np.column_stack([*parts, np.ones(len(at))]), level

    def _past(self, channel: Channel) -> np.ndarray:
        """Covariates known up to the origin, standardised by their own past, [n, columns]; numbers only."""
        numbers = channel.past.select_dtypes(include="number")
        values = numbers.to_numpy(dtype=float)
        key = ("past", channel.key)
        if key not in self.means_:
            self.means_[key] = np.vstack([np.nanmean(values, axis=0), np.nanstd(values, axis=0) + 1e-9])
        mean, spread = self.means_[key]
        return np.clip(np.nan_to_num((values - mean) / spread), -5, 5)

    def _moments(
        self, channel: Channel, values: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | None:
        """Gram matrix [F, F], cross products [F, steps], squares [steps] and number of windows with a seen future."""
        first = min(self.lookback + self.difference, max(1, len(values) - steps))
        at = np.arange(first, len(values) - steps + 1)
        if len(at) == 0:
            return None
        if not channel.seen.all():
            holes = np.r_[0, np.cumsum(~channel.seen)]
            complete = holes[at + steps] == holes[np.maximum(at - self.difference, 0)]
            at = at[complete] if complete.sum() >= 2 else at
        at = at[:: max(1, -(-len(at) // self.most))]
        scale = self.scales_[channel.key]
        gram, cross, squares = 0.0, 0.0, 0.0
        for start in range(0, len(at), BLOCK):
            some = at[start : start + BLOCK]
            inputs, level = self._inputs(channel, values, some, scale)
            targets = (values[some[:, None] + np.arange(steps)] - level) / scale
            gram, cross = gram + inputs.T @ inputs, cross + inputs.T @ targets
            squares = squares + (targets**2).sum(axis=0)
        return gram, cross, squares, len(at)


def solve_by_step(gram: np.ndarray, cross: np.ndarray, squares: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge coefficients of all steps, each penalised in proportion to its residual variance, [F, steps].

    Coefficients of the same prior size deserve a penalty of residual variance over prior variance (Hoerl, Kennard and
    Baldwin, Communications in Statistics 4, 1975): the next value, which is nearly known, a small one.

    Parameters
    ----------
    gram : ndarray, [F, F]
    cross : ndarray, [F, steps]
    squares : ndarray, [steps]
        Sums of squared targets.
    ridge : float
        Mean penalty over the steps, relative to the mean diagonal of the Gram matrix.
    """
    sizes, axes = np.linalg.eigh(gram)
    sizes, turned = np.maximum(sizes, 0.0)[:, None], axes.T @ cross
    penalty = np.full(len(squares), ridge * np.trace(gram) / len(gram))
    weights = turned / (sizes + penalty)
    left = np.maximum(squares - (weights * (2 * turned - sizes * weights)).sum(axis=0), 0.0)
    return axes @ (turned / (sizes + penalty * penalty_shares(left)))


def penalty_shares(variance: np.ndarray) -> np.ndarray:
    """What the penalty of each step is beside the mean of all, [steps], from residual variances [steps]."""
    mean = variance.mean()
    return np.maximum(variance / mean, LEAST_PENALTY) if mean > 0 else np.ones(len(variance))


def _fit_mean(X: np.ndarray, z: np.ndarray, places: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Ridge coefficients of the mean function with intercept last, [places, p + 1], in the units of X."""
    count = int(places.max()) + 1
    out = np.zeros((count, X.shape[1] + 1))
    for place in range(count):
        rows = np.flatnonzero((places == place) & seen)
        if len(rows) == 0:
            out[place, -1] = z[seen].mean()
            continue
        A, b = X[rows], z[rows]
        centre, spread = A.mean(axis=0), A.std(axis=0)
        used = spread > 1e-9
        A = (A[:, used] - centre[used]) / spread[used]
        coefficients = np.linalg.solve(A.T @ A + MEAN_RIDGE * np.eye(A.shape[1]), A.T @ (b - b.mean())) / spread[used]
        out[place, :-1][used] = coefficients
        out[place, -1] = b.mean() - centre[used] @ coefficients
    return out


MEAN_RIDGE = 1.0  # of standardised columns of the mean function: one observation's worth
