"""Probabilities that the net wins, that the arms are equivalent, and that the regression wins."""

from __future__ import annotations

import numpy as np

from toolkit.comparison.design import LEAST_UNITS
from toolkit.comparison.estimate import Estimate, probabilities
from toolkit.comparison.tests import corrected_t

__all__ = ["DECISION_PROBABILITY", "SIZE", "correlated_t_test", "decide"]

# Benavoli, Corani, Demsar and Zaffalon, JMLR 18 (2017), 1-36: a claim is made when its probability reaches .95.
DECISION_PROBABILITY = 0.95
# A winner must also pass the two-sided test of no gain at this level: with a margin that is small beside the noise, .95
# on either side alone would name a winner between equal arms in up to 10 % of all comparisons.
SIZE = 0.05


def correlated_t_test(fold_gain: np.ndarray, ratio: float, margin: float) -> dict[str, float]:
    """Bayesian correlated t-test with a region of practical equivalence.

    Parameters
    ----------
    fold_gain : ndarray, [J]
        Gain of the second arm in each fold.
    ratio : float
        n_judge / n_train; the correlation of folds is then ratio / (1 + ratio).
    margin : float
        Half-width of the region, units of the metric.

    Returns
    -------
    dict
        neural, equivalent, regression; sums to 1.

    Notes
    -----
    Corani and Benavoli, Machine Learning 100 (2015), 285-304: the posterior of the mean gain is a t distribution with
    J - 1 degrees of freedom, the mean of the gains, and scale² = (1/J + rho / (1 - rho)) s².
    """
    return probabilities(corrected_t(fold_gain, ratio), margin)


def decide(claims: dict[str, float], p_no_gain: float | None, estimate: Estimate, margin: float) -> tuple[str, str]:
    """The decision and the reason for it, in words.

    Returns
    -------
    decision : {"neural", "regression", "equivalent", "undecided"}
    reason : str
    """
    claim = max(claims, key=lambda name: claims[name])
    if not estimate.se > 0:
        if abs(estimate.gain) <= margin:
            return "equivalent", "the arms differ by the same amount in every row, and by less than the margin"
        return "undecided", "the loss difference is the same in every row: there is nothing to test with"
    if claims[claim] < DECISION_PROBABILITY:
        return "undecided", f"no claim reaches a probability of {DECISION_PROBABILITY:g}"
    if claim != "equivalent" and (p_no_gain is None or p_no_gain >= SIZE):
        return "undecided", f"the two-sided test of no gain has p = {p_no_gain:.3g}, not below {SIZE:g}"
    unit = estimate.details.get("unit", "rows")
    overlap = int(estimate.details.get("overlap", 1))
    if estimate.n < LEAST_UNITS * overlap and unit != "folds":  # the test over folds has been calibrated with five
        if overlap > 1:
            few = f"{estimate.n} {unit}, {overlap} of which overlap, are too few to decide by"
            return "undecided", f"{few}, {LEAST_UNITS * overlap} are needed"
        return "undecided", f"{estimate.n} independent {unit} are too few to decide by, {LEAST_UNITS} are needed"
    known = "over 0.999" if claims[claim] > 0.999 else f"{claims[claim]:.3f}"
    return claim, f"its probability is {known}; {DECISION_PROBABILITY:g} is needed"
