"""Steps: a jump of the target where a number passes a threshold, for everybody or within one group.

A bend follows a jump only slowly. After the search every number is scanned for the threshold, and every group for the
part, at which a step column would explain most of what is left: the score statistic of the column given all terms,

    (s'W(z - eta))² / (sigma² s'W(I - H)s),

with H the penalised hat matrix. The best step joins the terms if it also predicts better out of fold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solve_triangular

from toolkit.specification.basis import LINE, Marginal
from toolkit.specification.columns import Variable
from toolkit.specification.penalised import Fit, fit_sums
from toolkit.specification.result import SearchResult
from toolkit.specification.sample import added
from toolkit.specification.search import better_of
from toolkit.specification.terms import FREE, Term

__all__ = ["StepMarginal", "with_steps"]

ROWS = 5_000  # evenly spread rows that are scanned
COLUMNS = 400  # step columns that are tried at a time
CUTS = (6, 30)  # thresholds tried for a number, least and most; the best is then refined
MOST_STEPS = 3
MOST_LEVELS = 6  # factors with more levels are no groups for steps
FEWEST = 20  # scanned rows on either side of a threshold
OWN = 1e-3  # share of a step column that the other terms must leave unexplained, for the sake of arithmetic
BEYOND = 1.0  # standard errors by which a step must predict better out of fold
ALIKE = 3.84  # of the score statistic: thresholds within it of the best are as likely
SURE = 10.0  # of the score statistic beyond 2 log(columns tried): about one false step in 300 searches


@dataclass(frozen=True)
class StepMarginal:
    """A column of zeros and ones: a number at or above a threshold, or one level of a factor.

    Attributes
    ----------
    variable : Variable
    at : float
        The threshold on the variable's standardised scale, or the code of the level.
    shown : float or str
        The threshold in the units of the column, or the level.
    """

    variable: Variable
    at: float
    shown: float | str
    part: np.ndarray = field(default_factory=lambda: np.array([LINE]), repr=False)

    @property
    def width(self) -> int:
        return 1

    def columns(self, values: np.ndarray, width: int = 1, inside: bool = False) -> np.ndarray:
        """The column, [n, 1]."""
        hit = values == self.at if isinstance(self.shown, str) else values >= self.at
        return hit[:, None].astype(float)

    def __str__(self) -> str:
        return f"{self.variable.name} {'=' if isinstance(self.shown, str) else '>='} {self.shown}"


def with_steps(found: SearchResult, marginals: dict[str, Marginal]) -> SearchResult:
    """The result with the steps that the rows ask for."""
    for _ in range(MOST_STEPS):
        term = best_step(found, marginals)
        if term is None:
            break
        sample = found.sample
        sums = sample.widened(found.sums, found.design, term.columns(sample.data))
        better = better_of(found, (*found.terms, term), sums, f"{found.chosen}, {term.name}", found.penalty, BEYOND)
        if better is found:
            break
        found = better
    return found


def best_step(found: SearchResult, marginals: dict[str, Marginal]) -> Term | None:
    """The step with the largest score, if it is beyond chance."""
    sample = found.sample
    rows = np.unique(np.linspace(0, sample.n - 1, min(sample.n, ROWS)).astype(int))
    data, z, w = sample.take(rows)
    scan = Scan(found, data, z, np.ones(len(z)) if w is None else w, sample.n / len(rows))
    numbers = [m.variable for m in marginals.values() if m.variable.kind == "number" and m.variable.distinct > 8]
    groups = [(), *((level,) for m in marginals.values() for level in levels_of(m.variable))]
    room = max(COLUMNS // max(len(numbers), 1), 1)
    groups = groups[: max(room // CUTS[0], 1)]
    count = int(np.clip(room // len(groups), *CUTS))
    pairs = [(variable, group) for variable in numbers for group in groups if group[:1] != (variable.name,)]
    candidates = [
        (StepMarginal(variable, cut, 0.0), *group)
        for variable, group in pairs
        for cut in cuts_of(data[variable.name], count)
    ]
    if not candidates:
        return None
    scores = scan.scores(candidates)
    best = candidates[int(scores.argmax())]
    variable = best[0].variable
    values = data[variable.name]
    inside = values[scan.column(best[1:]) > 0] if best[1:] else values
    near = between(inside, cuts_of(values, count), best[0].at)
    closer = [(StepMarginal(variable, cut, 0.0), *best[1:]) for cut in near]
    finer = scan.scores(closer)
    if finer.max() < 2 * np.log(len(candidates) + len(closer)) + SURE:
        return None
    low, high = likely(near, finer)
    chosen = (rounded(variable, inside, low, high), *best[1:])
    name = " & ".join(str(one) for one in chosen)
    variables = tuple(one.variable.name for one in chosen)
    if any(term.kind == "step" and term.variables == variables for term in found.terms):
        return None  # one threshold for each number and group; more of them are a bend
    return Term(name, "step", chosen, (1,) * len(chosen), np.array([FREE]))


class Scan:
    """Score statistics of step columns given the terms of a search."""

    def __init__(self, found: SearchResult, data: dict[str, np.ndarray], z: np.ndarray, w: np.ndarray, times: float):
        design = found.design
        self.fit: Fit = fit_sums(added(found.sums), design.groups, found.penalty, steps=0)
        self.data, self.w, self.times = data, w, times
        self.X = design.columns(data)[:, self.fit.active]
        self.score = w * (z - self.X @ self.fit.beta[self.fit.active])

    def scores(self, candidates: list[tuple[StepMarginal, ...]]) -> np.ndarray:
        """Score statistic of each candidate, [c]; 0 for columns that say nothing."""
        S = np.column_stack([self.column(one) for one in candidates])
        weighted = S * self.w[:, None]
        explained = solve_triangular(self.fit.factor, self.times * (self.X.T @ weighted), lower=True)
        whole = self.times * np.einsum("ij,ij->j", weighted, S)
        own = whole - np.einsum("ij,ij->j", explained, explained)
        counts = S.sum(axis=0)
        statistic = self.times * (self.score @ S) ** 2 / (self.fit.sigma2 * np.maximum(own, 1e-300))
        return np.where((own > OWN * whole) & (counts >= FEWEST), statistic, 0.0)

    def column(self, candidate: tuple[StepMarginal, ...]) -> np.ndarray:
        hits = [one.columns(self.data[one.variable.name])[:, 0] for one in candidate]
        return np.prod(hits, axis=0)


def levels_of(variable: Variable) -> list[StepMarginal]:
    """Groups that a variable makes: the levels of a factor with few; of two-valued numbers the larger value."""
    if variable.kind == "factor" and variable.distinct <= MOST_LEVELS:
        return [StepMarginal(variable, float(code), level) for code, level in enumerate(variable.levels)]
    return []


def cuts_of(values: np.ndarray, count: int) -> np.ndarray:
    """Thresholds at quantiles, away from the ends."""
    ordered = np.sort(values)
    if len(ordered) <= 2 * FEWEST:
        return np.zeros(0)
    grid = np.quantile(ordered, np.linspace(0, 1, count + 2)[1:-1], method="higher")
    return np.unique(grid[(grid > ordered[FEWEST - 1]) & (grid <= ordered[-FEWEST])])


def between(values: np.ndarray, cuts: np.ndarray, at: float) -> np.ndarray:
    """Distinct values around a threshold, up to its neighbours."""
    place = int(np.searchsorted(cuts, at))
    low = cuts[place - 1] if place else at
    high = cuts[place + 1] if place + 1 < len(cuts) else at
    inside = np.unique(values[(values >= low) & (values <= high)])
    return inside[np.unique(np.linspace(0, len(inside) - 1, min(len(inside), 60)).astype(int))]


def likely(cuts: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Smallest and largest threshold around the best that the rows cannot tell from it."""
    good = scores > scores.max() - ALIKE
    best = int(scores.argmax())
    first = best - int(np.argmin(np.r_[good[:best][::-1], False]))
    last = best + int(np.argmin(np.r_[good[best + 1 :], False]))
    return float(cuts[first]), float(cuts[last])


def rounded(variable: Variable, values: np.ndarray, low: float, high: float) -> StepMarginal:
    """The number with the fewest digits among thresholds from `low` to `high`: people draw lines at round numbers."""
    below = values[values < low]
    least = float(variable.to_raw(np.array([below.max() if len(below) else low]))[0])
    first, most = (float(variable.to_raw(np.array([end]))[0]) for end in (low, high))
    for digits in range(1, 12):
        for shown in (float(f"{value:.{digits}g}") for value in ((first + most) / 2, first, most)):
            if least < shown <= most:
                return StepMarginal(variable, float(variable.standardised(np.array([shown]))[0]), shown)
    return StepMarginal(variable, low, first)
