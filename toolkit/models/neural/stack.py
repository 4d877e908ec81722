"""From a table and members to a trained stack: the trainer, restarts, and what to do when memory is short."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.models.neural.losses import Loss
from toolkit.models.neural.presets import Recipe, build_network
from toolkit.models.neural.training import Member, Progress, StackModule, Table, TableModule, generators

__all__ = ["Trained", "quiet", "resolve_accelerator", "train_members", "train_stack"]

Build = Callable[[Sequence[Member], Recipe], StackModule]
RESTARTS = 4  # attempts of a member whose loss is not finite, each with a quarter of the step before it


@dataclass
class Trained:
    """A trained stack on the host, with the numbers of each member's best epoch."""

    network: nn.Module
    members: list[Member]
    best_epochs: list[int]
    best_losses: list[float]
    curves: list[dict] = field(default_factory=list)
    findings: list[dict] = field(default_factory=list)
    restarts: list[dict] = field(default_factory=list)


def train_stack(
    table: Table,
    members: Sequence[Member],
    recipe: Recipe,
    loss: Loss,
    accelerator: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a stack; a member whose loss is not finite starts again with a quarter of the step.

    Raises
    ------
    InputError
        When a GPU is asked for and there is none, or when no member reaches a finite loss.
    """
    recipe = replace(recipe, rows_per_epoch=recipe.rows_per_epoch or min(len(m.train) for m in members))

    def build(members: Sequence[Member], recipe: Recipe) -> StackModule:
        outputs, rows = loss.outputs(table.target.shape[1]), [m.train for m in members]
        network = build_network(recipe, generators(members, 0), table, outputs, rows)
        return TableModule(network, table, members, recipe, loss, progress)

    return train_members(build, members, recipe, accelerator, threads)


def train_members(
    build: Build, members: Sequence[Member], recipe: Recipe, accelerator: str = "auto", threads: int | None = None
) -> Trained:
    """Train what `build` makes of members and a recipe; a member whose loss is not finite starts again, as above."""
    device = resolve_accelerator(accelerator)
    with torch_settings(threads, device):
        trained, failed, recipe = _with_enough_memory(build, members, recipe, device)
        rate = recipe.learning_rate
        for attempt in range(RESTARTS):
            if not failed:
                break
            rate /= 4
            again = [members[k] for k in failed]
            second, still, _ = _with_enough_memory(build, again, replace(recipe, learning_rate=rate), device)
            _take_over(trained, second, failed, rate, attempt + 1)
            failed = [failed[k] for k in still]
    return _without(trained, failed)


def _with_enough_memory(build: Build, members, recipe: Recipe, device: str) -> tuple[Trained, list[int], Recipe]:
    """Train; halve the mini-batch while memory does not suffice."""
    findings = []
    while True:
        try:
            trained, failed = _fit(build(members, recipe), device)
            trained.findings = findings + trained.findings
            return trained, failed, recipe
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            text = str(error).lower()
            lacking = isinstance(error, torch.OutOfMemoryError | MemoryError) or "memory" in text
            if not lacking or recipe.batch_size < 16:
                raise
        recipe = replace(recipe, batch_size=recipe.batch_size // 2)
        message = f"Memory did not suffice; mini-batches were halved to {recipe.batch_size} rows."
        findings = [_finding("out_of_memory", message, "Set a smaller batch_size, width or number of members.")]


def _fit(module: StackModule, device: str) -> tuple[Trained, list[int]]:
    """One run of the trainer over all members; also the positions of members whose loss was not finite."""
    network = module.network
    with quiet():
        trainer = pl.Trainer(
            accelerator=device,
            devices=1,
            max_epochs=module.recipe.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, train_dataloaders=module.order)
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(module.best[name].to(p.device))
    network.cpu().requires_grad_(False).eval()
    history = torch.stack(module.history).cpu().numpy()  # [epochs, 2, K]
    trained = Trained(
        network,
        list(module.members),
        [int(e) + 1 for e in module.best_epoch.cpu()],
        [float(v) for v in module.best_loss.cpu()],
        _curves(history),
    )
    return trained, [k for k, bad in enumerate(module.failed.cpu().tolist()) if bad]


def _curves(history: np.ndarray) -> list[dict]:
    epochs, _, members = history.shape
    return [
        {"member": k, "epoch": e + 1, "train_loss": float(history[e, 0, k]), "val_loss": float(history[e, 1, k])}
        for k in range(members)
        for e in range(epochs)
    ]


def _finding(name: str, message: str, advice: str) -> dict:
    return {"finding": name, "column": None, "message": message, "advice": advice}


def _take_over(first: Trained, second: Trained, places: list[int], rate: float, attempt: int) -> None:
    """Put restarted members in the places of the ones that failed."""
    own = dict(first.network.named_parameters())
    for name, p in second.network.named_parameters():
        own[name][places] = p
    first.curves = [row for row in first.curves if row["member"] not in places]
    first.curves += [{**row, "member": places[row["member"]]} for row in second.curves]
    for position, k in enumerate(places):
        first.best_epochs[k], first.best_losses[k] = second.best_epochs[position], second.best_losses[position]
        first.restarts.append({"member": k, "attempt": attempt, "learning_rate": rate})
        message = f"The loss of member {k} was not finite; it was restarted with learning rate {rate:.3g}."
        first.findings.append(_finding("restarted", message, "Look for extreme values in the target or the features."))


def _without(trained: Trained, failed: list[int]) -> Trained:
    """Leave out members that never reached a finite loss; they are never averaged."""
    if not failed:
        return trained
    good = [k for k in range(len(trained.members)) if k not in failed]
    if not good:
        raise InputError(
            f"the net could not be trained: the loss was not finite, also with 1/{4**RESTARTS} of the learning rate; "
            "look for extreme values in the target, or set a smaller learning_rate"
        )
    keep_members(trained.network, good)
    trained.members = [trained.members[k] for k in good]
    trained.best_epochs = [trained.best_epochs[k] for k in good]
    trained.best_losses = [trained.best_losses[k] for k in good]
    message = f"{len(failed)} member(s) never reached a finite loss and were left out."
    trained.findings.append(_finding("left_out", message, "Look for extreme values in the target or the features."))
    return trained


def keep_members(network: nn.Module, members: Sequence[int]) -> None:
    """Cut a stack down to some of its members, in place."""
    for module in network.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                setattr(module, name, nn.Parameter(p.detach()[list(members)].clone(), requires_grad=False))


def resolve_accelerator(accelerator: str) -> str:
    """`cpu` or `cuda`, as the trainer calls them.

    Raises
    ------
    InputError
        For an unknown name, and for a GPU that is not there.
    """
    if accelerator not in ("auto", "cpu", "gpu"):
        raise InputError(f"accelerator must be 'auto', 'cpu' or 'gpu', got {accelerator!r}")
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise InputError("accelerator 'gpu' was asked for, but torch finds no GPU on this machine; use 'auto' or 'cpu'")
    return "cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda"


@contextlib.contextmanager
def torch_settings(threads: int | None, device: str) -> Iterator[None]:
    """Use this many threads inside; on a GPU, float32 products may use its tensor cores (TF32)."""
    threads_before, precision_before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_float32_matmul_precision(precision_before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the trainer says about hardware, loaders and tips; errors still come through."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
