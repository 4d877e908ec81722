"""What this comparison could have seen, and how much more data would decide it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm, t

from toolkit.comparison.bayes import DECISION_PROBABILITY, SIZE
from toolkit.comparison.design import LEAST_UNITS
from toolkit.comparison.estimate import Estimate

__all__ = ["POWER", "minimal_detectable_gain", "units_needed"]

POWER = 0.80  # usual planning value: Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), section 2.4
LARGEST_FACTOR = 1000.0  # beyond a thousand times the data "more rows" is no advice


def minimal_detectable_gain(estimate: Estimate, margin: float) -> float:
    """Smallest true gain for which the better arm is named with probability `POWER` at this size.

    A winner needs P(gain > margin) >= .95 and a two-sided p below .05, so its estimate has to pass the larger of
    margin + t(.95) se and t(.975) se; the gain lies t(.80) se above that.
    """
    clear = max(
        margin + t.ppf(DECISION_PROBABILITY, estimate.df) * estimate.se, t.ppf(1 - SIZE / 2, estimate.df) * estimate.se
    )
    return float(clear + t.ppf(POWER, estimate.df) * estimate.se)


def units_needed(estimate: Estimate, margin: float, rows: int) -> dict[str, Any]:
    """Size at which the comparison would be decided with probability `POWER` if the true gain is the estimate.

    Returns
    -------
    dict
        claim (what would then be said), unit, now, needed (None when no size up to a thousand times this one would
        do), rows_needed, factor.

    Notes
    -----
    Standard errors shrink with the square root of the number of independent units; normal quantiles.
    """
    gain = abs(estimate.gain)
    sure, strict, power = norm.ppf(DECISION_PROBABILITY), norm.ppf(1 - SIZE / 2), norm.ppf(POWER)
    if gain > margin:
        claim = "neural" if estimate.gain > 0 else "regression"
        needed_se = min((gain - margin) / (sure + power), gain / (strict + power))
    else:
        claim = "equivalent"
        needed_se = (margin - gain) / (sure + norm.ppf(1 - (1 - POWER) / 2))
    unit = str(estimate.details.get("unit", "rows"))
    factor = float((estimate.se / needed_se) ** 2) if needed_se > 0 else np.inf
    if factor > LARGEST_FACTOR:
        return {"claim": claim, "unit": unit, "now": estimate.n, "needed": None, "rows_needed": None, "factor": None}
    fewest = LEAST_UNITS * int(estimate.details.get("overlap", 1)) if unit != "folds" else 1
    factor = max(factor, fewest / estimate.n, 1.0)
    return {
        "claim": claim,
        "unit": unit,
        "now": estimate.n,
        "needed": int(np.ceil(estimate.n * factor)),
        "rows_needed": int(np.ceil(rows * factor)),
        "factor": factor,
    }
