"""Penalised least squares from sums of squares and products, smoothing parameters by restricted maximum likelihood.

Every penalty is a ridge on a group of columns, so a group is a set of random effects with one variance. The variances
are updated as Fellner (1986) and Schall (1991) do, the limiting case of Wood and Fasiolo (Biometrics 73, 2017,
1071-1081):

    variance of group g = sum of its squared coefficients / its effective degrees of freedom.

Only X'WX, X'Wy and y'Wy are needed, so that the work does not grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack

__all__ = ["Fit", "Sums", "accumulate", "fit_sums", "held_out_coefficients"]

FREE = -1
STEPS = 60
TOLERANCE = 1e-3  # change of effective degrees of freedom, relative to all of them, that ends the updates
SMALLEST_EDF = 0.01  # a group below this carries nothing and leaves the updates
JITTER = 1e-9  # ridge on free columns, relative to their size: collinear lines share their coefficient
STRETCH = 1.6  # over-relaxation of the updates on the log scale


@dataclass(frozen=True)
class Sums:
    """Sufficient statistics of weighted least squares."""

    xx: np.ndarray = field(repr=False)  # [P, P]
    xy: np.ndarray = field(repr=False)  # [P]
    yy: float
    n: float  # rows that count

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.xx - other.xx, self.xy - other.xy, self.yy - other.yy, self.n - other.n)

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.xx + other.xx, self.xy + other.xy, self.yy + other.yy, self.n + other.n)

    def squared_error(self, beta: np.ndarray) -> float:
        """Weighted squared error of these coefficients on these rows."""
        return max(float(self.yy - 2 * beta @ self.xy + beta @ self.xx @ beta), 0.0)

    def take(self, columns: np.ndarray) -> Sums:
        """The same for some of the columns."""
        return Sums(self.xx[np.ix_(columns, columns)], self.xy[columns], self.yy, self.n)


@dataclass(frozen=True)
class Fit:
    """Coefficients and what is known about them.

    Attributes
    ----------
    beta : ndarray, [P]
    penalty : ndarray, [groups]
        Ridge parameter of each group, in units of the residual variance; inf for a group that was dropped.
    sigma2 : float
    edf : ndarray, [P]
        Effective degrees of freedom of each coefficient.
    factor : ndarray, [a, a]
        Cholesky factor (lower) of X'WX + penalty for the `active` columns.
    """

    beta: np.ndarray = field(repr=False)
    penalty: np.ndarray = field(repr=False)
    sigma2: float
    edf: np.ndarray = field(repr=False)
    factor: np.ndarray = field(repr=False)
    active: np.ndarray = field(repr=False)
    rss: float = 0.0

    @property
    def covariance(self) -> np.ndarray:
        """Posterior covariance of the active coefficients, [a, a]."""
        return self.sigma2 * inverse(self.factor)


def accumulate(chunks, response: np.ndarray, weights: np.ndarray | None, width: int) -> Sums:
    """Sums over chunks of (rows, columns)."""
    xx, xy, yy, total = np.zeros((width, width)), np.zeros(width), 0.0, 0.0
    for rows, X in chunks:
        y = response[rows]
        if weights is None:
            xx += X.T @ X
            xy += X.T @ y
            yy += float(y @ y)
        else:
            w = weights[rows]
            root = X * np.sqrt(w)[:, None]
            xx += root.T @ root
            xy += X.T @ (w * y)
            yy += float(w @ (y * y))
        total += len(y)
    return Sums(xx, xy, yy, total)


def solve(sums: Sums, ridge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and Cholesky factor for a given ridge on each column."""
    A = sums.xx.copy()
    diagonal = np.diagonal(sums.xx)
    lift = ridge + JITTER * np.maximum(diagonal, diagonal.max() * 1e-6)
    for attempt in range(8):
        A[np.diag_indices_from(A)] = diagonal + lift * (1 if attempt == 0 else 1 + 10.0**attempt * JITTER)
        try:
            factor = cholesky(A, lower=True, check_finite=False)
            return cho_solve((factor, True), sums.xy, check_finite=False), factor
        except np.linalg.LinAlgError:
            lift = lift + JITTER * 10.0 ** (attempt + 1) * np.maximum(diagonal, diagonal.max() * 1e-6)
    raise np.linalg.LinAlgError("the columns of the regression are not finite")


def inverse(factor: np.ndarray) -> np.ndarray:
    """Inverse of L L', [a, a]."""
    half, info = lapack.dpotri(factor, lower=1)
    if info:
        raise np.linalg.LinAlgError("singular penalised cross-products")
    lower = np.tril(half, -1)
    return lower + lower.T + np.diag(np.diagonal(half))


def inverse_diagonal(factor: np.ndarray) -> np.ndarray:
    """Diagonal of the inverse of L L', [a]: the squared columns of the inverse of L."""
    half, info = lapack.dtrtri(factor, lower=1)
    if info:
        raise np.linalg.LinAlgError("singular penalised cross-products")
    return np.einsum("ij,ij->j", half, half)


def spread_penalty(groups: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Ridge of every column, [P]: that of its group, 0 for free columns, inf for dropped groups."""
    return np.append(penalty, 0.0)[groups]  # free columns have group -1, the last entry


def fit_sums(
    sums: Sums, groups: np.ndarray, start: np.ndarray | None = None, sigma2: float | None = None, steps: int = STEPS
) -> Fit:
    """Fit with the penalty of every group chosen by restricted maximum likelihood.

    Parameters
    ----------
    sums : Sums
        P columns, the constant first.
    groups : ndarray of int, [P]
        Group of each column, -1 for columns without a penalty.
    start : ndarray, [groups], optional
        Penalties to start from.
    sigma2 : float, optional
        Known residual variance, for families with a fixed dispersion; estimated when left out.
    """
    count = int(groups.max()) + 1
    size = np.bincount(groups[groups >= 0], minlength=count).astype(float)
    diagonal = np.diagonal(sums.xx)
    mean_square = np.bincount(groups[groups >= 0], diagonal[groups >= 0], minlength=count) / np.maximum(size, 1)
    penalty = np.maximum(mean_square, 1e-8) if start is None else start.copy()
    total_edf = None
    for _ in range(max(steps, 1)):
        column_ridge = spread_penalty(groups, penalty)
        active = np.flatnonzero(np.isfinite(column_ridge))
        sub, g, ridge = sums.take(active), groups[active], column_ridge[active]
        penalised = g >= 0
        beta, factor = solve(sub, ridge)
        spread = inverse_diagonal(factor)
        edf = np.where(penalised, 1 - ridge * spread, 1.0)
        rss = max(float(sub.yy - 2 * beta @ sub.xy + beta @ sub.xx @ beta), 1e-12 * max(sub.yy, 1e-300))
        s2 = sigma2 if sigma2 is not None else residual_variance(sums, rss, edf.sum())
        done = total_edf is not None and abs(edf.sum() - total_edf) < TOLERANCE * max(edf.sum(), 1)
        total_edf = edf.sum()
        if done or steps == 0 or not penalised.any():
            break
        group_edf = np.bincount(g[penalised], edf[penalised], minlength=count)
        square = np.bincount(g[penalised], beta[penalised] ** 2, minlength=count)
        with np.errstate(divide="ignore", invalid="ignore"):
            target = s2 * np.maximum(group_edf, 1e-10) / np.maximum(square, 1e-300)
            ratio = np.clip(np.log(target / penalty) * STRETCH, -6, 6)
        alive = np.isfinite(penalty) & (size > 0)
        dead = alive & (group_edf < SMALLEST_EDF) & (ratio > 0)
        penalty = np.where(alive, penalty * np.exp(np.where(alive, ratio, 0)), penalty)
        penalty = np.where(dead, np.inf, np.clip(penalty, 1e-8 * np.maximum(mean_square, 1e-12), np.inf))
    full_beta, full_edf = np.zeros(len(groups)), np.zeros(len(groups))
    full_beta[active], full_edf[active] = beta, edf
    return Fit(full_beta, penalty, float(s2), full_edf, factor, active, rss)


def residual_variance(sums: Sums, rss: float, edf: float) -> float:
    """Residual sum of squares by what is left of the rows, with up to one row more that has the spread of the target.

    A fit with nearly as many degrees of freedom as rows repeats them and leaves no residual: without that row the
    estimate would tend to zero, and the penalties with it. It counts (edf / n)², nothing where rows abound.
    """
    null = max(sums.yy - sums.xy[0] ** 2 / max(sums.xx[0, 0], 1e-300), 0.0) / max(sums.n, 1.0)
    more = min(edf / max(sums.n, 1.0), 1.0) ** 2
    return (rss + more * null) / max(sums.n - edf + more, 0.05 * sums.n, 1.0)


def held_out_coefficients(folds: Sequence[Sums], groups: np.ndarray, penalty: np.ndarray) -> list[np.ndarray]:
    """Coefficients [P] of the fit without each fold, penalties given."""
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    ridge = spread_penalty(groups, penalty)
    kept = np.flatnonzero(np.isfinite(ridge))
    found = []
    for fold in folds:
        beta = np.zeros(len(groups))
        beta[kept], _ = solve((total - fold).take(kept), ridge[kept])
        found.append(beta)
    return found
