"""Error rates of the verdict and of the tests behind it, by simulation with fixed seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.benchmarks._calibration_cases import Simulated, simulate
from toolkit.benchmarks._calibration_speed import SPEED_CASES, seconds_of_all_tests
from toolkit.benchmarks._kept import Kept
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
GAINS, BAR_AT = (0.5, 1.0, 2.0), 2.0  # true gains in units of the minimal detectable one; which of them has the bar
CLAIMS = ("neural", "equivalent", "undecided", "regression")
CASES = ("equal_risk", "random_splits", "linear_truth", "true_gain", "diebold_mariano", "speed")
TESTS = ("corrected_t", "clustered_clt", "corrected_row_test")

FALSE_VERDICTS = 0.05  # largest share of winners between arms of equal risk
FALSE_NEURAL = 0.025  # largest share of nets that "win" against a regression that is the truth
RIGHT_SIDE = 0.80  # smallest share of right winners at twice the minimal detectable gain
MOST_SECONDS = 20.0  # of a processor, for every test on a million predictions
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
    kept = Kept("calibration")
    work = {
        "equal_risk": _equal_risk,
        "random_splits": _random_splits,
        "linear_truth": _linear_truth,
        "true_gain": _true_gain,
        "diebold_mariano": _diebold_mariano,
        "speed": _speed,
    }
    rows: list[dict[str, Any]] = []
    for case in cases or CASES:
        rows += work[case](kept, progress)
    kept.forget()
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


def _equal_risk(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of winners between learners of equal expected risk, margin 1 %, for each of the three tests."""
    rows = []
    for number, cell in enumerate(product(FAMILIES, ROWS, NOISES, SIZES)):
        rows += kept.part(equal_risk_cell, cell, [5, number], REPLICATIONS)
        progress(f"{rows[-1]['case']}: {rows[-1]['value']:.3f} ({rows[-1]['seconds']:.0f} s)")
    return rows


def _random_splits(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """The same over 20 random 90/10 splits, whose judging rows overlap, as published splits often do."""
    rows = []
    for number, (family, n, noise) in enumerate(product(FAMILIES[:2], ROWS, NOISES)):
        rows += kept.part(equal_risk_cell, (family, n, noise, "random"), [11, number], REPLICATIONS // 2)
        progress(f"{rows[-1]['case']}: {rows[-1]['value']:.3f} ({rows[-1]['seconds']:.0f} s)")
    return rows


def equal_risk_cell(cell: tuple[str, int, str, str], seed: list[int], replications: int) -> list[dict[str, Any]]:
    """Rows of the three tests for one family, size, noise and kind of folds."""
    (family, n, noise, sizes), start, rng = cell, time.process_time(), np.random.default_rng(seed)
    said: dict[str, list[str]] = {name: [] for name in TESTS}
    for _ in range(replications):
        one = simulate(rng, n, noise, sizes, family)
        for name, estimate in _estimates(one).items():
            said[name].append(_decision(estimate, MARGIN * one.paired.scores[0]))
    seconds = time.process_time() - start
    folds = "20 random 90/10 splits" if sizes == "random" else f"{sizes} folds"
    case = f"equal risk, {family}, {noise}, n = {n}, {folds}"
    return [
        _row(
            case, name, "false verdicts", np.isin(words, ["neural", "regression"]), seconds,
            FALSE_VERDICTS if name == DEFAULT_FOLD_TEST else None,
        )
        for name, words in said.items()
    ]  # fmt: skip


def _true_gain(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of right winners when the true gain is half, once and twice the detectable one: the power of each test."""
    rows = []
    for number, (n, noise, times) in enumerate(product(ROWS, NOISES, GAINS)):
        rows += kept.part(true_gain_cell, n, noise, times, number // len(GAINS), REPLICATIONS // 2)
        last = rows[-1]
        progress(f"{last['case']}: {last['value']:.3f} at {last['gain_over_detectable']:.2f} times the detectable gain")
    return rows


def true_gain_cell(n: int, noise: str, times: float, number: int, replications: int) -> list[dict[str, Any]]:
    """Rows of the three tests at a true gain of `times` the minimal detectable one of the default test."""
    start, tilt = time.process_time(), _tilt_for_detectable(times, n, noise, number)
    rng = np.random.default_rng([7, number])
    said: dict[str, list[str]] = {name: [] for name in TESTS}
    ratios = []
    for _ in range(replications):
        one = simulate(rng, n, noise, "even", "blocks", tilt)
        margin = MARGIN * one.paired.scores[0]
        found = _estimates(one)
        for name, estimate in found.items():
            said[name].append(_decision(estimate, margin))
        ratios.append((found[DEFAULT_FOLD_TEST].gain, minimal_detectable_gain(found[DEFAULT_FOLD_TEST], margin)))
    gain, detectable = np.mean(ratios, axis=0)
    seconds = time.process_time() - start
    return [
        _row(
            f"true gain of {times:g} x detectable, {noise}, n = {n}", name, "right side", np.equal(words, "neural"),
            seconds, RIGHT_SIDE if name == DEFAULT_FOLD_TEST and times == BAR_AT else None, above=True,
            gain_over_detectable=float(gain / detectable),
        )
        for name, words in said.items()
    ]  # fmt: skip


def _tilt_for_detectable(times: float, n: int, noise: str, number: int) -> float:
    """Coefficient at which the mean gain is `times` the mean detectable one, by bisection on common numbers."""
    low, high = 0.0, 5.0
    for _ in range(12):
        middle, rng = (low + high) / 2, np.random.default_rng([6, number])
        pairs = []
        for _ in range(100):
            one = simulate(rng, n, noise, "even", "blocks", middle)
            estimate = _estimates(one)[DEFAULT_FOLD_TEST]
            pairs.append((estimate.gain, minimal_detectable_gain(estimate, MARGIN * one.paired.scores[0])))
        gain, detectable = np.mean(pairs, axis=0)
        low, high = (low, middle) if gain > times * detectable else (middle, high)
    return high


def _linear_truth(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of `neural` when the truth is linear and a trained net meets the regression."""
    from toolkit.benchmarks._calibration_nets import SETTINGS, linear_truth_verdicts

    said, seconds = linear_truth_verdicts(NET_REPLICATIONS, MARGIN, kept, progress)
    return [
        _row(
            f"linear truth, {SETTINGS}", name, "neural", np.equal(words, "neural"), seconds,
            FALSE_NEURAL if name == DEFAULT_FOLD_TEST else None,
            note=", ".join(f"{claim} {words.count(claim)}" for claim in CLAIMS) + f" of {len(words)} replications",
        )
        for name, words in said.items()
    ]  # fmt: skip


def _diebold_mariano(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rejection rate at 5 % of equally good forecasts whose loss differences are moving averages of order h - 1."""
    rows = []
    for n, h in FORECAST_SIZES:
        rows += kept.part(diebold_mariano_cell, n, h)
        progress(f"{rows[-2]['case']}: fixed-b {rows[-2]['value']:.3f}, HLN {rows[-1]['value']:.3f}")
    return rows


def diebold_mariano_cell(n: int, h: int) -> list[dict[str, Any]]:
    """Size of both forecast tests for n loss differences of horizon h."""
    rng = np.random.default_rng([8, n, h])
    noise = rng.normal(size=(SERIES_REPLICATIONS, n + h - 1))
    sums = np.cumsum(np.column_stack([np.zeros(len(noise)), noise]), axis=1)
    differences = sums[:, h:] - sums[:, :-h]  # [replications, n], equal weights
    rows = []
    for name, test in (("diebold_mariano_fixed_b", fixed_b), ("diebold_mariano_hln", diebold_mariano)):
        start = time.process_time()
        p = np.array([test(one, h)["p_value"] for one in differences], dtype=float)
        row = _row(
            f"equal forecasts, n = {n}, h = {h}", name, "size at 5 %", p < SIZE, time.process_time() - start, None
        )
        if name == "diebold_mariano_fixed_b":
            row |= {"bar": list(FORECAST_BAND), "holds": FORECAST_BAND[0] <= row["value"] <= FORECAST_BAND[1]}
        rows.append(row)
    return rows


def _speed(kept: Kept, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every test on a million predictions; never kept, since a time is no result of the code alone."""
    rows = []
    for kind in SPEED_CASES:
        found = seconds_of_all_tests(kind)
        row = {"case": f"a million predictions, {kind}", "arm": "all tests", "metric": "processor seconds", **found}
        rows.append(row | {"bar": MOST_SECONDS, "holds": found["value"] <= MOST_SECONDS})
        progress(f"{row['case']}: {row['value']:.1f} processor seconds")
    return rows
