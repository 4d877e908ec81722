"""A regression whose rows weigh as much as their spread allows: feasible weighted least squares for any estimator."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from toolkit.models.encoding import as_frame
from toolkit.models.table import Linear

__all__ = ["Reweighted"]

WIDEST = 20.0  # no row weighs more than this many times the median one, or less than its inverse
FITTED = "(fitted value)"  # a column name that no data set of the user's has


class Reweighted(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit, predict the spread of the residuals from columns and fitted value, fit again with inverse variances.

    Parameters
    ----------
    estimator : regressor whose `fit` takes `sample_weight`

    Attributes
    ----------
    first_, estimator_ : fitted estimators
        Before and after the weights.
    spread_ : fitted Linear
        Of log squared residuals on the columns and the fitted value.

    Notes
    -----
    Multiplicative heteroskedasticity, log of the variance linear in known columns: Harvey, Econometrica 44 (1976),
    461-465. The covariance of the second fit should stay robust, in case the spread is not what the columns say:
    Romano and Wolf, J. Econometrics 197 (2017), 1-19.
    """

    def __init__(self, estimator: BaseEstimator):
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: Any = None) -> Reweighted:
        """Fit on rows X [n, p] and one target y [n]."""
        frame = as_frame(X)
        extra = (
            {"groups": groups} if groups is not None and "groups" in signature(self.estimator.fit).parameters else {}
        )
        self.first_ = clone(self.estimator).fit(X, y, **extra)
        fitted = np.asarray(self.first_.predict(X), dtype=float)
        residual = np.asarray(y, dtype=float) - fitted
        floor = 1e-6 * float(np.mean(residual**2)) + 1e-300  # a row that is met exactly has no log
        self.spread_ = Linear().fit(_with_fitted(frame, fitted), np.log(residual**2 + floor))
        weight = self.weights(frame)
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=weight, **extra)
        ratio = float(np.sqrt(np.quantile(weight, 0.9) / np.quantile(weight, 0.1)))
        note = (
            f"rows weigh by their predicted spread, which differs {ratio:.1f}-fold between the outer tenths of the rows"
        )
        inner = dict(getattr(self.estimator_, "fit_info_", {}))
        self.fit_info_ = {**inner, "notes": [*inner.get("notes", ()), note]}
        self.n_features_in_ = frame.shape[1]
        return self

    def weights(self, X: Any) -> np.ndarray:
        """Inverse of the predicted variance, [n], with mean 1."""
        frame = as_frame(X)
        log_variance = self.spread_.predict(_with_fitted(frame, np.asarray(self.first_.predict(X), dtype=float)))
        weight = np.exp(np.clip(np.median(log_variance) - log_variance, -np.log(WIDEST), np.log(WIDEST)))
        return weight / weight.mean()

    def predict(self, X: Any) -> np.ndarray:
        """Predictions of the weighted fit, [n]."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @property
    def coefficients_(self) -> pd.DataFrame:
        """Table of the weighted fit."""
        return self.estimator_.coefficients_


def _with_fitted(frame: pd.DataFrame, fitted: np.ndarray) -> pd.DataFrame:
    return frame.assign(**{FITTED: fitted})
