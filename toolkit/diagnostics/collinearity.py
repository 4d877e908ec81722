"""Collinearity from one correlation matrix: VIF, generalised VIF, condition indices, variance proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check

__all__ = ["check_collinearity", "check_condition_index", "condition_indices", "generalised_vif", "vif"]

EXACT = 1e6  # from here on rounding alone keeps the columns apart
LARGEST = 1e8  # an exact combination has an infinite factor; it is reported as this


def _correlation(columns: np.ndarray) -> np.ndarray:
    centred = columns - columns.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(norms > 0, norms, 1.0)
    return scaled.T @ scaled


def vif(columns: np.ndarray) -> np.ndarray:
    """Variance inflation factors [p] of columns [n, p] (no constant column): the diagonal of the inverse correlation.

    The constant is part of every regression behind a factor: columns are centred.
    """
    correlation = _correlation(columns)
    values, vectors = np.linalg.eigh(correlation)
    inverse = np.einsum("ij,j,ij->i", vectors, 1 / np.maximum(values, 1 / LARGEST), vectors)
    return np.minimum(inverse, LARGEST)


def generalised_vif(columns: np.ndarray, terms: Sequence[str]) -> pd.DataFrame:
    """Generalised factors of Fox and Monette (1992), as `car::vif`.

    Parameters
    ----------
    columns : ndarray, [n, p]
        Without the constant.
    terms : sequence of str
        The term that each column belongs to.

    Returns
    -------
    DataFrame
        term, gvif, df, scaled (gvif^(1 / df), on the scale of an ordinary VIF).
    """
    correlation = _correlation(columns)
    labels = np.asarray(terms, dtype=object)
    rows = []
    single = vif(columns)
    log_all = _log_det(correlation)
    for term in dict.fromkeys(terms):
        mine = labels == term
        df = int(mine.sum())
        if df == 1:
            log = float(np.log(single[mine][0]))
        else:
            log = _log_det(correlation[np.ix_(mine, mine)]) + _log_det(correlation[np.ix_(~mine, ~mine)]) - log_all
            log = float(np.clip(log, 0.0, df * np.log(LARGEST)))
        with np.errstate(over="ignore"):  # of many columns it may pass the largest number; the scaled one does not
            rows.append((str(term), float(np.exp(log)), df, float(np.exp(log / df))))
    return pd.DataFrame(rows, columns=["term", "gvif", "df", "scaled"])


def _log_det(matrix: np.ndarray) -> float:
    if matrix.size == 0:
        return 0.0
    return float(np.sum(np.log(np.maximum(np.linalg.eigvalsh(matrix), 1 / LARGEST))))


def condition_indices(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Condition indices [p], falling, and variance proportions [p indices, p columns] (Belsley, Kuh and Welsch 1980).

    Columns (with the constant, if it belongs) are scaled to unit length, not centred.
    """
    norms = np.sqrt((columns**2).sum(axis=0))
    scaled = columns[:, norms > 0] / norms[norms > 0]
    # Not from the eigenvalues of X'X: they would lose half of the digits of what is nearly dependent.
    _, values, vectors = np.linalg.svd(np.linalg.qr(scaled, mode="r"))
    values = np.maximum(values, values[0] / LARGEST)[::-1]
    share = (vectors[::-1].T / values) ** 2
    proportions = (share / share.sum(axis=1, keepdims=True)).T
    return values[-1] / values, proportions


def check_collinearity(arm: str, columns: np.ndarray, terms: Sequence[str]) -> Check:
    """`columns` [n, p] without the constant, `terms` the term of each."""
    entry = CATALOGUE["collinearity"]
    if why := _why_not(columns):
        return entry.not_applicable(arm, why)
    table = generalised_vif(columns, terms).sort_values("scaled", ascending=False)
    worst = table.iloc[0]
    said = f"largest factor: {worst['term']} {worst['scaled']:.1f}"
    if worst["df"] > 1:
        said += f" (GVIF with {worst['df']} df)"
    if worst["scaled"] > EXACT:
        said = f"{worst['term']} is an exact combination of other columns"
    return entry.answer(arm, said, effect=float(worst["scaled"]), details={"table": table.head(30).to_dict("records")})


def check_condition_index(arm: str, columns: np.ndarray, names: Sequence[str]) -> Check:
    """Condition indices of the centred columns: a distance of the origin is no dependency."""
    entry = CATALOGUE["condition_index"]
    if why := _why_not(columns):
        return entry.not_applicable(arm, why)
    centred = columns - columns.mean(axis=0)
    moving = centred.std(axis=0) > 0
    indices, proportions = condition_indices(centred[:, moving])
    labels = np.asarray(names, dtype=object)[moving]
    shared = (proportions > 0.5).sum(axis=1) >= 2
    said, effect = "no index shares the variance of two columns", 1.0
    if shared.any():
        worst = int(np.argmax(np.where(shared, indices, 0)))
        effect = float(min(indices[worst], LARGEST))
        involved = [str(name) for name in labels[proportions[worst] > 0.5]]
        said = "exact dependency of " if effect > EXACT else f"index {effect:.1f} shared by "
        said += ", ".join(involved[:6]) + (" ..." if len(involved) > 6 else "")
    return entry.answer(arm, said, effect=effect, details={"indices": np.sort(indices)[::-1][:50].tolist()})


def _why_not(columns: np.ndarray) -> str:
    if columns.shape[1] < 2:
        return "needs two columns"
    if len(columns) <= columns.shape[1] + 1:
        return f"more columns ({columns.shape[1]}) than rows ({len(columns)}) allow: every column is a combination"
    return ""
