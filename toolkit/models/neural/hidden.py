"""A hidden layer of a stack in one piece: linear map, parametric Mish and dropout, with its own backward pass.

Axes: K members, B rows of a mini-batch, d_in inputs, W units. One autograd node per layer instead of a dozen, and no
intermediate of the activation outlives it. On a CPU the activation is made member by member, because the numbers of a
member fit into the cache.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["hidden_layer", "narrow_product", "parametric_mish"]

LARGEST_EXPONENT = 20.0  # beyond, mish(x) is x to float32 precision
NARROW = 4  # outputs up to which a product is cheaper as multiply and sum


def hidden_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    slope: Tensor,
    mask: Tensor | None = None,
    precision: torch.dtype | None = None,
) -> Tensor:
    """Mish_a(x W / sqrt(d_in) + b) times a dropout mask, [K, B, d_in] -> [K, B, W].

    Parameters
    ----------
    x : [K, B, d_in]
    weight, bias, slope : [K, d_in, W], [K, 1, W], [K, 1, W]
        `slope` is a in x + a (mish(x) - x).
    mask : [K, B, W] or None
        What the units are multiplied by.
    precision : torch.dtype or None
        In which the products of a training step are taken and its activations kept, such as bfloat16; None: that of x.
        Without gradients everything is taken in the precision of the weights.
    """
    if torch.is_grad_enabled() and weight.requires_grad:
        return _Hidden.apply(x, weight, bias, slope, mask, precision or x.dtype)
    z = torch.baddbmm(bias, x, weight, alpha=1 / math.sqrt(weight.shape[1]))
    y = parametric_mish(z, slope)
    return y if mask is None else y.mul_(mask)


def parametric_mish(x: Tensor, slope: Tensor) -> Tensor:
    """x + a (mish(x) - x), [K, B, W]; without a gradient."""
    y = torch.empty_like(x)
    for k in _parts(x):
        e = x[k].clamp(max=LARGEST_EXPONENT).exp_()
        q = (e + 2).mul_(e).add_(2).reciprocal_().mul_(x[k])
        torch.addcmul(x[k], q, slope[k], value=-2, out=y[k])
    return y


def narrow_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W / sqrt(d_in) + b for every member, [K, B, d_in] -> [K, B, O].

    A product with few outputs runs at a small part of the speed of a large one; multiply and sum are faster then.
    """
    alpha = 1 / math.sqrt(weight.shape[1])
    if weight.shape[2] > NARROW:
        return torch.baddbmm(bias, x, weight, alpha=alpha)
    outputs = [(x * w.unsqueeze(1)).sum(dim=-1) for w in weight.unbind(-1)]
    return torch.add(bias, torch.stack(outputs, dim=-1), alpha=alpha)


class _Hidden(torch.autograd.Function):
    """Forward and backward pass of a hidden layer; see `hidden_layer`.

    The forward pass keeps dy/dz / sqrt(d_in) and dy/da, z = x W / sqrt(d_in) + b, so that the backward pass is three
    products of elements, two sums and two matrix products.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, mask: Tensor | None, low: torch.dtype):
        alpha = 1 / math.sqrt(weight.shape[1])
        ctx.alpha, ctx.outer = alpha, x.dtype
        x, w = x.to(low), weight.to(low)
        product = torch.bmm(x, w)
        y, slope, bend = (torch.empty_like(product) for _ in range(3))
        parts = _parts(x)
        scratch = torch.empty(4, *product[parts[0]].shape, dtype=weight.dtype, device=x.device)
        for k in parts:
            z = torch.add(bias[k], product[k], alpha=alpha)
            factor = None if mask is None else mask[k]
            _mish_and_slopes(z, a[k], factor, alpha, scratch, (y[k], slope[k], bend[k]))
        ctx.save_for_backward(x, w, slope, bend)
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor):
        x, w, slope, bend = ctx.saved_tensors
        wide = torch.promote_types(ctx.outer, torch.float32)
        by_slope = (bend * gradient).sum(dim=1, keepdim=True).to(wide).mul_(-2)
        by_z = slope * gradient  # times alpha
        by_bias = by_z.sum(dim=1, keepdim=True).to(wide).div_(ctx.alpha)
        by_x = torch.bmm(by_z, w.transpose(1, 2)).to(ctx.outer) if ctx.needs_input_grad[0] else None
        by_weight = torch.bmm(x.transpose(1, 2), by_z).to(wide)
        return by_x, by_weight, by_bias, by_slope, None, None


def _mish_and_slopes(
    x: Tensor, a: Tensor, mask: Tensor | None, factor: float, scratch: Tensor, out: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Fill `out` with y, factor dy/dx and -1/2 dy/da of y = x + a (mish(x) - x), times the mask; x is used up.

    With e = exp(x) and q = 1 / (e (e + 2) + 2): mish(x) - x = -2 x q and mish'(x) - 1 = -2 q (1 - 2 x q e (e + 1)).
    Every pass over the elements counts here, so that constants enter as rows of units.
    """
    e, q, slope, bend = scratch
    torch.clamp(x, max=LARGEST_EXPONENT, out=e).exp_()
    torch.add(e, 2, out=slope)
    torch.addcmul(torch.full_like(a, 2.0), e, slope, out=q).reciprocal_()
    torch.addcmul(e, e, e, out=slope)  # e (e + 1)
    torch.mul(x, q, out=bend)
    slope.mul_(bend)
    torch.addcmul(q, q, slope, value=-2, out=slope)
    torch.addcmul(torch.full_like(a, factor), slope, a, value=-2 * factor, out=e)
    torch.addcmul(x, bend, a, value=-2, out=q)
    for made, kept in zip((q, e, bend), out, strict=True):
        kept.copy_(made if mask is None else made.mul_(mask))


def _parts(x: Tensor) -> list:
    """Pieces in which elements are worked on: members on a CPU, everything at once on a GPU."""
    return list(range(len(x))) if x.device.type == "cpu" else [slice(None)]
