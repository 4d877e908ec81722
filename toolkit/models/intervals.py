"""Prediction intervals for any arm by conformal inference: the same method for a regression and for a net.

Split conformal (Lei et al., JASA 113, 2018), CV+ (Barber, Candès, Ramdas and Tibshirani, Annals of Statistics 49, 2021)
and conformalised quantile regression (Romano, Patterson and Candès, NeurIPS 2019). The functions work on residuals and
quantiles; `ConformalRegressor` wraps an estimator.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils.validation import check_is_fitted

from toolkit.errors import InputError, unknown

__all__ = ["ConformalRegressor", "conformal_radius", "cqr_margin", "cross_conformal", "split_conformal"]

METHODS = ("cross", "split", "cqr")


def conformal_radius(scores: np.ndarray, coverage: float) -> float:
    """The ceil((m + 1) coverage)-th smallest of m scores; infinite when m is too small for the coverage.

    Examples
    --------
    >>> conformal_radius(np.arange(1, 20), 0.9)
    18.0
    """
    _check_coverage(coverage)
    scores = np.sort(np.asarray(scores, dtype=float))
    position = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    return float(scores[position - 1]) if position <= len(scores) else float("inf")


def split_conformal(
    residuals: np.ndarray, predicted: np.ndarray, coverage: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted value -/+ a quantile of absolute residuals of rows that the model has not seen.

    Parameters
    ----------
    residuals : [m], target units
        Observed - predicted on calibration rows.
    predicted : [n], target units
    coverage : float
        At least this share of new rows is covered, if they are exchangeable with the calibration rows.
    """
    radius = conformal_radius(np.abs(residuals), coverage)
    return predicted - radius, predicted + radius


def cross_conformal(
    residuals: np.ndarray, folds: np.ndarray, predicted: np.ndarray, coverage: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """CV+ intervals from out-of-fold residuals and the predictions of the models that made them.

    Parameters
    ----------
    residuals : [m], target units
        Observed - predicted by the model that did not see the row.
    folds : [m] of int
        Which of the F models that was.
    predicted : [F, n], target units
        Predictions of every one of the F models for the new rows.
    coverage : float
        Nominal; the guarantee is 2 coverage - 1 - sqrt(2 / m), in practice the coverage is close to the nominal.
    """
    _check_coverage(coverage)
    size = np.abs(np.asarray(residuals, dtype=float))
    m = len(size)
    down, up = int(np.floor((1 - coverage) * (m + 1) + 1e-9)), int(np.ceil(coverage * (m + 1) - 1e-9))
    n = predicted.shape[1]
    if down < 1 or up > m:
        return np.full(n, -np.inf), np.full(n, np.inf)
    lower, upper = np.empty(n), np.empty(n)
    step = max(1, 4_000_000 // m)  # new rows at a time, so that [rows, m] stays small
    for start in range(0, n, step):
        center = predicted[:, start : start + step].T[:, folds]  # [rows, m]
        lower[start : start + step] = np.partition(center - size, down - 1, axis=1)[:, down - 1]
        upper[start : start + step] = np.partition(center + size, up - 1, axis=1)[:, up - 1]
    return lower, upper


def cqr_margin(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float = 0.9) -> float:
    """What has to be added to both ends of a quantile interval, target units; negative where it is too wide."""
    return conformal_radius(np.maximum(lower - observed, observed - upper), coverage)


class ConformalRegressor(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """An estimator with intervals: `predict` is the estimator's own, `predict_interval` is conformal.

    Parameters
    ----------
    estimator : scikit-learn estimator
        For `cqr` one with `quantiles` and `predict_quantiles`, such as NeuralRegression.
    method : {"cross", "split", "cqr"}
        cross: CV+, `folds` + 1 fits. split: one further fit on the rows that do not calibrate. cqr: one further fit of
        quantiles, whose intervals are narrow where the noise is small.
    folds : int
        Of `cross`.
    share : float
        Of the rows that calibrate under `split` and `cqr`.
    coverage : float
        For which `cqr` learns its quantiles; `predict_interval` takes any coverage under the other methods.
    random_state : int
    """

    def __init__(
        self,
        estimator,
        method: str = "cross",
        folds: int = 5,
        share: float = 0.25,
        coverage: float = 0.9,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.folds = folds
        self.share = share
        self.coverage = coverage
        self.random_state = random_state

    def fit(self, X, y, groups=None) -> ConformalRegressor:
        """Fit the estimator on all rows, and what calibrates it on parts of them; rows of a group stay together."""
        if self.method not in METHODS:
            raise unknown("interval method", self.method, METHODS)
        _check_coverage(self.coverage)
        y = np.asarray(y, dtype=float)
        if y.ndim != 1:
            raise InputError("intervals are for one target at a time")
        self.estimator_ = clone(self.estimator).fit(X, y)
        parts = self._parts(y, groups)
        if self.method == "cqr":
            train, hold = parts[0]
            ends = ((1 - self.coverage) / 2, (1 + self.coverage) / 2)
            if not hasattr(self.estimator, "predict_quantiles"):
                raise InputError("method 'cqr' needs an estimator that learns quantiles, such as NeuralRegression")
            self.models_ = [clone(self.estimator).set_params(quantiles=ends).fit(_rows(X, train), y[train])]
            self.calibration_ = self.models_[0].predict_quantiles(_rows(X, hold)), y[hold]
            return self
        self.models_ = [clone(self.estimator).fit(_rows(X, train), y[train]) for train, _ in parts]
        held = [y[hold] - model.predict(_rows(X, hold)) for model, (_, hold) in zip(self.models_, parts, strict=True)]
        self.residuals_ = np.concatenate(held)
        self.folds_ = np.repeat(np.arange(len(held)), [len(part) for part in held])
        return self

    def _parts(self, y: np.ndarray, groups) -> list[tuple[np.ndarray, np.ndarray]]:
        """(training rows, calibrating rows), one pair for every further fit."""
        if self.method != "cross" and not 0 < self.share < 1:
            raise InputError(f"share must lie between 0 and 1, got {self.share!r}")
        folds = self.folds if self.method == "cross" else max(2, round(1 / self.share))
        most = len(y) if groups is None else len(np.unique(groups))
        if not 2 <= folds <= most:
            raise InputError(f"intervals need 2 to {most} folds on these rows, got {folds}")
        kind = KFold if groups is None else GroupKFold
        parts = list(kind(folds, shuffle=True, random_state=self.random_state).split(y, groups=groups))
        return parts if self.method == "cross" else parts[:1]

    def predict(self, X) -> np.ndarray:
        """The estimator's prediction, [n], target units."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(X)

    def predict_interval(self, X, coverage: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the intervals, target units, [n] each."""
        check_is_fitted(self, "estimator_")
        coverage = self.coverage if coverage is None else coverage
        if self.method == "cqr":
            if coverage != self.coverage:
                raise InputError(f"the quantiles were learned for a coverage of {self.coverage}, not {coverage}")
            quantiles, observed = self.calibration_
            margin = cqr_margin(observed, quantiles[:, 0], quantiles[:, 1], coverage)
            new = self.models_[0].predict_quantiles(X)
            return new[:, 0] - margin, new[:, 1] + margin
        predicted = np.stack([model.predict(X) for model in self.models_])
        if self.method == "split":
            return split_conformal(self.residuals_, predicted[0], coverage)
        return cross_conformal(self.residuals_, self.folds_, predicted, coverage)


def _check_coverage(coverage: float) -> None:
    if not 0 < coverage < 1:
        raise InputError(f"coverage must lie between 0 and 1, got {coverage!r}")


def _rows(X, rows: np.ndarray):
    """Rows of a frame or an array."""
    return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows]
