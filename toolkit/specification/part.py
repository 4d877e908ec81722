"""A part of a specification: one family with its terms, fitted. Most regressions have one part, a hurdle model two."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import qr

from toolkit.specification.basis import Marginal
from toolkit.specification.columns import Finding, finding
from toolkit.specification.evidence import smeared
from toolkit.specification.family import FAMILIES, Family
from toolkit.specification.likelihood import FamilyFit, Rows, fit_family, linear_predictor
from toolkit.specification.penalised import Fit, fit_sums
from toolkit.specification.result import Rung, SearchResult
from toolkit.specification.sample import LEAST_ROWS, added
from toolkit.specification.search import main_effects, search
from toolkit.specification.steps import with_steps
from toolkit.specification.tails import plain_loss, tail_weights
from toolkit.specification.terms import SHARED, Design
from toolkit.specification.triples import with_triples

__all__ = ["Part", "specify_part"]

DEPENDENT = 1e-9  # pivot of the correlation matrix of the lines under which one repeats others
SEPARATED = 8.0  # |logit| that only separated data reach
MARGIN = 0.1  # predictions may leave the range of the training rows by this share of its width
PILED = 0.005  # share of rows at the very end of the range that make it a cap
SEARCH_ROWS = 50_000  # rows at which the additive fit that precedes the search looks


@dataclass(frozen=True)
class Part:
    """A fitted family with its terms.

    Attributes
    ----------
    fit : Fit
    shape : float
        Dispersion, see `Family.estimate_shape`.
    low, high : float
        Range that linear predictors of new rows are clipped to.
    residual : ndarray, [m]
        Residuals on the working scale, evenly thinned, for smearing.
    tails : ndarray, [n], or None
        Weights that heavy tails ask for, see `toolkit.specification.tails`.
    shift : float
        Mean residual on the working scale; zero without such weights.
    lowest, highest : float
        Range that point predictions are clipped to, target units.
    """

    family: Family
    design: Design = field(repr=False)
    fit: Fit = field(repr=False)
    shape: float
    low: float
    high: float
    residual: np.ndarray = field(repr=False)
    tails: np.ndarray | None = field(default=None, repr=False)
    shift: float = 0.0
    lowest: float = -np.inf
    highest: float = np.inf
    rungs: tuple[Rung, ...] = ()
    rung: str = ""
    iterations: int = 1
    converged: bool = True
    findings: tuple[Finding, ...] = ()

    def eta(self, data: dict[str, np.ndarray], n: int) -> np.ndarray:
        """Linear predictor of new rows, [n]."""
        return np.clip(linear_predictor(self.design, data, self.fit.beta, n), self.low, self.high)

    def point(self, eta: np.ndarray, functional: str) -> np.ndarray:
        """What a forecaster of this functional predicts, [n], target units."""
        return np.clip(self._point(eta, functional), self.lowest, self.highest)

    def _point(self, eta: np.ndarray, functional: str) -> np.ndarray:
        family = self.family
        if not family.is_normal:
            return family.truncated_mean(eta, self.shape) if family.name == "truncated_nb" else family.mean(eta)
        if functional == "median":
            return family.mean(eta + np.median(self.residual))
        if family.link == "identity" or functional == "log_mean":
            return family.mean(eta + self.shift)
        return smeared(family, eta, self.residual)


def specify_part(
    marginals: dict[str, Marginal],
    data: dict[str, np.ndarray],
    y: np.ndarray,
    family_name: str,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    interactions: bool,
    seed: int,
    sketch: bool = False,
) -> Part:
    """Search the terms of one family and fit them to all rows; a sketch leaves out fine surfaces, steps and tails."""
    family = FAMILIES[family_name]
    n = len(y)
    look = np.unique(np.linspace(0, n - 1, min(n, SEARCH_ROWS)).astype(int))
    part_data = {name: values[look] for name, values in data.items()}
    part_weight = None if weight is None else weight[look]
    some = None if groups is None else groups[look]

    def look_for(weight: np.ndarray | None) -> SearchResult:
        mains = Rows(Design.of(main_effects(marginals)), part_data, len(look))
        first = fit_family(mains, y[look], family, weight)
        start = (first.eta, first.shape)
        found = search(marginals, part_data, y[look], family, weight, start, some, interactions, seed, not sketch)
        return found if sketch else with_steps(with_triples(found, marginals), marginals)

    found, tails = look_for(part_weight), None
    if family.is_normal and n < LEAST_ROWS and not sketch:  # with more rows there is no need to be thrifty
        tails = tail_weights(found, family.forward(y), data)
        if tails is not None:
            again = look_for(both(tails, weight))
            if plain_loss(again, weight) < found.losses.sum():
                found = again
            else:
                tails = None
    rows, start = Rows(found.design, data, n), None
    if not family.is_normal:  # the working responses of the search have led to a first linear predictor
        start = rows.predictor(fit_sums(added(found.sums), found.design.groups, found.penalty, steps=0).beta)
    fitted = fit_family(rows, y, family, both(tails, weight), penalty=found.penalty, start=start)
    eta = fitted.eta
    reach = MARGIN * float(np.ptp(eta))
    thin = np.unique(np.linspace(0, n - 1, min(n, 20_000)).astype(int))
    residual = family.forward(y) - eta if family.is_normal else np.zeros(n)
    shift = 0.0 if tails is None else float(np.average(residual, weights=weight))
    return Part(
        family, found.design, fitted.fit, fitted.shape, float(eta.min()) - reach, float(eta.max()) + reach,
        residual[thin], tails, shift, *bounds(y, family), found.rungs, found.chosen, fitted.iterations,
        fitted.converged, tuple(doubts(found.design, fitted, family, tails)),
    )  # fmt: skip


def both(tails: np.ndarray | None, weight: np.ndarray | None) -> np.ndarray | None:
    """Product of two weights of which either may be missing."""
    return weight if tails is None else tails if weight is None else tails * weight


def bounds(y: np.ndarray, family: Family) -> tuple[float, float]:
    """What point predictions may be: a little beyond the targets seen, not at all beyond a value that many rows have.

    Many rows at the largest value are a cap (censored prices, a full scale); no mean lies above a cap.
    """
    low, high = float(y.min()), float(y.max())
    reach = MARGIN * (high - low)
    low_reach, high_reach = (0.0 if np.sum(y == end) > max(PILED * len(y), 5) else reach for end in (low, high))
    if family.support == "binary":
        return 0.0, 1.0
    if family.support in ("positive", "nonnegative", "count"):
        return max(low - low_reach, 0.0 if low >= 0 else -np.inf), high + high_reach
    return low - low_reach, high + high_reach


def crowding(design: Design, fitted: FamilyFit) -> list[Finding]:
    """Whether the lines are shrunk together because the rows are few."""
    lines = sum(SHARED in term.groups for term in design.terms)
    if not lines:
        return []
    n = round(fitted.sums.n)
    message = f"{lines} straight lines for {n} rows: their coefficients are shrunk together towards zero"
    name = "more columns than rows" if lines > n else "few rows for the columns"
    return [finding(name, "", message, "choose columns, or collect rows")]


def doubts(design: Design, fitted: FamilyFit, family: Family, tails: np.ndarray | None) -> list[Finding]:
    """What the reader of a fit must know: columns that repeat others, rows that are predicted with certainty."""
    found = []
    lines = np.flatnonzero(design.groups < 0)
    gram = fitted.sums.xx[np.ix_(lines, lines)]
    size = np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
    _, R, order = qr(gram / np.outer(size, size), pivoting=True)
    pivots = np.abs(np.diagonal(R))
    for position in order[pivots < DEPENDENT * pivots[0]]:
        name = design.terms[design.owner[lines[position]]].name if position else "constant"
        message = f"column '{name}' is a combination of others: its coefficient is shared among them"
        found.append(finding("perfect collinearity", name, message, "drop one of them to read the coefficients"))
    found += crowding(design, fitted)
    if family.name == "logistic" and np.mean(np.abs(fitted.eta) > SEPARATED) > 0.5:
        message = (
            "the columns separate the two outcomes (nearly) completely: coefficients and their errors are not finite"
        )
        found.append(finding("complete separation", "", message, "look for a column that gives the answer away"))
    if tails is not None:
        message = f"errors have heavy tails: {np.mean(tails < 0.5):.1%} of the rows count less than half in the fit"
        found.append(finding("heavy tails", "", message, "look at the rows with the largest residuals"))
    if not fitted.converged:
        message = f"the fit of the {family.label} family stopped after {fitted.iterations} steps without settling"
        found.append(finding("no convergence", "", message, "compare with another family"))
    return found
