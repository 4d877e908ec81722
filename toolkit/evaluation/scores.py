"""Scores: pure functions of what was observed and what was predicted.

A metric that is an average of row losses carries `row_loss`, so that tests can be made on rows; one that is not
(R², area under the curve) is only known for a whole set of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import xlogy
from scipy.stats import rankdata, t

from toolkit.errors import InputError, unknown

__all__ = ["METRICS", "Metric", "default_metric", "get_metric", "metrics_for", "score", "score_table"]

PROBABILITY_FLOOR = 1e-15  # log loss of a certain and wrong forecast stays finite, as in scikit-learn
MEAN_FLOOR = 1e-9  # deviances need a positive mean


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    Attributes
    ----------
    row_loss : callable or None
        (observed [n], predicted [n]) -> loss [n]; None where the score is not an average over rows.
    finish : callable
        Mean row loss -> score, for instance the square root for RMSE.
    whole : callable or None
        (observed, predicted) -> score, for metrics without a row loss.
    target_kinds : tuple of str
        Kinds of target for which the metric has a meaning.
    functional : str
        What a forecaster should predict to do well: mean, median, log_mean (the mean of log(1 + y)), probability.
    """

    name: str
    label: str
    row_loss: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    finish: Callable[[float], float]
    whole: Callable[[np.ndarray, np.ndarray], float] | None = None
    greater_is_better: bool = False
    target_kinds: tuple[str, ...] = ("real", "positive", "count")
    functional: str = "mean"
    in_target_units: bool = False


def _identity(mean_loss: float) -> float:
    return float(mean_loss)


def _sqrt(mean_loss: float) -> float:
    return float(np.sqrt(mean_loss))


def squared_error(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return (observed - predicted) ** 2


def absolute_error(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.abs(observed - predicted)


def squared_log_error(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(log(1 + y) - log(1 + f))²; a negative prediction counts as 0, the smallest value the metric knows."""
    return (np.log1p(observed) - np.log1p(np.maximum(predicted, 0.0))) ** 2


def poisson_loss(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    mean = np.maximum(predicted, MEAN_FLOOR)
    return 2 * (xlogy(observed, observed / mean) - observed + mean)


def gamma_loss(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    mean = np.maximum(predicted, MEAN_FLOOR)
    return 2 * (np.log(mean / observed) + observed / mean - 1)


def log_loss(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    p = np.clip(predicted, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return -(observed * np.log(p) + (1 - observed) * np.log1p(-p))


def r_squared(observed: np.ndarray, predicted: np.ndarray) -> float:
    total = float(np.sum((observed - observed.mean()) ** 2))
    return 1 - float(np.sum((observed - predicted) ** 2)) / total if total > 0 else float("nan")


def area_under_curve(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Probability that a positive row is ranked above a negative one, ties counting half (Mann-Whitney)."""
    positive = observed > 0.5
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    ranks = rankdata(predicted)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


NUMERIC = ("real", "positive", "count")
METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("rmse", "RMSE", squared_error, _sqrt, in_target_units=True, target_kinds=(*NUMERIC, "binary")),
        Metric("mse", "MSE", squared_error, _identity, target_kinds=(*NUMERIC, "binary")),
        Metric("mae", "MAE", absolute_error, _identity, functional="median", in_target_units=True),
        Metric("r2", "R²", None, _identity, r_squared, greater_is_better=True),
        Metric("rmsle", "RMSLE", squared_log_error, _sqrt, target_kinds=("positive", "count"), functional="log_mean"),
        Metric("poisson_deviance", "Poisson deviance", poisson_loss, _identity, target_kinds=("count", "positive")),
        Metric("gamma_deviance", "Gamma deviance", gamma_loss, _identity, target_kinds=("positive",)),
        Metric("log_loss", "log loss", log_loss, _identity, target_kinds=("binary",), functional="probability"),
        Metric("brier", "Brier score", squared_error, _identity, target_kinds=("binary",), functional="probability"),
        Metric(
            "auc",
            "AUC",
            None,
            _identity,
            area_under_curve,
            greater_is_better=True,
            target_kinds=("binary",),
            functional="probability",
        ),
    )
}

# What is reported for each kind of target; the first is the primary one when the user names none.
BY_KIND = {
    "real": ("rmse", "mae", "r2"),
    "positive": ("rmse", "mae", "r2", "rmsle"),
    "count": ("poisson_deviance", "rmse", "mae", "r2", "rmsle"),
    "binary": ("log_loss", "brier", "auc"),
}
ALIASES = {"deviance": {"count": "poisson_deviance", "positive": "gamma_deviance", "binary": "log_loss"}}


def default_metric(target_kind: str) -> str:
    """The primary metric when the user names none."""
    return BY_KIND[target_kind][0]


def get_metric(name: str, target_kind: str | None = None) -> Metric:
    """The metric called `name`; `deviance` means the one that fits the kind of target.

    Raises
    ------
    InputError
        For an unknown name, or a metric that has no meaning for this kind of target.
    """
    name = ALIASES.get(name, {}).get(target_kind or "", name)
    if name not in METRICS:
        raise unknown("metric", name, [*METRICS, *ALIASES])
    metric = METRICS[name]
    if target_kind is not None and target_kind not in metric.target_kinds:
        raise InputError(
            f"metric '{name}' has no meaning for a {target_kind} target; it is for {', '.join(metric.target_kinds)}. "
            f"Known for this target: {', '.join(metrics_for(target_kind))}"
        )
    return metric


def metrics_for(target_kind: str, primary: str | None = None) -> tuple[str, ...]:
    """Metrics that are reported for this kind of target, the primary one first."""
    names = BY_KIND[target_kind]
    return names if primary is None else (primary, *(name for name in names if name != primary))


def score(metric: str | Metric, observed: np.ndarray, predicted: np.ndarray) -> float:
    """The score of predictions [n] of observations [n]."""
    metric = METRICS[metric] if isinstance(metric, str) else metric
    observed, predicted = np.asarray(observed, dtype=float), np.asarray(predicted, dtype=float)
    if metric.row_loss is None:
        return metric.whole(observed, predicted)  # type: ignore[misc]
    return metric.finish(float(np.mean(metric.row_loss(observed, predicted))))


def score_table(predictions: pd.DataFrame, metrics: tuple[str, ...], confidence: float = 0.95) -> pd.DataFrame:
    """Scores of every arm, averaged over folds.

    Parameters
    ----------
    predictions : DataFrame
        The predictions table. With several targets a fold's score is the plain average over targets.
    metrics : tuple of str
    confidence : float
        Of the interval; its standard error has the Nadeau-Bengio factor for overlapping training rows.

    Returns
    -------
    DataFrame
        One row per arm and metric: arm, metric, mean, se, lower, upper, per_fold (list in the order of repeat, fold).

    Notes
    -----
    With J folds of score s_j: se² = (1/J + n_judge / n_train) var(s_j), Nadeau and Bengio, Machine Learning 52 (2003),
    239-281. A single fold has no standard error.
    """
    rows = []
    targets = predictions["target"].nunique()
    for arm, part in predictions.groupby("arm", sort=False):
        folds = part.groupby(["repeat", "fold"], sort=True)
        sizes = folds.size().to_numpy() / targets
        ratio = _judge_to_train(part, sizes)
        for name in metrics:
            per_fold = [
                float(np.mean([score(name, one["observed"], one["predicted"]) for _, one in fold.groupby("target")]))
                for _, fold in folds
            ]
            count = len(per_fold)
            mean = float(np.mean(per_fold))
            se = float(np.std(per_fold, ddof=1) * np.sqrt(1 / count + ratio)) if count > 1 else float("nan")
            half = float(t.ppf(0.5 + confidence / 2, count - 1)) * se if count > 1 else float("nan")
            lower, upper = within_range(METRICS[name].greater_is_better, mean - half, mean + half)
            rows.append((arm, name, mean, se, lower, upper, per_fold))
    return pd.DataFrame(rows, columns=["arm", "metric", "mean", "se", "lower", "upper", "per_fold"])


def within_range(greater_is_better: bool, lower: float, upper: float) -> tuple[float, float]:
    """Limits that the score can take: no loss lies below 0, no R² or AUC above 1."""
    return (lower, min(upper, 1.0)) if greater_is_better else (max(lower, 0.0), upper)


def _judge_to_train(part: pd.DataFrame, sizes: np.ndarray) -> float:
    """n_judge / n_train of an average fold, from the `n_train` column of the predictions."""
    if "n_train" not in part:
        return 0.0
    n_train = part.groupby(["repeat", "fold"], sort=True)["n_train"].first().to_numpy()
    return float(np.mean(sizes / n_train))
