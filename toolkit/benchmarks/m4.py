"""M4 competition, hourly and weekly series, on the official test part, with the official definitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.benchmarks._official import forecast_official
from toolkit.errors import unknown
from toolkit.evaluation.series_scores import OFFICIAL_NAIVE2, owa, series_score

__all__ = ["run"]

CASES = {"hourly": 48, "weekly": 13}
ARMS = ("seasonal_naive", "regression", "classical", "neural")
SHEET = "Mcompetitions/M4-methods, evaluation sheet"
# (case, arm) -> published MASE and its method; bars of this project.
REFERENCES = {
    ("hourly", "seasonal_naive"): (f"{SHEET}: sNaive", 1.193),
    ("hourly", "regression"): (f"{SHEET}: Smyl (winner)", 0.893),
    ("hourly", "classical"): ("Nixtla: AutoARIMA", 0.92),
    ("hourly", "neural"): (f"{SHEET}: Smyl (winner)", 0.893),
    ("weekly", "seasonal_naive"): (f"{SHEET}: sNaive", 2.777),
    ("weekly", "regression"): (f"{SHEET}: Smyl (winner)", 2.356),
    ("weekly", "classical"): ("Nixtla: AutoARIMA", 2.34),
    ("weekly", "neural"): (f"{SHEET}: Smyl (winner)", 2.356),
}
BARS = {
    **{("hourly", "regression"): 0.89, ("hourly", "neural"): 0.95},
    **{("weekly", "regression"): 2.35, ("weekly", "classical"): 2.35, ("weekly", "neural"): 2.45},
}


def run(
    cases: list[str] | None, arms: list[str] | None, data: Path | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Rows of MASE, sMAPE and OWA for every case and arm.

    The classical ensemble is left out of the hourly case unless it is named: ARIMA takes minutes a series there.
    """
    rows = []
    for case in cases or list(CASES):
        if case not in CASES:
            raise unknown("case", case, CASES)
        chosen = arms or [arm for arm in ARMS if (case, arm) != ("hourly", "classical")]
        for arm in chosen:
            progress(f"M4 {case}, {arm}")
            begin = time.perf_counter()
            predictions = forecast_official(f"m4_{case}", arm, CASES[case], "mase")
            seconds = time.perf_counter() - begin
            mase, smape = series_score("mase", predictions), series_score("smape", predictions)
            overall = owa(smape, mase, OFFICIAL_NAIVE2[f"m4_{case}"])
            row = {"case": case, "arm": arm, "metric": "mase", "value": mase, "seconds": round(seconds, 1)}
            if (case, arm) in REFERENCES:
                source, value = REFERENCES[case, arm]
                row["reference"] = {"source": source, "value": value}
            if (case, arm) in BARS:
                row |= {"bar": BARS[case, arm], "holds": bool(mase <= BARS[case, arm])}
            rows.append(row)
            rows.append({"case": case, "arm": arm, "metric": "smape", "value": smape})
            rows.append({"case": case, "arm": arm, "metric": "owa", "value": overall})
    return rows
