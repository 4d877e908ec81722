"""The net beside its published implementation: RealMLP of pytabkit on one fold of California, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.benchmarks._neural_cases import CASES as ACCURACY
from toolkit.benchmarks._neural_cost import threads_in_use
from toolkit.evaluation.scores import get_metric, score
from toolkit.models.neural.regression import NeuralRegression

__all__ = ["CASES", "pytabkit"]

MEMBERS = 3
SHARE = 1 / 3  # of the peer's time that our members may take


def pytabkit(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """RMSE and seconds of RealMLP_TD_Regressor and of three members of `standard`; same rows, same threads."""
    row = {"case": "pytabkit_california", "metric": "rmse", "value": None}
    try:
        from pytabkit import RealMLP_TD_Regressor
    except ImportError:
        return [{**row, "arm": "RealMLP_TD_Regressor", "note": "not run: pip install pytabkit to run it"}]
    case = ACCURACY["california"]
    split = next(case.load())
    medians = split.X.median(numeric_only=True)  # the peer takes no missing numbers; both get the same rows
    X, X_judge = split.X.fillna(medians), split.X_judge.fillna(medians)
    threads = threads_in_use()  # the peer would take all cores, whatever torch is set to
    arms = {
        "standard, 3 members": NeuralRegression(preset="standard", members=MEMBERS, kinds=split.kinds),
        "RealMLP_TD_Regressor": RealMLP_TD_Regressor(device="cpu", random_state=0, n_threads=threads),
    }
    rows = []
    for arm, net in arms.items():
        wall, cpu = time.perf_counter(), time.process_time()
        net.fit(X, split.y)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        value = float(score(get_metric("rmse"), split.y_judge, np.asarray(net.predict(X_judge)).ravel()))
        note = f"fold 0 of 5; {cpu:.0f} CPU seconds"
        rows.append({**row, "arm": arm, "value": value, "seconds": wall, "cpu_seconds": cpu, "note": note})
        progress(f"pytabkit_california, {arm}: RMSE {value:.4f}, {wall:.0f} s")
    ours, theirs = rows
    ours |= {"bar": theirs["value"], "holds": ours["value"] < theirs["value"]}
    ratio = ours["seconds"] / theirs["seconds"]
    time_row = {"case": "pytabkit_california", "arm": "time ratio", "metric": "ratio", "value": ratio, "bar": SHARE}
    cpu = ours["cpu_seconds"] / theirs["cpu_seconds"]
    note = (
        f"wall seconds of three members over those of RealMLP_TD_Regressor, {threads} thread(s), one run; CPU {cpu:.2f}"
    )
    return [*rows, {**time_row, "holds": ratio <= SHARE, "note": note}]


CASES = {"pytabkit": pytabkit}
