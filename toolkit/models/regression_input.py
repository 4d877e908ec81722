"""What a regression accepts as rows and target, and one clear line where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import InputError, unknown
from toolkit.specification.columns import as_frame, finding

__all__ = ["as_target", "check_target", "checked_rows", "infer_target_kind", "numeric_frame", "subset"]

TARGET_KINDS = ("real", "positive", "count", "binary")


def numeric_frame(estimator: Any, X: Any, reset: bool) -> pd.DataFrame:
    """X as a frame with text column names; remembers names and count when `reset`, checks them otherwise."""
    if not isinstance(X, pd.DataFrame):
        X = checked_array(estimator, X)
    frame = as_frame(X)
    if len(frame) == 0 or frame.shape[1] == 0:
        raise InputError(
            f"Found array with {len(frame)} sample(s) and {frame.shape[1]} feature(s) (shape={frame.shape}) "
            "while a minimum of 1 is required."
        )
    if reset:
        estimator.n_features_in_ = frame.shape[1]
        estimator.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        if not isinstance(X, pd.DataFrame):
            del estimator.feature_names_in_
    elif not isinstance(X, pd.DataFrame) and frame.shape[1] != estimator.n_features_in_:
        raise InputError(
            f"X has {frame.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    return frame


def checked_rows(frame: pd.DataFrame, y: Any, weight: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Target, weights and groups as arrays (a pandas target stays one), or one clear line."""
    if y is None:
        raise InputError("a regression requires y to be passed, but the target y is None")
    if len(frame) == 1:
        raise InputError("a regression cannot be fitted to 1 sample")
    if not isinstance(y, (pd.Series, pd.DataFrame)):
        y = np.asarray(y)
    if weight is not None:
        weight = np.asarray(weight, dtype=float)
        if weight.shape != (len(frame),):
            raise InputError(f"Sample weights must be 1D with {len(frame)} values; shape {weight.shape} came")
        if not np.isfinite(weight).all() or weight.min() < 0 or weight.max() == 0:
            raise InputError("sample weights must be finite, not negative and not all zero")
    return y, weight, None if groups is None else np.asarray(groups)


def checked_array(estimator: Any, X: Any) -> np.ndarray:
    """A dense two-dimensional array, [n, p]."""
    from sklearn.utils.validation import check_array

    return check_array(
        X, dtype=None, ensure_all_finite=False, ensure_min_samples=0, ensure_min_features=0, estimator=estimator
    )


def as_target(y: Any, n: int) -> np.ndarray:
    """Target as float64 [n]; one clear line where it is not finite numbers."""
    name = f"target '{y.name}'" if isinstance(y, pd.Series) and y.name is not None else "the target"
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers; it holds {np.asarray(y).ravel()[0]!r}") from None
    values = values.reshape(len(values), -1)
    if values.shape[1] != 1:
        raise InputError(f"{name} has {values.shape[1]} columns; one was expected")
    if len(values) != n:
        raise InputError(f"X has {n} rows, {name} has {len(values)}")
    if not np.isfinite(values).all():
        raise InputError(f"{name} has {int((~np.isfinite(values)).sum())} missing or infinite values; drop those rows")
    return values[:, 0]


def infer_target_kind(y: np.ndarray) -> str:
    """binary, count, positive or real, from the values."""
    if set(np.unique(y[:1000])) <= {0.0, 1.0} and set(np.unique(y)) == {0.0, 1.0}:
        return "binary"
    if y.min() >= 0 and np.array_equal(y, np.floor(y)) and y.min() <= 10:
        return "count"
    return "positive" if y.min() > 0 else "real"


def check_target(kind: str, y: np.ndarray) -> tuple[str, list[dict[str, str]]]:
    """The kind of target that the values allow, with a finding where the user's word does not fit."""
    if kind not in TARGET_KINDS:
        raise unknown("target_kind", kind, TARGET_KINDS)
    if kind == "binary" and not set(np.unique(y)) <= {0.0, 1.0}:
        raise InputError(f"a binary target holds 0 and 1 only; this one has {len(np.unique(y))} different values")
    if kind == "count" and (y.min() < 0 or not np.array_equal(y, np.floor(y))):
        message = "the target is called a count but has negative or fractional values; it is fitted as real numbers"
        return ("positive" if y.min() > 0 else "real"), [finding("non-integer counts", "target", message, "check it")]
    if kind == "positive" and y.min() <= 0:
        message = f"the target is called positive but its smallest value is {y.min():g}: Gamma and log-normal are out"
        return "real", [finding("zeros in a positive target", "target", message, "find out what the zeros mean")]
    return kind, []


def subset(rows: np.ndarray, data: dict[str, np.ndarray], y: np.ndarray, weight: Any, groups: Any) -> tuple:
    """Some rows of everything."""
    return (
        {name: values[rows] for name, values in data.items()},
        y[rows],
        None if weight is None else weight[rows],
        None if groups is None else groups[rows],
    )
