"""From a trained stack to values in target units, with the interval that its validation windows support."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toolkit.models.neural.forecasting_networks import ResidualForecaster, forecast_batches
from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.windows import Origins, in_target_units, normalised_future

__all__ = ["forecast_values", "interval_widths", "member_values"]

FEWEST = 10  # validation windows that an interval needs


def interval_widths(
    network: ResidualForecaster, panel: Panel, validation: Origins, layout: Layout, coverage: float
) -> Tensor | None:
    """Half width of the interval by horizon, in units of a window's own size, [H]; None with too few windows.

    The quantile of the absolute validation errors that split conformal prediction takes: level `coverage` (1 + 1/n).
    """
    if validation.count < FEWEST:
        return None
    errors = []
    for batch, normalised in forecast_batches(network, panel, validation, layout):
        error = (normalised_future(panel, batch) - normalised.mean(0).mean(-1)).abs()
        errors.append(torch.where(batch.seen, error, torch.nan))
    errors = torch.cat(errors)
    return torch.nanquantile(errors, min(1.0, coverage * (1 + 1 / len(errors))), dim=0).float()


def forecast_values(
    network: ResidualForecaster, panel: Panel, origins: Origins, layout: Layout, widths: Tensor | None
) -> np.ndarray:
    """Lower bound, forecast and upper bound in target units, [windows, H, 3]; the mean over the members.

    With three quantile levels the net gives the bounds, else `widths` do; without widths they are missing.
    """
    parts = [np.empty((0, layout.horizon, 3))]
    for batch, normalised in forecast_batches(network, panel, origins, layout):
        if network.levels == 1:
            half = (torch.full((layout.horizon,), torch.nan) if widths is None else widths)[:, None]
            normalised = torch.cat([normalised - half, normalised, normalised + half], dim=-1)
        scale = panel.scale.flatten()[batch.channel][:, None, None]
        parts.append((in_target_units(panel, batch, normalised).mean(0).double() * scale).numpy())
    values = np.concatenate(parts)
    middle = values[..., 1]
    # Quantile levels of a net may cross: the bounds give way to the forecast.
    return np.stack([np.minimum(values[..., 0], middle), middle, np.maximum(values[..., 2], middle)], axis=-1)


def member_values(network: ResidualForecaster, panel: Panel, origins: Origins, layout: Layout) -> np.ndarray:
    """Forecasts of every member in target units, [K, windows, H]; the middle one of several quantile levels."""
    parts = [np.empty((len(network.bias), 0, layout.horizon))]
    for batch, normalised in forecast_batches(network, panel, origins, layout):
        scale = panel.scale.flatten()[batch.channel][:, None]
        middle = normalised[..., network.levels // 2, None]
        parts.append((in_target_units(panel, batch, middle)[..., 0].double() * scale).numpy())
    return np.concatenate(parts, axis=1)
