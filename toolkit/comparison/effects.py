"""Does my coefficient survive a flexible control? Double machine learning for the partially linear model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import clone

from toolkit.data.dataset import Dataset
from toolkit.errors import InputError, unknown
from toolkit.evaluation.cells import predict_with
from toolkit.evaluation.engine import Cache, Progress, content_hash, plan_workers, run_cells
from toolkit.models.least_squares import least_squares, sandwich

__all__ = ["check_effect", "effect_under_control", "partially_linear"]

LEAST_ROWS = 100
LEFT = 1e-8  # share of the variance of the treatment that must be left when the other columns have explained it


def partially_linear(
    outcome: np.ndarray, treatment: np.ndarray, groups: np.ndarray | None = None, confidence: float = 0.95
) -> dict[str, float]:
    """Effect from two out-of-fold residuals.

    Parameters
    ----------
    outcome, treatment : ndarray, [n]
        Observed minus predicted from the controls, each by fits that have not seen the row.
    groups : ndarray, [n], optional
        Rows of one group are not independent.

    Returns
    -------
    dict
        estimate, se, lower, upper, p_value.

    Notes
    -----
    The partialling-out score of Chernozhukov et al., Econometrics Journal 21 (2018), C1-C68, equation (4.4):
    theta = sum(v u) / sum(v v), variance by its score v (u - theta v).
    """
    u, v = np.asarray(outcome, dtype=float), np.asarray(treatment, dtype=float)
    size = float(v @ v)
    if not size > 0:
        raise InputError("the treatment is explained completely by the controls: it has no effect of its own")
    estimate = float(v @ u) / size
    score = v * (u - estimate * v)
    if groups is not None:
        score = np.bincount(pd.factorize(groups)[0], score)
    count = len(score)
    se = float(np.sqrt(score @ score * count / max(count - 1, 1)) / size)
    half = float(norm.ppf(0.5 + confidence / 2)) * se
    p_value = float(2 * norm.sf(abs(estimate) / se)) if se > 0 else 0.0
    return {"estimate": estimate, "se": se, "lower": estimate - half, "upper": estimate + half, "p_value": p_value}


def check_effect(dataset: Dataset, effect: str) -> np.ndarray:
    """The column of interest as numbers, [n], or one line that says why it has no effect to estimate.

    Raises
    ------
    InputError
    """
    if effect not in dataset.features:
        raise unknown("column of interest", effect, dataset.features)
    if len(dataset.targets) != 1:
        raise InputError(f"an effect needs one target; there are {len(dataset.targets)}: {', '.join(dataset.targets)}")
    if len(dataset.frame) < LEAST_ROWS:
        raise InputError(
            f"{len(dataset.frame)} rows; at least {LEAST_ROWS} are needed for an effect under flexible control"
        )
    if len(dataset.features) == 1:
        raise InputError(f"there is no column beside '{effect}' to control for")
    return _as_numbers(dataset.X[effect], effect)


def effect_under_control(
    dataset: Dataset, effect: str, nuisance: Any, *, folds: int = 5, repeats: int = 1, seed: int = 0,
    cache: Cache | None = None, progress: Progress | None = None, backend: str = "loky",
) -> dict[str, Any]:  # fmt: skip
    """The coefficient of one column by least squares on all columns, and with the other columns under flexible control.

    Parameters
    ----------
    dataset : Dataset
    effect : str
        A numeric feature (or a feature with two levels).
    nuisance : estimator, or mapping
        Unfitted regressor that predicts the target, and the effect column, from the other features: a net, boosting,
        ...; or {"outcome": ..., "treatment": ...}.
    folds, repeats : int
        Of the cross-fitting. With several repeats the median estimate is reported, its variance with the spread between
        repeats (the same paper, definition 3.3).
    cache, progress, backend
        As in `evaluate`.

    Returns
    -------
    dict
        effect, regression and flexible (each estimate, se, lower, upper, p_value), difference, survives,
        sentence.

    Raises
    ------
    InputError
    """
    d = check_effect(dataset, effect)
    y = dataset.frame[dataset.targets[0]].to_numpy(dtype=float)
    others = dataset.X.drop(columns=[effect])
    groups = dataset.frame[dataset.groups].to_numpy() if dataset.groups else None
    models = nuisance if isinstance(nuisance, Mapping) else {"outcome": nuisance, "treatment": nuisance}
    plain = _least_squares(others, d, y, groups)
    chosen = [_folds(len(y), groups, folds, seed + repeat) for repeat in range(repeats)]
    sides = {"outcome": y, "treatment": d}
    cells = [
        _Cell(side, models[side], sides[side], fold == one, f"{side} without {effect}, repeat {repeat}, fold {one}",
              content_hash("effect", dataset.sha256, others.columns.tolist(), side, effect, models[side], fold == one))
        for repeat, fold in enumerate(chosen) for one in range(folds) for side in sides
    ]  # fmt: skip
    plan = plan_workers(len(cells), len(y))
    fitted = iter(run_cells(cells, partial(_predict_left_out, X=others, threads=plan.threads), plan, cache, progress,
                            backend))  # fmt: skip
    runs = []
    for fold in chosen:
        left = {side: values.copy() for side, values in sides.items()}
        for one in range(folds):
            for side in sides:
                left[side][fold == one] -= next(fitted)
        u, v = left["outcome"], left["treatment"]
        if float(v @ v) <= LEFT * float(np.sum((d - d.mean()) ** 2)):
            raise InputError(f"'{effect}' is explained completely by the other columns: it has no effect of its own")
        runs.append(partially_linear(u, v, groups))
    flexible = _median(runs)
    survives = bool(flexible["lower"] > 0 or flexible["upper"] < 0) and flexible["estimate"] * plain["estimate"] > 0
    said = "survives" if survives else "does not survive"
    sentence = (
        f"The coefficient of '{effect}' is {plain['estimate']:.4g} by least squares and {flexible['estimate']:.4g} "
        f"({flexible['lower']:.4g} to {flexible['upper']:.4g}) under flexible control: it {said}."
    )
    return {
        "effect": effect, "regression": plain, "flexible": flexible, "survives": survives, "sentence": sentence,
        "difference": flexible["estimate"] - plain["estimate"], "folds": folds, "repeats": repeats, "rows": len(y),
    }  # fmt: skip


def _as_numbers(column: pd.Series, name: str) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        levels = sorted(column.dropna().astype(str).unique())
        if len(levels) != 2:
            raise InputError(f"'{name}' has {len(levels)} levels; an effect needs a number or two levels")
        column = column.astype(str).map({levels[0]: 0.0, levels[1]: 1.0})
    values = column.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise InputError(f"'{name}' has {int((~np.isfinite(values)).sum())} missing values; drop those rows")
    if np.ptp(values) == 0:
        raise InputError(f"'{name}' is constant: it has no effect to estimate")
    return values


def _folds(n: int, groups: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """Fold of each row, [n]; whole groups where there are groups."""
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.permutation(np.arange(n) % count)
    code = pd.factorize(groups)[0]
    if code.max() + 1 < count:
        raise InputError(f"{code.max() + 1} groups for {count} folds; use fewer folds")
    return (rng.permutation(code.max() + 1) % count)[code]


@dataclass(frozen=True)
class _Cell:
    """One nuisance fit and the rows that it has not seen."""

    arm: str
    estimator: Any = field(repr=False)
    target: np.ndarray = field(repr=False)  # [n]
    judge: np.ndarray = field(repr=False)  # [n], bool
    label: str = ""
    key: str = ""


def _predict_left_out(cell: _Cell, X: pd.DataFrame, threads: int) -> np.ndarray:
    """Predictions [n_judge] by a fit that has not seen the rows."""
    estimator = clone(cell.estimator)
    for limit in ("threads", "n_jobs"):
        if limit in estimator.get_params(deep=False):
            estimator.set_params(**{limit: threads})
    target = pd.Series(cell.target, index=X.index, name=cell.arm)
    return predict_with(estimator.fit(X[~cell.judge], target[~cell.judge]), X[cell.judge], True).ravel()


def _least_squares(others: pd.DataFrame, d: np.ndarray, y: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    """The coefficient as a regression on every column gives it, HC3 (or cluster-robust) standard error."""
    controls = pd.get_dummies(others, drop_first=True, dummy_na=False)
    controls = controls.apply(lambda c: c.astype(float).fillna(c.astype(float).median()))
    X = np.column_stack([d, np.ones(len(d)), controls.to_numpy(dtype=float)])
    fit = least_squares(X, y)
    if not fit.used[0]:
        raise InputError("the column of interest is a combination of the other columns: it has no effect of its own")
    se = float(np.sqrt(sandwich(fit, X, "HC3" if groups is None else "cluster", groups)[0, 0]))
    estimate, half = float(fit.beta[0]), float(norm.ppf(0.975)) * se
    p_value = float(2 * norm.sf(abs(estimate) / se)) if se > 0 else 0.0
    return {"estimate": estimate, "se": se, "lower": estimate - half, "upper": estimate + half, "p_value": p_value}


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Median over repeats; each variance is widened by the distance to the median."""
    estimate = float(np.median([run["estimate"] for run in runs]))
    variance = float(np.median([run["se"] ** 2 + (run["estimate"] - estimate) ** 2 for run in runs]))
    half = float(norm.ppf(0.975)) * np.sqrt(variance)
    p_value = float(2 * norm.sf(abs(estimate) / np.sqrt(variance))) if variance > 0 else 0.0
    return {
        "estimate": estimate,
        "se": float(np.sqrt(variance)),
        "lower": estimate - half,
        "upper": estimate + half,
        "p_value": p_value,
    }
