"""Family by evidence: inner out-of-fold log score of the additive specification, all families on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.specification.family import FAMILIES, Family, candidates, interval_log_probability
from toolkit.specification.likelihood import Rows, fit_family
from toolkit.specification.sample import inner_folds

__all__ = ["FamilyScore", "choose_family", "hurdle_log_probability"]

ROWS = 4_000  # evenly spread rows that the families are compared on
LOG_SCORE_FLOOR = -1e3  # of one row: an impossible value must not decide by its exact distance from possible
SURE = 2.0  # standard errors by which a less simple family must win on the log score, or another one on the metric


@dataclass(frozen=True)
class FamilyScore:
    """What one family reached out of fold."""

    family: str
    log_score: float  # mean log density per row, on the scale of the target
    se: float  # of its difference to the best
    loss: float  # mean loss of its point prediction under the user's metric
    chosen: bool = False


def choose_family(
    rows: Rows,
    y: np.ndarray,
    target_kind: str,
    metric: str,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    seed: int,
) -> tuple[str, list[FamilyScore], str]:
    """The family, the scores of all candidates, and a sentence that says why.

    The family with the best log score is taken, unless another one predicts better under the user's metric by more than
    two standard errors of the paired difference. RMSLE is squared error on log(1 + y), so there the normal family on
    that scale is the natural one.
    """
    names = candidates(target_kind, y)
    if metric == "rmsle" and "log1p_normal" not in names and y.min() >= 0:
        names.append("log1p_normal")
    if len(names) == 1:
        return names[0], [], f"{names[0]}: the only family for a {target_kind} target"
    index = np.unique(np.linspace(0, len(y) - 1, min(len(y), ROWS)).astype(int))
    rows, y = rows.take(index), y[index]
    weight = None if weight is None else weight[index]
    folds = inner_folds(len(y), None if groups is None else groups[index], seed)[: len(y)] % 3
    table = {name: out_of_fold(name, rows, y, weight, folds, metric) for name in names}
    by_score = simplest_within_noise(names, {name: table[name][0] for name in names})
    chosen, reason = (
        by_score,
        f"{by_score} has the best inner out-of-fold log score, or is the simplest within its noise",
    )
    if metric == "rmsle" and "log1p_normal" in names:
        chosen, reason = "log1p_normal", "RMSLE is squared error on log(1 + y), so that scale is modelled"
    else:
        for name in names:
            difference = table[name][1] - table[chosen][1]
            if difference.mean() < -SURE * difference.std(ddof=1) / np.sqrt(len(y)):
                chosen, reason = name, f"{by_score} has the best log score, but {name} predicts better by {metric}"
    best = table[by_score][0]
    scores = [
        FamilyScore(
            name,
            float(score.mean()),
            float((score - best).std(ddof=1) / np.sqrt(len(y))),
            float(loss.mean()),
            name == chosen,
        )
        for name, (score, loss) in table.items()
    ]
    return chosen, sorted(scores, key=lambda s: -s.log_score), reason


def simplest_within_noise(names: list[str], scores: dict[str, np.ndarray]) -> str:
    """The first family (they stand in the order of simplicity) within two standard errors of the best log score."""
    best = max(names, key=lambda name: scores[name].mean())
    for name in names:
        behind = scores[best] - scores[name]
        if behind.mean() <= SURE * behind.std(ddof=1) / np.sqrt(len(behind)):
            return name
    return best


def out_of_fold(
    name: str, rows: Rows, y: np.ndarray, weight: np.ndarray | None, folds: np.ndarray, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Log score and metric loss of every row, [n] each, predicted by fits that have not seen it."""
    scores, losses = np.empty(len(y)), np.empty(len(y))
    for fold in range(3):
        train, judge = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        fit = fit_hurdle if name == "hurdle" else fit_one
        w = None if weight is None else weight[train]
        scores[judge], point = fit(name, rows.take(train), y[train], w, rows.take(judge), y[judge], metric)
        losses[judge] = metric_loss(metric, y[judge], point)
    return np.maximum(scores, LOG_SCORE_FLOOR), losses


def fit_one(name, train: Rows, y_train, weight, judge: Rows, y_judge, metric: str):
    family = FAMILIES[name]
    fitted = fit_family(train, y_train, family, weight)
    eta = np.clip(judge.predictor(fitted.fit.beta), fitted.eta.min() - 1, fitted.eta.max() + 1)
    point = family.mean(eta)
    if family.is_normal and family.link != "identity" and metric not in ("mae", "rmsle"):
        point = smeared(family, eta, family.forward(y_train) - fitted.eta)
    count = family.is_normal and np.array_equal(y_train, np.floor(y_train)) and y_train.min() >= 0
    if count and train_is_count(y_train):
        return interval_log_probability(family, y_judge, eta, fitted.shape), point
    return family.log_density(y_judge, eta, fitted.shape), point


def train_is_count(y: np.ndarray) -> bool:
    """Whether log scores are put on the scale of probabilities of whole numbers."""
    return bool(np.array_equal(y, np.floor(y)) and y.min() >= 0)


def fit_hurdle(name, train: Rows, y_train, weight, judge: Rows, y_judge, metric: str):
    some = np.flatnonzero(y_train > 0)
    zero = fit_family(train, (y_train > 0).astype(float), FAMILIES["logistic"], weight)
    positive = fit_family(
        train.take(some), y_train[some], FAMILIES["truncated_nb"], None if weight is None else weight[some]
    )
    eta_zero, eta_positive = judge.predictor(zero.fit.beta), judge.predictor(positive.fit.beta)
    eta_positive = np.clip(eta_positive, positive.eta.min() - 1, positive.eta.max() + 1)
    log_score = hurdle_log_probability(y_judge, eta_zero, eta_positive, positive.shape)
    mean = FAMILIES["logistic"].mean(eta_zero) * FAMILIES["truncated_nb"].truncated_mean(eta_positive, positive.shape)
    return log_score, mean


def hurdle_log_probability(y: np.ndarray, eta_zero: np.ndarray, eta_positive: np.ndarray, shape: float) -> np.ndarray:
    """log P(Y = y) of a hurdle model: logistic for Y > 0, zero-truncated negative binomial for its size, [n]."""
    some = (y > 0).astype(float)
    score = FAMILIES["logistic"].log_density(some, eta_zero, 1.0)
    return score + np.where(y > 0, FAMILIES["truncated_nb"].log_density(np.maximum(y, 1), eta_positive, shape), 0.0)


def smeared(family: Family, eta: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Mean of the target by Duan's smearing (JASA 78, 1983, 605-610): average of the back-transform over residuals.

    For the logarithm the average is exp(eta) times the mean of exp(residual), minus the shift of log(1 + y).
    """
    factor = float(np.mean(np.exp(residual)))
    return np.exp(np.clip(eta, -30, 30)) * factor - (1.0 if family.link == "log1p" else 0.0)


def metric_loss(metric: str, y: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Row loss of a point prediction, [n]."""
    if metric == "mae":
        return np.abs(y - point)
    if metric == "rmsle":
        return (np.log1p(y) - np.log1p(np.maximum(point, 0))) ** 2
    positive = np.maximum(point, 1e-9)
    if metric == "poisson_deviance":
        return 2 * (np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / positive), 0) - y + positive)
    if metric == "gamma_deviance" and y.min() > 0:
        return 2 * (np.log(positive / y) + y / positive - 1)
    return (y - point) ** 2
