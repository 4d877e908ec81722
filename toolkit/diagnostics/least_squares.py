"""Small linear algebra that the checks share: bases, partial tests with robust covariance, a quick GLM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["GLM_FAMILIES", "Partial", "basis", "fit_glm", "partial_test", "residualise", "variance_of"]


def basis(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the column space, [n, rank], by two passes through the Gram matrix.

    Columns are scaled first; directions below 1e-10 of the largest eigenvalue count as dependent. Twice through the
    Gram matrix is as exact as QR (CholeskyQR2) and several times faster for tall tables.
    """
    norms = np.sqrt((columns**2).sum(axis=0))
    scaled = columns[:, norms > 0] / norms[norms > 0]
    for _ in range(2):
        if scaled.shape[1] == 0:
            return scaled
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        keep = values > 1e-10 * values[-1]
        scaled = scaled @ (vectors[:, keep] / np.sqrt(values[keep]))
    return scaled


def residualise(values: np.ndarray, q: np.ndarray) -> np.ndarray:
    """`values` ([n] or [n, m]) minus their projection on the orthonormal `q` [n, k]."""
    return values - q @ (q.T @ values)


class Partial(NamedTuple):
    """Do the extra columns explain the response once the base is there?"""

    statistic: float  # F
    p_value: float
    share: float  # adjusted partial R2, not below zero
    df: tuple[int, int]


def partial_test(response: np.ndarray, base: np.ndarray, extra: np.ndarray, robust: bool = True) -> Partial | None:
    """F test that `extra` [n, q] adds nothing to the orthonormal `base` [n, k] for `response` [n].

    Parameters
    ----------
    robust : bool
        HC3 covariance (MacKinnon and White 1985); else the classical F.

    Returns
    -------
    Partial or None
        None when fewer than five degrees of freedom remain or nothing is left to explain.
    """
    n, k = base.shape
    added = _independent(extra, base)
    q = added.shape[1]
    left = n - k - q
    outcome = residualise(response, base)
    total = float(outcome @ outcome)
    if q == 0 or left < 5 or total <= 1e-20 * float(response @ response + 1e-300):
        return None
    coefficients = added.T @ outcome
    residual = outcome - added @ coefficients
    rss = float(residual @ residual)
    share = max(0.0, 1.0 - (rss / left) / (total / (n - k)))
    if robust:
        hat = np.minimum((base**2).sum(axis=1) + (added**2).sum(axis=1), 1 - 1e-8)
        scores = added * (residual / (1 - hat))[:, None]
        statistic = float(coefficients @ np.linalg.pinv(scores.T @ scores, hermitian=True) @ coefficients) / q
    else:
        statistic = float("inf") if rss <= 0 else (total - rss) / q / (rss / left)
    return Partial(statistic, float(stats.f.sf(statistic, q, left)), share, (q, left))


def _independent(extra: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what `extra` has beyond `base`."""
    norms = np.sqrt((extra**2).sum(axis=0))
    extra = extra[:, norms > 0] / norms[norms > 0]
    rest = residualise(extra, base)
    new = np.sqrt((rest**2).sum(axis=0)) > 1e-6  # the remainder of a dependent column is rounding
    return basis(residualise(rest[:, new], base))


# family -> (mean from the linear predictor, variance from the mean, slope of the mean in the linear predictor)
GLM_FAMILIES = {
    "gaussian": (lambda eta: eta, lambda mu: np.ones_like(mu), lambda mu: np.ones_like(mu)),
    "gaussian_log": (np.exp, lambda mu: np.ones_like(mu), lambda mu: mu),
    "poisson": (np.exp, lambda mu: mu, lambda mu: mu),
    "gamma": (np.exp, lambda mu: mu**2, lambda mu: mu),
    "binomial": (lambda eta: 1 / (1 + np.exp(-eta)), lambda mu: mu * (1 - mu), lambda mu: mu * (1 - mu)),
}
_LINKS = {
    "gaussian": lambda mu: mu,
    "gaussian_log": np.log,
    "poisson": np.log,
    "gamma": np.log,
    "binomial": lambda mu: np.log(mu / (1 - mu)),
}


def variance_of(family: str, mu: np.ndarray, alpha: float = 0.0) -> np.ndarray:
    """Variance up to the dispersion; `alpha` adds the negative binomial's alpha mu^2."""
    return np.maximum(GLM_FAMILIES[family][1](mu) + alpha * mu**2, 1e-12)


def fit_glm(x: np.ndarray, y: np.ndarray, family: str, steps: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [p] and means [n] by iteratively reweighted least squares (McCullagh and Nelder 1989).

    The linear predictor is kept within +-30, so that separated classes give large but finite coefficients.
    """
    mean, variance, slope = GLM_FAMILIES[family]
    if family == "gaussian":
        coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
        return coefficients, x @ coefficients
    start = (y + y.mean()) / 2 if family != "binomial" else (y + 0.5) / 2
    eta = _LINKS[family](np.maximum(start, 1e-3))
    deviation = np.inf
    for _ in range(steps):
        mu = mean(eta)
        weight = np.maximum(slope(mu) ** 2 / np.maximum(variance(mu), 1e-12), 1e-10)
        working = eta + (y - mu) / np.maximum(slope(mu), 1e-10)
        weighted = x * weight[:, None]
        coefficients = np.linalg.lstsq(weighted.T @ x, weighted.T @ working, rcond=1e-12)[0]
        eta = np.clip(x @ coefficients, -30, 30)
        change = float(np.mean(weight * (y - mean(eta)) ** 2))
        if abs(change - deviation) <= 1e-10 * (abs(change) + 1e-10):
            break
        deviation = change
    return coefficients, mean(eta)
