"""What both faces of the net share: rows and members in, an average of members out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_array
from torch import nn

from toolkit.errors import InputError
from toolkit.models.neural.losses import Loss
from toolkit.models.neural.preprocessing import TableEncoder
from toolkit.models.neural.presets import INNER_FOLDS, Recipe, get_preset, recipe_for

__all__ = ["NeuralBase"]

PREDICT_ROWS = 8192  # rows of a member that are predicted in one go
FEWEST_ROWS = 10  # with fewer training rows nothing is held out and the last epoch is kept


@dataclass
class FittedStack:
    """An encoder and the stack that was trained behind it; torch and scikit-learn are enough to use it."""

    architecture: str
    encoder: TableEncoder
    network: nn.Module

    @torch.no_grad()
    def responses(self, frame: pd.DataFrame, loss: Loss, raw: bool = False) -> np.ndarray:
        """Response of every member on the scale of the loss (`raw`: before the link), [K, n, outputs]."""
        inputs, codes = self.encoder.transform(frame)
        members = len(next(self.network.parameters()))
        parts = []
        for start in range(0, len(inputs), PREDICT_ROWS):
            x = torch.from_numpy(inputs[start : start + PREDICT_ROWS]).expand(members, -1, -1)
            c = torch.from_numpy(codes[start : start + PREDICT_ROWS]).expand(members, -1, -1)
            output = self.network(x, c)
            parts.append((output if raw else loss.response(output)).mean(dim=1).numpy())
        return np.concatenate(parts, axis=1)


class NeuralBase(BaseEstimator):
    """Training and prediction of a stack of nets; see `NeuralRegression` for the parameters."""

    def __init__(
        self,
        preset: str = "standard",
        architecture: str | None = None,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        width: int | None = None,
        dropout: float | None = None,
        metric: str = "rmse",
        target_kind: str = "auto",
        kinds: dict | None = None,
        tune: int = 0,
        accelerator: str = "auto",
        threads: int | None = None,
        random_state: int = 0,
        progress: Any = None,
    ) -> None:
        self.preset = preset
        self.architecture = architecture
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.dropout = dropout
        self.metric = metric
        self.target_kind = target_kind
        self.kinds = kinds
        self.tune = tune
        self.accelerator = accelerator
        self.threads = threads
        self.random_state = random_state
        self.progress = progress

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.non_deterministic = False
        return tags

    def _frame(self, X: Any, reset: bool) -> pd.DataFrame:
        """X as a frame with text column names; arrays are named x0, x1, ..."""
        _check_feature_names(self, X, reset=reset)
        if not isinstance(X, pd.DataFrame):
            X = check_array(X, dtype=None, ensure_all_finite="allow-nan", estimator=self, input_name="X")
            if np.iscomplexobj(X):
                raise ValueError("Complex data not supported")
            _check_n_features(self, X, reset=reset)
            frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
            return frame.infer_objects() if X.dtype == object else frame
        _check_n_features(self, X, reset=reset)
        return X.set_axis([str(name) for name in X.columns], axis=1)

    def _fit_members(
        self, frame: pd.DataFrame, target: np.ndarray, weight: np.ndarray, loss: Loss, groups: np.ndarray | None
    ) -> list[list[np.ndarray]]:
        """Train every architecture of the preset on scaled targets [n, targets]; sets `stacks_` and `fit_info_`.

        Returns the rows that each member of each stack held out.
        """
        from toolkit.models.neural.stack import resolve_accelerator, train_stack
        from toolkit.models.neural.training import Table
        from toolkit.models.neural.tuning import tune_recipe

        if len(frame) < 2:
            raise InputError(f"at least 2 training rows are needed, got n_samples = {len(frame)}")
        device = resolve_accelerator(self.accelerator)
        preset = get_preset(self.preset)
        architectures = preset.architectures if self.architecture is None else (self.architecture,)
        info: dict[str, Any] = {"members": 0, "parameters": 0, "best_epochs": [], "curves": [], "findings": []}
        info |= {"notes": [], "restarts": []}
        self.stacks_, held = [], []
        for architecture in architectures:
            members = self._members(len(frame), target, groups, architecture)
            fewest = min(len(m.train) for m in members)
            recipe = recipe_for(self.preset, architecture, fewest, device, self._overrides())
            scaling = "quantile" if architecture == "tabm" else "robust"
            encoder = TableEncoder(self.kinds, scaling, self.random_state).fit(frame)
            inputs, codes = encoder.transform(frame)
            table = Table(inputs, codes, encoder.columns, target, (weight / weight.mean()).astype(np.float32))
            if self.tune:
                recipe, note = tune_recipe(
                    table, members, recipe, loss, self.tune, self.accelerator, self.threads, self.random_state
                )
                info["notes"].append(note)
            trained = train_stack(table, members, recipe, loss, self.accelerator, self.threads, self.progress)
            self.stacks_.append(FittedStack(architecture, encoder, trained.network))
            held.append([m.hold for m in trained.members])
            _record(info, trained, recipe, encoder, architecture)
        self.fit_info_ = info
        return held

    def _overrides(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "width": self.width,
            "dropout": self.dropout,
        }

    def _members(self, n: int, target: np.ndarray, groups: np.ndarray | None, architecture: str) -> list:
        """Seeds x inner folds: member m holds out fold m % folds of shuffle m // folds."""
        from toolkit.models.neural.training import Member

        count = self.members if self.members is not None else get_preset(self.preset).members_of(architecture)
        if not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"members must be a whole number of at least 1, got {count!r}")
        rng = np.random.default_rng(self.random_state)
        units = n if groups is None else len(np.unique(groups))
        folds = min(INNER_FOLDS, units)
        members = []
        for m in range(count):
            seed = int(rng.integers(2**31))
            if n < FEWEST_ROWS or folds < 2:
                members.append(Member(seed, np.arange(n), np.arange(0)))
                continue
            if m % folds == 0:
                parts = _inner_folds(n, folds, target, groups, int(rng.integers(2**31)))
            members.append(Member(seed, *parts[m % folds]))
        return members

    def _member_responses(self, X: Any, loss: Loss, raw: bool = False) -> np.ndarray:
        """Responses of all members on the scale of the loss, [K, n, outputs]."""
        frame = self._frame(X, reset=False)
        return np.concatenate([stack.responses(frame, loss, raw) for stack in self.stacks_])


def _inner_folds(n: int, folds: int, target: np.ndarray, groups: np.ndarray | None, seed: int) -> list:
    """Shuffled (train, hold) positions; whole groups, and both classes of a binary target in every part."""
    rows = np.arange(n)
    if groups is not None:
        return list(GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=groups))
    values, counts = np.unique(target[:, 0], return_counts=True)
    if target.shape[1] == 1 and len(values) == 2 and counts.min() >= folds:
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, target[:, 0] > values[0]))
    return list(KFold(folds, shuffle=True, random_state=seed).split(rows))


def _record(info: dict[str, Any], trained, recipe: Recipe, encoder: TableEncoder, architecture: str) -> None:
    """Add one trained stack to what the estimator tells about its fit."""
    first = info["members"]
    info["curves"] += [{**row, "member": row["member"] + first} for row in trained.curves]
    info["restarts"] += [{**row, "member": row["member"] + first} for row in trained.restarts]
    info["best_epochs"] += trained.best_epochs
    info["findings"] += [f for f in encoder.findings + trained.findings if f not in info["findings"]]
    info["members"] += len(trained.members)
    info["parameters"] += sum(p.numel() for p in trained.network.parameters())
    info["notes"].append(
        f"{architecture}: {len(trained.members)} members, {recipe.epochs} epochs, mini-batches of {recipe.batch_size}, "
        f"width {recipe.width}, learning rate {recipe.learning_rate:.3g}, dropout {recipe.dropout:.3g}"
    )
