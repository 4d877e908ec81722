"""Nets of the `neuralforecast` package by name, as an arm: an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.data.series import STEP, SeriesData, add_steps
from toolkit.errors import InputError, nearest, unknown
from toolkit.models.forecast_frames import answer, fill_missing, series_rows
from toolkit.models.neural.forecasting_frames import ColumnEncoder
from toolkit.models.neural.forecasting_losses import FORECAST_LOSSES

__all__ = ["NixtlaForecaster"]

STEPS = {"quick": 100, "standard": 1000, "thorough": 4000}  # training steps of a preset
OURS = ("h", "input_size", "max_steps", "random_seed", "loss", "futr_exog_list", "hist_exog_list", "stat_exog_list")
LONGEST = 720  # lags at most, unless the user asks for more


class NixtlaForecaster(BaseEstimator):
    """One net of the `neuralforecast` package for all series and targets.

    Parameters
    ----------
    model : str
        Name of the architecture there: NHITS, NBEATSx, TFT, PatchTST, DLinear, TiDE, ...
    horizon : int
        Steps ahead; 0 takes that of the history.
    metric : str
        Decides the loss: squared error for a mean, quantiles for pinball and CRPS, the absolute error for all others.
    preset : {"quick", "standard", "thorough"}
        100, 1,000 or 4,000 training steps.
    steps : int, optional
        Overrides the preset.
    lookback : int, optional
        Lags; two horizons or two seasons, whichever is more, up to 720, when left out.
    settings : mapping, optional
        Further constructor arguments of the architecture.
    coverage : float
        Of the intervals, which only a quantile loss gives; conformal ones are made for every arm.
    threads : int, optional
        Threads of torch.
    random_state : int

    Notes
    -----
    Covariates enter as numbers, texts as one column per level; an architecture that does not take a kind of covariate
    is fitted without it, and a note says so.
    """

    def __init__(
        self,
        model: str = "NHITS",
        horizon: int = 0,
        metric: str = "mae",
        preset: str = "standard",
        steps: int | None = None,
        lookback: int | None = None,
        settings: Mapping[str, Any] | None = None,
        coverage: float = 0.9,
        threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.horizon = horizon
        self.metric = metric
        self.preset = preset
        self.steps = steps
        self.lookback = lookback
        self.settings = settings
        self.coverage = coverage
        self.threads = threads
        self.random_state = random_state

    def check_columns(self, dataset: Any) -> None:
        """Stop before the first fit when the package, the architecture or a setting is not there."""
        self._architecture()

    def fit(self, history: SeriesData) -> NixtlaForecaster:
        """Train on the rows up to the origin.

        Raises
        ------
        InputError
            The package is missing, or an unknown architecture, preset, metric or setting.
        """
        from neuralforecast import NeuralForecast

        from toolkit.models.neural.stack import quiet, torch_settings

        made = self._architecture()
        self.horizon_ = int(self.horizon or history.horizon)
        self.encoders_ = {
            role: ColumnEncoder(tuple(getattr(history, role))).fit(history.frame)
            for role in ("known_ahead", "past_only", "static")
        }
        self.names_ = {
            role: [f"{role}_{k}" for k in range(encoder.transform(history.frame.iloc[:1]).shape[1])]
            for role, encoder in self.encoders_.items()
        }
        taken = {
            "known_ahead": made.EXOGENOUS_FUTR, "past_only": made.EXOGENOUS_HIST, "static": made.EXOGENOUS_STAT,
        }  # fmt: skip
        left_out = [role for role, names in self.names_.items() if names and not taken[role]]
        for role in left_out:
            self.names_[role] = []
        season = max(history.periods, default=1)
        lookback = self.lookback or int(np.clip(max(2 * self.horizon_, 2 * season), 1, max(LONGEST, self.horizon_)))
        net = made(
            h=self.horizon_, input_size=lookback, max_steps=self._steps(), random_seed=self.random_state,
            loss=self._loss(), start_padding_enabled=True,
            **{key: self.names_[role] or None for key, role in self._lists().items() if taken[role]},
            **QUIET, **(self.settings or {}),
        )  # fmt: skip
        with quiet(), torch_settings(self.threads, "cpu"):
            self.forecaster_ = NeuralForecast([net], freq=1 if history.freq == STEP else history.freq)
            self.forecaster_.fit(self._rows(history), static_df=self._static(history))
        trained = self.forecaster_.models[0]
        self.fit_info_ = {
            "members": 1,
            "seeds": [self.random_state],
            "parameters": sum(p.numel() for p in trained.parameters()),
            "lookback": lookback,
            "curves": [
                {"member": 0, "step": int(step), "train_loss": float(loss)} for step, loss in trained.train_trajectories
            ],
            "notes": [
                f"{self.model} of neuralforecast, {lookback} lags, {self._steps()} training steps",
                *(f"{self.model} takes no {role} columns: fitted without them" for role in left_out),
            ],
        }
        return self

    def forecast(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast the rows of `future` from everything observed up to the origin."""
        counts = future.groupby(past.series, sort=False).size()
        if counts.max() > self.horizon_:
            raise InputError(f"{counts.max()} steps ahead are asked for; the net was fitted for {self.horizon_}")
        from toolkit.models.neural.stack import quiet

        some = past.only(list(counts.index))
        with quiet():
            made = self.forecaster_.predict(
                self._rows(some), static_df=self._static(some), futr_df=self._future(some, future)
            )
        columns = [c for c in made if c not in ("unique_id", "ds")]
        middle = next((c for c in columns if c.endswith("median")), columns[0])
        paths = {name: part for name, part in made.groupby("unique_id", sort=False)}
        predicted, intervals = {}, {}
        for k, (name, target) in enumerate((n, t) for n in some.names for t in past.targets):
            part = paths[k]
            predicted[name, target] = part[middle].to_numpy(dtype=float)
            ends = [c for c in columns if "-lo-" in c or "-hi-" in c]
            if len(ends) == 2:
                low, high = sorted(ends, key=lambda c: "-hi-" in c)
                intervals[name, target] = (part[low].to_numpy(dtype=float), part[high].to_numpy(dtype=float))
        return answer(past, future, predicted, intervals)

    def _architecture(self) -> Any:
        try:
            from neuralforecast import models
        except ImportError:
            raise InputError(
                "arm 'neuralforecast' needs the package of that name: pip install "
                "'regression-neural-toolkit[neuralforecast]'"
            ) from None
        if self.model not in models.__all__:
            raise unknown("model of neuralforecast", self.model, models.__all__)
        made = getattr(models, self.model)
        if getattr(made, "MULTIVARIATE", False):
            raise InputError(f"model {self.model} forecasts a fixed set of series jointly; take another: NHITS, TFT")
        allowed = [key for key in signature(made).parameters if key not in (*OURS, "trainer_kwargs")]
        for key in self.settings or {}:
            if key not in allowed:
                guess = nearest(key, allowed)
                hint = f", did you mean '{guess}'?" if guess else ""
                raise InputError(f"settings: {self.model} has no '{key}'{hint}")
        if self.metric not in FORECAST_LOSSES:
            raise unknown("metric for a forecaster", self.metric, FORECAST_LOSSES)
        self._steps()
        return made

    def _steps(self) -> int:
        if self.preset not in STEPS:
            raise unknown("preset", self.preset, STEPS)
        return int(self.steps or STEPS[self.preset])

    def _loss(self) -> Any:
        from neuralforecast.losses.pytorch import MAE, MSE, MQLoss

        kind = FORECAST_LOSSES[self.metric]
        if kind == "pinball":
            return MQLoss(level=[100 * self.coverage])
        return MSE() if kind in ("squared", "squared_log") else MAE()

    @staticmethod
    def _lists() -> dict[str, str]:
        return {"futr_exog_list": "known_ahead", "hist_exog_list": "past_only", "stat_exog_list": "static"}

    def _rows(self, data: SeriesData) -> pd.DataFrame:
        """Long frame of all series and targets, numbered; holes are filled as for every arm that needs them filled."""
        parts, season = [], max(data.periods, default=1)
        inputs = self._encoded(data.frame, ("known_ahead", "past_only"))
        for s, rows in enumerate(series_rows(data.frame, data.series).values()):
            for k, target in enumerate(data.targets):
                y = data.frame[target].to_numpy(dtype=float)[rows]
                part = {"unique_id": s * len(data.targets) + k, "ds": data.frame[data.time].iloc[rows].to_numpy()}
                part |= {"y": fill_missing(y, season), **{c: v[rows] for c, v in inputs.items()}}
                parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def _static(self, data: SeriesData) -> pd.DataFrame | None:
        if not self.names_["static"]:
            return None
        first = [rows.start for rows in series_rows(data.frame, data.series).values()]
        values = self._encoded(data.frame.iloc[first], ("static",))
        table = pd.DataFrame(values).loc[np.repeat(np.arange(len(first)), len(data.targets))]
        return table.assign(unique_id=np.arange(len(table))).reset_index(drop=True)

    def _future(self, past: SeriesData, future: pd.DataFrame) -> pd.DataFrame | None:
        """Covariates of exactly `horizon` rows a series: the last row is repeated where fewer are asked for."""
        if not self.names_["known_ahead"]:
            return None
        parts, rows = [], series_rows(future, past.series)
        for s, name in enumerate(past.names):
            known = future.iloc[rows[name]]
            short = self.horizon_ - len(known)
            stamps = [*known[past.time], *add_steps(known[past.time].iloc[-1], short, past.freq)]
            values = self._encoded(known, ("known_ahead",))
            padded = {c: np.r_[v, np.repeat(v[-1:], short)] for c, v in values.items()}
            for k in range(len(past.targets)):
                parts.append(pd.DataFrame({"unique_id": s * len(past.targets) + k, "ds": stamps, **padded}))
        return pd.concat(parts, ignore_index=True)

    def _encoded(self, frame: pd.DataFrame, roles: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns by name, [rows] each."""
        found = {}
        for role in roles:
            if self.names_[role]:
                found |= dict(zip(self.names_[role], self.encoders_[role].transform(frame).T, strict=True))
        return found


QUIET = {
    "accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False, "enable_checkpointing": False,
    "enable_model_summary": False,
}  # fmt: skip
