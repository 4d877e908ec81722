"""Stacks of forecasting nets as pure torch modules: K members in one batched matrix product.

Axes: K members, B windows of a mini-batch, F inputs of a window (the first L are its lags), H horizons, Q quantile
levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.models.neural.forecasting_linear import by_channel
from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.networks import Generators, stacked
from toolkit.models.neural.windows import Batch, Origins, gather

__all__ = ["ResidualForecaster", "averaging", "forecast_batches", "interpolation"]


class StackedDense(nn.Module):
    """x W + b for every member, [K, B, d_in] -> [K, B, d_out]; zero weights where the net has to start at nothing."""

    def __init__(self, generators: Generators, d_in: int, d_out: int, zero: bool = False) -> None:
        super().__init__()
        self.weight = stacked(generators, d_in, d_out, scale=0.0 if zero else math.sqrt(2 / d_in))
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, d_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Block(nn.Module):
    """One residual block: explains a part of the lags and a part of the future, [K, B, L + C] -> lags, knots.

    Parameters
    ----------
    lags, context : int
        Lags that the block explains, and inputs beside them.
    pooled : Tensor, [L, P]
        How lags are averaged before they enter.
    knots : int
        Numbers that describe the block's part of the future.
    """

    def __init__(
        self, generators: Generators, lags: int, context: int, pooled: Tensor, knots: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.register_buffer("pooled", pooled, persistent=False)
        sizes = [pooled.shape[1] + context, *[width] * depth]
        self.layers = nn.ModuleList(StackedDense(generators, a, b) for a, b in pairwise(sizes))
        self.backcast = StackedDense(generators, width, lags, zero=True)
        self.forecast = StackedDense(generators, width, knots, zero=True)

    def forward(self, lags: Tensor, context: Tensor, masks: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        x = torch.cat([lags @ self.pooled, context], dim=-1)
        for i, layer in enumerate(self.layers):
            x = functional.gelu(layer(x))
            if masks is not None:
                x = x * masks[i]
        return self.backcast(x), self.forecast(x)


class ResidualForecaster(nn.Module):
    """Linear skip plus residual blocks, [K, B, F] and channels [K, B] -> normalised forecasts [K, B, H, Q].

    The blocks are those of N-BEATS (Oreshkin et al., arXiv 1905.10437) with the averaged inputs and interpolated
    outputs of N-HiTS (Challu et al., arXiv 2201.12886): the first blocks see and draw slow movements, the last one
    every step. Their outputs start at zero, so that the net starts at its linear map, or with `skip` left out at "as
    the last value".

    Parameters
    ----------
    generators : sequence of torch.Generator
        One per member.
    inputs, lookback, horizon : int
    channels : int
        Channels (series and target) that have an embedding; number 0 stands for any other one and has none.
    levels : int
        Values forecast per horizon (quantile levels).
    linear : Tensor, [F, H], or None
        The closed-form map that the skip starts at.
    own : Tensor, [channels + 1, F, H], or None
        What is added for each channel; row 0 is zero. Not trained: it has been shrunk on its own.
    width, depth : int
        Units of a hidden layer, hidden layers of a block.
    pools : sequence of int
        One block per number: over how many lags it averages, and over how many horizons it interpolates.
    """

    EMBEDDING = 8

    def __init__(
        self,
        generators: Generators,
        inputs: int,
        lookback: int,
        horizon: int,
        channels: int,
        levels: int = 1,
        linear: Tensor | None = None,
        own: Tensor | None = None,
        width: int = 256,
        depth: int = 2,
        pools: tuple[int, ...] = (8, 2, 1),
    ) -> None:
        super().__init__()
        members = len(generators)
        self.lookback, self.horizon, self.levels = lookback, horizon, levels
        self.skip = None if linear is None else nn.Parameter(linear.expand(members, -1, -1).clone())
        self.register_buffer("own", own, persistent=own is not None)
        self.bias = nn.Parameter(torch.zeros(members, 1, horizon, levels))
        self.embedding = None
        context = inputs - lookback
        if channels > 1:
            self.embedding = stacked(generators, channels + 1, self.EMBEDDING, scale=0.1)
            context += self.EMBEDDING
        self.blocks, spread = nn.ModuleList(), []
        for pool in pools:
            knots = max(1, math.ceil(horizon / pool))
            spread.append(interpolation(knots, horizon))
            pooled = averaging(lookback, min(pool, lookback))
            self.blocks.append(Block(generators, lookback, context, pooled, knots * levels, width, depth))
        for i, matrix in enumerate(spread):
            self.register_buffer(f"spread{i}", matrix, persistent=False)
        self.dropped = [(width,)] * (len(pools) * depth)

    def forward(self, x: Tensor, channel: Tensor, masks: list[Tensor] | None = None) -> Tensor:
        members, rows, _ = x.shape
        lags, context = x[..., : self.lookback], x[..., self.lookback :]
        if self.embedding is not None:
            member = torch.arange(members, device=x.device)[:, None]
            vector = self.embedding[member, channel] * (channel > 0)[..., None]
            context = torch.cat([context, vector], dim=-1)
        forecast = self.bias.expand(members, rows, -1, -1)
        depth = len(self.blocks[0].layers)
        for i, block in enumerate(self.blocks):
            part = None if masks is None else masks[i * depth : (i + 1) * depth]
            explained, knots = block(lags, context, part)
            lags = lags - explained
            knots = knots.view(members, rows, -1, self.levels)
            forecast = forecast + torch.einsum("kbpq,ph->kbhq", knots, getattr(self, f"spread{i}"))
        linear = self.linear_part(x, channel)
        return forecast if linear is None else forecast + linear[..., None]

    def linear_part(self, x: Tensor, channel: Tensor) -> Tensor | None:
        """Forecast of the skip, [K, B, H]."""
        if self.skip is None:
            return None
        linear = torch.bmm(x, self.skip)
        if self.own is not None:
            own = by_channel(x.flatten(0, 1), channel.flatten(), self.own)
            linear = linear + own.view_as(linear)
        return linear

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict]:
        """The skip has been solved for: it moves in small steps and is not pulled to zero."""

        def rule(name: str) -> tuple[float, float]:
            if name == "skip":
                return SKIP_RATE, 0.0
            return 1.0, 0.0 if name.endswith("bias") else weight_decay

        groups: dict[tuple[float, float], dict] = {}
        for name, parameter in self.named_parameters():
            factor, decay = rule(name)
            groups.setdefault((factor, decay), {"params": [], "factor": factor, "decay": decay})["params"].append(
                parameter
            )
        return [
            {**group, "lr": learning_rate * group["factor"], "weight_decay": group["decay"]}
            for group in groups.values()
        ]


@torch.no_grad()
def forecast_batches(
    network: ResidualForecaster, panel: Panel, origins: Origins, layout: Layout
) -> Iterator[tuple[Batch, Tensor]]:
    """Windows in order, and the normalised forecasts of all members for them, [K, B, H, Q]."""
    members = len(network.bias)
    for numbers in torch.arange(origins.count, device=panel.values.device).split(JUDGED):
        batch = gather(panel, origins, numbers, layout)
        yield batch, network(batch.inputs.expand(members, -1, -1), batch.identity.expand(members, -1))


JUDGED = 1024  # windows that are forecast in one go
SKIP_RATE = 0.02  # of the learning rate: hundreds of lags add up, each may move by little


def averaging(lags: int, pool: int) -> Tensor:
    """Matrix that averages `pool` neighbouring lags, counted back from the latest, [lags, ceil(lags / pool)]."""
    group = torch.div(torch.arange(lags - 1, -1, -1), pool, rounding_mode="floor")
    member = functional.one_hot(group).float()
    return (member / member.sum(0)).flip(1)


def interpolation(knots: int, horizon: int) -> Tensor:
    """Matrix of the straight line between `knots` evenly spaced values, [knots, horizon]."""
    if knots == 1:
        return torch.ones(1, horizon)
    place = torch.linspace(0, knots - 1, horizon)
    return (1 - (place[None] - torch.arange(knots)[:, None]).abs()).clamp(min=0)
