"""The rows that a search looks at, and what it keeps of them: cross-products of every inner fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.specification.penalised import Sums, accumulate, fit_sums, held_out_coefficients
from toolkit.specification.terms import Design

__all__ = ["Sample", "added", "inner_folds", "loss_of_fold", "out_of_fold_coefficients", "out_of_fold_loss"]

INNER_FOLDS = 5
WORK = 4e10  # multiplications allowed for one cross-product matrix of the search
LEAST_ROWS = 5_000  # the search looks at this many rows or more, where there are
FRESH_ROWS = 12_000  # with fewer rows the penalties are chosen anew without each inner fold
FRESH_STEPS = 25
WIDE, WARM_STEPS = 400, 8  # with more columns those choices start from the penalties of all rows, to save time


@dataclass(frozen=True)
class Sample:
    """Evenly spread rows on the working scale.

    Attributes
    ----------
    rows : ndarray of int, [m]
        Where they stand among all rows.
    data : dict of ndarray, [m]
    z, w : ndarray, [m]
        Working response and weight; no weight means one.
    folds : ndarray of int, [m]
    """

    rows: np.ndarray = field(repr=False)
    data: dict[str, np.ndarray] = field(repr=False)
    z: np.ndarray = field(repr=False)
    w: np.ndarray | None = field(repr=False)
    folds: np.ndarray = field(repr=False)

    @classmethod
    def draw(
        cls,
        data: dict[str, np.ndarray],
        z: np.ndarray,
        w: np.ndarray | None,
        groups: np.ndarray | None,
        width: int,
        seed: int,
    ) -> Sample:
        """As many rows as a design of this width allows; whole groups share a fold."""
        n, most = len(z), int(max(LEAST_ROWS, WORK / width**2))
        rows = np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))
        folds = inner_folds(len(rows), None if groups is None else groups[rows], seed)
        some = {name: values[rows] for name, values in data.items()}
        return cls(rows, some, z[rows], None if w is None else w[rows], folds)

    @property
    def n(self) -> int:
        return len(self.z)

    def sums(self, design: Design) -> tuple[Sums, ...]:
        """Cross-products of every fold."""
        found = []
        for fold in range(self.folds.max() + 1):
            part, z, w = self.take(np.flatnonzero(self.folds == fold))
            found.append(accumulate(design.chunks(part, len(z)), z, w, design.width))
        return tuple(found)

    def take(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None]:
        """(variables, working response, weight) of some rows."""
        data = {name: values[rows] for name, values in self.data.items()}
        return data, self.z[rows], None if self.w is None else self.w[rows]

    def widened(self, sums: Sequence[Sums], design: Design, extra: np.ndarray) -> tuple[Sums, ...]:
        """The cross-products with more columns [m, k] behind those of the design."""
        return tuple(self._widened(one, design, extra, fold) for fold, one in enumerate(sums))

    def _widened(self, one: Sums, design: Design, extra: np.ndarray, fold: int) -> Sums:
        mine = np.flatnonzero(self.folds == fold)
        data, z, w = self.take(mine)
        weighted = extra[mine] if w is None else extra[mine] * w[:, None]
        cross = sum(X.T @ weighted[rows] for rows, X in design.chunks(data, len(z)))
        corner = extra[mine].T @ weighted
        return Sums(np.block([[one.xx, cross], [cross.T, corner]]), np.r_[one.xy, weighted.T @ z], one.yy, one.n)


def inner_folds(n: int, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Fold number of each row, [n]; whole groups where there are groups."""
    rng = np.random.default_rng(seed)
    if groups is not None:
        _, code = np.unique(groups.astype(str), return_inverse=True)
        if code.max() >= INNER_FOLDS:
            return (rng.permutation(code.max() + 1) % INNER_FOLDS)[code]
    return rng.permutation(np.arange(n) % INNER_FOLDS)


def added(folds: Sequence[Sums]) -> Sums:
    """Sums over all folds."""
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    return total


def out_of_fold_loss(folds: Sequence[Sums], columns: np.ndarray, groups: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Squared error on each fold of the fit to the others, [folds]; `groups` are those of the columns."""
    parts = [fold.take(columns) for fold in folds]
    betas = out_of_fold_coefficients(parts, groups, penalty)
    return np.array([one.squared_error(beta) for one, beta in zip(parts, betas, strict=True)])


def out_of_fold_coefficients(folds: Sequence[Sums], groups: np.ndarray, penalty: np.ndarray) -> list[np.ndarray]:
    """Coefficients [P] of the fit without each fold.

    With few rows the penalties must not have seen the fold either: chosen on all rows, they let through the noise of
    exactly those columns that happen to fit it.
    """
    total = added(folds)
    if total.n >= FRESH_ROWS or not len(penalty):
        return held_out_coefficients(folds, groups, penalty)
    return [fresh_coefficients(total - fold, groups, penalty) for fold in folds]


def fresh_coefficients(sums: Sums, groups: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Coefficients [P] with penalties chosen anew; a wide design starts from the given ones."""
    start, steps = (penalty, WARM_STEPS) if len(groups) > WIDE else (None, FRESH_STEPS)
    return fit_sums(sums, groups, start, steps=steps).beta


def loss_of_fold(
    folds: Sequence[Sums], fold: int, columns: np.ndarray, groups: np.ndarray, penalty: np.ndarray
) -> float:
    """Squared error on one fold of the fit to the others, penalties chosen anew."""
    others = added([one.take(columns) for i, one in enumerate(folds) if i != fold])
    return folds[fold].take(columns).squared_error(fresh_coefficients(others, groups, penalty))
