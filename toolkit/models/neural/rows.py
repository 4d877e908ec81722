"""Rows as the nets need them: numeric targets, positive weights."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from toolkit.errors import InputError

__all__ = ["numeric_target", "usable_rows"]


def numeric_target(y, frame) -> np.ndarray:
    """Targets as float64, [n] or [n, targets]."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("the target must hold numbers; for labels use NeuralClassifier") from error
    if values.ndim not in (1, 2):
        raise InputError(f"the target must have one or two dimensions, it has {values.ndim}")
    check_consistent_length(frame, values)
    if not np.isfinite(values).all():
        raise InputError("the target contains NaN or infinity; drop those rows first")
    return values


def usable_rows(frame, target: np.ndarray, sample_weight, groups) -> tuple:
    """Rows of positive weight: (frame, target, weight [n], groups or None)."""
    weight = _check_sample_weight(sample_weight, frame, dtype=float, ensure_non_negative=True)
    groups = None if groups is None else np.asarray(groups)
    if groups is not None:
        check_consistent_length(frame, groups)
    kept = weight > 0
    if not kept.any():
        raise InputError("all sample weights are zero")
    if kept.all():
        return frame, target, weight, groups
    return frame[kept], target[kept], weight[kept], None if groups is None else groups[kept]
