"""All series as tensors that stay on one device, the modelling scale, and what a window of them holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

__all__ = ["Layout", "Panel", "seasonal_scale"]

LARGEST_LOG = 12.0  # a forecast above 160,000 times the mean of its series is a runaway, not a forecast


@dataclass(frozen=True)
class Panel:
    """All rows of all series, one after the other, resident on one device.

    Attributes
    ----------
    values : Tensor, [rows, targets], float64
        Targets on the modelling scale (after the transform), filled forward where missing. Double, because a level of
        1e9 is subtracted first.
    seen : Tensor, [rows, targets], bool
    raw : Tensor, [rows, targets], float32
        Targets in their own units divided by `scale` of their channel; what the loss is computed on.
    known, past, calendar : Tensor, [rows, columns], float32
        Standardised covariates known ahead, covariates known up to the origin, calendar features.
    static : Tensor, [series, columns], float32
    first, stop : Tensor, [series], int64
        First row of each series and the row behind its last one.
    spread : Tensor, [series, targets], float32
        Typical size of a change on the modelling scale; the floor of a window's own scale hangs on it.
    scale : Tensor, [series, targets], float32
        Size of the errors in target units that counts as one in the loss.
    unit, offset : Tensor, [series, targets], float64
        With `log`, the modelling scale is log(value / unit + offset).
    identity : Tensor, [series, targets], int64
        Number of the channel (series and target) in the net, from 1; 0 for a series that was not there in training.
    log : bool
    """

    values: Tensor
    seen: Tensor
    raw: Tensor
    known: Tensor
    past: Tensor
    calendar: Tensor
    static: Tensor
    first: Tensor
    stop: Tensor
    spread: Tensor
    scale: Tensor
    unit: Tensor
    offset: Tensor
    identity: Tensor
    log: bool

    @property
    def targets(self) -> int:
        return self.values.shape[1]

    def to(self, device: str | torch.device) -> Panel:
        """The same panel on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device) for name, value in tensors.items()})

    def to_model(self, scaled: Tensor, channel: Tensor) -> Tensor:
        """Values over the scale of their channel, [..., H], on the modelling scale, float64."""
        values = scaled.double() * self.scale.flatten()[channel][..., None]
        if not self.log:
            return values
        unit, offset = self.unit.flatten()[channel][..., None], self.offset.flatten()[channel][..., None]
        return (values / unit + offset).clamp(min=1e-6).log()

    def from_model(self, modelled: Tensor, channel: Tensor) -> Tensor:
        """The way back: values over the scale of their channel, [..., H] -> [..., H], float64."""
        if self.log:
            unit, offset = self.unit.flatten()[channel][..., None], self.offset.flatten()[channel][..., None]
            modelled = (modelled.clamp(max=LARGEST_LOG).exp() - offset) * unit
        return modelled / self.scale.flatten()[channel][..., None]


@dataclass(frozen=True)
class Layout:
    """What a window holds: how far it looks back and ahead, and over which lags covariates enter."""

    lookback: int
    horizon: int
    covariate_lags: int
    scale_lags: int
    local_scale: bool  # divide by the mean absolute deviation over the last `scale_lags`, else by the channel's spread
    cross: bool = False  # the lags of the other targets of the same series enter too

    def width(self, panel: Panel) -> int:
        """Number of linear inputs of a window, [F]: lags first."""
        steps = self.horizon + self.covariate_lags
        others = (panel.targets - 1) * self.covariate_lags if self.cross else 0
        return (
            self.lookback
            + others
            + steps * panel.known.shape[1]
            + self.covariate_lags * panel.past.shape[1]
            + panel.calendar.shape[1]
            + panel.static.shape[1]
            + (panel.targets if panel.targets > 1 else 0)
            + 1
        )


def seasonal_scale(values: np.ndarray, period: int) -> float:
    """Mean absolute change over one season of [n] observed values in order (the scale of MASE), or over one step.

    A series that repeats itself exactly takes its mean absolute value, or 1 if it is all zeros.
    """
    for lag in dict.fromkeys((period, 1)):
        change = np.abs(values[lag:] - values[:-lag]) if len(values) > lag else np.array([])
        change = change[np.isfinite(change)]
        if len(change) and change.mean() > 0:
            return float(change.mean())
    size = np.nanmean(np.abs(values)) if np.isfinite(values).any() else 0.0
    return float(size) if size > 0 else 1.0
