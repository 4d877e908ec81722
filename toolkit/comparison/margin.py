"""The smallest difference that matters, in units of the metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.comparison.rows import PairedRows
from toolkit.errors import InputError

__all__ = ["absolute_margin", "reference_arm"]


def reference_arm(paired: PairedRows) -> str:
    """The arm whose score per cents are of: `regression` where it takes part, else the one that scores worse.

    Either way the order in which the arms are named changes no number.
    """
    if "regression" in paired.arms:
        return "regression"
    first, second = paired.scores
    return paired.arms[0 if (first < second) == paired.metric.greater_is_better else 1]


def absolute_margin(paired: PairedRows, margin: Mapping[str, Any], reference: str) -> float:
    """The margin in units of the metric."""
    try:
        value = float(margin["value"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"margin: expected a number with a unit, such as 1% or 0.5, got {margin}") from None
    if not np.isfinite(value) or value < 0:
        raise InputError(f"margin: expected a number that is not negative, got {value:g}")
    if margin.get("unit", "percent") == "absolute":
        return value
    if reference not in paired.arms:
        raise InputError(f"margin: '{reference}' is not one of the compared arms {paired.arms[0]}, {paired.arms[1]}")
    return value / 100 * abs(paired.scores[paired.arms.index(reference)])
