"""The records that say who trains and who judges."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

__all__ = ["Fold", "Splits"]


@dataclass(frozen=True)
class Fold:
    """One pair of disjoint row sets."""

    repeat: int
    fold: int
    train: np.ndarray  # [n_train], positions in Dataset.frame
    judge: np.ndarray  # [n_judge]


@dataclass(frozen=True)
class Splits:
    """All folds of a comparison, the same for every arm."""

    scheme: str  # kfold, group, time, holdout, table, rolling_origin, official
    folds: tuple[Fold, ...]
    seed: int
    reason: str  # why this scheme, in words, with its numbers

    @property
    def repeats(self) -> int:
        return len({fold.repeat for fold in self.folds})

    @property
    def sha256(self) -> str:
        """Hash of the row positions of every fold."""
        digest = hashlib.sha256()
        for fold in self.folds:
            for part in (fold.train, fold.judge):
                digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes() + b"|")
        return digest.hexdigest()
