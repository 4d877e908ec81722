"""Rows of one training set behind cross-products: what adding any block of columns closes out of (inner) fold.

Every candidate is judged through the Schur complement of its block given the terms taken so far, in each inner fold, so
that one step of the search factorises the current model once and never refits it for a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from toolkit.specification.penalised import JITTER, Sums, fit_sums, spread_penalty

__all__ = ["Model", "Table", "block_gain"]


@dataclass
class Table:
    """Columns, working response and inner folds; columns can be added.

    Attributes
    ----------
    X : ndarray, [n, P]
    z, w : ndarray, [n]
        Working response and weight (ones for least squares).
    folds : ndarray of int, [n]
    """

    X: np.ndarray = field(repr=False)
    z: np.ndarray = field(repr=False)
    w: np.ndarray = field(repr=False)
    folds: np.ndarray = field(repr=False)
    xx: list[np.ndarray] = field(default_factory=list, repr=False)  # per inner fold, [P, P]
    xy: list[np.ndarray] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        for rows in self._rows():
            weighted = self.X[rows] * self.w[rows, None]
            self.xx.append(weighted.T @ self.X[rows])
            self.xy.append(weighted.T @ self.z[rows])

    def _rows(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.folds == f) for f in range(self.folds.max() + 1)]

    def add(self, columns: np.ndarray) -> np.ndarray:
        """Append columns [n, k]; their positions, [k]."""
        before = self.X.shape[1]
        self.X = np.hstack([self.X, columns])
        for f, rows in enumerate(self._rows()):
            cross = self.X[rows].T @ (columns[rows] * self.w[rows, None])  # [P + k, k]
            self.xx[f] = np.block([[self.xx[f], cross[:before]], [cross[:before].T, cross[before:]]])
            self.xy[f] = np.concatenate([self.xy[f], columns[rows].T @ (self.w[rows] * self.z[rows])])
        return np.arange(before, self.X.shape[1])

    @property
    def yy(self) -> float:
        return float(self.w @ self.z**2)

    def total(self) -> Sums:
        return Sums(sum(self.xx), sum(self.xy), self.yy, float(len(self.z)))


@dataclass(frozen=True)
class Model:
    """The terms taken so far, fitted to all inner folds but one, for each of them."""

    columns: np.ndarray = field(repr=False)  # [M]
    ridge: np.ndarray = field(repr=False)  # [M]
    beta: list[np.ndarray] = field(repr=False)  # per inner fold, [M]
    factor: list[tuple] = field(repr=False)
    residual: np.ndarray = field(repr=False)  # [n], out of inner fold
    whole: tuple = field(repr=False)  # factor on all rows
    whole_beta: np.ndarray = field(repr=False)
    edf: float = 0.0

    @classmethod
    def fit(cls, table: Table, columns: np.ndarray, groups: np.ndarray, sigma2: float | None) -> Model:
        """Penalties by restricted maximum likelihood on all rows, coefficients for every inner fold."""
        total = table.total()
        used = np.unique(groups[groups >= 0])
        compact = np.where(groups >= 0, np.searchsorted(used, groups), -1)
        fit = fit_sums(total.take(columns), compact, sigma2=sigma2)
        ridge = spread_penalty(compact, fit.penalty)
        kept = np.isfinite(ridge)
        columns, ridge = columns[kept], ridge[kept]
        xx, residual = total.xx[np.ix_(columns, columns)], np.empty(len(table.z))
        ridge = ridge + JITTER * np.maximum(np.diagonal(xx), np.diagonal(xx).max() * 1e-3)
        betas, factors = [], []
        for f in range(len(table.xx)):
            factor = cho_factor(xx - table.xx[f][np.ix_(columns, columns)] + np.diag(ridge), lower=True)
            beta = cho_solve(factor, total.xy[columns] - table.xy[f][columns])
            rows = table.folds == f
            residual[rows] = table.z[rows] - table.X[np.ix_(rows, columns)] @ beta
            betas.append(beta)
            factors.append(factor)
        whole = cho_factor(xx + np.diag(ridge), lower=True)
        return cls(
            columns, ridge, betas, factors, residual, whole, cho_solve(whole, total.xy[columns]), float(fit.edf.sum())
        )


def block_gain(table: Table, model: Model, block: np.ndarray, groups: np.ndarray, sigma2: float | None) -> np.ndarray:
    """Gain in weighted squared error of every row when a block of columns joins the model, out of inner fold, [n].

    Zero everywhere where restricted maximum likelihood drops the block.
    """
    penalty = _block_penalty(table, model, block, groups, sigma2)
    alive = np.isfinite(penalty)
    gain = np.zeros(len(table.z))
    if not alive.any():
        return gain
    block, penalty = block[alive], penalty[alive]
    total_xy = sum(xy[block] for xy in table.xy)
    cross = sum(xx[np.ix_(model.columns, block)] for xx in table.xx)
    inner = sum(xx[np.ix_(block, block)] for xx in table.xx)
    for f, (factor, beta) in enumerate(zip(model.factor, model.beta, strict=True)):
        mc = cross - table.xx[f][np.ix_(model.columns, block)]
        G = cho_solve(factor, mc)
        S = inner - table.xx[f][np.ix_(block, block)] - mc.T @ G
        s = total_xy - table.xy[f][block] - mc.T @ beta
        diagonal = np.maximum(np.diagonal(S), 0)
        S = S + np.diag(penalty + JITTER * max(diagonal.max(), 1e-12) + 1e-10)
        b = np.linalg.solve(S, s)
        rows = np.flatnonzero(table.folds == f)
        step = table.X[np.ix_(rows, block)] @ b - table.X[np.ix_(rows, model.columns)] @ (G @ b)
        r = model.residual[rows]
        gain[rows] = table.w[rows] * (r**2 - (r - step) ** 2)
    return gain


def _block_penalty(
    table: Table, model: Model, block: np.ndarray, groups: np.ndarray, sigma2: float | None
) -> np.ndarray:
    """Ridge of each column of the block, chosen given the model on all rows, [k]."""
    mc = sum(xx[np.ix_(model.columns, block)] for xx in table.xx)
    G = cho_solve(model.whole, mc)
    full = sum(xx[np.ix_(block, block)] for xx in table.xx)
    S = full - mc.T @ G
    s = sum(xy[block] for xy in table.xy) - mc.T @ model.whole_beta
    if np.diagonal(S).max() <= 1e-8 * np.diagonal(full).max():  # a copy of what is there
        return np.full(len(block), np.inf)
    S = 0.5 * (S + S.T) + 1e-10 * np.diagonal(full).max() * np.eye(len(block))
    rss = float(table.w @ (table.z - table.X[:, model.columns] @ model.whole_beta) ** 2)
    # A free column that explains nothing stands beside the block, so that all of its groups may be dropped
    S = np.block([[S, np.zeros((len(s), 1))], [np.zeros((1, len(s))), np.ones((1, 1))]])
    sums = Sums(S, np.append(s, 0.0), rss, max(len(table.z) - model.edf, 2.0))
    fit = fit_sums(sums, np.append(groups, -1), sigma2=sigma2, steps=30)
    return spread_penalty(groups, fit.penalty)
