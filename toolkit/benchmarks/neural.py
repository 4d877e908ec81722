"""Neural nets on tables: accuracy on published splits, cost of a stack, coverage of intervals."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from toolkit.benchmarks import _neural_cost, _neural_coverage, _neural_peer
from toolkit.benchmarks._kept import Kept
from toolkit.benchmarks._neural_cases import CASES, Case, Split, cases_in
from toolkit.diagnostics.calibration import calibration_line
from toolkit.errors import unknown
from toolkit.evaluation.engine import available_cores
from toolkit.evaluation.scores import get_metric, score
from toolkit.models.neural.regression import NeuralClassifier, NeuralRegression

__all__ = ["measure_split", "numbered_split", "run", "summary_row"]

ARMS = ("quick", "standard", "thorough")  # presets; the bars are those of `standard`, which runs when none is named


def run(
    cases: list[str] | None = None,
    arms: list[str] | None = None,
    data: Path | None = None,
    progress: Callable[[str], None] = print,
    splits: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of the benchmark.

    Parameters
    ----------
    cases : list of str or None
        Accuracy cases, cost cases and coverage cases; None for all.
    arms : list of str or None
        Presets of the net.
    data : Path or None
        Folder with other cases in the form of the published splits.
    progress : callable
        Receives a line of text after every case.
    splits : int or None
        At most this many splits of a case; the rows say how many.
    """
    accuracy = CASES if data is None else cases_in(data)
    others = {} if data is not None else {**_neural_cost.CASES, **_neural_coverage.CASES, **_neural_peer.CASES}
    for name in cases or ():
        if name not in accuracy and name not in others:
            raise unknown("case", name, [*accuracy, *others])
    for name in arms or ():
        if name not in ARMS:
            raise unknown("arm", name, ARMS)
    rows, kept = [], Kept("neural")
    for name in cases or [*accuracy, *others]:
        if name in others:
            rows += others[name](progress)
            continue
        case = accuracy[name]
        count = case.splits if splits is None else min(splits, case.splits)
        for arm in arms or ["standard"]:
            calls = [(name, number, arm, None if data is None else str(data)) for number in range(count)]
            results = kept.parts(numbered_split, calls, available_cores())
            rows.append(summary_row(case, arm, results))
            progress(f"{name} {arm}: {case.metric} {rows[-1]['value']:.5g}, {rows[-1]['note']}")
    kept.forget()
    return rows


def numbered_split(name: str, number: int, preset: str, data: str | None = None) -> dict[str, float]:
    """`measure_split` for a case by name and a split by number; every split is kept until all are done."""
    case = (CASES if data is None else cases_in(Path(data)))[name]
    return measure_split(case, next(islice(case.load(), number, None)), preset)


def measure_split(case: Case, split: Split, preset: str) -> dict[str, float]:
    """Score, wall seconds and CPU seconds of one fit; for a binary target also the calibration line of the logits."""
    binary = case.metric == "log_loss"
    face = NeuralClassifier if binary else NeuralRegression
    net = face(preset=preset, metric=case.metric, kinds=split.kinds, **case.settings)
    wall, cpu = time.perf_counter(), time.process_time()
    net.fit(split.X, split.y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    predicted = net.predict_proba(split.X_judge)[:, 1] if binary else net.predict(split.X_judge)
    value = score(get_metric(case.metric), split.y_judge, predicted)
    result = {"score": float(value), "seconds": wall, "cpu_seconds": cpu}
    if binary:
        line = calibration_line(split.y_judge, logit(np.clip(predicted, 1e-6, 1 - 1e-6)), "binomial")
        result |= {"intercept": line.intercept, "slope": line.slope, "slope_se": float(line.covariance[1, 1] ** 0.5)}
    return result


def summary_row(case: Case, arm: str, results: list[dict[str, float]]) -> dict[str, Any]:
    """Mean over splits, with its plain standard error, as one row of the table."""
    scores = np.array([r["score"] for r in results])
    row: dict[str, Any] = {"case": case.name, "arm": arm, "metric": case.metric, "value": float(scores.mean())}
    if len(scores) > 1:
        row["se"] = float(scores.std(ddof=1) / np.sqrt(len(scores)))
    row["seconds"] = float(np.mean([r["seconds"] for r in results]))
    row["cpu_seconds"] = float(np.mean([r["cpu_seconds"] for r in results]))
    row["splits"] = f"{len(scores)} of {case.splits}"
    row["note"] = f"{row['splits']} splits; {row['cpu_seconds']:.0f} CPU seconds a fit"
    if "slope" in results[0]:
        level, slope, error = (
            float(np.mean([r[name] for r in results])) for name in ("intercept", "slope", "slope_se")
        )
        row["note"] += f"; calibration line of the logits: {level:.3f} + {slope:.3f} (se {error:.3f}) x predicted"
    if case.reference:
        row["reference"] = case.reference
    if case.bar is not None and arm == "standard":
        row["bar"] = case.bar
        if len(scores) == case.splits:  # a part of the splits decides nothing
            row["holds"] = bool(scores.mean() <= case.bar)
    return row
