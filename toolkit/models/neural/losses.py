"""Losses by family, for a whole stack at once.

Axes: K members, H heads, B rows, O outputs, T targets. A loss keeps one number per member, head and row, so that
nothing is averaged over members; the response is what a head predicts, on the scale of the (scaled) target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LOSSES", "Absolute", "Bernoulli", "Gamma", "Loss", "Poisson", "Quantile", "Squared"]

LOG_LIMIT = 15.0  # of a log mean relative to the training mean: exp stays finite in float32


@dataclass(frozen=True)
class Loss:
    """A loss of outputs [K, H, B, O] against targets [K, 1, B, T]; multi-target losses are averaged over targets."""

    def outputs(self, targets: int) -> int:
        """Units of the last layer."""
        return targets

    def response(self, output: Tensor) -> Tensor:
        """What is predicted: [..., O] -> [..., T]."""
        return output

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss to train on, from outputs, [K, H, B]."""
        return self.judged(self.response(output), target)

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        """Loss of a response (an average over heads), by which the best epoch is chosen, [..., B]."""
        raise NotImplementedError


class Squared(Loss):
    """Squared error; the response is the mean."""

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        return (response - target).square().mean(dim=-1)


class Absolute(Loss):
    """Absolute error; the response is the median."""

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        return (response - target).abs().mean(dim=-1)


class Poisson(Loss):
    """Half the Poisson deviance up to a constant, log link; the target is counted in units of its mean."""

    def response(self, output: Tensor) -> Tensor:
        return output.clamp(-LOG_LIMIT, LOG_LIMIT).exp()

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        return (response - target * response.log()).mean(dim=-1)


class Gamma(Poisson):
    """Half the Gamma deviance up to a constant, log link; the target is counted in units of its mean."""

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        return (response.log() + target / response).mean(dim=-1)


class Bernoulli(Loss):
    """Log loss of a 0/1 target; the response is the probability of 1."""

    def response(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output, target.expand_as(output), reduction="none").mean(dim=-1)

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        p = response.clamp(1e-7, 1 - 1e-7)
        return -(target * p.log() + (1 - target) * (1 - p).log()).mean(dim=-1)


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss at increasing levels; increments are positive, so quantiles cannot cross."""

    levels: tuple[float, ...] = (0.05, 0.5, 0.95)

    def outputs(self, targets: int) -> int:
        return len(self.levels)

    def response(self, output: Tensor) -> Tensor:
        first, steps = output[..., :1], F.softplus(output[..., 1:])
        return torch.cat([first, steps], dim=-1).cumsum(dim=-1)

    def judged(self, response: Tensor, target: Tensor) -> Tensor:
        level = torch.tensor(self.levels, device=response.device)
        error = target - response
        return torch.maximum(level * error, (level - 1) * error).mean(dim=-1)


LOSSES = {
    "squared": Squared(),
    "absolute": Absolute(),
    "poisson": Poisson(),
    "gamma": Gamma(),
    "bernoulli": Bernoulli(),
}
