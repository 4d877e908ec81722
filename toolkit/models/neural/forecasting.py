"""One neural net for all series: direct multi-horizon forecasts from windows, started at the closed-form regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from toolkit.errors import InputError, unknown
from toolkit.models.neural.forecasting_linear import moments, solve_linear
from toolkit.models.neural.forecasting_losses import forecast_loss
from toolkit.models.neural.forecasting_networks import forecast_batches
from toolkit.models.neural.forecasting_plan import Plan, make_plan
from toolkit.models.neural.windows import Origins, Panel, in_target_units

__all__ = ["ARCHITECTURES", "FORECAST_PRESETS", "ForecastPreset", "NeuralForecaster"]

ARCHITECTURES = ("linear_skip", "residual")


@dataclass(frozen=True)
class ForecastPreset:
    """Members, length and size of a training, and what it costs."""

    members: int
    epochs: int  # of 64 mini-batches
    width: int
    cost: str


FORECAST_PRESETS = {
    "quick": ForecastPreset(2, 5, 128, "2 members of width 128, 320 steps: a first look; seconds to half a minute."),
    "standard": ForecastPreset(4, 25, 256, "4 members of width 256, 1,600 steps; one to five minutes on two cores."),
    "thorough": ForecastPreset(8, 60, 384, "8 members of width 384, 3,840 steps; about ten times the time of standard."),
}
COVERAGE = 0.9


class NeuralForecaster(BaseEstimator):
    """A stack of nets, global over series and targets, forecasting all horizons at once.

    Inside the training rows, the last windows of each series choose the transform (none or log), the normalisation, the
    lookback and the penalties of a closed-form linear map (ridge regression on the window less its last value, if it pays
    with weights of each series' own shrunk towards the common ones). The net starts there; residual blocks in the line of
    N-BEATS and N-HiTS add what the map misses. The best epoch of each member is restored, epoch 0, the map itself, included.

    Parameters
    ----------
    horizon : int
        Steps ahead; 0 takes that of the history.
    metric : str
        What the forecast is to be good at: mae, mase, rmse, mse, smape, mape, rmsle, pinball, ...
    preset : {"quick", "standard", "thorough"}
    architecture : {"linear_skip", "residual"}
        With or without the closed-form linear map as starting point.
    members, epochs, width, batch_size, learning_rate, dropout : optional
        Override the preset.
    lookback : int, optional
        Lags; chosen by validation when left out.
    accelerator : {"auto", "cpu", "gpu"}
    threads : int, optional
        Threads of torch.
    progress : callable, optional
        Called after every epoch with member, epoch, total and seconds_left.
    random_state : int

    Attributes
    ----------
    network_ : ResidualForecaster
        The trained stack, on the host.
    layout_ : Layout
        What a window holds.
    fit_info_ : dict
        Choices, training curves, best epochs, findings.
    """

    def __init__(
        self,
        horizon: int = 0,
        metric: str = "mae",
        preset: str = "standard",
        architecture: str = "linear_skip",
        members: int | None = None,
        epochs: int | None = None,
        width: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        dropout: float | None = None,
        lookback: int | None = None,
        accelerator: str = "auto",
        threads: int | None = None,
        progress: Callable[..., object] | None = None,
        random_state: int = 0,
    ) -> None:
        self.horizon = horizon
        self.metric = metric
        self.preset = preset
        self.architecture = architecture
        self.members = members
        self.epochs = epochs
        self.width = width
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.lookback = lookback
        self.accelerator = accelerator
        self.threads = threads
        self.progress = progress
        self.random_state = random_state

    def fit(self, history) -> NeuralForecaster:
        """Learn from the rows up to the origin.

        Parameters
        ----------
        history : SeriesData

        Raises
        ------
        InputError
            Unknown settings, no observed target, no GPU though asked for.
        """
        from toolkit.models.neural.forecasting_training import Windows, train_windows
        from toolkit.models.neural.stack import resolve_accelerator, torch_settings

        self._check()
        self.horizon_ = int(self.horizon or history.horizon)
        loss = forecast_loss(self.metric, COVERAGE)
        device = resolve_accelerator(self.accelerator)
        with torch_settings(self.threads, device):
            plan = make_plan(history, self.horizon_, self.metric, loss, self.lookback, device)
            windows = Windows(plan.panel, plan.start.layout, plan.inner, plan.validation)
            linear = plan.start.linear if self.architecture == "linear_skip" else None
            trained = train_windows(windows, linear, self._seeds(), self._recipe(), loss, self.accelerator, self.progress)
            self.network_ = trained.network
            self.layout_, self.encoder_, self.levels_ = plan.start.layout, plan.encoder, loss.levels
            self.errors_ = self._validation_errors(plan)
            if linear is not None:
                self._learn_linear_from_all(plan)
        self.floor_ = 0.0 if bool((plan.panel.raw.min() >= 0)) else None
        self.fit_info_ = self._info(plan, trained)
        return self

    def forecast(self, past, future: pd.DataFrame) -> pd.DataFrame:
        """Forecast the rows of `future` from everything observed up to the origin.

        Parameters
        ----------
        past : SeriesData
            All observed rows up to the origin of each series.
        future : DataFrame
            Series, time, known-ahead and static columns of the rows to be forecast, at most `horizon` for each series.

        Returns
        -------
        DataFrame
            series, time, target, horizon, predicted, lower, upper.
        """
        encoder, keys = self.encoder_, [self.encoder_.series, self.encoder_.time]
        future = future.sort_values(keys, kind="stable")
        counts = future.groupby(encoder.series, sort=False).size()
        if counts.max() > self.horizon_:
            raise InputError(f"{counts.max()} steps ahead are asked for; the net was fitted for a horizon of {self.horizon_}")
        needed = past.frame[past.frame[encoder.series].isin(counts.index)]
        missing = set(counts.index) - set(needed[encoder.series])
        if missing:
            raise InputError(f"series '{min(missing, key=str)}' is to be forecast but has no past rows")
        recent = needed.groupby(encoder.series, sort=False).tail(self.layout_.lookback + 1)
        rows = pd.concat([recent.assign(_ahead=False), future.assign(_ahead=True)], ignore_index=True)
        rows = rows.sort_values(encoder.series, kind="stable").reset_index(drop=True)  # past before future in each series
        panel, names = encoder.panel(rows)
        ahead = rows["_ahead"].to_numpy()
        start = panel.stop - torch.from_numpy(counts.reindex(names).to_numpy()).long()
        origins = Origins.of(start, start + 1, panel.stop, 1, panel.targets)
        values = self._forecast_values(panel, origins)  # [series * targets, H, 3]
        frame = rows.loc[ahead, keys].reset_index(drop=True)
        frame["horizon"] = frame.groupby(encoder.series, sort=False).cumcount() + 1
        series = pd.factorize(frame[encoder.series])[0]
        parts = []
        for k, target in enumerate(encoder.targets):
            here = values[series * panel.targets + k, frame["horizon"].to_numpy() - 1]
            part = frame.assign(target=target, predicted=here[:, 1], lower=here[:, 0], upper=here[:, 2])
            parts.append(part[[*keys, "target", "horizon", "predicted", "lower", "upper"]])
        return pd.concat(parts, ignore_index=True)

    def forecast_origins(self, data, start: int, step: int = 1) -> np.ndarray:
        """Point forecasts from every origin of a stretch, without making a frame for each.

        Parameters
        ----------
        data : SeriesData
            Observed rows, those that are forecast included: they are only used as lags of later origins.
        start : int
            Number of rows of each series before the first origin.
        step : int
            Rows between two origins.

        Returns
        -------
        ndarray, [origins, H, channels]
            All origins whose horizon ends within the series; channels are series by series, target by target. Series must
            be of one length.
        """
        panel, _ = self.encoder_.panel(data.frame)
        first = panel.first + start
        origins = Origins.of(first, panel.stop - self.horizon_ + 1, panel.stop, step, panel.targets)
        values = self._forecast_values(panel, origins)[..., 1]  # series, origin, target
        counted = values.reshape(len(panel.first), -1, panel.targets, self.horizon_)
        return counted.transpose(1, 3, 0, 2).reshape(counted.shape[1], self.horizon_, -1)

    def _check(self) -> None:
        if self.preset not in FORECAST_PRESETS:
            raise unknown("preset", self.preset, FORECAST_PRESETS)
        if self.architecture not in ARCHITECTURES:
            raise unknown("architecture", self.architecture, ARCHITECTURES)
        for name in ("members", "width", "batch_size", "learning_rate", "lookback"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be positive, got {value!r}")
        if self.epochs is not None and self.epochs < 0:
            raise InputError(f"epochs must be 0 or more, got {self.epochs!r}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be from 0 to below 1, got {self.dropout!r}")

    def _seeds(self) -> list[int]:
        members = self.members or FORECAST_PRESETS[self.preset].members
        return [int(s) for s in np.random.SeedSequence(self.random_state).generate_state(members)]

    def _recipe(self):
        from toolkit.models.neural.forecasting_training import ForecastRecipe

        preset = FORECAST_PRESETS[self.preset]
        given = {name: getattr(self, name) for name in ("batch_size", "learning_rate", "dropout")}
        recipe = ForecastRecipe(
            epochs=preset.epochs if self.epochs is None else self.epochs, width=self.width or preset.width
        )
        return replace(recipe, **{name: value for name, value in given.items() if value is not None})

    def _forecast_values(self, panel: Panel, origins: Origins) -> np.ndarray:
        """Lower bound, forecast and upper bound in target units, [windows, H, 3]; mean over the members."""
        parts = []
        for batch, normalised in forecast_batches(self.network_, panel, origins, self.layout_):
            if len(self.levels_) == 1:
                width = self.errors_[None, None, :, :] if self.errors_ is not None else torch.full((1, 1, 1, 1), torch.nan)
                normalised = normalised + torch.cat([-width, torch.zeros_like(width), width], dim=-1)
            scale = panel.scale.flatten()[batch.channel][:, None, None]
            parts.append(in_target_units(panel, batch, normalised).mean(0).double() * scale)
        values = torch.cat(parts).numpy() if parts else np.empty((0, self.horizon_, 3))
        values = values if self.floor_ is None else np.maximum(values, self.floor_)
        return np.concatenate([np.minimum(values[..., :1], values[..., 1:2]), values[..., 1:2],
                               np.maximum(values[..., 1:2], values[..., 2:])], axis=-1)  # fmt: skip

    def _validation_errors(self, plan: Plan) -> torch.Tensor | None:
        """Half width of the interval by horizon in units of a window's own size, [H, 1], from the validation windows.

        The quantile of absolute errors with the correction of split conformal prediction; None with too few windows.
        """
        if len(self.levels_) > 1 or plan.validation.count < 10:
            return None
        errors, seen = [], []
        for batch, normalised in forecast_batches(self.network_, plan.panel.to("cpu"), plan.validation.to("cpu"), self.layout_):
            future = plan.panel.to("cpu").to_model(batch.future, batch.channel)
            future = (future - batch.level[..., None]) / batch.size[..., None]
            errors.append((future - normalised.mean(0)[..., 0]).abs())
            seen.append(batch.seen)
        errors, seen = torch.cat(errors), torch.cat(seen)
        level = min(1.0, COVERAGE * (1 + 1 / len(errors)))
        widths = [torch.quantile(e[s], level) if s.any() else torch.tensor(torch.nan) for e, s in zip(errors.T, seen.T, strict=True)]
        return torch.stack([w.double() for w in widths])[:, None].float()

    def _learn_linear_from_all(self, plan: Plan) -> None:
        """Solve for the linear map again, with the validation windows; what training changed in it stays."""
        start = plan.start
        most = max(plan.every.count, 1) if start.own_weight is not None else 200_000
        sums = moments(plan.panel, plan.every, start.layout, start.own_weight is not None, most)
        linear = solve_linear(sums, start.ridge, start.own_weight)
        with torch.no_grad():
            self.network_.skip += (linear.common - start.linear.common).cpu()
            if linear.own is not None:
                self.network_.own[1:] = linear.own.cpu()

    def _info(self, plan: Plan, trained) -> dict:
        start = plan.start
        findings = list(trained.findings)
        if not plan.validation.count:
            findings.append({
                "finding": "too_short", "column": None,
                "message": "The series are too short to hold anything back; the closed form with a fixed penalty is used.",
                "advice": "Give longer series or a shorter horizon.",
            })  # fmt: skip
        return {
            "members": len(trained.best_epochs),
            "parameters": sum(p.numel() for p in self.network_.parameters()) // max(1, len(trained.best_epochs)),
            "best_epochs": trained.best_epochs,
            "curves": trained.curves,
            "findings": findings,
            "family": "log" if plan.encoder.log else "none",
            "lookback": start.layout.lookback,
            "start": {"validation_loss": start.loss, "ridge": start.ridge, "own_weight": start.own_weight},
            "tried": list(plan.tried),
            "validation_losses": trained.best_losses,
            "notes": [
                f"start: ridge regression on {start.layout.lookback} lags, penalty {start.ridge:g}"
                + (f", own weights of each series shrunk by {start.own_weight:g} windows" if start.own_weight else "")
            ],
        }
