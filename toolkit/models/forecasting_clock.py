"""One regression for each step ahead, from origins at the same time of day: the day-ahead regression of energy markets.

Because all origins of a fit lie at the same place in the shortest season, every step ahead is a fixed time of day and
has coefficients of its own for covariates, calendar and lags, estimated jointly (as the LEAR model of Lago et al.,
Applied Energy 293, 2021, with a ridge instead of a LASSO penalty; Hyndman and Fan, IEEE Trans. Power Systems 25, 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from toolkit.models.forecasting_channels import BoxCox, Channel
from toolkit.models.forecasting_design import Design
from toolkit.models.forecasting_ridge import penalty_shares

__all__ = ["ClockRegression", "only_first_step"]

LEAST_SEASONS = 60  # origins at the same time of day, below which the candidate is not offered
SEASONS_BACK = (0, 1, 2, 6, 13)  # the same time of day on the latest day that is known, and so many days before it


@dataclass
class ClockRegression:
    """Fitted when the first forecast asks for its time of day, from the training rows.

    Parameters
    ----------
    horizon : int
    season : int
        Steps of the shortest season, usually a day.
    transform : BoxCox
    ridge : float
        Penalty on standardised coefficients, in observations: the mean over the steps, each of which has a penalty in
        proportion to its residual variance (see `forecasting_ridge.solve_by_step`).
    design : Design
        With `clock`; calendar and covariates at the row to be forecast and a season before.
    steps : int
        So many of the steps are fitted and forecast, from the first one on; 0 for all.
    """

    horizon: int
    season: int
    transform: BoxCox
    ridge: float
    design: Design
    steps: int = 0
    training_: dict[Any, Channel] = field(default_factory=dict, repr=False)
    fits_: dict[Any, list[tuple[np.ndarray, float]]] = field(default_factory=dict, repr=False)
    sigma_: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)
    shares_: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)  # of the penalty, [horizon], mean 1

    @property
    def label(self) -> str:
        terms = " + ".join(name for name, _ in self.design.terms_)
        days = ", ".join(str(back + 1) for back in SEASONS_BACK)
        return (
            f"{self.transform.label.format('y')} ~ {terms} + latest values + same time {days} seasons before; "
            f"one equation for each time of day and step ahead, ridge {self.ridge:g}"
        )

    @property
    def parameters(self) -> int:
        return sum(len(coefficients) for fits in self.fits_.values() for coefficients, _ in fits)

    @property
    def memory(self) -> int:
        """Rows of the past that a forecast looks at."""
        return (max(SEASONS_BACK) + 4 + self.horizon // self.season + 1) * self.season

    def fit(self, channels: list[Channel]) -> ClockRegression:
        """Keep the training channels and fit the time of day at which they end."""
        self.training_ = {channel.key: channel for channel in channels}
        self.fits_, self.sigma_, self.shares_ = {}, {}, {}
        for channel in channels:
            place = int(channel.ordinal[len(channel) - 1] + 1) % self.season
            _, sigma = self._fit(channel, place, np.ones(self.horizon))
            self.shares_[channel.key] = penalty_shares(sigma**2)
            self._at(channel.key, place)
        return self

    def predict(self, channel: Channel, origins: np.ndarray | None = None, mean: bool = False) -> np.ndarray:
        """Forecasts in target units, [horizon], or [origins, horizon]; as `LagRegression.predict`."""
        at = np.array([len(channel)]) if origins is None else np.asarray(origins)
        z, X = self.transform(channel.values), self.design.columns(channel)
        out = np.empty((len(at), self.steps or self.horizon))
        places = channel.ordinal[at - 1] + 1
        for place in np.unique(places % self.season):
            some = np.flatnonzero(places % self.season == place)
            fits, sigma = self._at(channel.key, int(place))
            for step, (coefficients, constant) in enumerate(fits):
                out[some, step] = self._inputs(z, X, channel, at[some], step) @ coefficients + constant
            out[some] = self.transform.back(out[some], sigma**2 if mean else 0.0)
        return out[0] if origins is None else out

    def _at(self, key: Any, place: int) -> tuple[list[tuple[np.ndarray, float]], np.ndarray]:
        """Coefficients of all steps from origins at one place in the season, fitted once."""
        if (key, place) not in self.fits_:
            if key not in self.training_:
                raise ValueError("a series that was not there in training has no regression")
            self.fits_[key, place], self.sigma_[key, place] = self._fit(self.training_[key], place, self.shares_[key])
        return self.fits_[key, place], self.sigma_[key, place]

    def _fit(
        self, channel: Channel, place: int, shares: np.ndarray
    ) -> tuple[list[tuple[np.ndarray, float]], np.ndarray]:
        """Coefficients of all steps from origins at one place, and standard deviations of their errors, [steps]."""
        z, X = self.transform(channel.values), self.design.columns(channel)[: len(channel)]
        at = self._origins(channel, place)
        fits, sigma = [], []
        for step in range(self.steps or self.horizon):
            rows = at[channel.seen[at + step]]
            fit, error = _ridge(self._inputs(z, X, channel, rows, step), z[rows + step], self.ridge * shares[step])
            fits.append(fit)
            sigma.append(error)
        return fits, np.array(sigma)

    def _origins(self, channel: Channel, place: int) -> np.ndarray:
        """Numbers of known values at training origins of a place; a full memory behind, a full horizon ahead."""
        at = np.arange(self.memory, len(channel) - self.horizon + 1)
        at = at[channel.ordinal[at] % self.season == place]
        if len(at) < LEAST_SEASONS // 2:
            raise ValueError(f"{len(at)} training origins at place {place} of the season, too few")
        return at

    def _inputs(self, z: np.ndarray, X: np.ndarray, channel: Channel, at: np.ndarray, step: int) -> np.ndarray:
        """Columns of one step, [origins, F]: latest values, the same time on earlier days, design now and then."""
        row, back = at + step, (step // self.season + 1) * self.season  # `row - back` is the latest known same time
        latest = np.unique(np.r_[0, 2 ** np.arange(int(np.log2(self.season)) + 1) - 1, self.season - 1])
        week = 7 * self.season if row[0] >= back + 6 * self.season else self.season
        parts = [z[at[:, None] - 1 - latest], z[row[:, None] - back - np.array(SEASONS_BACK) * self.season]]
        parts += [X[row], X[row - back], X[row - max(back, week)]]
        if channel.past.shape[1]:
            numbers = np.nan_to_num(channel.past.select_dtypes(include="number").to_numpy(dtype=float))
            parts += [numbers[at - 1], numbers[at - self.season]]
        return np.column_stack(parts)


def only_first_step(model: Any) -> Any:
    """The same model for one step ahead: a regression of times of day then fits one step at each of them, not all."""
    return replace(model, steps=1, fits_={}, sigma_={}) if isinstance(model, ClockRegression) else model


def _ridge(A: np.ndarray, b: np.ndarray, penalty: float) -> tuple[tuple[np.ndarray, float], float]:
    """((coefficients, constant), standard deviation of the errors) of a ridge on standardised columns."""
    centre, spread = A.mean(axis=0), A.std(axis=0)
    used = spread > 1e-9
    Z = (A[:, used] - centre[used]) / spread[used]
    coefficients = np.zeros(A.shape[1])
    gram = Z.T @ Z
    coefficients[used] = np.linalg.solve(gram + penalty * np.eye(len(gram)), Z.T @ (b - b.mean())) / spread[used]
    constant = float(b.mean() - centre @ coefficients)
    error = b - A @ coefficients - constant
    freedom = max(len(b) - float(np.trace(np.linalg.solve(gram + penalty * np.eye(len(gram)), gram))), 1.0)
    return (coefficients, constant), float(np.sqrt(error @ error / freedom))
