"""Training of a stack of forecasting nets: the stack module of the tables, fed with windows instead of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from toolkit.models.neural.forecasting_linear import LinearMap
from toolkit.models.neural.forecasting_losses import ForecastLoss
from toolkit.models.neural.forecasting_networks import ResidualForecaster, forecast_batches
from toolkit.models.neural.presets import Recipe
from toolkit.models.neural.stack import Trained, _curves, _quiet
from toolkit.models.neural.training import Member, Progress, StackModule, clip_by_member, generators
from toolkit.models.neural.windows import Layout, Origins, Panel, gather, in_target_units

__all__ = ["ForecastRecipe", "WindowModule", "Windows", "train_windows"]


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
        recipe: Recipe,
        loss: ForecastLoss,
        progress: Progress | None = None,
    ) -> None:
        pl.LightningModule.__init__(self)
        self.automatic_optimization = False
        self.network, self.members, self.recipe, self.loss, self.report = network, members, recipe, loss, progress
        steps = max(1, (recipe.rows_per_epoch or windows.train.count) // recipe.batch_size)
        self.order = WindowOrder(members, windows.train.count, recipe.batch_size, steps)
        self.total_steps, self.steps_done = steps * recipe.epochs, 0
        self.windows = windows
        self.register_buffer("hold", torch.zeros(len(members), min(1, windows.hold.count)), persistent=False)
        self.history: list[Tensor] = []  # per epoch: train and validation loss, [2, K]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.windows = Windows(
            self.windows.panel.to(self.device), self.windows.layout, self.windows.train.to(self.device), self.windows.hold.to(self.device)
        )
        self.best_loss = self.validation_loss() if self.windows.hold.count else self.best_loss
        self.start_loss = self.best_loss.clone()
        self.best_epoch -= 1

    def batch_losses(self, numbers: Tensor, masks: list[Tensor] | None) -> Tensor:
        """Loss of every member on its own windows, [K]."""
        batch = gather(self.windows.panel, self.windows.train, numbers, self.windows.layout)
        normalised = self.network(batch.inputs, batch.identity, masks)
        return self.loss.mean(in_target_units(self.windows.panel, batch, normalised), batch.future, batch.seen)

    def training_step(self, order: Tensor, _: int) -> None:
        """All mini-batches of one epoch; `order` is [S, K, B]."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        summed = torch.zeros(order.shape[1], device=self.device)
        for numbers in order:
            t = self.steps_done / self.total_steps
            rate, decay = self.recipe.learning_rate_at(t), self.recipe.flat_cosine_at(t)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
                group["weight_decay"] = decay * group["decay"]
            by_member = self.batch_losses(numbers, self.masks.draw(self.recipe.dropout * decay))
            optimizer.zero_grad(set_to_none=True)
            self.manual_backward(by_member.sum())
            if self.recipe.clip is not None:
                clip_by_member(self.network.parameters(), self.recipe.clip)
            optimizer.step()
            summed += by_member.detach()
            self.steps_done += 1
        self.train_loss = summed / len(order)

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        """Loss of every member on the held-out windows, [K]; zero when there are none."""
        total, counted = torch.zeros(len(self.members), device=self.device), 0.0
        for batch, normalised in forecast_batches(self.network, self.windows.panel, self.windows.hold, self.windows.layout):
            predicted = in_target_units(self.windows.panel, batch, normalised)
            loss = self.loss(predicted, batch.future.expand(predicted.shape[:-1]))
            total += torch.where(batch.seen, loss, 0.0).sum((-2, -1))
            counted += float(batch.seen.sum())
        return total / max(counted, 1.0)


@dataclass(frozen=True)
class ForecastRecipe(Recipe):
    """A recipe for forecasting nets: small steps, since the start is good already.

    The learning rate rises over the first twentieth of the steps and falls along a cosine to zero.
    """

    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.99)
    dropout: float = 0.1
    clip: float | None = 1.0
    depth: int = 2
    rows_per_epoch: int | None = 64 * 256

    def learning_rate_at(self, t: float) -> float:
        return self.learning_rate * (t / 0.05 if t < 0.05 else 0.5 * (1 + math.cos(math.pi * (t - 0.05) / 0.95)))


def train_windows(
    windows: Windows,
    linear: LinearMap | None,
    seeds: Sequence[int],
    recipe: ForecastRecipe,
    loss: ForecastLoss,
    device: str,
    progress: Progress | None = None,
) -> Trained:
    """Train a stack of forecasting nets on windows, from the closed-form map if one is given."""
    nothing = np.empty(0, dtype=np.int64)
    members = [Member(seed, nothing, nothing) for seed in seeds]
    panel, layout = windows.panel, windows.layout
    own = None
    if linear is not None and linear.own is not None:
        own = torch.cat([torch.zeros_like(linear.own[:1]), linear.own])
    network = ResidualForecaster(
        generators(members, 0),
        layout.width(panel),
        layout.lookback,
        layout.horizon,
        len(panel.first) * panel.targets,
        len(loss.levels),
        None if linear is None else linear.common.cpu(),
        None if own is None else own.cpu(),
        recipe.width,
        recipe.depth,
    )
    module = WindowModule(network, windows, members, recipe, loss, progress)
    return fit_module(module, device)


def fit_module(module: WindowModule, device: str) -> Trained:
    with _quiet():
        trainer = pl.Trainer(
            accelerator=device, devices=1, max_epochs=module.recipe.epochs, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )
        if module.recipe.epochs and module.windows.train.count and module.windows.hold.count:
            trainer.fit(module, train_dataloaders=module.order)
    network = module.network
    if not module.history:
        network.cpu().requires_grad_(False).eval()
        return Trained(network, list(module.members), [0] * len(module.members), [math.nan] * len(module.members))
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(module.best[name].to(p.device))
    network.cpu().requires_grad_(False).eval()
    history = torch.stack(module.history).cpu().numpy()
    return Trained(network, list(module.members), [int(e) + 1 for e in module.best_epoch.cpu()],
                   [float(v) for v in module.best_loss.cpu()], _curves(history))
