"""Error rates of the verdict and of the tests behind it, by simulation with fixed seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.benchmarks._calibration_cases import Simulated, simulate
from toolkit.comparison.bayes import SIZE, decide
from toolkit.comparison.estimate import Estimate, p_value, probabilities, with_seeds
from toolkit.comparison.forecast_tests import diebold_mariano, fixed_b
from toolkit.comparison.power import minimal_detectable_gain
from toolkit.comparison.tests import clustered_clt, corrected_t, judge_to_train, row_test
from toolkit.comparison.verdict import DEFAULT_FOLD_TEST
from toolkit.errors import unknown

__all__ = ["CASES", "run"]

REPLICATIONS = 2_000
NET_REPLICATIONS = 200
SERIES_REPLICATIONS = 5_000
MARGIN = 0.01  # of the first arm's score, as in a run that names no margin
ROWS = (200, 1_000)
NOISES = ("homoskedastic", "heteroskedastic", "grouped")
SIZES = ("even", "uneven")
FAMILIES = ("blocks", "noise", "random nets")
FORECAST_SIZES = ((30, 1), (30, 12), (100, 12), (200, 24))
CASES = ("equal_risk", "linear_truth", "true_gain", "diebold_mariano")
TESTS = ("corrected_t", "clustered_clt", "corrected_row_test")

FALSE_VERDICTS = 0.05  # largest share of winners between arms of equal risk
FALSE_NEURAL = 0.025  # largest share of nets that "win" against a regression that is the truth
RIGHT_SIDE = 0.80  # smallest share of right winners at twice the minimal detectable gain
FORECAST_BAND = (0.03, 0.07)  # of the empirical size of forecast tests


def run(
    cases: list[str] | None, arms: list[str] | None, data: Path | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Simulate and count.

    Parameters
    ----------
    cases : list of str, optional
        Some of `CASES`.
    arms : list of str, optional
        Some of the tests; the one that decides by default has the bar.
    data : Path, optional
        Not used: the data are simulated.
    progress : callable
        Told what is going on.

    Returns
    -------
    list of dict
        Rows of the benchmark table; `arm` is the name of the test, `se` the Monte Carlo standard error.
    """
    for case in cases or ():
        if case not in CASES:
            raise unknown("case", case, CASES)
    work = {
        "equal_risk": _equal_risk,
        "linear_truth": _linear_truth,
        "true_gain": _true_gain,
        "diebold_mariano": _diebold_mariano,
    }
    rows: list[dict[str, Any]] = []
    for case in cases or CASES:
        rows += work[case](progress)
    return [row for row in rows if arms is None or row["arm"] in arms]


def _estimates(one: Simulated) -> dict[str, Estimate]:
    members = 2 * 2  # degrees of freedom of the seed variance: two arms of three nets
    found = [
        corrected_t(one.paired.fold_gain, judge_to_train(one.paired)),
        clustered_clt(one.paired, one.design),
        row_test(one.paired, one.design),
    ]
    return {e.name: e if e.name == "corrected_t" else with_seeds(e, one.seed_variance, members) for e in found}


def _decision(estimate: Estimate, margin: float) -> str:
    return decide(probabilities(estimate, margin), p_value(estimate), estimate, margin)[0]


def _row(
    case: str,
    arm: str,
    metric: str,
    hits: np.ndarray,
    seconds: float,
    bar: float | None,
    above: bool = False,
    **more: Any,
) -> dict[str, Any]:
    share, count = float(np.mean(hits)), len(hits)
    row: dict[str, Any] = {
        "case": case,
        "arm": arm,
        "metric": metric,
        "value": share,
        "se": float(np.sqrt(share * (1 - share) / count)),
        "seconds": seconds,
        "replications": count,
    }
    if bar is not None:
        row |= {"bar": bar, "holds": share >= bar if above else share <= bar}
    return row | more


def _equal_risk(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of winners between learners of equal expected risk, margin 1 %, for each of the three tests."""
    rows = []
    for number, (family, n, noise, sizes) in enumerate(product(FAMILIES, ROWS, NOISES, SIZES)):
        start, rng = time.process_time(), np.random.default_rng([5, number])
        said: dict[str, list[str]] = {name: [] for name in TESTS}
        for _ in range(REPLICATIONS):
            one = simulate(rng, n, noise, sizes, family)
            for name, estimate in _estimates(one).items():
                said[name].append(_decision(estimate, MARGIN * one.paired.scores[0]))
        seconds = time.process_time() - start
        case = f"equal risk, {family}, {noise}, n = {n}, {sizes} folds"
        for name, words in said.items():
            hits = np.isin(words, ["neural", "regression"])
            default = name == DEFAULT_FOLD_TEST
            rows.append(_row(case, name, "false verdicts", hits, seconds, FALSE_VERDICTS if default else None))
        progress(f"{case}: {rows[-1]['value']:.3f} ({seconds:.0f} s)")
    return rows


def _true_gain(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of right winners when the true gain is twice the minimal detectable one."""
    rows = []
    for number, (n, noise) in enumerate(product(ROWS, NOISES)):
        start = time.process_time()
        tilt = _tilt_for_twice_detectable(n, noise, number)
        rng = np.random.default_rng([7, number])
        said: dict[str, list[str]] = {name: [] for name in TESTS}
        ratios = []
        for _ in range(REPLICATIONS // 2):
            one = simulate(rng, n, noise, "even", "blocks", tilt)
            margin = MARGIN * one.paired.scores[0]
            found = _estimates(one)
            for name, estimate in found.items():
                said[name].append(_decision(estimate, margin))
            ratios.append((found[DEFAULT_FOLD_TEST].gain, minimal_detectable_gain(found[DEFAULT_FOLD_TEST], margin)))
        gain, detectable = np.mean(ratios, axis=0)
        seconds = time.process_time() - start
        for name, words in said.items():
            default = name == DEFAULT_FOLD_TEST
            rows.append(
                _row(
                    f"true gain, {noise}, n = {n}",
                    name,
                    "right side",
                    np.equal(words, "neural"),
                    seconds,
                    RIGHT_SIDE if default else None,
                    above=True,
                    gain_over_detectable=float(gain / detectable),
                )
            )
        progress(f"{rows[-1]['case']}: {rows[-1]['value']:.3f} at {gain / detectable:.2f} times the detectable gain")
    return rows


def _tilt_for_twice_detectable(n: int, noise: str, number: int) -> float:
    """Coefficient at which the mean gain is twice the mean minimal detectable one, by bisection on common numbers."""
    low, high = 0.0, 5.0
    for _ in range(12):
        middle, rng = (low + high) / 2, np.random.default_rng([6, number])
        pairs = []
        for _ in range(100):
            one = simulate(rng, n, noise, "even", "blocks", middle)
            estimate = _estimates(one)[DEFAULT_FOLD_TEST]
            pairs.append((estimate.gain, minimal_detectable_gain(estimate, MARGIN * one.paired.scores[0])))
        gain, detectable = np.mean(pairs, axis=0)
        low, high = (low, middle) if gain > 2 * detectable else (middle, high)
    return high


def _linear_truth(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of `neural` when the truth is linear and a trained net meets the regression."""
    from toolkit.benchmarks._calibration_nets import linear_truth_verdicts

    start = time.process_time()
    said, settings = linear_truth_verdicts(NET_REPLICATIONS, MARGIN, progress)
    seconds = time.process_time() - start
    rows = []
    for name, words in said.items():
        bar = FALSE_NEURAL if name == DEFAULT_FOLD_TEST else None
        rows.append(
            _row(
                f"linear truth, {settings}",
                name,
                "neural",
                np.equal(words, "neural"),
                seconds,
                bar,
                regression=float(np.mean(np.equal(words, "regression"))),
                equivalent=float(np.mean(np.equal(words, "equivalent"))),
            )
        )
    return rows


def _diebold_mariano(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rejection rate at 5 % of equally good forecasts whose loss differences are moving averages of order h - 1."""
    rows = []
    for n, h in FORECAST_SIZES:
        rng = np.random.default_rng([8, n, h])
        noise = rng.normal(size=(SERIES_REPLICATIONS, n + h - 1))
        sums = np.cumsum(np.column_stack([np.zeros(len(noise)), noise]), axis=1)
        differences = sums[:, h:] - sums[:, :-h]  # [replications, n], equal weights
        for name, test in (("diebold_mariano_fixed_b", fixed_b), ("diebold_mariano_hln", diebold_mariano)):
            start = time.process_time()
            p = np.array([test(one, h)["p_value"] for one in differences], dtype=float)
            row = _row(
                f"equal forecasts, n = {n}, h = {h}", name, "size at 5 %", p < SIZE, time.process_time() - start, None
            )
            if name == "diebold_mariano_fixed_b":
                row |= {"bar": list(FORECAST_BAND), "holds": FORECAST_BAND[0] <= row["value"] <= FORECAST_BAND[1]}
            rows.append(row)
        progress(f"{rows[-2]['case']}: fixed-b {rows[-2]['value']:.3f}, HLN {rows[-1]['value']:.3f}")
    return rows
