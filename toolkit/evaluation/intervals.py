"""Prediction intervals for every arm by one method: conformal, from the residuals of rows a fold did not judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.models.intervals import conformal_radius

__all__ = ["Calibrated", "add_intervals", "calibrate"]

FEWEST_RESIDUALS = 20  # below this an interval of the usual coverage is infinite or close to it


def add_intervals(predictions: pd.DataFrame, coverage: float, on_logs: bool = False) -> pd.DataFrame:
    """Fill `lower` and `upper` where an arm gave none.

    Parameters
    ----------
    predictions : DataFrame
        The predictions table of numeric targets, out of fold.
    coverage : float
    on_logs : bool
        Take residuals of log(1 + y), for a metric on that scale: intervals grow with the prediction and stay above -1.

    Notes
    -----
    The half-width for the rows of a fold is the conformal quantile of the absolute residuals in the other folds of the
    same repeat (Vovk, Annals of Mathematics and AI 74, 2015: cross-conformal prediction). With a single fold there are
    no other residuals and the limits stay missing.
    """
    parts = []
    for _, part in predictions.groupby(["arm", "repeat", "target"], sort=False):
        size = np.abs(_residuals(part["observed"].to_numpy(), part["predicted"].to_numpy(), on_logs))
        folds, lower, upper = part["fold"].to_numpy(), part["lower"].to_numpy(float), part["upper"].to_numpy(float)
        for fold in np.unique(folds):
            mine = (folds == fold) & np.isnan(lower)
            others = size[folds != fold]
            if mine.any() and len(others) >= FEWEST_RESIDUALS:
                radius = conformal_radius(others, coverage)
                lower[mine], upper[mine] = _limits(part["predicted"].to_numpy()[mine], radius, on_logs)
        parts.append(part.assign(lower=lower, upper=upper))
    return pd.concat(parts).sort_index() if parts else predictions


class Calibrated:
    """A model refitted on all rows, with intervals from its out-of-fold residuals.

    Parameters
    ----------
    estimator : fitted estimator
    residuals : list of ndarray
        Absolute out-of-fold residuals, one array per target, ascending.
    on_logs : bool
        Whether they are residuals of log(1 + y).

    Everything else is asked of the estimator.
    """

    def __init__(self, estimator: Any, residuals: list[np.ndarray], on_logs: bool):
        self.estimator = estimator
        self.residuals = residuals
        self.on_logs = on_logs

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Limits in target units, [n] or [n, targets] each."""
        predicted = np.asarray(self.estimator.predict(X), dtype=float)
        columns = predicted.reshape(len(predicted), -1)
        radius = np.array([conformal_radius(one, coverage) for one in self.residuals])
        lower, upper = _limits(columns, radius, self.on_logs)
        return lower.reshape(predicted.shape), upper.reshape(predicted.shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "estimator":
            raise AttributeError(name)
        return getattr(self.estimator, name)


def calibrate(models: dict[str, Any], predictions: pd.DataFrame, on_logs: bool) -> dict[str, Any]:
    """The refitted models with intervals, where there are enough out-of-fold residuals."""
    found = {}
    for arm, model in models.items():
        mine = predictions[predictions["arm"] == arm]
        mine = mine[mine["repeat"] == mine["repeat"].min()]
        residuals = [
            np.sort(np.abs(_residuals(part["observed"].to_numpy(), part["predicted"].to_numpy(), on_logs)))
            for _, part in mine.groupby("target", sort=False)
        ]
        enough = residuals and min(map(len, residuals)) >= FEWEST_RESIDUALS
        found[arm] = Calibrated(model, residuals, on_logs) if enough else model
    return found


def _residuals(observed: np.ndarray, predicted: np.ndarray, on_logs: bool) -> np.ndarray:
    if on_logs:
        return np.log1p(observed) - np.log1p(np.maximum(predicted, 0.0))
    return observed - predicted


def _limits(predicted: np.ndarray, radius: Any, on_logs: bool) -> tuple[np.ndarray, np.ndarray]:
    if on_logs:
        middle = np.log1p(np.maximum(predicted, 0.0))
        return np.maximum(np.expm1(middle - radius), 0.0), np.expm1(middle + radius)
    return predicted - radius, predicted + radius
