"""M3 competition, monthly, quarterly and yearly series, on the official test part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.benchmarks._official import forecast_official
from toolkit.errors import unknown
from toolkit.evaluation.series_scores import series_score

__all__ = ["run"]

CASES = {"monthly": 18, "quarterly": 8, "yearly": 6}
ARMS = ("seasonal_naive", "regression", "classical", "neural")
BARS = {
    **{("monthly", "classical"): 13.7, ("monthly", "neural"): 13.9},
    **{("quarterly", "classical"): 9.0, ("yearly", "classical"): 16.8},
}


def run(
    cases: list[str] | None, arms: list[str] | None, data: Path | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Rows of sMAPE (200 |y - f| / (|y| + |f|), the mean over all forecasts) and MASE for every case and arm."""
    rows = []
    for case in cases or list(CASES):
        if case not in CASES:
            raise unknown("case", case, CASES)
        for arm in arms or ARMS:
            progress(f"M3 {case}, {arm}")
            begin = time.perf_counter()
            predictions = forecast_official(f"m3_{case}", arm, CASES[case], "smape")
            seconds = time.perf_counter() - begin
            value = series_score("smape", predictions)
            row = {"case": case, "arm": arm, "metric": "smape", "value": value, "seconds": round(seconds, 1)}
            if (case, arm) in BARS:
                row |= {"bar": BARS[case, arm], "holds": bool(value <= BARS[case, arm])}
            rows += [row, {"case": case, "arm": arm, "metric": "mase", "value": series_score("mase", predictions)}]
    return rows
