"""Both arms at growing numbers of training rows: does the net need more rows, and where do the curves cross?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.design import make_design
from toolkit.comparison.estimate import Estimate, interval, with_seeds
from toolkit.comparison.rows import PairedRows, pair_rows
from toolkit.comparison.seeds import seed_variance
from toolkit.comparison.tests import corrected_t, judge_to_train, paired_bootstrap, row_test
from toolkit.data.splits import Fold, Splits
from toolkit.errors import InputError
from toolkit.evaluation.scores import Metric

__all__ = ["LearningCurve", "crossing", "learning_curve", "smaller_splits"]

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training rows of each fold
FEWEST_ROWS = 20


@dataclass(frozen=True)
class LearningCurve:
    """Scores and gains by training size."""

    scores: pd.DataFrame = field(repr=False)  # arm, n (training rows), value (score)
    gains: pd.DataFrame = field(repr=False)  # n, gain, lower, upper, gain_percent
    crossing: float | None  # training rows at which the second arm starts to win; None when the curves do not cross
    sentence: str


def smaller_splits(splits: Splits, share: float, time: np.ndarray | None = None) -> Splits:
    """The same judging rows with a share of the training rows of each fold; smaller sets lie within larger ones.

    Rows are drawn at random, or are the most recent ones when `time` (of each row) is given.
    """
    folds = []
    for number, one in enumerate(splits.folds):
        if time is None:
            order = np.random.default_rng([splits.seed, number]).permutation(one.train)
        else:
            order = one.train[np.argsort(time[one.train], kind="stable")[::-1]]
        count = max(min(FEWEST_ROWS, len(order)), round(share * len(order)))
        folds.append(Fold(one.repeat, one.fold, np.sort(order[:count]), one.judge))
    return replace(splits, folds=tuple(folds), reason=f"{splits.reason}; {share:.0%} of the training rows")


def learning_curve(
    dataset: Any,
    splits: Splits,
    arms: Mapping[str, Any],
    metric: str | Metric,
    evaluate: Callable[[Any, Splits, Mapping[str, Any]], tuple[pd.DataFrame, pd.DataFrame | None]],
    shares: Sequence[float] = SHARES,
    time: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> LearningCurve:
    """Evaluate two arms at growing training sizes.

    Parameters
    ----------
    dataset : Dataset
        Handed on to `evaluate`.
    splits : Splits
    arms : mapping of two arms
        The first plays the regression, the second the net.
    metric : str or Metric
    evaluate : callable
        (dataset, splits, arms) -> predictions and those of members (or None), whose luck enters the intervals.
    shares : sequence of float
        Of the training rows of each fold, growing.
    time : ndarray, optional
        Time of each row: smaller sizes are then the most recent rows.
    groups : ndarray, optional
        Group of each row, for the intervals.

    Returns
    -------
    LearningCurve
    """
    if len(arms) != 2:
        raise InputError(f"learning curve: expected two arms, got {', '.join(arms)}")
    pair = tuple(arms)
    scores, gains = [], []
    for share in sorted(shares):
        smaller = smaller_splits(splits, share, time)
        size = int(np.mean([len(one.train) for one in smaller.folds]))
        predictions, members = evaluate(dataset, smaller, arms)
        paired = pair_rows(predictions, metric, pair, size)
        found = _estimate(paired, splits.scheme, groups, seed, members)
        lower, upper = interval(found) if found.se > 0 else (found.gain, found.gain)
        first, second = paired.scores
        scores += [(pair[0], size, first), (pair[1], size, second)]
        gains.append((size, found.gain, lower, upper, 100 * found.gain / abs(first) if first else np.nan))
    table = pd.DataFrame(gains, columns=["n", "gain", "lower", "upper", "gain_percent"])
    where = crossing(table)
    return LearningCurve(
        pd.DataFrame(scores, columns=["arm", "n", "value"]), table, where, _sentence(table, where, (pair[0], pair[1]))
    )


def _estimate(
    paired: PairedRows, scheme: str, groups: np.ndarray | None, seed: int, members: pd.DataFrame | None
) -> Estimate:
    design = make_design(paired, scheme, groups)
    if not paired.row_level and design.kind == "folds":
        return corrected_t(paired.fold_gain, judge_to_train(paired))  # the seeds are inside the spread of the folds
    found = paired_bootstrap(paired, design, seed) if design.kind == "holdout" else row_test(paired, design)
    variance, df, _ = seed_variance(paired, members)
    return with_seeds(found, variance, df)


def crossing(gains: pd.DataFrame) -> float | None:
    """Training rows at which the gain turns from negative to positive for good, interpolated on the logarithm."""
    sizes, gain = gains["n"].to_numpy(dtype=float), gains["gain"].to_numpy(dtype=float)
    if gain[-1] <= 0 or (gain > 0).all():
        return None
    last = int(np.flatnonzero(gain <= 0)[-1])
    share = -gain[last] / (gain[last + 1] - gain[last])
    return float(np.exp(np.log(sizes[last]) + share * np.log(sizes[last + 1] / sizes[last])))


def _sentence(gains: pd.DataFrame, where: float | None, arms: tuple[str, str]) -> str:
    first, last = gains.iloc[0], gains.iloc[-1]
    if where is not None:
        sure = "" if last["lower"] > 0 else ", though the gain at the largest size may still be chance"
        return f"{arms[1]} overtakes {arms[0]} at about {where:,.0f} training rows{sure}."
    if (gains["gain"] > 0).all():
        return (
            f"{arms[1]} is ahead at every size from {first['n']:,.0f} to {last['n']:,.0f} training rows: no crossing."
        )
    if (gains["gain"] <= 0).all():
        trend = "is narrowing" if last["gain"] > first["gain"] else "is not narrowing"
        return (
            f"{arms[0]} is ahead at every size from {first['n']:,.0f} to {last['n']:,.0f} training rows, and its lead "
            f"{trend}: the curves do not cross here."
        )
    return f"{arms[1]} was ahead with fewer rows, but {arms[0]} is ahead at {last['n']:,.0f} training rows."
