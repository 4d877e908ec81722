"""Several numeric targets on the same terms: residual correlation, and one test of a term for all targets at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import eigh

from toolkit.errors import InputError
from toolkit.models.least_squares import least_squares

__all__ = ["JointFit", "fit_jointly"]


@dataclass(frozen=True)
class JointFit:
    """Least squares of several targets on shared columns.

    Attributes
    ----------
    coefficients : DataFrame, [columns, targets]
    residual_correlation : DataFrame, [targets, targets]
        Of residuals, observed minus fitted.
    tests : DataFrame
        One row per term: term, df, pillai (trace, between 0 and the smaller of df and targets), statistic (its F
        approximation), df1, df2, p_value. Null: the term belongs in no equation.
    distance : ndarray, [n]
        Squared Mahalanobis length of each row's residuals, chi-squared with as many degrees as targets when normal.
    """

    coefficients: pd.DataFrame
    residual_correlation: pd.DataFrame
    tests: pd.DataFrame
    distance: np.ndarray = field(repr=False)


def fit_jointly(blocks: dict[str, np.ndarray], targets: pd.DataFrame) -> JointFit:
    """Fit all targets on a constant and the columns of all terms.

    Parameters
    ----------
    blocks : dict
        Term -> its design columns, [n, k].
    targets : DataFrame, [n, targets]

    Raises
    ------
    InputError
        For fewer than two targets, or too few rows for the residual covariance.

    Notes
    -----
    Pillai's trace of H (H + E)^-1, with H the rise of the residual cross-products E when the term is left out; the most
    robust of the four classical statistics (Olson, Psychological Bulletin 83, 1976, 579-586).
    """
    Y = targets.to_numpy(dtype=float)
    n, count = Y.shape
    if count < 2:
        raise InputError(f"a joint fit needs at least two targets; {count} came")
    matrices = [np.ones((n, 1)), *(np.asarray(b, dtype=float).reshape(n, -1) for b in blocks.values())]
    X = np.hstack(matrices)
    residual, rank = residuals(X, Y)
    if n - rank < count:
        raise InputError(f"{n} rows are too few for {rank} columns and {count} targets")
    E = residual.T @ residual
    rows = []
    for position, term in enumerate(blocks, start=1):
        others = np.hstack([m for i, m in enumerate(matrices) if i != position])
        without, smaller = residuals(others, Y)
        rows.append((term, *pillai(without.T @ without - E, E, rank - smaller, n - rank)))
    names = ["constant", *(f"{t}[{j}]" for t, m in zip(blocks, matrices[1:], strict=True) for j in range(m.shape[1]))]
    covariance = E / (n - rank)
    scale = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(scale, scale)
    beta = np.column_stack([least_squares(X, y).beta for y in Y.T])
    return JointFit(
        pd.DataFrame(beta, names, targets.columns),
        pd.DataFrame(correlation, targets.columns, targets.columns),
        pd.DataFrame(rows, columns=["term", "df", "pillai", "statistic", "df1", "df2", "p_value"]),
        np.einsum("ij,ij->i", residual @ np.linalg.pinv(covariance), residual),
    )


def residuals(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, int]:
    """Residuals of every target, [n, targets], and the rank of the columns."""
    fits = [least_squares(X, y) for y in Y.T]
    return np.column_stack([fit.residual for fit in fits]), fits[0].rank


def pillai(H: np.ndarray, E: np.ndarray, df: int, df_residual: int) -> tuple[int, float, float, float, float, float]:
    """(df, trace, F, df1, df2, p) of a hypothesis with cross-products H [targets, targets] against E."""
    if df == 0:
        return 0, 0.0, np.nan, np.nan, np.nan, np.nan
    targets = len(E)
    roots = np.clip(eigh(H, H + E, eigvals_only=True), 0, 1)
    trace, s = float(roots.sum()), min(targets, df)
    m, k = (abs(targets - df) - 1) / 2, (df_residual - targets - 1) / 2
    df1, df2 = s * (2 * m + s + 1), s * (2 * k + s + 1)
    statistic = (df2 / df1) * trace / max(s - trace, 1e-12)
    return df, trace, statistic, df1, df2, float(stats.f.sf(statistic, df1, df2))
