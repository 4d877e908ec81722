"""A gain with its uncertainty, and what follows from it: interval, p-value, probabilities of the three claims."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import t

from toolkit.comparison.record import Test

__all__ = ["CONFIDENCE", "Estimate", "interval", "p_value", "probabilities", "to_test", "tost_p_value", "with_seeds"]

CONFIDENCE = 0.95  # of every interval


@dataclass(frozen=True)
class Estimate:
    """The gain of the second arm and the distribution that one test gives it.

    The gain minus the truth, divided by `se`, has a t distribution with `df` degrees of freedom; a bootstrap hands its
    own distribution over as `draws` of the standardised error.
    """

    name: str
    gain: float
    se: float
    df: float
    n: int  # independent units
    null: str
    draws: np.ndarray | None = field(default=None, repr=False)  # [R], sorted
    seed_variance: float = 0.0  # the part of se² that the members of a net showed
    details: dict[str, Any] = field(default_factory=dict)


def with_seeds(estimate: Estimate, variance: float, df: float) -> Estimate:
    """Add the seed variance of the nets to an estimate that knows only the rows.

    Degrees of freedom by Satterthwaite, Biometrics Bulletin 2 (1946), 110-114.
    """
    if variance <= 0:
        return estimate
    rows = estimate.se**2
    total = rows + variance
    joint = total**2 / (rows**2 / estimate.df + variance**2 / df)
    return replace(
        estimate,
        se=float(np.sqrt(total)),
        df=float(joint),
        seed_variance=variance,
        draws=None if estimate.draws is None else estimate.draws * _widening(estimate.df, joint),
    )


def _widening(before: float, after: float) -> float:
    """Quantiles of a bootstrap carry the degrees of freedom of the rows alone."""
    return float(t.ppf(0.975, after) / t.ppf(0.975, before))


def interval(estimate: Estimate, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Equal-tailed interval of the gain."""
    tail = (1 - confidence) / 2
    if estimate.draws is not None:
        low, high = np.quantile(estimate.draws, [tail, 1 - tail])
        return estimate.gain - high * estimate.se, estimate.gain - low * estimate.se
    half = float(t.ppf(1 - tail, estimate.df)) * estimate.se
    return estimate.gain - half, estimate.gain + half


def probability_above(estimate: Estimate, value: float) -> float:
    """Probability that the true gain is above `value`, by the confidence (or posterior) distribution."""
    if not estimate.se > 0:
        return float(estimate.gain > value) if estimate.gain != value else 0.5
    z = (estimate.gain - value) / estimate.se
    if estimate.draws is None:
        return float(t.cdf(z, estimate.df))
    count = len(estimate.draws)
    return float(
        (np.searchsorted(estimate.draws, z, "left") + np.searchsorted(estimate.draws, z, "right") + 1)
        / (2 * (count + 1))
    )


def probabilities(estimate: Estimate, margin: float) -> dict[str, float]:
    """Probabilities of `neural` (gain above the margin), `regression` (below minus it), `equivalent` (between)."""
    neural = probability_above(estimate, margin)
    regression = 1 - probability_above(estimate, -margin)
    return {"neural": neural, "equivalent": max(0.0, 1 - neural - regression), "regression": regression}


def p_value(estimate: Estimate) -> float | None:
    """Two-sided p-value of no gain; None where nothing varies, so that there is nothing to test."""
    if not estimate.se > 0:
        return None
    if estimate.draws is None:
        return float(2 * t.sf(abs(estimate.gain) / estimate.se, estimate.df))
    above = probability_above(estimate, 0.0)
    return float(min(1.0, 2 * min(above, 1 - above)))


def tost_p_value(estimate: Estimate, margin: float) -> float | None:
    """Larger of the two one-sided p-values (Schuirmann 1987): small means that the arms are equivalent."""
    if not estimate.se > 0:
        return None
    return float(max(probability_above(estimate, margin), 1 - probability_above(estimate, -margin)))


def to_test(estimate: Estimate, arms: tuple[str, str], **details: Any) -> Test:
    """The estimate as a record."""
    lower, upper = interval(estimate)
    varies = estimate.se > 0
    shown = {"se": estimate.se, "df": estimate.df, "seed_se": float(np.sqrt(estimate.seed_variance))}
    return Test(
        name=estimate.name,
        arms=arms,
        null=estimate.null,
        statistic=estimate.gain / estimate.se if varies else None,
        p_value=p_value(estimate),
        estimate=estimate.gain,
        lower=lower if varies else None,
        upper=upper if varies else None,
        n=estimate.n,
        details={**shown, **estimate.details, **details},
    )
