"""Losses of forecasts, by metric, in the units of the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.errors import unknown

__all__ = ["FORECAST_LOSSES", "ForecastLoss", "forecast_loss"]

# metric -> the loss whose minimiser the metric rewards
FORECAST_LOSSES = {
    "mae": "absolute", "mase": "absolute", "wape": "absolute", "owa": "absolute", "median_absolute_error": "absolute",
    "rmse": "squared", "mse": "squared", "rmsse": "squared", "r2": "squared",
    "smape": "symmetric", "mape": "relative", "rmsle": "squared_log",
    "pinball": "pinball", "crps": "pinball", "winkler": "pinball",
}  # fmt: skip


def forecast_loss(metric: str, coverage: float = 0.9) -> ForecastLoss:
    """The loss for a metric; an `InputError` names the nearest known metric."""
    if metric not in FORECAST_LOSSES:
        raise unknown("metric for a forecaster", metric, FORECAST_LOSSES)
    kind = FORECAST_LOSSES[metric]
    levels = ((1 - coverage) / 2, 0.5, (1 + coverage) / 2) if kind == "pinball" else (0.5,)
    return ForecastLoss(kind, levels)


@dataclass(frozen=True)
class ForecastLoss:
    """A loss per forecast value; with the pinball loss three values are forecast: lower, median, upper."""

    kind: str
    levels: tuple[float, ...]

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        """Loss per value.

        Parameters
        ----------
        predicted : Tensor, [..., H, Q]
        observed : Tensor, [..., H]
            Both divided by the scale of their channel, so that series of different size weigh the same.

        Returns
        -------
        Tensor, [..., H]
        """
        observed = observed[..., None]
        error = observed - predicted
        if self.kind == "squared":
            loss = error.square()
        elif self.kind == "absolute":
            loss = error.abs()
        elif self.kind == "symmetric":
            loss = 2 * error.abs() / (observed.abs() + predicted.abs()).clamp(min=1e-6)
        elif self.kind == "relative":
            loss = error.abs() / observed.abs().clamp(min=1e-6)
        elif self.kind == "squared_log":
            loss = (torch.log1p(observed.clamp(min=0)) - torch.log1p(predicted.clamp(min=0))).square()
        else:
            level = torch.tensor(self.levels, device=predicted.device)
            loss = torch.maximum(level * error, (level - 1) * error)
        return loss.mean(-1)

    def mean(self, predicted: Tensor, observed: Tensor, seen: Tensor) -> Tensor:
        """Mean loss over the values that were seen, in each window of the last two dimensions: [...] without [n, H]."""
        loss = torch.where(seen, self(predicted, observed), torch.zeros_like(observed))
        return loss.sum((-2, -1)) / seen.sum((-2, -1)).clamp(min=1)
