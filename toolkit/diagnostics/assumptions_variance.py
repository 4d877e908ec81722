"""Is the spread constant? Breusch-Pagan, White, and the share of log e2 that can be predicted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.least_squares import basis, partial_test
from toolkit.diagnostics.view import ArmView

__all__ = ["breusch_pagan", "check_breusch_pagan", "check_log_variance", "check_white", "log_variance"]


class VarianceTest(NamedTuple):
    statistic: float  # LM, chi-squared
    p_value: float
    df: int
    ratio: float  # mean e2 in the fifth of rows with the largest fitted variance over that in the smallest


def breusch_pagan(residual: np.ndarray, columns: np.ndarray, studentize: bool = True) -> VarianceTest | None:
    """Lagrange multiplier test of residual variance on `columns` (White's test when they hold squares).

    Parameters
    ----------
    residual : ndarray, [n]
    columns : ndarray, [n, k]
        Including a constant.
    studentize : bool
        Koenker's version, n R2, which does not need normal errors; else the original one. Both as `lmtest::bptest`.
    """
    q = basis(columns)
    n, k = q.shape
    squared = residual**2
    df = k - 1
    if df < 1 or n - k < 5 or squared.std() <= 0:
        return None
    fitted = q @ (q.T @ squared)
    if studentize:
        statistic = n * float(np.sum((fitted - squared.mean()) ** 2) / np.sum((squared - squared.mean()) ** 2))
    else:
        statistic = float(np.sum((fitted / squared.mean() - 1) ** 2)) / 2
    return VarianceTest(statistic, float(stats.chi2.sf(statistic, df)), df, fifths_ratio(squared, fitted))


def fifths_ratio(squared: np.ndarray, fitted: np.ndarray) -> float:
    """Mean squared residual in the fifth with the largest fitted variance over that in the fifth with the smallest."""
    order = np.argsort(fitted, kind="stable")
    size = max(2, len(order) // 5)
    low, high = float(squared[order[:size]].mean()), float(squared[order[-size:]].mean())
    return high / low if low > 0 else np.inf


def log_variance(
    residual: np.ndarray, columns: np.ndarray, seed: int = 0, folds: int = 5
) -> tuple[float, float, float]:
    """Share of log e2 that a cross-fitted regression on `columns` predicts.

    Returns
    -------
    tuple
        t statistic, one-sided p-value, share of the variance of log e2 predicted out of fold.
    """
    floor = 1e-4 * float(np.mean(residual**2))  # a residual that happens to be zero would rule the logarithm
    response = np.log(residual**2 + floor)
    q = basis(columns)
    fold = np.random.default_rng(seed).permutation(len(response)) % folds
    predicted = np.zeros(len(response))
    centre = np.zeros(len(response))
    for one in range(folds):
        train = fold != one
        coefficients = np.linalg.lstsq(q[train], response[train], rcond=1e-10)[0]
        predicted[~train] = q[~train] @ coefficients
        centre[~train] = response[train].mean()
    product = (response - centre) * (predicted - centre)
    spread = product.std(ddof=1)
    # the folds share training rows: divided by sqrt(2) as in the learnability test
    t = float(product.mean() / (spread / np.sqrt(len(product)))) / np.sqrt(2) if spread > 0 else 0.0
    share = max(0.0, 1 - float(np.sum((response - predicted) ** 2) / np.sum((response - centre) ** 2)))
    return t, float(stats.norm.sf(t)), share


def _variance_check(name: str, view: ArmView, columns: np.ndarray, what: str) -> Check:
    entry = CATALOGUE[name]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    found = breusch_pagan(view.pearson, columns)
    if found is None:
        return entry.not_applicable(view.arm, f"too few rows ({view.n}) or too few features")
    p_value, statistic = found.p_value, found.statistic
    if view.family != "gaussian":  # squared Pearson residuals of counts have unequal variance themselves
        robust = partial_test(view.pearson**2, np.full((view.n, 1), view.n**-0.5), columns)
        if robust is None:
            return entry.not_applicable(view.arm, f"too few rows ({view.n})")
        statistic, p_value = robust.statistic, robust.p_value
    said = f"residual variance is {found.ratio:.1f} times larger in the widest fifth than in the narrowest, by {what}"
    return entry.answer(view.arm, said, effect=found.ratio, statistic=statistic, p_value=p_value)


def _why_not(view: ArmView) -> str:
    if view.family == "binomial":
        return "the variance of a 0/1 target follows from its mean; see calibration"
    return "" if view.features.fits and view.features.linear.shape[1] else "too many features for these rows, or none"


def check_breusch_pagan(view: ArmView) -> Check:
    return _variance_check("breusch_pagan", view, view.features.base, "the features")


def check_white(view: ArmView) -> Check:
    if view.features.fits and view.features.linear.shape[1] + view.features.squares.shape[1] + 10 > view.n // 3:
        return CATALOGUE["white"].not_applicable(view.arm, f"too few rows ({view.n}) for the squares of the features")
    columns = np.column_stack([view.features.base, view.features.squares])
    return _variance_check("white", view, columns, "the features and their squares")


def check_log_variance(view: ArmView) -> Check:
    entry = CATALOGUE["log_variance"]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    if view.family == "poisson":
        return entry.not_applicable(view.arm, "log e2 of counts has no constant mean; see dispersion")
    fitted = (view.predicted - view.predicted.mean()) / (view.predicted.std() or 1.0)
    columns = np.column_stack([view.features.base, view.features.squares, fitted, fitted**2])
    if columns.shape[1] + 10 > view.n // 3:
        return entry.not_applicable(view.arm, f"too few rows ({view.n}) for {columns.shape[1]} columns")
    t, p_value, share = log_variance(view.pearson, columns, view.seed)
    said = f"{share:.1%} of log e2 can be predicted from features and fitted values"
    return entry.answer(view.arm, said, effect=share, statistic=t, p_value=p_value)
