"""Penalised bases of one variable, turned so that the penalty is a plain ridge on each coefficient.

A smooth is a straight line plus a bend. The bend is a natural cubic regression spline in the Demmler-Reinsch basis of
the training values: columns are orthogonal to each other, to the constant and to the line, and column j is scaled by
the square root of its share of the curvature penalty, so that one ridge parameter is the smoothing parameter
(Wood, Generalized Additive Models, 2nd ed. 2017, sections 5.3 and 5.4; Nychka and Cummins 1996).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.interpolate import CubicSpline, PPoly
from scipy.linalg import eigh

from toolkit.specification.columns import Variable

__all__ = ["FACTOR", "LINE", "Marginal", "learn_marginal", "with_room"]

LINE, BEND, FINE, FACTOR = 0, 1, 2, 3  # parts of a marginal: straight line, slow bends, fast bends, levels
SLOW_BENDS = 4  # the first bends share one smoothing parameter, the rest another
FEW_VALUES = 40  # up to here every distinct value may be a knot
ROWS_PER_KNOT = 10
ROWS_PER_LINE = 10  # with fewer, free lines would cost more than a ninth of the error variance (Harrell 2015, 4.4)


@dataclass(frozen=True)
class Marginal:
    """Columns that one variable makes: `part` tells the kind of each.

    Attributes
    ----------
    variable : Variable
    part : ndarray of int, [k]
        LINE, BEND, FINE or FACTOR.
    curve : PPoly or None
        The bends as piecewise polynomials of the standardised value, linear outside the outer knots.
    crowded : bool
        Whether its line shares a penalty with the lines of all other variables, see `with_room`.
    """

    variable: Variable
    part: np.ndarray = field(repr=False)
    curve: PPoly | None = field(default=None, repr=False)
    knots: np.ndarray | None = field(default=None, repr=False)
    crowded: bool = False

    @property
    def width(self) -> int:
        return len(self.part)

    def columns(self, values: np.ndarray, width: int, inside: bool = False) -> np.ndarray:
        """First `width` columns, [n, width]; `inside` ends the line where the bends end, for interactions."""
        variable = self.variable
        if variable.kind == "factor":
            return (values[:, None] == np.arange(width)).astype(float)
        if variable.kind == "cyclic":
            return fourier(values, variable.period, width)
        clipped = np.clip(values, *variable.inner)
        line = (clipped if inside else values)[:, None]
        if self.curve is None or width == 1:
            return line
        return np.hstack([line, self.curve(clipped)[:, : width - 1]])


def learn_marginal(variable: Variable, values: np.ndarray, most_knots: int) -> Marginal:
    """Basis of one variable from its training values [n]."""
    if variable.kind == "factor":
        return Marginal(variable, np.full(len(variable.levels), FACTOR))
    if variable.kind == "cyclic":
        width = int(min(variable.distinct - 1, 2 * (most_knots // 2)))
        return Marginal(variable, bands(width))
    values = np.clip(values, *variable.inner)
    knots = place_knots(values, most_knots)
    if len(knots) < 3:
        return Marginal(variable, np.array([LINE]))
    curve = demmler_reinsch(values, knots)
    return Marginal(variable, np.concatenate([[LINE], bands(len(knots) - 2)]), curve, knots)


def with_room(marginals: dict[str, Marginal], n: int) -> dict[str, Marginal]:
    """The marginals, their straight lines marked as crowded where `n` rows are too few to leave all of them free.

    Least squares on p free lines multiplies the error variance by about 1 + p / (n - p); with as many lines as rows it
    repeats the noise. There the lines become random effects of one variance, a ridge whose size is estimated.
    """
    lines = sum(LINE in marginal.part for marginal in marginals.values())
    return {name: replace(one, crowded=n < ROWS_PER_LINE * lines) for name, one in marginals.items()}


def bands(width: int) -> np.ndarray:
    return np.where(np.arange(width) < SLOW_BENDS, BEND, FINE)


def place_knots(values: np.ndarray, most: int) -> np.ndarray:
    """Every distinct value where there are few and each is well filled, else quantiles, [k]."""
    distinct, counts = np.unique(values, return_counts=True)
    most = int(max(3, min(most, len(values) / ROWS_PER_KNOT)))
    if len(distinct) <= most:
        return distinct
    if len(distinct) <= FEW_VALUES and np.median(counts) >= 2 * ROWS_PER_KNOT:
        return distinct
    # Quantiles of all rows and of the distinct values, half and half: ties must not eat the knots
    grid = np.linspace(0, 1, most)
    mixed = 0.5 * (np.quantile(values, grid) + np.quantile(distinct, grid))
    return np.unique(mixed)


def demmler_reinsch(values: np.ndarray, knots: np.ndarray) -> PPoly:
    """Bends [k - 2] of a natural cubic spline with these knots, slowest first, the first with unit variance."""
    cardinal = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    inside = np.clip(values, knots[0], knots[-1])
    B = cardinal(inside)  # [n, k]
    gram = B.T @ B / len(B)
    penalty = curvature(knots)
    gram += 1e-8 * np.trace(gram) / len(gram) * np.eye(len(gram))
    roughness, vectors = eigh(penalty, gram)
    # The two smallest are the constant and the line; the rest are bends
    vectors = vectors[:, 2:] * np.sqrt(roughness[2] / roughness[2:])
    return with_linear_tails(CubicSpline(knots, vectors, bc_type="natural"))


def curvature(knots: np.ndarray) -> np.ndarray:
    """Integral of the squared second derivative as a quadratic form in the values at the knots, [k, k]."""
    h = np.diff(knots)
    k = len(knots)
    D, B = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    rows = np.arange(k - 2)
    D[rows, rows], D[rows, rows + 1], D[rows, rows + 2] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    B[rows, rows] = (h[:-1] + h[1:]) / 3
    B[rows[:-1], rows[:-1] + 1] = B[rows[1:], rows[1:] - 1] = h[1:-1] / 6
    return D.T @ np.linalg.solve(B, D)


def with_linear_tails(spline: CubicSpline) -> PPoly:
    """The same curve, continued by straight lines beyond the outer knots."""
    x = spline.x
    ends = []
    for at in (x[0], x[-1]):
        piece = np.zeros_like(spline.c[:, :1])
        piece[2, 0], piece[3, 0] = spline(at, 1), spline(at)
        ends.append(piece)
    ends[0][3, 0] -= ends[0][2, 0]  # its piece begins one unit to the left
    return PPoly(np.concatenate([ends[0], spline.c, ends[1]], axis=1), np.r_[x[0] - 1, x, x[-1] + 1])


def fourier(values: np.ndarray, period: float, width: int) -> np.ndarray:
    """Sines and cosines, slow ones first, scaled as the curvature of a periodic spline asks: frequency^-2."""
    columns = np.empty((len(values), width))
    for j in range(width):
        frequency = j // 2 + 1
        angle = 2 * np.pi * frequency * values / period
        columns[:, j] = (np.cos(angle) if j % 2 else np.sin(angle)) * np.sqrt(2) / frequency**2
    return columns
