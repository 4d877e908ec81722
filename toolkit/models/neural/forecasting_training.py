"""Training of a stack of forecasting nets: the stack module of the tables, fed with windows instead of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.models.neural.forecasting_linear import LinearMap
from toolkit.models.neural.forecasting_losses import ForecastLoss
from toolkit.models.neural.forecasting_networks import ResidualForecaster, forecast_batches
from toolkit.models.neural.forecasting_panel import Layout, Panel
from toolkit.models.neural.forecasting_presets import ForecastRecipe
from toolkit.models.neural.stack import Trained, train_members
from toolkit.models.neural.training import Member, Progress, StackModule, generators
from toolkit.models.neural.windows import Origins, gather, in_target_units

__all__ = ["WindowModule", "Windows", "train_windows"]


@dataclass(frozen=True)
class Windows:
    """What the nets see: a panel, which windows move them and which choose their epoch."""

    panel: Panel
    layout: Layout
    train: Origins
    hold: Origins


class WindowOrder:
    """One item per epoch: numbers of the windows of every mini-batch, [S, K, B], drawn with replacement.

    No list of windows is kept, so that memory does not grow with their number.
    """

    def __init__(self, members: Sequence[Member], count: int, batch: int, steps: int) -> None:
        self.count, self.batch, self.steps = count, batch, steps
        self.generators = generators(members, 1)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Tensor]:
        shape = (self.steps, self.batch)
        yield torch.stack([torch.randint(self.count, shape, generator=g) for g in self.generators], dim=1)


class WindowModule(StackModule):
    """K members, one optimiser, one loss per member, over windows.

    The state before the first step counts as epoch 0: a net that never betters its linear start is that start.
    """

    def __init__(
        self,
        network: ResidualForecaster,
        windows: Windows,
        members: Sequence[Member],
        recipe: ForecastRecipe,
        loss: ForecastLoss,
        progress: Progress | None = None,
    ) -> None:
        order = WindowOrder(members, windows.train.count, recipe.batch_size, recipe.steps)
        super().__init__(network, order, members, recipe, judged=windows.hold.count > 0, progress=progress)
        self.windows, self.loss = windows, loss

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.best_loss = self.validation_loss()
        self.best_epoch -= 1

    def member_losses(self, numbers: Tensor, masks: list[Tensor] | None) -> Tensor:
        batch = gather(self.windows.panel, self.windows.train, numbers, self.windows.layout)
        normalised = self.network(batch.inputs, batch.identity, masks)
        return self.loss.mean(in_target_units(self.windows.panel, batch, normalised), batch.future, batch.seen)

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        total, counted = torch.zeros(len(self.members), device=self.device), 0.0
        for batch, normalised in forecast_batches(
            self.network, self.windows.panel, self.windows.hold, self.windows.layout
        ):
            predicted = in_target_units(self.windows.panel, batch, normalised)
            loss = self.loss(predicted, batch.future.expand(predicted.shape[:-1]))
            total += torch.where(batch.seen, loss, 0.0).sum((-2, -1))
            counted += float(batch.seen.sum())
        return total / max(counted, 1.0)


def train_windows(
    windows: Windows,
    linear: LinearMap | None,
    seeds: Sequence[int],
    recipe: ForecastRecipe,
    loss: ForecastLoss,
    accelerator: str,
    progress: Progress | None = None,
) -> Trained:
    """Train a stack of forecasting nets on windows, from the closed-form map if one is given.

    Without training or validation windows, or with no epochs, the members stay where they start.
    """
    nothing = np.empty(0, dtype=np.int64)
    members = [Member(seed, nothing, nothing) for seed in seeds]

    def build(members: Sequence[Member], recipe: ForecastRecipe) -> WindowModule:
        return WindowModule(_network(windows, linear, members, recipe, loss), windows, members, recipe, loss, progress)

    if not (recipe.epochs and windows.train.count and windows.hold.count):
        network = _network(windows, linear, members, recipe, loss).requires_grad_(False).eval()
        return Trained(network, members, [0] * len(members), [math.nan] * len(members))
    return train_members(build, members, recipe, accelerator)


def _network(
    windows: Windows, linear: LinearMap | None, members: Sequence[Member], recipe: ForecastRecipe, loss: ForecastLoss
) -> ResidualForecaster:
    panel, layout = windows.panel, windows.layout
    own = None if linear is None or linear.own is None else linear.own.cpu()
    return ResidualForecaster(
        generators(members, 0),
        layout.width(panel),
        layout.lookback,
        layout.horizon,
        channels=len(panel.first) * panel.targets,
        levels=len(loss.levels),
        linear=None if linear is None else linear.common.cpu(),
        own=None if own is None else torch.cat([torch.zeros_like(own[:1]), own]),
        width=recipe.width,
        depth=recipe.depth,
    )
