"""Does one set of coefficients hold for all times? CUSUM and sup-F."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import gamma, gammaincc

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.view import ArmView

__all__ = ["check_cusum", "check_sup_f", "ols_cusum", "sup_f", "sup_f_p_value"]

TRIM = 0.15  # Andrews (1993)
BREAKS = 200  # candidate breaks; every row when there are fewer


class Cusum(NamedTuple):
    statistic: float
    p_value: float
    shift: float  # mean residual after the peak minus before it, in standard deviations
    at: int  # last row before the shift


def ols_cusum(residual: np.ndarray, columns: int = 1) -> Cusum:
    """OLS-based CUSUM (Ploberger and Kramer 1992), as strucchange's `sctest(type = "OLS-CUSUM")`.

    Parameters
    ----------
    residual : ndarray, [n]
        In the order of time.
    columns : int
        Coefficients that were estimated on these rows, for the degrees of freedom of the standard deviation.
    """
    n = len(residual)
    sigma = np.sqrt(float(residual @ residual) / (n - columns))
    path = np.cumsum(residual) / (sigma * np.sqrt(n))
    at = int(np.argmax(np.abs(path[:-1])))
    statistic = float(np.abs(path).max())
    shift = float(residual[at + 1 :].mean() - residual[: at + 1].mean()) / sigma
    return Cusum(statistic, float(stats.kstwobign.sf(statistic)), shift, at)


def sup_f(
    y: np.ndarray, columns: np.ndarray, trim: float = TRIM, breaks: int = BREAKS
) -> tuple[float, int, float] | None:
    """Largest F statistic (chi-squared scale) over break dates, the last row before that break, adjusted partial R2.

    Parameters
    ----------
    y : ndarray, [n]
        In the order of time.
    columns : ndarray, [n, k]
        Regressors with the constant.
    breaks : int
        Candidate dates. With at least n - 2 trim n of them every row is tried, as strucchange's `Fstats`; fewer dates
        are spread evenly, and sums between them are kept, so that n matters only once.

    Notes
    -----
    F = (RSS - RSS_1 - RSS_2) / ((RSS_1 + RSS_2) / (n - 2k)) for every candidate.
    """
    n, k = columns.shape
    first, last = max(int(np.floor(trim * n)), k + 2), min(int(np.floor((1 - trim) * n)), n - k - 2)
    if last - first < 1 or n - 2 * k < 5:
        return None
    dates = np.unique(np.linspace(first, last, min(breaks, last - first + 1)).round().astype(int))
    edges = np.concatenate([[0], dates, [n]])
    grams = np.stack([columns[a:b].T @ columns[a:b] for a, b in pairwise(edges)])
    moments = np.add.reduceat(columns * y[:, None], edges[:-1])
    left, left_moment = np.cumsum(grams, axis=0)[:-1], np.cumsum(moments, axis=0)[:-1]
    whole, whole_moment = grams.sum(axis=0), moments.sum(axis=0)
    explained = _explained(left, left_moment) + _explained(whole - left, whole_moment - left_moment)
    total = float(y @ y)
    rss_one = total - float(_explained(whole[None], whole_moment[None])[0])
    rss_two = np.maximum(total - explained, 1e-300)
    values = (rss_one - rss_two) / (rss_two / (n - 2 * k))
    best = int(np.argmax(values))
    share = max(0.0, 1 - (rss_two[best] / (n - 2 * k)) / (rss_one / (n - k)))
    return float(values[best]), int(dates[best]) - 1, share


def _explained(grams: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """b' G^-1 b for stacked grams [m, k, k] and moments [m, k]."""
    inverse = np.linalg.pinv(grams, rcond=1e-12, hermitian=True)
    return np.einsum("mi,mij,mj->m", moments, inverse, moments)


def sup_f_p_value(statistic: float, k: int, trim: float = TRIM) -> float:
    """Tail of the supremum of the squared tied-down Bessel process (DeLong 1981, as given by Estrella 2003).

    Good to about 0.005 for p below 0.2, where it matters; capped at 1 above.
    """
    if statistic <= 0:
        return 1.0
    width = 2 * np.log((1 - trim) / trim)
    log_tail = (k / 2) * np.log(statistic / 2) - statistic / 2
    tail = np.exp(log_tail) / gamma(k / 2) if k < 300 else float(gammaincc(k / 2, statistic / 2))
    p = tail * (width * (1 - k / statistic) + 2 / statistic)
    mode_passed = statistic > k  # the expansion holds in the tail only
    return float(np.clip(p, 0.0, 1.0)) if mode_passed else 1.0


def _why_not(view: ArmView) -> str:
    if not view.ordered:
        return "the rows have no order in time"
    if view.extra.get("multi_step"):
        return "errors of several steps ahead overlap by construction; see the checks of one-step innovations"
    if view.series is not None:
        return "there are several series: no single order in time"
    return "" if view.n >= 40 else f"needs 40 rows in order, there are {view.n}"


def check_cusum(view: ArmView) -> Check:
    entry = CATALOGUE["cusum"]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    found = ols_cusum(view.pearson - view.pearson.mean())
    said = f"the mean residual moves by {found.shift:+.2f} standard deviations after row {view.rows[found.at]}"
    details = {"row": int(view.rows[found.at]), "shift": found.shift}
    return entry.answer(
        view.arm, said, effect=abs(found.shift), statistic=found.statistic, p_value=found.p_value, details=details
    )


def check_sup_f(view: ArmView) -> Check:
    entry = CATALOGUE["sup_f"]
    if why := _why_not(view):
        return entry.not_applicable(view.arm, why)
    columns = view.base if view.base.shape[1] <= min(20, view.n // 100) else None
    if columns is None:  # too many coefficients to follow over time: level and slope of the fitted value
        columns = np.column_stack([view.weight, view.weight * view.eta])
    found = sup_f(view.pearson, columns * np.sqrt(view.n))
    if found is None:
        return entry.not_applicable(view.arm, f"too few rows ({view.n}) for {columns.shape[1]} coefficients")
    statistic, at, share = found
    p_value = sup_f_p_value(statistic, columns.shape[1])
    said = f"other coefficients after row {view.rows[at]} would explain {share:.1%} of the residual variance"
    return entry.answer(
        view.arm, said, effect=share, statistic=statistic, p_value=p_value,
        details={"row": int(view.rows[at]), "coefficients": columns.shape[1]},
    )  # fmt: skip
