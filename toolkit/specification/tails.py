"""Heavy tails: rows far from a normal fit count less, where rows are few and predictions gain from it.

Least squares is unbiased under a few wild rows, but wasteful: one row can hide a term. The weights are those of Student
t errors with 4 degrees of freedom at the residuals of the least-squares search (Lange, Little and Taylor, JASA 84,
1989, 881-896), taken once: iterated, the fit would listen to the core of the rows only, and its centre would no longer
run parallel to the mean. The mean that a squared-error metric rewards is the fitted centre plus the mean residual.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from toolkit.specification.likelihood import linear_predictor
from toolkit.specification.penalised import fit_sums
from toolkit.specification.result import SearchResult
from toolkit.specification.sample import added, out_of_fold_coefficients

__all__ = ["curvature", "plain_loss", "tail_weights"]

DEGREES = 4.0
SURE = 2.0  # standard errors by which Student t errors must be likelier than normal ones


def tail_weights(found: SearchResult, z: np.ndarray, data: dict[str, np.ndarray]) -> np.ndarray | None:
    """Weight of every row, [n], between 0 and 1.25; None where normal errors are as likely."""
    fit = fit_sums(added(found.sums), found.design.groups, found.penalty, steps=0)
    squares = (z - linear_predictor(found.design, data, fit.beta, len(z))) ** 2
    variance = float(squares.mean())
    if variance <= 0:
        return None
    scale = variance
    for _ in range(100):
        before, scale = scale, float(np.mean((DEGREES + 1) * squares / (DEGREES + squares / scale)))
        if abs(scale - before) < 1e-6 * before:
            break
    normal = stats.norm.logpdf(np.sqrt(squares / variance)) - 0.5 * np.log(variance)
    student = stats.t.logpdf(np.sqrt(squares / scale), DEGREES) - 0.5 * np.log(scale)
    gain = student - normal
    if gain.mean() <= SURE * gain.std(ddof=1) / np.sqrt(len(gain)):
        return None
    return (DEGREES + 1) / (DEGREES + squares / scale)


def plain_loss(found: SearchResult, weight: np.ndarray | None) -> float:
    """Squared error out of fold without the weights of the tails, of centres moved by the mean residual.

    Parameters
    ----------
    weight : ndarray, [n], optional
        The user's weights.
    """
    own = None if weight is None else weight[found.sample.rows]
    plain = replace(found.sample, w=own).sums(found.design)
    betas = out_of_fold_coefficients(found.sums, found.design.groups, found.penalty)
    whole, loss = added(plain), 0.0
    for one, beta in zip(plain, betas, strict=True):
        rest = whole - one
        moved = beta.copy()
        moved[0] += (rest.xy[0] - rest.xx[0] @ beta) / rest.xx[0, 0]
        loss += one.squared_error(moved)
    return loss


def curvature(tails: np.ndarray) -> np.ndarray:
    """Slope of the score at the residual of each row, where `tails` is score over residual, [n]; below 0 far out."""
    return tails * (2 * DEGREES / (DEGREES + 1) * tails - 1)
