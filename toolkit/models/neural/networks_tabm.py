"""A stack of TabM nets with piecewise-linear embeddings of numeric columns.

Gorishniy, Kotelnikov and Babenko, arXiv 2410.24210. The package `tabm` builds one net; here K of them move as one
batched product, and a test compares a member with the package's own output on the same numbers.
Axes: K members, H heads of a member, B rows, D numeric columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.models.neural.networks import CategoryEmbedding, Columns, Generators, stacked

__all__ = ["TabM", "quantile_edges"]

BINS = 48
EMBEDDING = 16
LEAST_RANGE = 1e-6  # a bin narrower than this would make the embedding explode


def quantile_edges(numbers: np.ndarray) -> list[Tensor]:
    """Edges of at most 48 bins for every numeric column, by `rtdl_num_embeddings.compute_bins` on training rows."""
    from rtdl_num_embeddings import compute_bins

    bins = min(BINS, len(numbers) - 1)
    if numbers.shape[1] == 0 or bins < 2:
        return [torch.tensor([c.min(), c.max()]) for c in numbers.T]
    edges = compute_bins(torch.from_numpy(numbers), n_bins=bins)
    return [e[torch.cat([torch.tensor([True]), e.diff() > LEAST_RANGE])] for e in edges]


class PiecewiseLinearEmbedding(nn.Module):
    """W0 x + b0 + W ple(x), [K, B, D] -> [K, B, D * 16]; version B of the package, whose W starts at zero."""

    def __init__(self, generators: Generators, edges: Sequence[Tensor]) -> None:
        super().__init__()
        columns, bins = len(edges), max(len(e) for e in edges) - 1
        bound = EMBEDDING**-0.5
        left, inverse = torch.zeros(columns, bins), torch.zeros(columns, bins)
        floor, ceiling = torch.zeros(columns, bins), torch.ones(columns, bins)
        for i, edge in enumerate(edges):
            count = len(edge) - 1
            left[i, :count], inverse[i, :count] = edge[:-1], 1 / edge.diff()
            floor[i, 0], ceiling[i, count - 1] = -math.inf, math.inf  # the outer bins go on as straight lines
        for name, values in (("left", left), ("inverse", inverse), ("floor", floor), ("ceiling", ceiling)):
            self.register_buffer(name, values)
        self.linear = stacked(generators, columns, 1, EMBEDDING, low=bound)
        self.bias = stacked(generators, columns, 1, EMBEDDING, low=bound)
        self.weight = nn.Parameter(torch.zeros(len(generators), columns, bins, EMBEDDING))

    def forward(self, x: Tensor) -> Tensor:
        members, rows, columns = x.shape
        share = ((x.unsqueeze(-1) - self.left) * self.inverse).clamp(self.floor, self.ceiling)  # [K, B, D, bins]
        pieces = torch.bmm(share.transpose(1, 2).flatten(0, 1), self.weight.flatten(0, 1))  # [K * D, B, 16]
        line = torch.addcmul(self.bias, x.transpose(1, 2).unsqueeze(-1), self.linear)  # [K, D, B, 16]
        embedded = line + pieces.view(members, columns, rows, EMBEDDING)
        return embedded.transpose(1, 2).reshape(members, rows, columns * EMBEDDING)


class BatchEnsembleLinear(nn.Module):
    """((x * r) W) * s + b with W shared by the heads of a member, [K, H, B, d_in] -> [K, H, B, d_out]."""

    def __init__(
        self, generators: Generators, heads: int, d_in: int, d_out: int, chunks: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        bound = d_in**-0.5
        self.weight = stacked(generators, d_in, d_out, low=bound)
        if chunks is None:
            self.r = nn.Parameter(torch.ones(len(generators), heads, 1, d_in))
        else:  # heads differ at first only in the scale of each column's embedding
            by_column = stacked(generators, heads, 1, len(chunks)).detach()
            self.r = nn.Parameter(by_column.repeat_interleave(torch.tensor(chunks), dim=-1))
        self.s = nn.Parameter(torch.ones(len(generators), heads, 1, d_out))
        self.bias = nn.Parameter(stacked(generators, 1, 1, d_out, low=bound).detach().repeat(1, heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        members, heads, rows, _ = torch.broadcast_shapes(x.shape, self.r.shape[:2] + (1, 1))
        product = torch.bmm((x * self.r).reshape(members, heads * rows, -1), self.weight)
        return torch.addcmul(self.bias, product.view(members, heads, rows, -1), self.s)


class TabM(nn.Module):
    """A stack of TabM nets: [K, B, numbers + flags], [K, B, C] -> [K, H, B, O].

    Parameters
    ----------
    generators : sequence of torch.Generator
        One per member.
    columns : Columns
    edges : sequence of tensors
        Bin edges of every numeric column, see `quantile_edges`.
    outputs, width, depth, heads : int
    """

    def __init__(
        self,
        generators: Generators,
        columns: Columns,
        edges: Sequence[Tensor],
        outputs: int,
        width: int = 512,
        depth: int = 2,
        heads: int = 32,
    ) -> None:
        super().__init__()
        self.numbers = columns.numbers
        self.piecewise = PiecewiseLinearEmbedding(generators, edges) if columns.numbers else None
        self.categories = CategoryEmbedding(generators, columns.levels) if columns.levels else None
        chunks = [EMBEDDING] * columns.numbers + [1] * columns.flags + [8] * len(columns.levels)
        sizes = [sum(chunks), *[width] * depth]
        self.layers = nn.ModuleList(
            BatchEnsembleLinear(generators, heads, a, b, chunks if i == 0 else None)
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        bound = sizes[-1] ** -0.5
        self.out_weight = stacked(generators, heads, sizes[-1], outputs, low=bound)
        self.out_bias = stacked(generators, heads, 1, outputs, low=bound)
        self.dropped = [(heads, width)] * depth

    def forward(self, x: Tensor, codes: Tensor | None = None, masks: list[Tensor] | None = None) -> Tensor:
        if self.piecewise is not None:
            x = torch.cat([self.piecewise(x[..., : self.numbers]), x[..., self.numbers :]], dim=-1)
        if self.categories is not None:
            x = torch.cat([x, self.categories(codes)], dim=-1)
        x = x.unsqueeze(1)
        for i, layer in enumerate(self.layers):
            x = layer(x).relu()
            if masks is not None:
                x = x * masks[i]
        return x @ self.out_weight + self.out_bias

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict]:
        """One learning rate; biases do not decay."""
        rules = (("weights", weight_decay), ("biases", 0.0))
        parts: dict[str, list] = {"weights": [], "biases": []}
        for name, p in self.named_parameters():
            parts["biases" if name.endswith("bias") else "weights"].append(p)
        return [
            {"params": parts[part], "factor": 1.0, "decay": decay, "lr": learning_rate, "weight_decay": decay}
            for part, decay in rules
        ]
