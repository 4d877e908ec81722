"""Outside the training data, and the optimism of a fit on its own rows."""

from __future__ import annotations

import numpy as np
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.features import Features
from toolkit.diagnostics.least_squares import GLM_FAMILIES, basis, fit_glm
from toolkit.diagnostics.slices import standard_loss
from toolkit.diagnostics.view import ArmView

__all__ = ["bootstrap_optimism", "check_optimism", "check_outside_hull", "outside_hull"]

DRAWS = 50
BOOTSTRAP_ROWS = 20_000


def outside_hull(features: Features, train: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Whether each judging row lies outside the ellipsoid around the training rows, [n_judge] of bool.

    Parameters
    ----------
    features : Features
        Of all rows of the data.
    train, judge : ndarray
        Row positions.

    Notes
    -----
    Cook's (1979) hull: the smallest ellipsoid of constant leverage that holds every training row. A row outside it is
    an extrapolation in at least one direction, also where every single feature is within its range.
    """
    columns = np.column_stack([np.ones(features.n), features.linear])
    a = columns[train]
    norms = np.sqrt((a**2).sum(axis=0))
    known = norms > 0
    scaled = a[:, known] / norms[known]
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    keep = values > 1e-10 * values[-1]
    to_q = (vectors[:, keep] / np.sqrt(values[keep])) / norms[known][:, None]
    largest = float(((a[:, known] @ to_q) ** 2).sum(axis=1).max())
    new = (columns[judge][:, ~known] != 0).any(axis=1)  # a level that no training row has
    return (((columns[judge][:, known] @ to_q) ** 2).sum(axis=1) > largest * (1 + 1e-9)) | new


def check_outside_hull(view: ArmView, outside: np.ndarray | None) -> Check:
    """`outside`: per row of the view, or None where the hull could not be made."""
    entry = CATALOGUE["outside_hull"]
    if outside is None:
        return entry.not_applicable(view.arm, "no features, or too many for the training rows")
    m = int(outside.sum())
    if m in (0, view.n):
        said = "no judging row lies outside the training hull" if m == 0 else "every row lies outside the training hull"
        return entry.answer(view.arm, said, effect=0.0, details={"share": m / view.n})
    loss = standard_loss(view)
    inside_mean = float(loss[~outside].mean())
    if inside_mean <= 0:
        return entry.not_applicable(view.arm, "no loss inside the hull")
    rise = float(loss.mean()) / inside_mean - 1
    p_value = float(stats.mannwhitneyu(loss[outside], loss[~outside], alternative="greater").pvalue)
    ratio = float(loss[outside].mean()) / inside_mean
    said = f"{m:,} of {view.n:,} rows lie outside the training hull, with {ratio:.2f} times the loss of the others"
    details = {"share": m / view.n, "ratio": ratio}
    return entry.answer(view.arm, said, effect=max(0.0, rise), statistic=ratio, p_value=p_value, details=details)


def bootstrap_optimism(
    columns: np.ndarray, y: np.ndarray, family: str = "gaussian", draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Apparent loss, its optimism, and the standard error of the optimism over draws.

    The loss is the mean squared Pearson residual. Each draw resamples rows, refits (one weighted least-squares step
    from the fit on all rows, exact for the Gaussian), and compares the loss on all rows with that on the drawn ones.
    """
    n = len(y)
    rng = np.random.default_rng(seed)
    _, mean = fit_glm(columns, y, family)
    _, variance, slope = GLM_FAMILIES[family]
    v = np.maximum(variance(mean), 1e-12)
    q = basis(columns * (slope(mean) / np.sqrt(v))[:, None])
    e = (y - mean) / np.sqrt(v)
    apparent = float(np.mean(e**2))
    optimism = np.empty(draws)
    for draw in range(draws):
        weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        weighted = q * weight[:, None]
        step = np.linalg.lstsq(weighted.T @ q, weighted.T @ e, rcond=1e-10)[0]
        squared = (e - q @ step) ** 2
        optimism[draw] = squared.mean() - (weight @ squared) / n
    return apparent, float(optimism.mean()), float(optimism.std(ddof=1) / np.sqrt(draws))


def check_optimism(view: ArmView, columns: np.ndarray | None, y: np.ndarray, family: str, why: str = "") -> Check:
    """`columns`: design with the constant of an unpenalised regression; None with a reason `why` otherwise."""
    entry = CATALOGUE["optimism"]
    if columns is None:
        return entry.not_applicable(view.arm, why)
    if len(y) < 2 * columns.shape[1] + 10:
        return entry.not_applicable(view.arm, f"{columns.shape[1]} coefficients for {len(y)} rows")
    rows = np.arange(len(y))
    if len(rows) > BOOTSTRAP_ROWS:
        rows = np.random.default_rng(view.seed).choice(len(y), BOOTSTRAP_ROWS, replace=False)
    apparent, optimism, error = bootstrap_optimism(columns[rows], y[rows], family, seed=view.seed)
    if apparent <= 0:
        return entry.not_applicable(view.arm, "a perfect fit on its own rows")
    effect = optimism / apparent * len(rows) / len(y)  # optimism falls with the rows
    said = f"the loss on its own rows is {effect:.1%} too small ({columns.shape[1]} coefficients, {len(y):,} rows)"
    return entry.answer(view.arm, said, effect=max(0.0, effect), statistic=optimism, details={"standard_error": error})
