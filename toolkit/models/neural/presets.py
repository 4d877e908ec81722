"""How a net is trained: the published recipes, and presets that trade time for accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from toolkit.errors import InputError, unknown
from toolkit.models.neural.networks import RealMLP
from toolkit.models.neural.networks_tabm import TabM, quantile_edges

if TYPE_CHECKING:
    from toolkit.models.neural.training import Table

__all__ = [
    "ARCHITECTURES",
    "PRESETS",
    "Preset",
    "Recipe",
    "build_network",
    "describe_presets",
    "inner_folds",
    "recipe_for",
]

ARCHITECTURES = ("realmlp", "tabm")
INNER_FOLDS = 5
SMALL_ROWS, MOST_FOLDS = 3000, 10  # below, a row held out is missed, and members cost little: see `inner_folds`
LEAST_EPOCHS = 16
EPOCHS_A_JUDGED_ONE = 50  # 5 of 256 choose the best; on tables of many rows, whose trainings are short, 1
START_ROWS = 1024  # training rows of a member to which its initial numbers are fitted
MOST_EMBEDDED = 300  # numeric columns; beyond, the periodic embedding would take more memory than the net


@dataclass(frozen=True)
class Recipe:
    """Everything that the training of a stack needs to know; the defaults are those of RealMLP-TD for regression.

    Holzmüller, Grinsztajn and Steinwart, arXiv 2407.04491, table A.1. Binary targets take the same: the published step
    for classes (.04) is made for another activation and did worse on training rows of adult_income.
    """

    architecture: str = "realmlp"
    epochs: int = 256
    batch_size: int = 256
    learning_rate: float = 0.2
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    dropout: float = 0.15
    width: int = 256
    depth: int = 3
    heads: int = 1
    schedule: bool = True  # learning rate, decay and dropout follow the published curves; False: constant
    judged_epochs: int = 1  # the mean held-out loss of the last so many chooses the best: one may be a lucky one
    patience: int | None = None  # epochs without a better validation loss after which a member stops
    clip: float | None = None  # largest Euclidean norm of a member's gradient
    rows_per_epoch: int | None = None  # of a member; None: as many as the member with the fewest has
    precision: str = "float32"  # of the products between hidden layers while training

    def learning_rate_at(self, t: float) -> float:
        """Learning rate after the share t of all steps, before the factor of a parameter group."""
        factor = 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) if self.schedule else 1.0
        return self.learning_rate * factor

    def flat_cosine_at(self, t: float) -> float:
        """Factor of weight decay and dropout: 1 in the first half, then a cosine to 0."""
        return 1.0 if not self.schedule or t < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * t - 1)))


PUBLISHED = {
    "realmlp": Recipe(),
    # Gorishniy, Kotelnikov and Babenko, arXiv 2410.24210: defaults of the package `tabm` with embeddings
    "tabm": Recipe(
        architecture="tabm",
        epochs=256,
        learning_rate=2e-3,
        weight_decay=3e-4,
        betas=(0.9, 0.999),
        dropout=0.1,
        width=512,
        depth=2,
        heads=32,
        schedule=False,
        patience=16,
        clip=1.0,
    ),
}


@dataclass(frozen=True)
class Preset:
    """Members, length and size of a training, and what it costs."""

    members: int
    epochs: int  # at most
    row_visits: float  # training rows times epochs that a member may see on a CPU; fixes the epochs of large tables
    width: int | None  # None: as published
    architectures: tuple[str, ...]
    cost: str
    members_small: int | None = None  # of RealMLP on a table of fewer than SMALL_ROWS rows; None: as many
    least_steps: int = 0  # of RealMLP: more epochs, up to twice as many, where an epoch has few mini-batches

    def members_of(self, architecture: str, rows: int) -> int:
        """TabM members are ensembles themselves: half as many do."""
        if architecture != "realmlp":
            return -(-self.members // 2)
        return self.members_small or self.members if rows < SMALL_ROWS else self.members


PRESETS = {
    "quick": Preset(
        3,
        64,
        1.5e5,
        128,
        ("realmlp",),
        "3 RealMLP members of width 128, at most 64 epochs: a first look; seconds on two cores.",
    ),
    "standard": Preset(
        5,
        256,
        1e6,
        None,
        ("realmlp",),
        "5 RealMLP members of width 256 (8 below 3,000 rows), 256 epochs, up to 512 below 1,500 rows so that a member "
        "makes 1,500 steps, fewer from 5,000 rows on so that it sees a million rows; about 20 s (1,000 rows) to 60 s "
        "(any table of more than 5,000) on two cores.",
        members_small=8,
        least_steps=1_500,
    ),
    "thorough": Preset(
        10,
        256,
        4e6,
        None,
        ("realmlp", "tabm"),
        "10 RealMLP members with up to 256 epochs (512 on small tables) and 5 TabM members: for a GPU or a night; TabM "
        "multiplies the work of a member by its 32 heads.",
        least_steps=1_500,
    ),
}


def describe_presets() -> dict[str, str]:
    """What each preset does and costs, in words."""
    return {name: preset.cost for name, preset in PRESETS.items()}


def inner_folds(members: int, rows: int) -> int:
    """Parts of the training rows of which a member holds out one: on a small table as many as there are members."""
    return min(max(members, INNER_FOLDS), MOST_FOLDS) if rows < SMALL_ROWS else INNER_FOLDS


def recipe_for(
    preset: str, architecture: str, rows: int, device: str, overrides: dict[str, float | int | None]
) -> Recipe:
    """The recipe of a preset for a table with `rows` training rows per member.

    Parameters
    ----------
    preset : {"quick", "standard", "thorough"}
    architecture : {"realmlp", "tabm"}
    rows : int
        Rows that move a member.
    device : {"cpu", "cuda"}
        On a GPU the number of epochs does not fall with the rows.
    overrides : dict
        Fields of `Recipe` set by the user; None leaves the preset's value.
    """
    chosen = get_preset(preset)
    if architecture not in PUBLISHED:
        raise unknown("architecture", architecture, PUBLISHED)
    published = PUBLISHED[architecture]
    epochs = min(chosen.epochs, published.epochs)
    if device == "cpu":
        epochs = min(epochs, max(LEAST_EPOCHS, round(chosen.row_visits / max(rows, 1))))
    if architecture == "realmlp":
        steps = math.ceil(rows / (overrides.get("batch_size") or published.batch_size))
        epochs = max(epochs, min(2 * epochs, round(chosen.least_steps / max(steps, 1))))
    recipe = replace(published, epochs=epochs, width=chosen.width or published.width, precision=fast_precision(device))
    given = {name: value for name, value in overrides.items() if value is not None}
    for name, value in given.items():
        if not (value >= 0 if name == "dropout" else value > 0):
            raise InputError(f"{name} must be {'0 or more' if name == 'dropout' else 'positive'}, got {value!r}")
    if recipe.dropout >= 1 or given.get("dropout", 0) >= 1:
        raise InputError(f"dropout must be below 1, got {given['dropout']!r}")
    recipe = replace(recipe, **given)
    return replace(recipe, judged_epochs=max(1, recipe.epochs // EPOCHS_A_JUDGED_ONE)) if recipe.schedule else recipe


def fast_precision(device: str) -> str:
    """The precision for the products between hidden layers: bfloat16 on a CPU whose own instructions multiply it.

    Only the steps of a training are rounded so; weights, held-out losses and predictions stay in float32. Elsewhere
    bfloat16 would be slower (emulated) or is not needed (a GPU's TF32).
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"


def get_preset(name: str) -> Preset:
    """The preset called `name`."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def build_network(
    recipe: Recipe,
    generators: Sequence[torch.Generator],
    table: Table,
    outputs: int,
    rows: Sequence[np.ndarray] | None = None,
) -> nn.Module:
    """A fresh stack for a recipe, each member drawn from its own generator.

    `rows` are the training rows of each member; RealMLP fits its initial numbers to some of them.
    """
    if recipe.architecture == "tabm":
        edges = quantile_edges(table.inputs[:, : table.columns.numbers])
        return TabM(generators, table.columns, edges, outputs, recipe.width, recipe.depth, recipe.heads)
    periodic = table.columns.numbers <= MOST_EMBEDDED
    precision = getattr(torch, recipe.precision)
    network = RealMLP(generators, table.columns, outputs, recipe.width, recipe.depth, periodic, precision)
    if rows is not None:
        count = min(START_ROWS, recipe.rows_per_epoch or START_ROWS, *(len(own) for own in rows))
        drawn = [
            own[torch.randperm(len(own), generator=g)[:count].numpy()] for own, g in zip(rows, generators, strict=True)
        ]
        chosen = np.stack(drawn)
        network.start_from_data(
            torch.from_numpy(table.inputs[chosen]), torch.from_numpy(table.codes[chosen]), generators
        )
    return network
