"""Windows of many series, gathered on the fly from tensors that stay on the device.

A window is an origin (the first row to be forecast) and a target. Nothing is stored per window: the origins of a series
are a contiguous range of rows, so that a number below the count of all windows names one, and its lags, covariates and
future values are gathered from the flat panel when a batch needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from toolkit.models.neural.forecasting_panel import Layout, Panel

__all__ = ["Batch", "Origins", "gather", "in_target_units", "normalised_future", "training_and_validation"]

LARGEST_LAG = 1e3  # of a normalised lag: a series that was flat in training and moves now
FLOOR = 0.1  # a window's own scale is at least this share of the channel's spread, or a flat stretch blows up the rest


@dataclass(frozen=True)
class Origins:
    """Ranges of origins, one per series; windows are numbered 0 ... count - 1 through all of them and all targets.

    Attributes
    ----------
    start : Tensor, [series], int64
        First origin (row of the first forecast value).
    cumulative : Tensor, [series], int64
        Origins up to and with this series; origin j of a series is `start + j * step`.
    limit : Tensor, [series], int64
        Rows from here on are not looked at: future values behind it count as missing.
    """

    start: Tensor
    cumulative: Tensor
    limit: Tensor
    step: int
    targets: int

    @classmethod
    def of(cls, start: Tensor, stop: Tensor, limit: Tensor, step: int, targets: int) -> Origins:
        """Origins `start, start + step, ...` below `stop` in each series (none where stop <= start)."""
        counts = torch.div((stop - start).clamp(min=0) + step - 1, step, rounding_mode="floor")
        return cls(start, counts.cumsum(0), limit, step, targets)

    @property
    def count(self) -> int:
        """Number of windows."""
        return int(self.cumulative[-1]) * self.targets if len(self.cumulative) else 0

    def to(self, device: str | torch.device) -> Origins:
        """The same ranges on another device."""
        return replace(
            self, start=self.start.to(device), cumulative=self.cumulative.to(device), limit=self.limit.to(device)
        )

    def locate(self, number: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Series, origin row and target of windows by number, each in the shape of `number`."""
        target, flat = number % self.targets, torch.div(number, self.targets, rounding_mode="floor")
        series = torch.searchsorted(self.cumulative, flat, right=True)
        before = torch.where(series > 0, self.cumulative[(series - 1).clamp(min=0)], torch.zeros_like(flat))
        return series, self.start[series] + (flat - before) * self.step, target


@dataclass(frozen=True)
class Batch:
    """Windows as a net sees them; leading dimensions are those of the window numbers, e.g. [members, batch].

    Attributes
    ----------
    inputs : Tensor, [..., F], float32
        Normalised lags (the latest last), covariates, calendar, static columns, and a final 1.
    future : Tensor, [..., H], float32
        Observed values divided by the channel's `scale`; 0 where not seen.
    seen : Tensor, [..., H], bool
    level : Tensor, [...], float64
        Last observed value on the modelling scale.
    size : Tensor, [...], float32
        What the lags were divided by.
    channel : Tensor, [...], int64
        series * targets + target.
    identity : Tensor, [...], int64
    """

    inputs: Tensor
    future: Tensor
    seen: Tensor
    level: Tensor
    size: Tensor
    channel: Tensor
    identity: Tensor


def gather(panel: Panel, origins: Origins, number: Tensor, layout: Layout) -> Batch:
    """Windows by number.

    Lags before the start of a series, and missing ones, are 0 after normalisation: "as the last value".
    """
    series, origin, target = origins.locate(number)
    device = number.device
    back = torch.arange(-layout.lookback, 0, device=device)
    rows = origin[..., None] + back  # [..., L]
    inside = rows >= panel.first[series][..., None]
    rows = torch.where(inside, rows, origin[..., None] - 1).clamp(min=0)
    column = target[..., None].expand_as(rows)
    seen = panel.seen[rows, column] & inside
    lags = panel.values[rows, column]  # [..., L]
    level = last_seen(lags, seen)
    channel = series * panel.targets + target
    lags = torch.where(seen, lags - level[..., None], torch.zeros_like(lags)).float()
    spread = panel.spread.flatten()[channel]
    size = spread
    if layout.local_scale:
        deviation = lags[..., -layout.scale_lags :].abs().sum(-1) / seen[..., -layout.scale_lags :].sum(-1).clamp(min=1)
        size = torch.maximum(deviation, FLOOR * spread)
    ahead = origin[..., None] + torch.arange(layout.horizon, device=device)  # [..., H]
    within = ahead < panel.stop[series][..., None]
    judged = within & (ahead < origins.limit[series][..., None])
    ahead = torch.where(within, ahead, panel.stop[series][..., None] - 1)
    future_column = target[..., None].expand_as(ahead)
    future_seen = panel.seen[ahead, future_column] & judged
    future = torch.where(future_seen, panel.raw[ahead, future_column], torch.zeros((), device=device))
    lags = (lags / size[..., None]).clamp(-LARGEST_LAG, LARGEST_LAG)
    parts = [lags, *_covariates(panel, layout, series, origin, target, rows, inside, ahead)]
    inputs = torch.cat([*parts, torch.ones_like(parts[0][..., :1])], dim=-1)
    return Batch(inputs, future, future_seen, level, size, channel, panel.identity.flatten()[channel])


def in_target_units(panel: Panel, batch: Batch, normalised: Tensor) -> Tensor:
    """Normalised forecasts [..., H, Q] as values over the scale of their channel, float32.

    Leading dimensions may be more than those of the batch: [K, n, H, Q] for [n] windows that K members share.
    """
    modelled = batch.level[..., None, None] + batch.size[..., None, None] * normalised.double()
    channel = batch.channel.expand(normalised.shape[:-2])
    return panel.from_model(modelled.flatten(-2), channel).float().view(normalised.shape)


def normalised_future(panel: Panel, batch: Batch) -> Tensor:
    """Future values as a net is to forecast them: on the modelling scale, less the level, over the size, [..., H]."""
    future = panel.to_model(batch.future, batch.channel)
    future = (future - batch.level[..., None]) / batch.size[..., None]
    return torch.where(batch.seen, future, torch.zeros_like(future))


def last_seen(lags: Tensor, seen: Tensor) -> Tensor:
    """Latest observed value of each window, [...]; the latest filled one where nothing was seen."""
    position = torch.where(seen, torch.arange(1, lags.shape[-1] + 1, device=lags.device), 0).amax(-1)
    position = torch.where(position > 0, position, lags.shape[-1])
    return lags.gather(-1, (position - 1)[..., None])[..., 0]


def _covariates(
    panel: Panel,
    layout: Layout,
    series: Tensor,
    origin: Tensor,
    target: Tensor,
    rows: Tensor,
    inside: Tensor,
    ahead: Tensor,
) -> list[Tensor]:
    """Inputs beside the own lags, each [..., columns], float32."""
    parts: list[Tensor] = []
    recent, valid = rows[..., -layout.covariate_lags :], inside[..., -layout.covariate_lags :, None]
    if layout.cross and panel.targets > 1:
        parts.append(_other_targets(panel, layout, series, target, recent, valid[..., 0]))
    if panel.known.shape[1]:
        parts += [(panel.known[recent] * valid).flatten(-2), panel.known[ahead].flatten(-2)]
    if panel.past.shape[1]:
        parts.append((panel.past[recent] * valid).flatten(-2))
    if panel.calendar.shape[1]:
        parts.append(panel.calendar[ahead[..., 0]])
    if panel.static.shape[1]:
        parts.append(panel.static[series])
    if panel.targets > 1:
        parts.append(torch.nn.functional.one_hot(target, panel.targets).float())
    return parts


def _other_targets(
    panel: Panel, layout: Layout, series: Tensor, target: Tensor, recent: Tensor, valid: Tensor
) -> Tensor:
    """Lags of the other targets less their last value over their spread, [..., (k - 1) * lags], in column order."""
    k = panel.targets
    order = (
        target[..., None] + torch.arange(1, k, device=target.device)
    ) % k  # [..., k - 1]: the next targets, round the circle
    values = panel.values[recent[..., None, :], order[..., :, None]]  # [..., k - 1, lags]
    seen = panel.seen[recent[..., None, :], order[..., :, None]] & valid[..., None, :]
    level = last_seen(values, seen)
    spread = panel.spread[series[..., None], order]
    return (torch.where(seen, values - level[..., None], 0.0) / spread[..., None]).float().flatten(-2)


def training_and_validation(
    panel: Panel, horizon: int, context: int, block: Tensor, most: int
) -> tuple[Origins, Origins, Origins]:
    """Origins to train on, to validate on, and both together.

    Training targets end before the first validated value of their series; validation windows lie wholly in the block,
    or begin with it where it is shorter than the horizon.

    Parameters
    ----------
    context : int
        Rows before the first origin of a series; shorter series start at their second row.
    block : Tensor, [series], int64
        Last rows of each series kept for validation; 0 where the series is too short to spare any.
    most : int
        Validation windows at most; the step between them grows instead.
    """
    length = panel.stop - panel.first
    start = panel.first + torch.minimum(torch.full_like(length, context), (length - horizon).clamp(min=1))
    cut = panel.stop - block
    inner = Origins.of(
        start, (cut - horizon + 1).maximum(torch.where(cut > start, start + 1, start)), cut, 1, panel.targets
    )
    origins = torch.where(block > 0, (block - horizon + 1).clamp(min=1), torch.zeros_like(block))
    step = max(1, int(np.ceil(int(origins.sum()) * panel.targets / most)))
    # Counted back from the end, so that the latest window is always among them.
    phase = torch.where(origins > 0, (origins - 1) % step, torch.zeros_like(origins))
    validation = Origins.of(cut + phase, cut + origins, panel.stop, step, panel.targets)
    every = Origins.of(
        start, (panel.stop - horizon + 1).maximum(start + 1).minimum(panel.stop), panel.stop, 1, panel.targets
    )
    return inner, validation, every
