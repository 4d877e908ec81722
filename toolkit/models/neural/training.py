"""Training of a stack of nets: one optimiser step moves K members, each on its own rows.

The LightningModule owns its data (resident on the device) and runs a whole epoch of mini-batches in one training step,
so that neither a loader nor the trainer costs anything per mini-batch and nothing is sent back to the host before the
epoch ends. Member k draws its initial numbers, the order of its rows and its dropout masks from its own seed; its loss
touches no other member; its best epoch is kept apart. A stack of K is therefore K separate trainings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from toolkit.models.neural.losses import Loss
from toolkit.models.neural.networks import Columns, DropoutMasks
from toolkit.models.neural.presets import Recipe

__all__ = ["Member", "StackModule", "Table", "TableModule", "generators"]

Progress = Callable[..., object]
HOLD_ROWS = 8192  # rows of a member that are judged in one go


@dataclass(frozen=True)
class Table:
    """What the nets see."""

    inputs: np.ndarray  # [n, numbers + flags], float32
    codes: np.ndarray  # [n, embedded columns], int64
    columns: Columns
    target: np.ndarray  # [n, targets], float32, scaled
    weight: np.ndarray  # [n], float32, average 1


@dataclass(frozen=True)
class Member:
    """One net of a stack: its seed, the rows that move it and the rows that choose its epoch."""

    seed: int
    train: np.ndarray  # [n_train], positions in the table
    hold: np.ndarray  # [n_hold]; without rows the last epoch is kept


def generators(members: Sequence[Member], purpose: int, device: str | torch.device = "cpu") -> list[torch.Generator]:
    """A generator per member and purpose (0 initial numbers, 1 order of rows, 2 dropout)."""
    seeds = [int(np.random.SeedSequence([m.seed, purpose]).generate_state(1, np.uint64)[0] >> 1) for m in members]
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


class RowOrder:
    """One item per epoch: the rows of every mini-batch, [S, K, B]; the members have equally many mini-batches.

    Mini-batches of a member are of one size, the largest not above `batch_size` that divides its rows evenly; the few
    rows that remain are other ones in every epoch.
    """

    def __init__(self, members: Sequence[Member], batch_size: int, rows_per_epoch: int | None = None) -> None:
        rows = rows_per_epoch or min(len(m.train) for m in members)
        self.steps = max(1, math.ceil(rows / batch_size))
        self.batch = rows // self.steps
        self.rows = [torch.from_numpy(np.ascontiguousarray(m.train, dtype=np.int64)) for m in members]
        self.generators = generators(members, 1)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Tensor]:
        taken = self.steps * self.batch
        shuffled = [
            rows[torch.randperm(len(rows), generator=g)[:taken]].view(self.steps, self.batch)
            for rows, g in zip(self.rows, self.generators, strict=True)
        ]
        yield torch.stack(shuffled, dim=1)


class StackModule(pl.LightningModule):
    """K members, one optimiser, one loss per member.

    What a mini-batch and the held-out part cost is said by `member_losses` and `validation_loss`, over rows of a table
    (`TableModule`) or windows of series.

    Parameters
    ----------
    network : module
        With members along the first axis of every parameter, `dropped` and `parameter_groups`.
    order
        Yields the numbers of all mini-batches of an epoch, [S, K, B]; knows its `steps` and its `batch`.
    members, recipe
        Who learns, and how.
    judged : bool
        Whether something is held out; without, the last epoch is kept.
    progress : callable or None
        Called after every epoch with member, epoch, total and seconds_left.
    """

    def __init__(
        self,
        network: nn.Module,
        order: Iterable[Tensor],
        members: Sequence[Member],
        recipe: Recipe,
        judged: bool,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.order, self.members, self.recipe = network, order, members, recipe
        self.judged, self.report = judged, progress
        self.total_steps = order.steps * recipe.epochs
        self.steps_done = 0
        self.history: list[Tensor] = []  # per epoch: train and validation loss, [2, K]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        r = self.recipe
        groups = self.network.parameter_groups(r.learning_rate, r.weight_decay)
        return torch.optim.AdamW(groups, lr=r.learning_rate, betas=r.betas, fused=True)

    def on_fit_start(self) -> None:
        members, device = len(self.members), self.device
        sizes = [(*size[:-1], self.order.batch, size[-1]) for size in self.network.dropped]
        self.masks = DropoutMasks(generators(self.members, 2, device), sizes, device)
        self.best = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.best_loss = torch.full((members,), math.inf, device=device)
        self.best_epoch = torch.zeros(members, dtype=torch.int64, device=device)
        self.failed = torch.zeros(members, dtype=torch.bool, device=device)
        self.started = time.monotonic()

    def training_step(self, order: Tensor, _: int) -> None:
        """All mini-batches of one epoch; `order` is [S, K, B]."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        summed = torch.zeros(order.shape[1], device=self.device)
        for rows in order:
            t = self.steps_done / self.total_steps
            rate, decay = self.recipe.learning_rate_at(t), self.recipe.flat_cosine_at(t)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
                group["weight_decay"] = decay * group["decay"]
            masks = self.masks.draw(self.recipe.dropout * decay)
            by_member = self.member_losses(rows, masks)
            optimizer.zero_grad(set_to_none=True)
            self.manual_backward(by_member.sum())
            if self.recipe.clip is not None:
                clip_by_member(self.network.parameters(), self.recipe.clip)
            optimizer.step()
            summed += by_member.detach()
            self.steps_done += 1
        self.train_loss = summed / len(order)

    def on_train_epoch_end(self) -> None:
        judged = self.validation_loss()
        self.history.append(torch.stack([self.train_loss, judged]))
        self.failed |= ~torch.isfinite(self.train_loss) | ~torch.isfinite(judged)
        waited = self.current_epoch - self.best_epoch
        running = ~self.failed if self.recipe.patience is None else ~self.failed & (waited <= self.recipe.patience)
        recent = torch.stack([losses[1] for losses in self.history[-self.recipe.judged_epochs :]]).mean(dim=0)
        better = running & (recent < self.best_loss) if self.judged else running
        for name, p in self.network.named_parameters():
            kept = self.best[name]
            kept.copy_(torch.where(better.view(-1, *[1] * (p.dim() - 1)), p.detach(), kept))
        self.best_loss = torch.where(better, recent, self.best_loss)
        self.best_epoch[better] = self.current_epoch
        if not bool(running.any()):
            self.trainer.should_stop = True
        self._say()

    def member_losses(self, numbers: Tensor, masks: list[Tensor] | None) -> Tensor:
        """Loss of every member on its own mini-batch, [K]; `numbers` is [K, B]."""
        raise NotImplementedError

    def validation_loss(self) -> Tensor:
        """Loss of every member on what is held out, [K]; zero when nothing is."""
        raise NotImplementedError

    def _say(self) -> None:
        if self.report is None:
            return
        done, total = self.current_epoch + 1, self.recipe.epochs
        left = (time.monotonic() - self.started) / done * (total - done)
        self.report(member=len(self.members), epoch=done, total=total, seconds_left=left)


class TableModule(StackModule):
    """K members over the rows of a table.

    Parameters
    ----------
    network : module
        (inputs [K, B, D], codes [K, B, C], masks) -> outputs [K, H, B, O].
    table, members, recipe, loss
        What is learned from, by whom, how, and towards what.
    progress : callable or None
        Called after every epoch with member, epoch, total and seconds_left.
    """

    def __init__(
        self,
        network: nn.Module,
        table: Table,
        members: Sequence[Member],
        recipe: Recipe,
        loss: Loss,
        progress: Progress | None = None,
    ) -> None:
        order = RowOrder(members, recipe.batch_size, recipe.rows_per_epoch)
        hold, held = _padded([m.hold for m in members])
        super().__init__(network, order, members, recipe, judged=hold.shape[1] > 0, progress=progress)
        self.loss = loss
        for name in ("inputs", "codes", "target", "weight"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(table, name))), persistent=False)
        self.register_buffer("hold", hold, persistent=False)  # [K, most held-out rows]
        self.register_buffer("held", held, persistent=False)  # 1 where the row is the member's own, else padding

    def member_losses(self, numbers: Tensor, masks: list[Tensor] | None) -> Tensor:
        output = self.network(self.inputs[numbers], self.codes[numbers], masks)
        losses = self.loss.rows(output, self.target[numbers].unsqueeze(1)).mean(dim=1)  # [K, B], over heads
        return (losses * self.weight[numbers]).mean(dim=1)

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        """Loss of every member on its own held-out rows, [K]; zero when there are none."""
        total = torch.zeros(len(self.members), device=self.device)
        if not self.judged:
            return total
        counted = torch.zeros_like(total)
        for rows, own in zip(self.hold.split(HOLD_ROWS, 1), self.held.split(HOLD_ROWS, 1), strict=True):
            response = self.loss.response(self.network(self.inputs[rows], self.codes[rows])).mean(dim=1)
            weight = self.weight[rows] * own
            total += (self.loss.judged(response, self.target[rows]) * weight).sum(dim=1)
            counted += weight.sum(dim=1)
        return total / counted


def clip_by_member(parameters: Iterator[Tensor], most: float) -> None:
    """Shrink the gradient of each member to a Euclidean norm of at most `most`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0).sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))


def _padded(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Rows of different length as [K, longest], and 1 where a row is real."""
    longest = max((len(r) for r in rows), default=0)
    filled = np.stack([np.pad(np.asarray(r, dtype=np.int64), (0, longest - len(r))) for r in rows])
    real = np.stack([np.arange(longest) < len(r) for r in rows])
    return torch.from_numpy(filled), torch.from_numpy(real.astype(np.float32))
