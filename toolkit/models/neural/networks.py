"""Stacks of nets as pure torch modules: K members in one batched matrix product, each with its own numbers.

Axes: K members of a stack, B rows of a mini-batch, D numeric columns, H heads of a member (1 but for TabM), O outputs.
A member is drawn from its own generator and never meets another one, so that a stack of K is K separate nets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from toolkit.models.neural.hidden import hidden_layer, narrow_product

__all__ = ["Columns", "DropoutMasks", "RealMLP", "stacked"]

Generators = Sequence[torch.Generator]
POINTS = 5  # training rows whose mixture places a bias at first
LEAST_SPREAD = 1e-6  # a unit that varies less on the training rows keeps its weights


class Columns:
    """How the columns of an input matrix are laid out: first `numbers`, then `flags`; `levels` of the embedded ones."""

    def __init__(self, numbers: int, flags: int, levels: Sequence[int] = ()) -> None:
        self.numbers, self.flags, self.levels = numbers, flags, tuple(levels)


def stacked(generators: Generators, *shape: int, low: float | None = None, scale: float = 1.0) -> nn.Parameter:
    """One tensor per member, [K, *shape]: normal with standard deviation `scale`, or uniform on [low, -low]."""
    if low is None:
        drawn = [torch.randn(shape, generator=g) * scale for g in generators]
    else:
        drawn = [(torch.rand(shape, generator=g) * 2 - 1) * low for g in generators]
    return nn.Parameter(torch.stack(drawn))


class DropoutMasks:
    """Dropout masks of every member from the member's own generator.

    Eight masks cost one draw of 64 random bits; the rate is therefore a multiple of 1/256, and the kept values are
    divided by exactly the share that is kept.
    """

    def __init__(self, generators: Generators, sizes: Sequence[tuple[int, ...]], device: torch.device) -> None:
        self.generators, self.sizes, self.device = generators, sizes, device

    def draw(self, rate: float) -> list[Tensor] | None:
        """Multipliers of shape [K, *size] for each entry of `sizes`; None when nothing is dropped."""
        threshold = round(256 * rate)
        if threshold <= 0:
            return None
        counts = [math.prod(size) for size in self.sizes]
        words = torch.empty(len(self.generators), -(-sum(counts) // 8), dtype=torch.int64, device=self.device)
        for own, generator in zip(words, self.generators, strict=True):
            own.random_(-(2**63), None, generator=generator)
        parts = words.view(torch.uint8)[:, : sum(counts)].split(counts, dim=1)
        masks = []
        for part, size in zip(parts, self.sizes, strict=True):
            mask = torch.empty(len(part), *size, device=self.device)
            masks.append(torch.ge(part.view_as(mask), threshold, out=mask).mul_(256 / (256 - threshold)))
        return masks


class StackedLinear(nn.Module):
    """Weight and bias of x W / sqrt(d_in) + b for every member, [K, d_in, d_out] and [K, 1, d_out]."""

    def __init__(self, generators: Generators, d_in: int, d_out: int) -> None:
        super().__init__()
        self.weight = stacked(generators, d_in, d_out)
        self.bias = stacked(generators, 1, d_out)

    @torch.no_grad()
    def start_from_data(self, x: Tensor, generators: Generators) -> None:
        """Scale the units to variance 1 on the rows x [K, R, d_in] and put their kinks inside the data.

        A bias is minus a random convex combination of five values of its unit (RealMLP's initial numbers "std" and
        "he+5", arXiv 2407.04491, section A.1).
        """
        z = torch.bmm(x, self.weight).div_(math.sqrt(x.shape[-1]))
        spread = z.std(dim=1, correction=0, keepdim=True)
        spread = torch.where(spread > LEAST_SPREAD, spread, 1.0)
        self.weight.div_(spread)
        z.div_(spread)
        for k, generator in enumerate(generators):
            rows = torch.randint(x.shape[1], (POINTS, z.shape[-1]), generator=generator)
            share = torch.empty(POINTS, z.shape[-1]).exponential_(generator=generator)
            self.bias[k, 0] = -(z[k].gather(0, rows) * share).sum(dim=0) / share.sum(dim=0)


class HiddenLayer(StackedLinear):
    """Mish_a(x W / sqrt(d_in) + b), one learnable a per unit: [K, B, d_in] -> [K, B, d_out] (see `hidden_layer`)."""

    def __init__(self, generators: Generators, d_in: int, d_out: int) -> None:
        super().__init__(generators, d_in, d_out)
        self.slope = nn.Parameter(torch.ones(len(generators), 1, d_out))

    def forward(self, x: Tensor, mask: Tensor | None, precision: torch.dtype | None) -> Tensor:
        return hidden_layer(x, self.weight, self.bias, self.slope, mask, precision)


class LastLayer(StackedLinear):
    """x W / sqrt(d_in) + b for every member: [K, B, d_in] -> [K, B, d_out]."""

    def forward(self, x: Tensor) -> Tensor:
        return narrow_product(x.to(self.weight.dtype), self.weight, self.bias)


class PeriodicEmbedding(nn.Module):
    """PBLD embedding of numeric columns, [K, B, D] -> [K, B, D * 4]: concat[x, W2 cos(2 pi w1 x + b1) + b2].

    Holzmüller, Grinsztajn and Steinwart, "Better by default", arXiv 2407.04491, section 3.
    """

    OUTPUTS = 4

    def __init__(self, generators: Generators, columns: int, frequencies: int = 16, sigma: float = 0.1) -> None:
        super().__init__()
        bound = 1 / math.sqrt(frequencies)
        self.frequency = stacked(generators, columns, 1, frequencies, scale=sigma)
        self.phase = stacked(generators, columns, 1, frequencies, low=math.pi)
        self.weight = stacked(generators, columns, frequencies, self.OUTPUTS - 1, low=bound)
        self.bias = stacked(generators, columns, 1, self.OUTPUTS - 1, low=bound)

    def forward(self, x: Tensor) -> Tensor:
        members, rows, columns = x.shape
        by_column = x.transpose(1, 2).unsqueeze(-1)  # [K, D, B, 1]
        waves = torch.addcmul(self.phase, by_column, self.frequency, value=2 * math.pi).cos()  # [K, D, B, F]
        dense = torch.baddbmm(self.bias.flatten(0, 1), waves.flatten(0, 1), self.weight.flatten(0, 1))
        both = torch.cat([by_column, dense.view(members, columns, rows, -1)], dim=-1)
        return both.transpose(1, 2).reshape(members, rows, columns * self.OUTPUTS)


class CategoryEmbedding(nn.Module):
    """A vector of `size` for every level of every embedded column, [K, B, C] codes -> [K, B, C * size]."""

    def __init__(self, generators: Generators, levels: Sequence[int], size: int = 8) -> None:
        super().__init__()
        self.table = stacked(generators, sum(levels), size)
        starts = torch.tensor([0, *levels[:-1]], dtype=torch.int64).cumsum(0)
        self.register_buffer("starts", starts)

    def forward(self, codes: Tensor) -> Tensor:
        member = torch.arange(len(codes), device=codes.device)[:, None, None]
        return self.table[member, codes + self.starts].flatten(2)


class RealMLP(nn.Module):
    """A stack of RealMLP nets: [K, B, numbers + flags], [K, B, C] -> [K, 1, B, O].

    Parameters
    ----------
    generators : sequence of torch.Generator
        One per member; the initial numbers of member k come from generators[k] alone.
    columns : Columns
    outputs : int
    width, depth : int
        Hidden units of a layer, and hidden layers.
    periodic : bool
        Embed numeric columns (PBLD); without, they enter as they are.
    precision : torch.dtype or None
        Of the products between hidden layers while training, such as bfloat16; None: float32. What a trained net
        predicts, and what chooses its epoch, is always float32.
    """

    def __init__(
        self,
        generators: Generators,
        columns: Columns,
        outputs: int,
        width: int = 256,
        depth: int = 3,
        periodic: bool = True,
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.numbers = columns.numbers
        self.periodic = PeriodicEmbedding(generators, columns.numbers) if periodic and columns.numbers else None
        self.categories = CategoryEmbedding(generators, columns.levels) if columns.levels else None
        d_in = columns.numbers * (PeriodicEmbedding.OUTPUTS if self.periodic else 1) + columns.flags
        d_in += 8 * len(columns.levels)
        self.scale = nn.Parameter(torch.ones(len(generators), 1, d_in))
        sizes = [d_in, *[width] * depth]
        self.layers = nn.ModuleList(HiddenLayer(generators, a, b) for a, b in pairwise(sizes))
        self.last = LastLayer(generators, sizes[-1], outputs)
        self.precision = precision
        self.dropped = [(width,)] * depth  # what a mask multiplies, per row

    def forward(self, x: Tensor, codes: Tensor | None = None, masks: list[Tensor] | None = None) -> Tensor:
        x = self._embedded(x, codes)
        for i, layer in enumerate(self.layers):  # the first reads the table's own numbers, which are not rounded
            x = layer(x, None if masks is None else masks[i], self.precision if i else None)
        return self.last(x).unsqueeze(1)

    def _embedded(self, x: Tensor, codes: Tensor | None) -> Tensor:
        """What the first layer reads, [K, B, d_in]."""
        if self.periodic is not None:
            x = torch.cat([self.periodic(x[..., : self.numbers]), x[..., self.numbers :]], dim=-1)
        if self.categories is not None:
            x = torch.cat([x, self.categories(codes)], dim=-1)
        return x * self.scale

    @torch.no_grad()
    def start_from_data(self, x: Tensor, codes: Tensor, generators: Generators) -> None:
        """Fit the initial numbers of every layer to some training rows of each member, [K, R, ...]."""
        x = self._embedded(x, codes)
        for layer in self.layers:
            layer.start_from_data(x, generators)
            x = layer(x, None, None)
        self.last.start_from_data(x, generators)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict]:
        """Parameters with the learning-rate factors and decay of the recipe (scale x6, biases and embeddings x.1)."""

        def rule(name: str) -> tuple[float, float]:
            if name.startswith("periodic"):
                return 0.1, 0.0 if name.endswith("bias") else weight_decay
            if name == "scale":
                return 6.0, weight_decay
            if name.endswith(("bias", "slope")):
                return 0.1, 0.0
            return 1.0, weight_decay

        groups: dict[tuple[float, float], dict] = {}
        for name, parameter in self.named_parameters():
            factor, decay = rule(name)
            group = groups.setdefault((factor, decay), {"params": [], "factor": factor, "decay": decay})
            group["params"].append(parameter)
        return [{**g, "lr": learning_rate * g["factor"], "weight_decay": g["decay"]} for g in groups.values()]
