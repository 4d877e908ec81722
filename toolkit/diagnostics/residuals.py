"""Residuals of every arm on the same rows: over fitted values and features, in space, and shared by two arms."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import SplineTransformer

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.features import Bins, cut_number
from toolkit.diagnostics.least_squares import basis, residualise
from toolkit.diagnostics.view import ArmView

__all__ = [
    "Smooth",
    "check_residuals_by_feature",
    "check_residuals_by_fitted",
    "check_shared_residuals",
    "check_spatial",
    "morans_i",
    "smooth",
]

NEIGHBOURS = 8
CURVES = 40  # features whose curve is kept for the report, the worst first


class Smooth(NamedTuple):
    """Mean residual over one feature, with a pointwise 95 % band."""

    at: np.ndarray  # [bins], feature values
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    statistic: float  # F
    p_value: float
    share: float  # of the residual variance, adjusted


def smooth(bins: Bins, residual: np.ndarray) -> Smooth | None:
    """Cubic spline through the bin means, weighted by their sizes, with a covariance that allows unequal variance.

    Binning first makes the cost of a curve linear in the rows with a small constant. The test is a Wald test that the
    curve is flat.
    """
    inside = bins.code >= 0
    code, e = bins.code[inside], residual[inside]
    count = np.bincount(code).astype(float)
    if len(count) < 2 or count.min() < 2:
        return None
    e = e - e.mean()
    mean = np.bincount(code, weights=e) / count
    within = np.bincount(code, weights=e**2) - count * mean**2
    pooled = within.sum() / (len(e) - len(count))
    # a bin's own variance is noisy: shrink it towards the pooled one with the weight of 10 rows
    variance = (within + 10 * pooled) / (count - 1 + 10) / count
    columns = np.eye(len(count))
    if bins.numeric and len(count) > 8:
        columns = _spline(len(count))
    centred = columns - (count @ columns) / count.sum()
    values, vectors = np.linalg.eigh(centred.T @ (centred * count[:, None]))
    keep = values > 1e-9 * values[-1]
    q = centred @ (vectors[:, keep] / np.sqrt(values[keep]))  # orthonormal under the bin sizes
    coefficients = q.T @ (count * mean)
    covariance = (q * (count**2 * variance)[:, None]).T @ q
    df = q.shape[1]
    left = len(e) - len(count)
    total = float(e @ e)
    if left < 5 or total <= 0 or df == 0:
        return None
    statistic = float(coefficients @ np.linalg.pinv(covariance, hermitian=True) @ coefficients) / df
    curve = q @ coefficients
    band = 1.96 * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", q, covariance, q), 0))
    explained = float(coefficients @ coefficients)
    share = max(0.0, 1 - ((total - explained) / (len(e) - 1 - df)) / (total / (len(e) - 1)))
    return Smooth(
        bins.centres, curve, curve - band, curve + band, statistic, float(stats.f.sf(statistic, df, left)), share
    )


@lru_cache
def _spline(bins: int) -> np.ndarray:
    """Cubic B-splines at the places of equally filled bins, [bins, 6]."""
    place = (np.arange(bins) / (bins - 1))[:, None]
    return SplineTransformer(n_knots=4, degree=3, extrapolation="continue").fit_transform(place)


def _curve(found: Smooth, labels: tuple[str, ...], numeric: bool) -> dict[str, object]:
    return {
        "at": found.at.tolist(), "labels": list(labels), "numeric": numeric, "mean": found.mean.tolist(),
        "lower": found.lower.tolist(), "upper": found.upper.tolist(), "share": found.share, "p_value": found.p_value,
    }  # fmt: skip


def check_residuals_by_fitted(view: ArmView) -> Check:
    entry = CATALOGUE["residuals_by_fitted"]
    if not view.distinct:
        return entry.not_applicable(view.arm, "the arm predicts one single value")
    bins = cut_number(view.predicted)
    # level and slope are the question of the calibration line; and out of fold they are off by the estimation error
    line = basis(np.column_stack([view.weight, view.weight * view.eta]))
    found = smooth(bins, residualise(view.pearson, line)) if len(bins.labels) > 1 else None
    if found is None:
        return entry.not_applicable(view.arm, f"too few rows ({view.n}) for a curve")
    said = f"a smooth over the fitted values explains {found.share:.1%} of the residual variance"
    return entry.answer(
        view.arm, said, effect=found.share, statistic=found.statistic, p_value=found.p_value,
        details={"curve": _curve(found, bins.labels, True)},
    )  # fmt: skip


def check_residuals_by_feature(view: ArmView) -> Check:
    entry = CATALOGUE["residuals_by_feature"]
    curves = {name: smooth(bins, view.pearson) for name, bins in view.features.bins.items()}
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if not known:
        return entry.not_applicable(view.arm, "no feature with enough rows for a curve")
    order = sorted(known, key=lambda name: (known[name].p_value, -known[name].share))
    worst = known[order[0]]
    p_value = min(1.0, worst.p_value * len(known))
    said = f"{order[0]} explains {worst.share:.1%} of the residual variance, the most of {len(known)} features"
    bins = view.features.bins
    details = {
        "feature": order[0],
        "curves": {name: _curve(known[name], bins[name].labels, bins[name].numeric) for name in order[:CURVES]},
    }
    return entry.answer(view.arm, said, effect=worst.share, statistic=worst.statistic, p_value=p_value, details=details)


def morans_i(values: np.ndarray, neighbours: np.ndarray) -> tuple[float, float, float]:
    """Moran's I, its z value and one-sided p-value (more alike than chance) under randomisation.

    Parameters
    ----------
    values : ndarray, [n]
    neighbours : ndarray, [n, k]
        Row positions of the k neighbours of each row, weight 1 / k each (as `spdep::moran.test` with row-standardised
        weights).
    """
    n, k = neighbours.shape
    e = values - values.mean()
    squares = float(e @ e)
    i = float(np.sum(e[:, None] * e[neighbours]) / k) / squares
    source = np.repeat(np.arange(n), k)
    target = neighbours.ravel()
    # pairs that name each other count twice in S1
    names = csr_array((np.ones(n * k), (source, target)), shape=(n, n))
    mutual = int(names.multiply(names.T).sum())
    s0 = float(n)
    s1 = (n * k + mutual) / k**2
    s2 = float(np.sum((1 + np.bincount(target, minlength=n) / k) ** 2))
    kurtosis = n * float(np.sum(e**4)) / squares**2
    mean = -1 / (n - 1)
    second = (
        n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2) - kurtosis * (n * (n - 1) * s1 - 2 * n * s2 + 6 * s0**2)
    ) / ((n - 1) * (n - 2) * (n - 3) * s0**2)
    z = (i - mean) / np.sqrt(second - mean**2)
    return i, float(z), float(stats.norm.sf(z))


def check_spatial(view: ArmView) -> Check:
    entry = CATALOGUE["spatial"]
    place = _coordinates(view)
    if place is None:
        return entry.not_applicable(view.arm, "no features called longitude and latitude")
    known = np.isfinite(place).all(axis=1)
    if known.sum() < 50:
        return entry.not_applicable(view.arm, f"needs 50 rows with a place, there are {int(known.sum())}")
    finder = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(place[known])
    near = finder.kneighbors(return_distance=False)[:, :NEIGHBOURS]
    i, z, p_value = morans_i(view.pearson[known], near)
    said = f"Moran's I over the {NEIGHBOURS} nearest neighbours is {i:+.2f}"
    return entry.answer(view.arm, said, effect=max(0.0, i), statistic=z, p_value=p_value)


def _coordinates(view: ArmView) -> np.ndarray | None:
    """Longitude (shrunk by the cosine of the latitude) and latitude, [n, 2]."""
    by_name = {name.lower(): values for name, values in view.features.raw.items()}
    longitude = next((by_name[name] for name in ("longitude", "long", "lon", "lng") if name in by_name), None)
    latitude = next((by_name[name] for name in ("latitude", "lat") if name in by_name), None)
    if longitude is None or latitude is None:
        return None
    return np.column_stack([longitude * np.cos(np.deg2rad(np.nanmean(latitude))), latitude])


def check_shared_residuals(one: ArmView, other: ArmView) -> tuple[Check, Check]:
    """The correlation of two arms' residuals, and what an equal mix of both would gain; the same answer for both."""
    entry = CATALOGUE["shared_residuals"]
    if one.n != other.n or not np.array_equal(one.rows, other.rows) or one.scale != other.scale:
        why = "the two sides did not predict the same rows"
        return entry.not_applicable(one.arm, why), entry.not_applicable(other.arm, why)
    a, b = one.residual, other.residual
    if a.std() <= 0 or b.std() <= 0:
        why = "one side has no residuals"
        return entry.not_applicable(one.arm, why), entry.not_applicable(other.arm, why)
    r = float(np.corrcoef(a, b)[0, 1])
    better, worse = (a, b) if np.mean(a**2) <= np.mean(b**2) else (b, a)
    mix = float(np.sqrt(np.mean(((a + b) / 2) ** 2)))
    fall = 1 - mix / float(np.sqrt(np.mean(better**2)))
    product = better * (better - worse)
    spread = product.std(ddof=1)
    t = float(product.mean() / (spread / np.sqrt(len(product)))) if spread > 0 else 0.0
    said = (
        f"residuals of {one.arm} and {other.arm} correlate with {r:.3f}; an equal mix moves the error by {-fall:+.1%}"
    )
    answer = partial(
        entry.answer, found=said, effect=max(0.0, fall), statistic=t, p_value=float(stats.norm.sf(t)), at_most="notice",
        details={"correlation": r, "mix": fall},
    )  # fmt: skip
    return answer(one.arm), answer(other.arm)
