"""Long horizons: ETTh1, ETTh2 and exchange rates, standardised, every origin of the usual test part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.catalog import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.series import SeriesData
from toolkit.errors import unknown
from toolkit.evaluation.engine import available_cores
from toolkit.models.forecasting import SeriesRegression

__all__ = ["run"]

ETT = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
RATES = ("australia", "britain", "canada", "switzerland", "china", "japan", "new_zealand", "singapore")
# case -> (data set, time column, targets, end of the training, validation and test rows, horizon)
CASES = {
    **{f"{n}_{h}": (n, "date", ETT, (8640, 11520, 14400), h) for n in ("etth1", "etth2") for h in (96, 336)},
    "exchange_96": ("exchange_rate", "step", RATES, (5311, 6070, 7588), 96),
}
ARMS = ("naive", "regression", "neural")
PUBLISHED = {  # NLinear, LTSF-Benchmark.md of cure-lab/LTSF-Linear; the last value for exchange rates
    **{"etth1_96": 0.374, "etth1_336": 0.429, "etth2_96": 0.277, "etth2_336": 0.357, "exchange_96": 0.081},
}
BARS = {
    "regression": {"etth1_96": 0.372, "etth1_336": 0.430, "etth2_96": 0.275, "etth2_336": 0.360},
    "neural": {"etth1_96": 0.375, "etth1_336": 0.432, "etth2_96": 0.280, "etth2_336": 0.365},
}


def run(
    cases: list[str] | None, arms: list[str] | None, data: Path | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Mean squared error over all test origins, steps and channels, in training standard deviations.

    The arms are fitted on the training and validation rows, the second of which lie in the part on which they choose
    their form; nothing is fitted again within the test part.
    """
    rows = []
    for case in cases or list(CASES):
        if case not in CASES:
            raise unknown("case", case, CASES)
        horizon = CASES[case][-1]
        series, ends = _series(case)
        known = np.arange(ends[1], ends[2] - horizon + 1)
        for arm in arms or ARMS:
            if arm not in ARMS:
                raise unknown("arm", arm, ARMS)
            progress(f"{case}, {arm}")
            begin = time.perf_counter()
            value = _squared_error(arm, series, ends[1], known, horizon)
            seconds = round(time.perf_counter() - begin, 1)
            source = "cure-lab/LTSF-Linear: " + ("repeat last" if case.startswith("exchange") else "NLinear")
            reference = {"source": source, "value": PUBLISHED[case]}
            row = {
                "case": case,
                "arm": arm,
                "metric": "mse",
                "value": value,
                "seconds": seconds,
                "reference": reference,
            }
            if case in BARS.get(arm, {}):
                row |= {"bar": BARS[arm][case], "holds": bool(value <= BARS[arm][case])}
            rows.append(row)
    return rows


def _series(case: str) -> tuple[SeriesData, tuple[int, int, int]]:
    name, time_column, targets, ends, horizon = CASES[case]
    frame = (
        load_dataset(name, target=list(targets), time=time_column, past_only=[], known_ahead=[])
        .frame.iloc[: ends[2]]
        .reset_index(drop=True)
    )
    values = frame[list(targets)].astype(float)
    training = values.iloc[: ends[0]]
    frame[list(targets)] = (values - training.mean()) / training.std(ddof=0)
    data = Dataset(frame, targets, (), {}, "real", name, time=time_column)
    return SeriesData.from_dataset(data, horizon), ends


def _squared_error(arm: str, series: SeriesData, fit_until: int, known: np.ndarray, horizon: int) -> float:
    values = series.frame[list(series.targets)].to_numpy()
    name = series.names[0]
    if arm == "naive":
        paths = {(name, t): values[known - 1, i][:, None] for i, t in enumerate(series.targets)}
    elif arm == "neural":
        from toolkit.models.neural.forecasting import NeuralForecaster

        net = NeuralForecaster(horizon, metric="mse").fit(series.take(np.arange(fit_until)))
        forecast = net.forecast_origins(series, start=int(known[0]))  # [origins, H, channels]
        paths = {(name, t): forecast[:, :, i] for i, t in enumerate(series.targets)}
    else:
        model = SeriesRegression(horizon, metric="mse", n_jobs=available_cores())
        paths = model.fit(series.take(np.arange(fit_until))).forecast_origins(series, {name: known})
    errors = [
        np.lib.stride_tricks.sliding_window_view(values[:, i], horizon)[known] - paths[name, target]
        for i, target in enumerate(series.targets)
    ]
    return float(np.mean(np.square(errors)))
