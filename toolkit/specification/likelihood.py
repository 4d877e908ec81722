"""Penalised fits of one family to one design: least squares, or weighted least squares on a working response."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.specification.family import Family
from toolkit.specification.penalised import Fit, Sums, accumulate, fit_sums
from toolkit.specification.terms import CHUNK, Design

__all__ = ["Rows", "fit_family", "linear_predictor", "working_sums"]

KEPT_CELLS = 3e7  # designs up to this many numbers are made once and kept, 240 MB
ITERATIONS = 25
CHANGE = 1e-6  # relative change of the mean log likelihood that ends the iterations


@dataclass
class Rows:
    """Rows of variables and the design made of them, kept in memory where it is small."""

    design: Design
    data: dict[str, np.ndarray] = field(repr=False)
    n: int
    kept: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.kept is None and self.n * self.design.width <= KEPT_CELLS:
            self.kept = np.vstack([X for _, X in self.design.chunks(self.data, self.n)])

    def chunks(self):
        if self.kept is None:
            yield from self.design.chunks(self.data, self.n)
            return
        for start in range(0, self.n, CHUNK):
            rows = slice(start, min(start + CHUNK, self.n))
            yield rows, self.kept[rows]

    def predictor(self, beta: np.ndarray) -> np.ndarray:
        """Design times coefficients, [n]."""
        return np.concatenate([X @ beta for _, X in self.chunks()]) if self.n else np.zeros(0)

    def take(self, index: np.ndarray) -> Rows:
        """Some of the rows."""
        data = {name: values[index] for name, values in self.data.items()}
        return Rows(self.design, data, len(index), None if self.kept is None else self.kept[index])


@dataclass(frozen=True)
class FamilyFit:
    """A fit on the scale of the linear predictor."""

    fit: Fit = field(repr=False)
    shape: float  # dispersion, see Family.estimate_shape
    eta: np.ndarray = field(repr=False)  # [n]
    sums: Sums = field(repr=False)
    iterations: int = 1
    converged: bool = True


def fit_family(
    rows: Rows,
    y: np.ndarray,
    family: Family,
    weight: np.ndarray | None = None,
    penalty: np.ndarray | None = None,
    fixed: bool = False,
    start: np.ndarray | None = None,
) -> FamilyFit:
    """Fit one family.

    Parameters
    ----------
    y : ndarray, [n], target units
    weight : ndarray, [n], optional
    penalty : ndarray, [groups], optional
        Where the smoothing parameters start, or what they are when `fixed`.
    start : ndarray, [n], optional
        First linear predictor.
    """
    groups, width = rows.design.groups, rows.design.width
    steps = 0 if fixed else 60
    if family.is_normal:
        sums = accumulate(rows.chunks(), family.forward(y), weight, width)
        fit = fit_sums(sums, groups, penalty, steps=steps)
        eta = rows.predictor(fit.beta)
        return FamilyFit(fit, family.estimate_shape(y, eta, fit.edf.sum(), weight), eta, sums)
    eta = family.start(y) if start is None else start
    shape = 1.0 if start is None else family.estimate_shape(y, eta, 0.0, weight)
    previous, converged, fit = -np.inf, False, None
    for iteration in range(1, ITERATIONS + 1):
        sums = working_sums(rows, y, eta, shape, family, weight)
        scale = 1.0 if family.fixed_scale else None
        fit = fit_sums(sums, groups, penalty, sigma2=scale, steps=steps if iteration < 8 else 0)
        penalty = fit.penalty
        step = rows.predictor(fit.beta) - eta
        eta = eta + step if iteration == 1 and start is None else eta + np.clip(step, -4, 4)
        shape = family.estimate_shape(y, eta, fit.edf.sum(), weight)
        score = family.log_density(y, eta, shape)
        score = float(np.average(score, weights=weight))
        if iteration > 2 and abs(score - previous) < CHANGE * (abs(previous) + 0.1):
            converged = True
            break
        previous = score
    return FamilyFit(fit, shape, rows.predictor(fit.beta), sums, iteration, converged)


def working_sums(
    rows: Rows, y: np.ndarray, eta: np.ndarray, shape: float, family: Family, weight: np.ndarray | None
) -> Sums:
    """Sums of the working response at a linear predictor."""
    if family.is_normal:
        return accumulate(rows.chunks(), family.forward(y), weight, rows.design.width)
    z, w = family.working(y, eta, shape)
    return accumulate(rows.chunks(), z, w if weight is None else w * weight, rows.design.width)


def linear_predictor(design: Design, data: dict[str, np.ndarray], beta: np.ndarray, n: int) -> np.ndarray:
    """Design times coefficients for new rows, [n]."""
    return Rows(design, data, n).predictor(beta)
