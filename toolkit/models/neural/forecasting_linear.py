"""The closed-form linear forecast: least squares from the inputs of a window to all horizons at once.

One map for all series, and where it pays a map of its own for each channel (series and target), shrunk towards the
common one. It is the starting point of the linear-skip net, and with the residual net at zero it is the forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.windows import Batch, Origins, gather, normalised_future

__all__ = ["LinearMap", "Moments", "affordable_by_channel", "apply_linear", "blocks", "moments", "solve_linear"]

SMALL_MAP = 2000  # numbers of a map up to which a copy for each window is cheaper than a product for each channel
CHUNK = 4096  # windows gathered at a time
LOCAL_NUMBERS = 60_000_000  # most numbers that maps and moments of each series may hold, together about half a gigabyte


@dataclass(frozen=True)
class Moments:
    """Sums over windows: all that least squares needs.

    Attributes
    ----------
    gram : Tensor, [F, F] or [channels, F, F], float64
    cross : Tensor, [F, H] or [channels, F, H], float64
    windows : Tensor, [] or [channels]
    """

    gram: Tensor
    cross: Tensor
    windows: Tensor

    def total(self) -> Moments:
        """Sums over the channels."""
        return Moments(self.gram.sum(0), self.cross.sum(0), self.windows.sum()) if self.gram.dim() == 3 else self

    def drop_lags(self, lags: int) -> Moments:
        """The moments of a shorter lookback: the oldest `lags` inputs are left out."""
        return Moments(self.gram[..., lags:, lags:], self.cross[..., lags:, :], self.windows)


@dataclass(frozen=True)
class LinearMap:
    """Weights from inputs to normalised future values.

    Attributes
    ----------
    common : Tensor, [F, H]
    own : Tensor or None, [channels, F, H]
        What is added to the common weights for each channel.
    """

    common: Tensor
    own: Tensor | None = None


def affordable_by_channel(panel: Panel, layout: Layout) -> bool:
    """Whether maps of each channel's own are within memory."""
    width, channels = layout.width(panel), len(panel.first) * panel.targets
    return channels > 1 and channels * width * (width + layout.horizon) <= LOCAL_NUMBERS


def blocks(panel: Panel, origins: Origins, most: int) -> Iterator[Tensor]:
    """Numbers of all windows in order, [<= CHUNK] at a time; evenly thinned out to about `most`."""
    step = max(1, -(-origins.count // most))
    while math.gcd(step, panel.targets) > 1:  # a shared factor would leave out some targets for ever
        step += 1
    for begin in range(0, origins.count, step * CHUNK):
        yield torch.arange(begin, min(origins.count, begin + step * CHUNK), step, device=panel.values.device)


def moments(panel: Panel, origins: Origins, layout: Layout, by_channel: bool, most: int) -> Moments:
    """Sums of products over windows whose future is fully seen (over all windows if there is none such).

    Parameters
    ----------
    most : int
        About how many windows to use at most.
    """
    width, device = layout.width(panel), panel.values.device
    shape = (len(panel.first) * panel.targets,) if by_channel else ()
    gram = torch.zeros(*shape, width, width, dtype=torch.float64, device=device)
    cross = torch.zeros(*shape, width, layout.horizon, dtype=torch.float64, device=device)
    windows = torch.zeros(shape, dtype=torch.float64, device=device)
    for complete in (True, False):
        for numbers in blocks(panel, origins, most):
            batch = gather(panel, origins, numbers, layout)
            keep = batch.seen.all(-1) if complete else batch.seen.any(-1)
            x = batch.inputs[keep]
            y = normalised_future(panel, batch)[keep].float()
            if not by_channel:
                gram, cross, windows = gram + x.mT @ x, cross + x.mT @ y, windows + len(x)
                continue
            # Windows come in order of series: each block holds few channels.
            channel, order = batch.channel[keep].sort(stable=True)
            x, y = x[order], y[order]
            for c, run in zip(*torch.unique_consecutive(channel, return_counts=True), strict=True):
                here, x, y = (x[:run], y[:run]), x[run:], y[run:]
                gram[c] += here[0].mT @ here[0]
                cross[c] += here[0].mT @ here[1]
                windows[c] += run
        if float(windows.sum()) > 0:
            break
    return Moments(gram, cross, windows)


def solve_linear(sums: Moments, ridge: float, own_weight: float | None) -> LinearMap:
    """Weights by ridge regression, and for each channel by ridge towards the common weights.

    Parameters
    ----------
    ridge : float
        Penalty per window on every weight but the last (the intercept), in units of the mean square of the inputs.
    own_weight : float or None
        The common map counts as so many windows of its own in the fit of each channel; None leaves own maps out.
    """
    total = sums.total()
    penalty = ridge * total.gram.diagonal().mean().clamp(min=1e-12) * torch.ones_like(total.gram.diagonal())
    penalty[-1] = 1e-10
    # Inputs that never move (a constant covariate) must not make the system singular.
    penalty = penalty + 1e-9 * total.gram.diagonal().max().clamp(min=1e-12)
    common = _solve(total.gram + penalty.diag(), total.cross)
    if own_weight is None or sums.gram.dim() == 2:
        return LinearMap(common.float())
    prior = (total.gram + penalty.diag()) * (own_weight / total.windows.clamp(min=1))
    right = sums.cross - sums.gram @ common  # what the common map leaves unexplained in each channel
    own = _solve(sums.gram + prior, right)
    return LinearMap(common.float(), own.float())


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve for symmetric positive definite matrices, by Cholesky; a matrix singular to rounding by LU."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.linalg.solve(matrix, right) if bool(failed.any()) else torch.cholesky_solve(right, factor)


def by_channel(inputs: Tensor, channel: Tensor, weights: Tensor) -> Tensor:
    """Inputs times the weights of their channel, [n, F], [n], [channels, F, H] -> [n, H]."""
    if weights[0].numel() <= SMALL_MAP:
        parts = zip(inputs.split(1024), channel.split(1024), strict=True)
        return torch.cat([torch.bmm(x[:, None], weights[c])[:, 0] for x, c in parts])
    forecast = inputs.new_empty(len(inputs), weights.shape[-1])
    order = channel.argsort()
    present, counts = channel[order].unique_consecutive(return_counts=True)
    for c, rows in zip(present.tolist(), order.split(counts.tolist()), strict=True):
        forecast[rows] = inputs[rows] @ weights[c]
    return forecast


def apply_linear(linear: LinearMap, batch: Batch) -> Tensor:
    """Normalised forecasts of windows of the panel that was fitted, [n, F] -> [n, H]."""
    forecast = batch.inputs @ linear.common
    if linear.own is not None:
        forecast = forecast + by_channel(batch.inputs, batch.channel, linear.own)
    return forecast
