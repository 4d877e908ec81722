"""Several trainings as one stack: the members of many folds share their steps, and nothing else.

On a GPU a stack of all members of all folds costs little more than one member; on a CPU it costs what the folds cost
one by one, and is of no use.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from toolkit.errors import InputError
from toolkit.models.neural.losses import Loss
from toolkit.models.neural.preprocessing import TableEncoder
from toolkit.models.neural.presets import Recipe
from toolkit.models.neural.stack import Trained, keep_members, train_stack
from toolkit.models.neural.training import Member, Progress, Table

__all__ = ["Task", "fit_folds", "train_tasks"]


@dataclass(frozen=True)
class Task:
    """What one architecture of one estimator is about to train."""

    architecture: str
    encoder: TableEncoder
    table: Table
    members: list[Member]
    recipe: Recipe
    loss: Loss
    note: str | None = None  # what the search for settings says

    @property
    def alike(self) -> tuple:
        """Tasks with the same answer fit into one stack; TabM's bins are those of one table, so it stands alone."""
        columns = self.table.columns
        layout = (columns.numbers, columns.flags, columns.levels, self.table.target.shape[1])
        return (*layout, self.recipe, self.loss, id(self) if self.architecture == "tabm" else None)


def fit_folds(estimator: Any, X: pd.DataFrame, y: Any, folds: Sequence[np.ndarray], **roles: Any) -> list[Any]:
    """Clones of a net, each fitted on the rows of a fold, all of them trained as one stack.

    Parameters
    ----------
    estimator : NeuralRegression or NeuralClassifier
    X : DataFrame, [n, p]
    y : Series, DataFrame or array, [n] or [n, targets]
    folds : sequence of arrays
        Training rows of every fold, as positions.
    roles
        `groups` and `sample_weight` of all rows, [n].

    Notes
    -----
    Each clone is what `fit` on its rows gives, up to rounding, if all folds have equally many rows; otherwise an epoch
    of every member has as many mini-batches as the smallest fold allows.
    """
    nets = [clone(estimator) for _ in folds]
    y = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    begun = [
        net._begin(X.iloc[rows], y[rows], **{name: np.asarray(values)[rows] for name, values in roles.items()})
        for net, rows in zip(nets, folds, strict=True)
    ]
    trained = iter(nets[0]._train([task for tasks in begun for task in tasks]))
    for net, tasks in zip(nets, begun, strict=True):
        net._end(tasks, list(islice(trained, len(tasks))))
    return nets


def train_tasks(
    tasks: Sequence[Task], accelerator: str, threads: int | None, progress: Progress | None = None
) -> list[Trained]:
    """Train tasks, those that are alike as one stack; each gets its own members back."""
    groups: dict[tuple, list[int]] = {}
    for position, task in enumerate(tasks):
        groups.setdefault(task.alike, []).append(position)
    trained: dict[int, Trained] = {}
    for positions in groups.values():
        alike = [tasks[p] for p in positions]
        table, members = _joined(alike)
        whole = train_stack(table, members, alike[0].recipe, alike[0].loss, accelerator, threads, progress)
        trained |= zip(positions, _parts(whole, members, alike), strict=True)
    return [trained[position] for position in range(len(tasks))]


def _joined(tasks: Sequence[Task]) -> tuple[Table, list[Member]]:
    """One table below the other; the members' rows move along."""
    if len(tasks) == 1:
        return tasks[0].table, tasks[0].members
    tables = [task.table for task in tasks]
    arrays = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("inputs", "codes", "target", "weight")
    }
    starts = np.cumsum([0, *[len(table.target) for table in tables[:-1]]])
    members = [
        replace(member, train=member.train + start, hold=member.hold + start)
        for task, start in zip(tasks, starts, strict=True)
        for member in task.members
    ]
    return replace(tables[0], **arrays), members


def _parts(whole: Trained, members: Sequence[Member], tasks: Sequence[Task]) -> list[Trained]:
    """The members of every task, with what was written down about them; members left out of the stack are missing."""
    if len(tasks) == 1:
        return [whole]
    owner = np.repeat(np.arange(len(tasks)), [len(task.members) for task in tasks])
    first = np.cumsum([0, *[len(task.members) for task in tasks[:-1]]])
    kept = [next(k for k, member in enumerate(members) if member is one) for one in whole.members]
    parts = []
    for position, task in enumerate(tasks):
        places = [place for place, k in enumerate(kept) if owner[k] == position]
        own = [kept[place] for place in places]
        if not own:
            raise InputError("no member of a fold reached a finite loss; look for extreme values in the target")
        network = copy.deepcopy(whole.network)
        keep_members(network, places)
        parts.append(
            Trained(
                network,
                [task.members[k - first[position]] for k in own],
                [whole.best_epochs[place] for place in places],
                [whole.best_losses[place] for place in places],
                _of_members(whole.curves, owner, position, first[position]),
                whole.findings,
                _of_members(whole.restarts, owner, position, first[position]),
            )
        )
    return parts


def _of_members(rows: Sequence[dict], owner: np.ndarray, position: int, first: int) -> list[dict]:
    """Rows of one task's members, numbered from 0."""
    return [{**row, "member": int(row["member"] - first)} for row in rows if owner[row["member"]] == position]
