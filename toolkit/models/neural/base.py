"""What both faces of the net share: rows and members in, an average of members out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from toolkit.models.neural.presets import INNER_FOLDS, get_preset, inner_folds, recipe_for

if TYPE_CHECKING:
    from toolkit.models.neural.stack import Trained
    from toolkit.models.neural.together import Task

__all__ = ["NeuralBase"]

PREDICT_ROWS = 8192  # rows of a member that are predicted in one go
BLOCK_ROWS = 64  # blocks are filled up, so that the same kernels run for a row alone and for a row among others
FEWEST_ROWS = 10  # with fewer training rows nothing is held out and the last epoch is kept


@dataclass
class FittedStack:
    """An encoder and the stack that was trained behind it; torch and scikit-learn are enough to use it."""

    architecture: str
    encoder: TableEncoder
    network: nn.Module

    def responses(self, frame: pd.DataFrame, loss: Loss, raw: bool = False) -> np.ndarray:
        """Response of every member on the scale of the loss (`raw`: before the link), [K, n, outputs]."""
        return self.on_inputs(*self.encoder.transform(frame), loss, raw)

    @torch.no_grad()
    def on_inputs(self, inputs: np.ndarray, codes: np.ndarray, loss: Loss, raw: bool = False) -> np.ndarray:
        """The same for rows that are encoded already."""
        members, rows = len(next(self.network.parameters())), len(inputs)
        missing = -rows % BLOCK_ROWS
        inputs, codes = (np.pad(array, ((0, missing), (0, 0))) for array in (inputs, codes))
        parts = []
        for start in range(0, len(inputs), PREDICT_ROWS):
            x = torch.from_numpy(inputs[start : start + PREDICT_ROWS]).expand(members, -1, -1)
            c = torch.from_numpy(codes[start : start + PREDICT_ROWS]).expand(members, -1, -1)
            output = self.network(x, c)
            parts.append((output if raw else loss.response(output)).mean(dim=1).numpy())
        return np.concatenate(parts, axis=1)[:, :rows]


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

    def _tasks(
        self, frame: pd.DataFrame, target: np.ndarray, weight: np.ndarray, loss: Loss, groups: np.ndarray | None
    ) -> list[Task]:
        """What has to be trained on scaled targets [n, targets]: one task for every architecture of the preset."""
        from toolkit.models.neural.stack import resolve_accelerator
        from toolkit.models.neural.together import Task
        from toolkit.models.neural.training import Table
        from toolkit.models.neural.tuning import tune_recipe

        if len(frame) < 2:
            raise InputError(f"at least 2 training rows are needed, got n_samples = {len(frame)}")
        device = resolve_accelerator(self.accelerator)
        architectures = get_preset(self.preset).architectures if self.architecture is None else (self.architecture,)
        tasks = []
        for architecture in architectures:
            members = self._members(len(frame), target, groups, architecture)
            fewest = min(len(m.train) for m in members)
            recipe, note = recipe_for(self.preset, architecture, fewest, device, self._overrides()), None
            scaling = "quantile" if architecture == "tabm" else "robust"
            encoder = TableEncoder(self.kinds, scaling, self.random_state).fit(frame)
            inputs, codes = encoder.transform(frame)
            table = Table(inputs, codes, encoder.columns, target, (weight / weight.mean()).astype(np.float32))
            if self.tune:
                recipe, note = tune_recipe(
                    table, members, recipe, loss, self.tune, self.accelerator, self.threads, self.random_state
                )
            tasks.append(Task(architecture, encoder, table, members, recipe, loss, note))
        return tasks

    def stacks_folds(self) -> bool:
        """Whether the folds of an evaluation are better trained together (`fit_folds`): on a GPU."""
        from toolkit.models.neural.stack import resolve_accelerator

        return resolve_accelerator(self.accelerator) == "cuda"

    def fit_folds(self, X: pd.DataFrame, y: Any, folds: Sequence[np.ndarray], **roles: Any) -> list[Any]:
        """One fitted clone per fold, all trained as one stack; see `toolkit.models.neural.together.fit_folds`."""
        from toolkit.models.neural.together import fit_folds

        return fit_folds(self, X, y, folds, **roles)

    def _train(self, tasks: list[Task]) -> list[Trained]:
        from toolkit.models.neural.together import train_tasks

        return train_tasks(tasks, self.accelerator, self.threads, self.progress)

    def _keep(self, tasks: list[Task], trained: list[Trained]) -> None:
        """Set `stacks_` and `fit_info_`."""
        info: dict[str, Any] = {"members": 0, "parameters": 0, "best_epochs": [], "curves": [], "findings": []}
        info |= {"notes": [task.note for task in tasks if task.note], "restarts": []}
        self.stacks_ = []
        for task, one in zip(tasks, trained, strict=True):
            self.stacks_.append(FittedStack(task.architecture, task.encoder, one.network))
            _record(info, one, task)
        self.fit_info_ = info

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

        count = self.members if self.members is not None else get_preset(self.preset).members_of(architecture, n)
        if not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"members must be a whole number of at least 1, got {count!r}")
        rng = np.random.default_rng(self.random_state)
        units = n if groups is None else len(np.unique(groups))
        folds = min(inner_folds(count, n), units)
        members: list[Member] = []
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        for _ in range(count):
            seed = int(rng.integers(2**31))
            if n < FEWEST_ROWS or folds < 2:
                members.append(Member(seed, np.arange(n), np.arange(0)))
                continue
            if not waiting:
                waiting = _inner_folds(n, folds, target, groups, int(rng.integers(2**31)))
            members.append(Member(seed, *waiting.pop(0)))
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
    if target.shape[1] == 1 and len(values) == 2 and counts.min() >= min(folds, INNER_FOLDS):
        folds = min(folds, int(counts.min()))
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, target[:, 0] > values[0]))
    return list(KFold(folds, shuffle=True, random_state=seed).split(rows))


def _record(info: dict[str, Any], trained: Trained, task: Task) -> None:
    """Add one trained stack to what the estimator tells about its fit."""
    first, recipe = info["members"], task.recipe
    info["curves"] += [{**row, "member": row["member"] + first} for row in trained.curves]
    info["restarts"] += [{**row, "member": row["member"] + first} for row in trained.restarts]
    info["best_epochs"] += trained.best_epochs
    info["findings"] += [f for f in task.encoder.findings + trained.findings if f not in info["findings"]]
    info["members"] += len(trained.members)
    info["parameters"] += sum(p.numel() for p in trained.network.parameters())
    info["notes"].append(
        f"{task.architecture}: {len(trained.members)} members, {recipe.epochs} epochs, "
        f"mini-batches of {recipe.batch_size}, width {recipe.width}, learning rate {recipe.learning_rate:.3g}, "
        f"dropout {recipe.dropout:.3g}"
    )
