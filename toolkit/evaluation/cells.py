"""One fit of one arm on one fold: a pure function of what it is handed, so that it can run anywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from toolkit.evaluation.scores import METRICS, score

__all__ = ["Cell", "CellResult", "fit_cell", "predict_with"]

TRAINING_ROWS_SCORED = 20_000  # in-sample scores come from at most this many training rows, evenly spread


@dataclass(frozen=True)
class Cell:
    """One fit: an arm on the training rows of one fold."""

    arm: str
    estimator: BaseEstimator = field(repr=False)
    repeat: int
    fold: int
    train: np.ndarray = field(repr=False)
    judge: np.ndarray = field(repr=False)
    key: str = ""
    keep_model: bool = False  # fitted on all rows, to be used
    hold_model: bool = False  # fitted on a fold, to be looked at
    fitted: float | None = None  # seconds that it took, if the estimator has been fitted with those of other folds

    @property
    def label(self) -> str:
        return f"{self.arm}, all rows" if self.keep_model else f"{self.arm}, repeat {self.repeat}, fold {self.fold}"


@dataclass(frozen=True)
class CellResult:
    """What came out of one cell; `error` is the cause when the arm failed there."""

    arm: str
    repeat: int
    fold: int
    predicted: np.ndarray | None = None  # [n_judge, targets]
    members: np.ndarray | None = None  # [members, n_judge, targets]
    train_scores: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    model: Any = None
    error: str | None = None


def fit_cell(
    cell: Cell,
    X: pd.DataFrame,
    y: pd.Series | pd.DataFrame,
    roles: Mapping[str, np.ndarray],
    metrics: tuple[str, ...],
    binary: bool,
    threads: int,
) -> CellResult:
    """Fit one clone on the training rows, predict the judging rows; a failure becomes a named outcome."""
    try:
        X_train, y_train = X.iloc[cell.train], y.iloc[cell.train]
        begin = time.perf_counter() - (cell.fitted or 0.0)
        estimator = cell.estimator if cell.fitted else clone(cell.estimator)
        if cell.fitted is None:
            for limit in ("threads", "n_jobs"):
                if limit in estimator.get_params(deep=False):
                    estimator.set_params(**{limit: threads})
            estimator.fit(X_train, y_train, **_told(estimator, roles, cell.train))
        fitted = time.perf_counter()
        facts = dict(getattr(estimator, "fit_info_", {}))
        if cell.keep_model:
            return CellResult(
                cell.arm, cell.repeat, cell.fold, facts=facts, fit_seconds=fitted - begin, model=estimator
            )
        X_judge = X.iloc[cell.judge]
        predicted = predict_with(estimator, X_judge, binary)
        finished = time.perf_counter()
        members = _members(estimator, X_judge)
        return CellResult(
            cell.arm,
            cell.repeat,
            cell.fold,
            predicted,
            members,
            _train_scores(estimator, X_train, y_train, metrics, binary),
            facts,
            fitted - begin,
            finished - fitted,
            estimator if cell.hold_model else None,
        )
    except Exception as error:  # one arm's failure must not stop the others; its cause is reported
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        return CellResult(cell.arm, cell.repeat, cell.fold, error=cause)


def predict_with(estimator: Any, X: pd.DataFrame, binary: bool) -> np.ndarray:
    """Predictions [n, targets] in target units; for a binary target the probability of the second level.

    Raises
    ------
    ValueError
        When a prediction is not a finite number.
    """
    if binary and hasattr(estimator, "predict_proba"):
        predicted = np.asarray(estimator.predict_proba(X), dtype=float)[:, -1]
    else:
        predicted = np.asarray(estimator.predict(X), dtype=float)
    predicted = predicted.reshape(len(X), -1)
    bad = int((~np.isfinite(predicted)).any(axis=1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(X)} predictions are not finite numbers")
    return predicted


def _told(estimator: Any, roles: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Groups and weights of the training rows, as far as `fit` asks for them.

    Raises
    ------
    ValueError
        There are weights, and the estimator takes none: a fit without them would answer another question.
    """
    asked = signature(estimator.fit).parameters
    if "sample_weight" in roles and "sample_weight" not in asked:
        raise ValueError(f"{type(estimator).__name__} takes no weights")
    return {name: values[rows] for name, values in roles.items() if name in asked}


def _members(estimator: Any, X: pd.DataFrame) -> np.ndarray | None:
    if not hasattr(estimator, "predict_members"):
        return None
    members = np.asarray(estimator.predict_members(X), dtype=np.float32)
    return members.reshape(len(members), len(X), -1)


def _train_scores(
    estimator: Any, X: pd.DataFrame, y: pd.Series | pd.DataFrame, metrics: tuple[str, ...], binary: bool
) -> dict[str, float]:
    """In-sample scores, averaged over targets, for the gap between training and judging rows."""
    step = max(1, len(X) // TRAINING_ROWS_SCORED)
    X, observed = X.iloc[::step], y.iloc[::step].to_numpy(dtype=float).reshape(-1, 1 if y.ndim == 1 else y.shape[1])
    predicted = predict_with(estimator, X, binary)
    return {
        name: float(np.mean([score(METRICS[name], observed[:, k], predicted[:, k]) for k in range(observed.shape[1])]))
        for name in metrics
    }
