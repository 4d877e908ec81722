"""The arm that knows nothing but the target: the number that any model must beat."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["Naive"]


class Naive(RegressorMixin, BaseEstimator):
    """Predicts one constant per target.

    Parameters
    ----------
    metric : str
        Decides which constant: the mean, for `mae` the median, for `rmsle` exp(mean(log(1 + y))) - 1. For a binary
        target the mean is the share of ones.

    Attributes
    ----------
    constant_ : ndarray, [targets]
    """

    def __init__(self, metric: str = "rmse"):
        self.metric = metric

    def fit(self, X: object, y: object, sample_weight: object = None) -> Naive:
        validate_data(self, X, ensure_all_finite=False, dtype=None, skip_check_array=True)
        y = np.asarray(y, dtype=float)
        self.one_dimensional_ = y.ndim == 1
        y = y.reshape(len(y), -1)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        if self.metric == "mae":
            self.constant_ = np.median(y, axis=0)
        elif self.metric == "rmsle":
            self.constant_ = np.expm1(np.average(np.log1p(y), axis=0, weights=weight))
        else:
            self.constant_ = np.average(y, axis=0, weights=weight)
        self.fit_info_ = {"parameters": len(self.constant_)}
        return self

    def predict(self, X: object) -> np.ndarray:
        """The constant, [n] or [n, targets]."""
        check_is_fitted(self)
        rows = np.tile(self.constant_, (len(X), 1))  # type: ignore[arg-type]
        return rows[:, 0] if self.one_dimensional_ else rows
