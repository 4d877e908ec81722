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
from toolkit.specification.penalised import Fit
from toolkit.specification.search import Rung, main_effects, search
from toolkit.specification.terms import Design

__all__ = ["Part", "specify_part"]

DEPENDENT = 1e-9  # pivot of the correlation matrix of the lines under which one repeats others
SEPARATED = 8.0  # |logit| that only separated data reach
MARGIN = 0.1  # linear predictors may leave the range of the fitted ones by this share of its width
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
    """

    family: Family
    design: Design = field(repr=False)
    fit: Fit = field(repr=False)
    shape: float
    low: float
    high: float
    residual: np.ndarray = field(repr=False)
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
        family = self.family
        if family.is_normal and family.link != "identity" and functional == "mean":
            return smeared(family, eta, self.residual)
        if family.name == "truncated_nb":
            return family.truncated_mean(eta, self.shape)
        return family.mean(eta)


def specify_part(
    marginals: dict[str, Marginal],
    data: dict[str, np.ndarray],
    y: np.ndarray,
    family_name: str,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    interactions: bool,
    seed: int,
) -> Part:
    """Search the terms of one family and fit them to all rows."""
    family = FAMILIES[family_name]
    n = len(y)
    look = np.unique(np.linspace(0, n - 1, min(n, SEARCH_ROWS)).astype(int))
    part_data = {name: values[look] for name, values in data.items()}
    part_weight = None if weight is None else weight[look]
    mains = Design.of(main_effects(marginals))
    first = fit_family(Rows(mains, part_data, len(look)), y[look], family, part_weight)
    found = search(
        marginals, part_data, y[look], family, part_weight, (first.eta, first.shape),
        None if groups is None else groups[look], interactions, seed,
    )  # fmt: skip
    design = Design.of(found.terms)
    fitted = fit_family(Rows(design, data, n), y, family, weight, penalty=found.penalty)
    eta = fitted.eta
    reach = MARGIN * float(np.ptp(eta))
    thin = np.unique(np.linspace(0, n - 1, min(n, 20_000)).astype(int))
    residual = (family.forward(y) - eta)[thin] if family.is_normal else np.zeros(0)
    return Part(
        family, design, fitted.fit, fitted.shape, float(eta.min()) - reach, float(eta.max()) + reach, residual,
        found.rungs, found.chosen, fitted.iterations, fitted.converged, tuple(doubts(design, fitted, family)),
    )  # fmt: skip


def doubts(design: Design, fitted: FamilyFit, family: Family) -> list[Finding]:
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
    if len(lines) > fitted.sums.n:
        message = (
            f"{len(lines)} straight lines for {fitted.sums.n:.0f} rows: the smallest coefficients that fit are taken"
        )
        found.append(finding("more columns than rows", "", message, "choose columns, or collect rows"))
    if family.name == "logistic" and np.mean(np.abs(fitted.eta) > SEPARATED) > 0.5:
        message = (
            "the columns separate the two outcomes (nearly) completely: coefficients and their errors are not finite"
        )
        found.append(finding("complete separation", "", message, "look for a column that gives the answer away"))
    if not fitted.converged:
        message = f"the fit of the {family.label} family stopped after {fitted.iterations} steps without settling"
        found.append(finding("no convergence", "", message, "compare with another family"))
    return found
