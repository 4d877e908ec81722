"""Least squares that can be trusted to the last digits, and covariances that survive unequal variance and dependence.

Columns are scaled to unit length before a pivoted QR decomposition, one step of refinement uses residuals in extended
precision, and the covariance comes from the inverse of R, never from an inverted cross-product.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import qr, solve_triangular

from toolkit.errors import InputError, unknown

__all__ = ["COVARIANCES", "LeastSquares", "least_squares", "sandwich"]

COVARIANCES = ("classical", "HC0", "HC1", "HC2", "HC3", "cluster", "HAC")
DEPENDENT = 1e-13  # a pivot below this share of the largest marks a column as a combination of the others


@dataclass(frozen=True)
class LeastSquares:
    """A weighted least-squares fit.

    Attributes
    ----------
    beta : ndarray, [p]
        Coefficients; 0 for columns that are combinations of others.
    used : ndarray of bool, [p]
        Columns that were not combinations of others.
    bread : ndarray, [p, p]
        (X'WX)^-1, zero where a column was not used.
    residual : ndarray, [n]
        Observed minus fitted, target units.
    leverage : ndarray, [n]
        Diagonal of the hat matrix.
    """

    beta: np.ndarray
    used: np.ndarray
    bread: np.ndarray = field(repr=False)
    residual: np.ndarray = field(repr=False)
    leverage: np.ndarray = field(repr=False)
    weight: np.ndarray | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        return int(self.used.sum())

    @property
    def df_residual(self) -> int:
        return len(self.residual) - self.rank

    @property
    def sigma2(self) -> float:
        """Residual variance, target units squared."""
        w = 1.0 if self.weight is None else self.weight
        return float(np.sum(w * self.residual**2) / max(self.df_residual, 1))


def least_squares(X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> LeastSquares:
    """Fit y [n] on the columns of X [n, p], rows weighted by `weight` [n].

    Raises
    ------
    InputError
        When X or y holds a value that is not finite, or there are no rows.
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if len(y) == 0 or not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise InputError("least squares needs at least one row and finite values in every column")
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    A, b = X * root[:, None], y * root
    length = np.linalg.norm(A, axis=0)
    length[length == 0] = 1.0
    Q, R, order = qr(A / length, mode="economic", pivoting=True)
    pivots = np.abs(np.diagonal(R))
    rank = int(np.sum(pivots > DEPENDENT * max(pivots[0], 1e-300))) if len(pivots) else 0
    Q, R, kept = Q[:, :rank], R[:rank, :rank], order[:rank]
    scaled = solve_triangular(R, Q.T @ b)
    scaled = refine(A[:, kept], length[kept], b, Q, R, scaled)
    beta = np.zeros(X.shape[1])
    beta[kept] = scaled / length[kept]
    R_inverse = solve_triangular(R, np.eye(rank)) / length[kept][:, None]
    bread = np.zeros((X.shape[1], X.shape[1]))
    bread[np.ix_(kept, kept)] = R_inverse @ R_inverse.T
    used = np.zeros(X.shape[1], dtype=bool)
    used[kept] = True
    residual = np.asarray(y - X.astype(np.longdouble) @ beta, dtype=float)
    return LeastSquares(beta, used, bread, residual, np.sum(Q**2, axis=1), weight)


def refine(
    A: np.ndarray, length: np.ndarray, b: np.ndarray, Q: np.ndarray, R: np.ndarray, scaled: np.ndarray, rounds: int = 3
) -> np.ndarray:
    """Better coefficients from the augmented system r + A x = b, A'r = 0 in extended precision, [rank].

    Björck, BIT 7 (1967), 257-278: refining x alone fails where residuals are large.
    """
    A_long = A.astype(np.longdouble) / length
    solution = scaled.astype(np.longdouble)
    residual = b - A_long @ solution
    for _ in range(rounds):
        f = (b - residual - A_long @ solution).astype(float)
        g = (-(A_long.T @ residual)).astype(float)
        h = solve_triangular(R, g, trans="T")
        along = Q.T @ f - h
        solution = solution + solve_triangular(R, along)
        residual = residual + (f - Q @ along)
    return np.asarray(solution, dtype=float)


def sandwich(
    fit: LeastSquares,
    X: np.ndarray,
    kind: str = "HC3",
    groups: np.ndarray | None = None,
    lags: int | None = None,
    residual: np.ndarray | None = None,
) -> np.ndarray:
    """Covariance of the coefficients, [p, p].

    Parameters
    ----------
    kind : {"classical", "HC0", "HC1", "HC2", "HC3", "cluster", "HAC"}
        HC flavours: MacKinnon and White, J. Econometrics 29 (1985), 305-325. `cluster` sums scores within `groups` with
        the factor G/(G-1) (n-1)/(n-p); `HAC` weighs neighbours in row order with Bartlett weights, Newey and West
        (1987).
    lags : int, optional
        Of `HAC`; floor(4 (n/100)^(2/9)) when left out.
    residual : ndarray, [n], optional
        Working residuals of a generalised linear model; those of the fit when left out.
    """
    if kind not in COVARIANCES:
        raise unknown("covariance", kind, COVARIANCES)
    if kind == "classical":
        return fit.sigma2 * fit.bread
    w = np.ones(len(X)) if fit.weight is None else fit.weight
    u = fit.residual if residual is None else residual
    scores = X * (w * u)[:, None]  # [n, p]
    n, p = len(X), fit.rank
    if kind == "cluster":
        if groups is None:
            raise InputError("a cluster-robust covariance needs groups")
        _, code = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        sums = np.zeros((code.max() + 1, X.shape[1]))
        np.add.at(sums, code, scores)
        count = len(sums)
        if count < 2:
            raise InputError("a cluster-robust covariance needs at least two groups")
        meat = sums.T @ sums * (count / (count - 1)) * ((n - 1) / max(n - p, 1))
    elif kind == "HAC":
        meat = newey_west(scores, lags) * (n / max(n - p, 1))
    else:
        slack = np.maximum(1 - fit.leverage, 1e-10)
        power = {"HC0": 0.0, "HC1": 0.0, "HC2": 0.5, "HC3": 1.0}[kind]
        scaled = scores / slack[:, None] ** power
        meat = scaled.T @ scaled * (n / max(n - p, 1) if kind == "HC1" else 1.0)
    return fit.bread @ meat @ fit.bread


def newey_west(scores: np.ndarray, lags: int | None) -> np.ndarray:
    """Long-run covariance of the scores, [p, p], Bartlett weights."""
    n = len(scores)
    lags = int(4 * (n / 100) ** (2 / 9)) if lags is None else lags
    meat = scores.T @ scores
    for lag in range(1, min(lags, n - 1) + 1):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    return meat
