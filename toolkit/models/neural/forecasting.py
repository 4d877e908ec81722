"""One neural net for all series: direct multi-horizon forecasts from windows, started at the closed-form regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from toolkit.errors import InputError, unknown
from toolkit.models.neural.forecasting_facts import describe
from toolkit.models.neural.forecasting_linear import moments
from toolkit.models.neural.forecasting_losses import forecast_loss
from toolkit.models.neural.forecasting_panel import Panel
from toolkit.models.neural.forecasting_plan import MOST_WINDOWS, Plan, make_plan
from toolkit.models.neural.forecasting_presets import ARCHITECTURES, forecast_recipe
from toolkit.models.neural.forecasting_start import solve_start
from toolkit.models.neural.forecasting_values import forecast_values, interval_widths, member_values
from toolkit.models.neural.windows import Origins
from toolkit.models.ticker import tell_epoch

__all__ = ["NeuralForecaster"]

OVERRIDES = ("members", "epochs", "width", "batch_size", "learning_rate", "dropout")


class NeuralForecaster(BaseEstimator):
    """A stack of nets, global over series and targets, forecasting all horizons at once.

    Inside the training rows, the last windows of each series choose the transform (none or log), the normalisation, the
    lookbacks and the penalties of a closed-form linear map: ridge regression on the window less its last value, where
    it pays with weights of each series' own shrunk towards the common ones, the mean over all lookbacks that are not
    surely worse than the best. The net starts there; residual blocks in the line of N-BEATS and N-HiTS add what the map
    misses. The best epoch of each member is restored; the map counts as epoch 0.

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
    coverage : float
        Of the interval, which comes from the errors on the validation windows, or with the pinball loss from the net.
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
        coverage: float = 0.9,
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
        self.coverage = coverage
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

        if self.architecture not in ARCHITECTURES:
            raise unknown("architecture", self.architecture, ARCHITECTURES)
        if self.lookback is not None and self.lookback < 1:
            raise InputError(f"lookback must be positive, got {self.lookback!r}")
        members, recipe = forecast_recipe(self.preset, {name: getattr(self, name) for name in OVERRIDES})
        seeds = [int(seed) for seed in np.random.SeedSequence(self.random_state).generate_state(members)]
        self.horizon_ = int(self.horizon or history.horizon)
        loss = forecast_loss(self.metric, self.coverage)
        device = resolve_accelerator(self.accelerator)
        with torch_settings(self.threads, device):
            plan = make_plan(history, self.horizon_, self.metric, loss, self.lookback, device)
            linear = plan.start.linear if self.architecture == "linear_skip" else None
            windows = Windows(plan.panel, plan.start.layout, plan.inner, plan.validation)
            progress = self.progress or tell_epoch
            trained = train_windows(windows, linear, seeds, recipe, loss, self.accelerator, progress)
            self.network_, self.layout_, self.encoder_ = trained.network, plan.start.layout, plan.encoder
            panel, validation = plan.panel.to("cpu"), plan.validation.to("cpu")
            self.widths_ = interval_widths(self.network_, panel, validation, self.layout_, self.coverage)
            if linear is not None:
                _learn_from_all_rows(self.network_, plan)
        self.lowest_ = 0.0 if bool(panel.raw.min() >= 0) else -np.inf
        self.fit_info_ = describe(plan, trained, seeds)
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
        panel, origins, frame, place = self._asked(past, future)
        values = self._values(panel, origins)  # [series * targets, H, 3]
        return self._answer(frame, place, panel.targets, {"predicted": values[..., 1], "lower": values[..., 0],
                                                          "upper": values[..., 2]})  # fmt: skip

    def forecast_members(self, past, future: pd.DataFrame) -> pd.DataFrame:
        """Point forecasts of every member, whose mean is `forecast`: what the seeds alone change.

        Returns
        -------
        DataFrame
            series, time, target, horizon, predicted, member (from 0).
        """
        panel, origins, frame, place = self._asked(past, future)
        paths = np.maximum(member_values(self.network_, panel, origins, self.layout_), self.lowest_)
        parts = [
            self._answer(frame, place, panel.targets, {"predicted": path}).assign(member=k)
            for k, path in enumerate(paths)
        ]
        return pd.concat(parts, ignore_index=True)

    def _asked(self, past, future: pd.DataFrame) -> tuple[Panel, Origins, pd.DataFrame, np.ndarray]:
        """Panel and origins of the windows, the rows that are asked for with their horizon, their series' number."""
        encoder, keys = self.encoder_, [self.encoder_.series, self.encoder_.time]
        future = future.sort_values(keys, kind="stable")
        counts = future.groupby(encoder.series, sort=False).size()
        if counts.max() > self.horizon_:
            raise InputError(
                f"{counts.max()} steps ahead are asked for; the net was fitted for a horizon of {self.horizon_}"
            )
        for column in (*encoder.known.columns, *encoder.static.columns):
            if column not in future:
                raise InputError(f"future rows lack '{column}', which the net was fitted with")
        needed = past.frame[past.frame[encoder.series].isin(counts.index)]
        missing = set(counts.index) - set(needed[encoder.series])
        if missing:
            raise InputError(f"series '{min(missing, key=str)}' is to be forecast but has no past rows")
        recent = needed.groupby(encoder.series, sort=False).tail(self.layout_.lookback + 1)
        rows = pd.concat([recent.assign(_ahead=False), future.assign(_ahead=True)], ignore_index=True)
        rows = rows.sort_values(encoder.series, kind="stable").reset_index(
            drop=True
        )  # past before future in each series
        panel, names = encoder.panel(rows)
        ahead = rows["_ahead"].to_numpy()
        start = panel.stop - torch.from_numpy(counts.reindex(names).to_numpy()).long()
        origins = Origins.of(start, start + 1, panel.stop, 1, panel.targets)
        frame = rows.loc[ahead, keys].reset_index(drop=True)
        frame["horizon"] = frame.groupby(encoder.series, sort=False).cumcount() + 1
        return panel, origins, frame, pd.factorize(frame[encoder.series])[0]

    def _answer(self, frame: pd.DataFrame, place: np.ndarray, targets: int, found: dict) -> pd.DataFrame:
        """Rows in the agreed form from values by column, each [series * targets, H]."""
        keys, step, parts = [self.encoder_.series, self.encoder_.time], frame["horizon"].to_numpy() - 1, []
        for k, target in enumerate(self.encoder_.targets):
            here = {name: values[place * targets + k, step] for name, values in found.items()}
            parts.append(frame.assign(target=target, **here)[[*keys, "target", "horizon", *found]])
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
            All origins whose horizon ends within the series; channels are series by series, target by target. Series
            must be of one length.
        """
        panel, _ = self.encoder_.panel(data.frame)
        first = panel.first + start
        origins = Origins.of(first, panel.stop - self.horizon_ + 1, panel.stop, step, panel.targets)
        values = self._values(panel, origins)[..., 1]  # series, origin, target
        counted = values.reshape(len(panel.first), -1, panel.targets, self.horizon_)
        return counted.transpose(1, 3, 0, 2).reshape(counted.shape[1], self.horizon_, -1)

    def forecast_one_step(self, data, rows: dict) -> dict:
        """The latest `rows` of each series, each from everything before it, with the weights as they are.

        Returns
        -------
        dict
            (series, target) -> [rows]. With covariates known ahead the last `horizon - 1` are NaN: a window's inputs
            hold the covariates of all its steps.
        """
        panel, names = self.encoder_.panel(data.frame)
        count = torch.tensor([rows[name] for name in names]).minimum(panel.stop - panel.first - 1)
        short = self.horizon_ - 1 if panel.known.shape[1] else 0
        origins = Origins.of(panel.stop - count, panel.stop - short, panel.stop, 1, panel.targets)
        values, found, begin = self._values(panel, origins)[:, 0, 1], {}, 0
        for name, n in zip(names, count.tolist(), strict=True):
            here = values[begin : begin + max(n - short, 0) * panel.targets].reshape(-1, panel.targets)
            begin += here.size
            for k, target in enumerate(self.encoder_.targets):
                found[name, target] = np.r_[here[:, k], np.full(min(short, n), np.nan)]
        return found

    def _values(self, panel: Panel, origins: Origins) -> np.ndarray:
        """Lower bound, forecast, upper bound, [windows, H, 3]; targets that were never negative are not forecast so."""
        return np.maximum(forecast_values(self.network_, panel, origins, self.layout_, self.widths_), self.lowest_)


def _learn_from_all_rows(network, plan: Plan) -> None:
    """Solve for the linear map again, validation windows included; what training changed in it stays."""
    start = plan.start
    sums = moments(plan.panel, plan.every, start.layout, start.by_channel, MOST_WINDOWS)
    linear = solve_start(sums, start.parts, start.layout.lookback)
    with torch.no_grad():
        network.skip += (linear.common - start.linear.common).cpu()
        if linear.own is not None:
            network.own[1:] = linear.own.cpu()
