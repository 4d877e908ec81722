"""Influence of single rows, in closed form: one factorisation, no refits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.least_squares import GLM_FAMILIES, basis, fit_glm, residualise
from toolkit.diagnostics.view import ArmView

__all__ = ["Influence", "check_outliers", "influence", "influence_checks"]

NAMED = 5  # rows named in a message
EXACT = 1 - 1e-8  # hat value of a row with a coefficient of its own


@dataclass(frozen=True)
class Influence:
    """Measures per row, all [n]."""

    leverage: np.ndarray
    studentised: np.ndarray  # externally, `rstudent`
    cook: np.ndarray
    dffits: np.ndarray
    rank: float  # number of coefficients; the effective one, sum of the leverages, where there is a penalty


def influence(
    columns: np.ndarray, y: np.ndarray, family: str = "gaussian", ridge: np.ndarray | None = None
) -> Influence:
    """Leverage, Cook's distance, DFFITS and externally studentised residuals.

    Parameters
    ----------
    columns : ndarray, [n, p]
        Design matrix with the constant.
    y : ndarray, [n]
    family : str
        For families other than gaussian the measures are those of the last weighted least-squares step (Pearson
        residuals; `cooks.distance` of R's glm), dispersion 1 for poisson and binomial.
    ridge : ndarray, [p], optional
        Penalty on each squared coefficient, in units of the residual variance; gaussian only. A penalty is a row of the
        data that says 0 (the mixed model view; Hoerl and Kennard, Technometrics 12, 1970): with these rows added, the
        formulas of least squares hold, leaving out one row at a time included.
    """
    n = len(y)
    if family == "gaussian":
        if ridge is not None:
            told = np.diag(np.sqrt(ridge))[ridge > 0]
            columns, y = np.vstack([columns, told]), np.append(y, np.zeros(len(told)))
        q = basis(columns)
        residual = residualise(y, q)
    else:
        _, mean = fit_glm(columns, y, family)
        variance = np.maximum(GLM_FAMILIES[family][1](mean), 1e-12)
        q = basis(columns * (GLM_FAMILIES[family][2](mean) / np.sqrt(variance))[:, None])
        residual = (y - mean) / np.sqrt(variance)
    squares, free = float(residual @ residual), len(residual) - q.shape[1]
    h, residual = np.minimum((q[:n] ** 2).sum(axis=1), 1.0), residual[:n]
    left, p = np.maximum(1 - h, 1e-10), float(h.sum())
    dispersion = 1.0 if family in ("poisson", "binomial") else squares / max(free, 1)
    cook = residual**2 * h / (left**2 * p * dispersion)
    without = np.maximum((squares - residual**2 / left) / max(free - 1, 1), 1e-300)
    if family in ("poisson", "binomial"):
        without = np.ones(n)
    studentised = residual / np.sqrt(without * left)
    dffits = studentised * np.sqrt(h / left)
    exact = h > EXACT  # the fit goes through the row: without it, its coefficient is not there to compare
    return Influence(h, np.where(exact, 0, studentised), np.where(exact, 0, cook), np.where(exact, 0, dffits), p)


def influence_checks(
    view: ArmView, columns: np.ndarray, y: np.ndarray, family: str, ridge: np.ndarray | None = None
) -> tuple[Check, ...]:
    """Leverage, Cook and DFFITS of a regression with this design and penalty."""
    names = ("leverage", "cooks_distance", "dffits")
    if ridge is not None and family != "gaussian":
        why = f"a penalised fit of the family {family} is not done again here"
        return tuple(CATALOGUE[name].not_applicable(view.arm, why) for name in names)
    if ridge is None and len(y) < columns.shape[1] + 5:
        why = f"{columns.shape[1]} coefficients for {len(y)} rows: every row fixes its own fit"
        return tuple(CATALOGUE[name].not_applicable(view.arm, why) for name in names)
    found = influence(columns, y, family, ridge)
    # Among counts a large mean carries weight by nature: the question is whether a row lies far out in the columns.
    leverage = found.leverage if family == "gaussian" else (basis(columns) ** 2).sum(axis=1)
    said = {
        "leverage": ("largest hat value", leverage),
        "cooks_distance": ("largest Cook's distance", found.cook),
        "dffits": ("largest shift of a fitted value by its own row", np.abs(found.dffits)),
    }
    answers = []
    for name in names:
        words, values = said[name]
        entry = CATALOGUE[name]
        top = np.argsort(-values, kind="stable")[:NAMED]
        many = int(np.sum(values >= entry.notice))
        text = f"{words} {values[top[0]]:.2f}, row {view.rows[top[0]]}"
        if many > 1:
            text += f"; {many:,} rows are above {entry.notice:g}"
        details = {"rows": view.rows[top].tolist(), "values": values[top].tolist(), "average": float(values.mean())}
        p_value = None if family == "gaussian" or name == "leverage" else _chance(found, float(values[top[0]]), name)
        answers.append(entry.answer(view.arm, text, effect=float(values[top[0]]), p_value=p_value, details=details))
    return tuple(answers)


def _chance(found: Influence, largest: float, name: str) -> float:
    """Bound on the chance that some row reaches `largest`, given all leverages and normal residuals.

    In a generalised linear model rows with a large mean carry weight by nature: a large value by itself is no fault.
    """
    h = np.clip(found.leverage, 1e-12, 1 - 1e-10)
    needed = largest * np.sqrt((1 - h) / h) if name == "dffits" else np.sqrt(largest * found.rank * (1 - h) / h)
    return float(min(1.0, 2 * np.sum(stats.norm.sf(needed))))


def check_outliers(view: ArmView) -> Check:
    """Largest residual of a row that the arm was not trained on, over the spread of the others (Bonferroni)."""
    entry = CATALOGUE["outliers"]
    if view.family == "binomial":
        return entry.not_applicable(view.arm, "a 0/1 target has no outliers; see calibration")
    if view.family != "gaussian":
        return entry.not_applicable(view.arm, f"a {view.family} residual is skewed by nature; see quantile residuals")
    centred = view.residual - view.residual.mean()
    n = view.n
    total = float(centred @ centred)
    # studentised by the spread without the row itself: t with n - 2 df under normality
    t = centred / np.sqrt(np.maximum((total - centred**2 * n / (n - 1)) / (n - 2), 1e-300) * (1 - 1 / n))
    top = np.argsort(-np.abs(t), kind="stable")[:NAMED]
    p_value = min(1.0, n * 2 * float(stats.t.sf(abs(t[top[0]]), n - 2)))
    many = int(np.sum(np.abs(t) >= 3.5))
    said = f"row {view.rows[top[0]]} is {abs(t[top[0]]):.1f} standard deviations off"
    if many > 1:
        said += f"; {many:,} rows are more than 3.5 off"
    details = {"rows": view.rows[top].tolist(), "values": t[top].tolist(), "beyond_3.5": many}
    return entry.answer(
        view.arm, said, effect=float(abs(t[top[0]])), statistic=float(t[top[0]]), p_value=p_value, details=details
    )
