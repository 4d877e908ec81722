"""Does each side add to the other? Forecast encompassing on out-of-fold predictions, and the score of a mix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t

from toolkit.comparison.bayes import SIZE
from toolkit.comparison.design import Design, sum_covariance
from toolkit.comparison.estimate import Estimate, p_value, to_test
from toolkit.comparison.record import Test
from toolkit.comparison.row_scores import gain_of, score_rows
from toolkit.comparison.rows import PairedRows
from toolkit.comparison.tests import row_test

__all__ = ["encompassing", "weight_of_second"]

BLOCKS = 5  # the weight of the mix is learned on four fifths of the units and judged on the last one


def encompassing(paired: PairedRows, design: Design) -> tuple[dict[str, Any], list[Test]]:
    """Encompassing tests, the weight of the best mix and what it gains out of fold.

    Returns
    -------
    found : dict
        outcome (neither, regression adds, net adds, combine), weight of the second arm, lower, upper, score of the mix,
        gain_over (arm -> gain of the mix), use_both, advice.
    tests : list of Test

    Notes
    -----
    observed - f1 = w (f2 - f1) + error. The net adds when w > 0, the regression adds when w < 1, each one-sided at
    5 per cent: Harvey, Leybourne and Newbold, JBES 16 (1998), 254-259, with the clustered or serial covariance of the
    design. Targets are standardised first; for scores of log(1 + y) everything is done on that scale.
    """
    change, error = _sides(paired)
    weight, se, df = _weight(change, error, paired.weight, design)
    if weight is None:
        return {"outcome": "neither", "advice": "the two arms make the same predictions"}, []
    adds_second = Test(
        "encompassing_net_adds",
        paired.arms,
        f"{paired.arms[1]} adds nothing to {paired.arms[0]}",
        weight / se,
        float(t.sf(weight / se, df)),
        weight,
        *_limits(weight, se, df),
        design.n,
        {"one_sided": True, "se": se, "df": df, "weight_of": paired.arms[1]},
    )
    adds_first = Test(
        "encompassing_regression_adds",
        paired.arms,
        f"{paired.arms[0]} adds nothing to {paired.arms[1]}",
        (1 - weight) / se,
        float(t.sf((1 - weight) / se, df)),
        1 - weight,
        *_limits(1 - weight, se, df),
        design.n,
        {"one_sided": True, "se": se, "df": df, "weight_of": paired.arms[0]},
    )
    second, first = adds_second.p_value < SIZE, adds_first.p_value < SIZE
    outcome = {(True, True): "combine", (True, False): "net adds", (False, True): "regression adds"}.get(
        (second, first), "neither"
    )
    found: dict[str, Any] = {
        "outcome": outcome,
        "weight": weight,
        "lower": adds_second.lower,
        "upper": adds_second.upper,
    }
    mixed, tests = _mix(paired, design, change, error)
    found |= mixed
    found["use_both"] = bool(
        outcome == "combine"
        and tests
        and all(x.p_value is not None and x.p_value < SIZE and x.estimate > 0 for x in tests)
    )
    found["advice"] = _advice(found, paired.arms)
    return found, [adds_second, adds_first, *tests]


def _limits(value: float, se: float, df: float) -> tuple[float, float]:
    half = float(t.ppf(0.975, df)) * se
    return value - half, value + half


def _advice(found: dict[str, Any], arms: tuple[str, str]) -> str:
    if found["use_both"]:
        return f"use both: the mix beats {arms[0]} and {arms[1]} out of fold"
    return {
        "combine": "each side adds to the other, but the mix is not shown to beat the better one out of fold",
        "net adds": f"{arms[1]} holds what {arms[0]} knows, and more",
        "regression adds": f"{arms[0]} holds what {arms[1]} knows, and more",
        "neither": "neither side is shown to add to the other",
    }[found["outcome"]]


def _link(paired: PairedRows) -> tuple[Any, Any]:
    if paired.metric.functional == "log_mean":
        return lambda x: np.log1p(np.maximum(x, 0.0)), np.expm1
    return (lambda x: x), (lambda x: x)


def _sides(paired: PairedRows) -> tuple[np.ndarray, np.ndarray]:
    """f2 - f1 and observed - f1 for each row, in standard deviations of the target."""
    forward, _ = _link(paired)
    observed, predicted = forward(paired.observed), forward(paired.predicted)
    spread = np.ones(len(observed))
    for target in np.unique(paired.target.astype(str)) if len(set(paired.target_of_cell)) > 1 else ():
        at = paired.target.astype(str) == target
        spread[at] = np.std(observed[at]) or 1.0
    return (predicted[:, 1] - predicted[:, 0]) / spread, (observed - predicted[:, 0]) / spread


def _weight(
    change: np.ndarray, error: np.ndarray, weight: np.ndarray, design: Design
) -> tuple[float | None, float, float]:
    scale = float(weight @ change**2)
    if not scale > 0:
        return None, 0.0, 1.0
    value = float(weight @ (change * error)) / scale
    variance, df, _ = sum_covariance(weight * change * (error - value * change) / scale, design)
    se = float(np.sqrt(max(variance[0, 0], 0.0)))
    return (value, se, df) if se > 0 else (None, 0.0, 1.0)


def weight_of_second(change: np.ndarray, error: np.ndarray, weight: np.ndarray) -> float:
    """Weight of the second arm in the mix, between 0 and 1."""
    scale = float(weight @ change**2)
    return float(np.clip(weight @ (change * error) / scale, 0.0, 1.0)) if scale > 0 else 0.0


def _mix(
    paired: PairedRows, design: Design, change: np.ndarray, error: np.ndarray
) -> tuple[dict[str, Any], list[Test]]:
    """Mix with a weight learned on other units than those it is judged on."""
    if design.n < 2 * BLOCKS or not paired.row_level:
        return {}, []
    forward, back = _link(paired)
    if design.ordered:
        block = design.units * BLOCKS // design.n
    else:  # a fixed shuffle: independent of how the rows are sorted
        block = np.random.default_rng(0).permutation(design.n)[design.units] % BLOCKS
    share = np.empty(len(change))
    for number in range(BLOCKS):
        other = block != number
        share[~other] = weight_of_second(change[other], error[other], paired.weight[other])
    first, second = forward(paired.predicted).T
    mixed = back(first + share * (second - first))
    for side, weight in enumerate((0.0, 1.0)):  # one side alone is that side, not the same up to rounding
        mixed = np.where(share == weight, paired.predicted[:, side], mixed)
    cells = len(paired.cell_scores)
    scores, rows, _ = score_rows(paired.metric, paired.observed, mixed, paired.cell, cells)
    score, gains, tests = float(scores.mean()), {}, []
    for side, arm in enumerate(paired.arms):
        _, alone, _ = score_rows(paired.metric, paired.observed, paired.predicted[:, side], paired.cell, cells)
        gain = np.asarray(gain_of(paired.metric, alone, rows))
        against = replace(
            paired, gain=gain, fold_gain=np.bincount(paired.fold, paired.weight * gain) * len(paired.fold_gain)
        )
        estimate: Estimate = replace(
            row_test(against, design),
            name="combination_gain",
            null=f"the mix of both has the same expected score as {arm} alone",
        )
        tests.append(replace(to_test(estimate, paired.arms, over=arm), p_value=p_value(estimate)))
        gains[arm] = estimate.gain
    return {"score": score, "gain_over": gains, "mean_weight": float(paired.weight @ share)}, tests
