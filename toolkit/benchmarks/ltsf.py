"""Long horizons: ETTh1, ETTh2 and exchange rates, standardised, every origin of the usual test part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.verdict import compare_arms
from toolkit.data.catalog import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.series import SeriesData
from toolkit.errors import unknown
from toolkit.evaluation.engine import available_cores
from toolkit.models.forecasting import SeriesRegression

__all__ = ["run"]

Paths = dict[str, np.ndarray]  # target -> forecasts [origins, H]

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
        made: dict[str, Paths] = {}
        for arm in arms or ARMS:
            if arm not in ARMS:
                raise unknown("arm", arm, ARMS)
            progress(f"{case}, {arm}")
            begin = time.perf_counter()
            made[arm] = _paths(arm, series, ends[1], known, horizon)
            seconds = round(time.perf_counter() - begin, 1)
            value = _squared_error(made[arm], series, known, horizon)
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
        pair = ("naive" if case.startswith("exchange") else "regression", "neural")
        if all(arm in made for arm in pair):
            rows.append(_verdict(case, pair, made, series, known, horizon))
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


def _paths(arm: str, series: SeriesData, fit_until: int, known: np.ndarray, horizon: int) -> Paths:
    """Forecasts from every origin, target -> [origins, H]."""
    values = series.frame[list(series.targets)].to_numpy()
    name = series.names[0]
    if arm == "naive":
        return {t: np.repeat(values[known - 1, i][:, None], horizon, axis=1) for i, t in enumerate(series.targets)}
    if arm == "neural":
        from toolkit.models.neural.forecasting import NeuralForecaster

        net = NeuralForecaster(horizon, metric="mse").fit(series.take(np.arange(fit_until)))
        forecast = net.forecast_origins(series, start=int(known[0]))  # [origins, H, channels]
        return {t: forecast[:, :, i] for i, t in enumerate(series.targets)}
    model = SeriesRegression(horizon, metric="mse", n_jobs=available_cores())
    found = model.fit(series.take(np.arange(fit_until))).forecast_origins(series, {name: known})
    return {target: path for (_, target), path in found.items()}


def _observed(series: SeriesData, known: np.ndarray, horizon: int) -> Paths:
    values = series.frame[list(series.targets)].to_numpy()
    windows = {t: np.lib.stride_tricks.sliding_window_view(values[:, i], horizon) for i, t in enumerate(series.targets)}
    return {target: window[known] for target, window in windows.items()}


def _squared_error(paths: Paths, series: SeriesData, known: np.ndarray, horizon: int) -> float:
    observed = _observed(series, known, horizon)
    return float(np.mean([np.square(observed[target] - path) for target, path in paths.items()]))


def _verdict(
    case: str, pair: tuple[str, str], made: dict[str, Paths], series: SeriesData, known: np.ndarray, horizon: int
) -> dict[str, Any]:
    """The toolkit's verdict between two arms, on origins a horizon apart, so that no row is judged twice."""
    at = np.arange(len(known) - 1, -1, -horizon)[::-1]
    observed, parts = _observed(series, known, horizon), []
    for arm in pair:
        for target, path in made[arm].items():
            steps = known[at][:, None] + np.arange(horizon)
            table = {"row": steps.ravel(), "time": steps.ravel(), "fold": np.repeat(np.arange(len(at)), horizon)}
            table |= {"observed": observed[target][at].ravel(), "predicted": path[at].ravel()}
            table |= {"origin": np.repeat(known[at] - 1, horizon), "horizon": np.tile(np.arange(horizon) + 1, len(at))}
            parts.append(pd.DataFrame(table).assign(arm=arm, target=target))
    predictions = pd.concat(parts, ignore_index=True).assign(
        repeat=0, series=series.names[0], n_train=int(known[0]), lower=np.nan, upper=np.nan, group=None
    )
    verdict = compare_arms(predictions, "mse", pair, scheme="rolling_origin")[1]
    interval = f"{verdict.lower:.4f} to {verdict.upper:.4f}"
    told = f"{verdict.winner or verdict.decision}, gain {verdict.estimate:.4f}, 95 % interval {interval}"
    note = f"{told}; {len(at)} origins {horizon} steps apart"
    return {"case": case, "arm": f"{pair[1]} against {pair[0]}", "metric": "verdict", "value": verdict.estimate,
            "note": note}  # fmt: skip
