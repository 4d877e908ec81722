"""Between the long frames of `SeriesData` and the arrays that forecasters compute with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.series import SeriesData

__all__ = ["answer", "channels", "fill_missing", "steps_ahead", "trim"]


def channels(data: SeriesData) -> Iterator[tuple[Any, str, np.ndarray]]:
    """(series, target, values [n] with NaN where not observed) of every series and target."""
    for name, rows in series_rows(data.frame, data.series).items():
        for target in data.targets:
            yield name, target, data.frame[target].to_numpy(dtype=float)[rows]


def series_rows(frame: pd.DataFrame, series: str) -> dict[Any, slice]:
    """Rows of each series as a slice; the frame is sorted by series."""
    keys = frame[series].to_numpy()
    if len(keys) == 0:
        return {}
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    stops = np.r_[starts[1:], len(keys)]
    return {keys[start]: slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)}


def steps_ahead(future: pd.DataFrame, series: str) -> dict[Any, int]:
    """Rows to be forecast of each series, in their order."""
    return future.groupby(series, sort=False).size().to_dict()


def trim(values: np.ndarray) -> np.ndarray:
    """Without what is missing before the first observation."""
    seen = np.flatnonzero(np.isfinite(values))
    return values[seen[0] :] if len(seen) else values[:0]


def fill_missing(values: np.ndarray, period: int) -> np.ndarray:
    """Values without holes, from the past alone or from both sides of a short hole.

    A hole shorter than a quarter of a season is bridged by a straight line; a longer one, and one at the end, repeats
    the season before it; what is missing before the first observation takes the first value.
    """
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    seen = np.flatnonzero(~missing)
    if len(seen) == 0:
        return np.zeros_like(values)
    filled = values.copy()
    filled[: seen[0]] = values[seen[0]]
    edges = np.flatnonzero(np.diff(np.r_[0, missing.astype(np.int8), 0]))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start == 0:
            continue
        if stop < len(values) and (stop - start) <= max(period // 4, 1):
            filled[start:stop] = np.interp(np.arange(start, stop), [start - 1, stop], [filled[start - 1], values[stop]])
            continue
        lag = period if start >= period else 1
        block = filled[start - lag : start]
        filled[start:stop] = np.resize(block, stop - start)
    return filled


def answer(
    data: SeriesData,
    future: pd.DataFrame,
    predicted: dict[tuple[Any, str], np.ndarray],
    intervals: dict[tuple[Any, str], tuple[np.ndarray, np.ndarray]] | None = None,
) -> pd.DataFrame:
    """Forecasts as the long frame that every forecaster returns.

    Parameters
    ----------
    predicted : dict
        (series, target) -> [h], in the order of the future rows of the series. Channels that are absent are left out.
    intervals : dict, optional
        (series, target) -> (lower [h], upper [h]).

    Returns
    -------
    DataFrame
        series, time, target, horizon (from 1), predicted, lower, upper.
    """
    intervals, parts = intervals or {}, []
    times = future[data.time]
    for name, rows in series_rows(future, data.series).items():
        for target in data.targets:
            if (name, target) not in predicted:
                continue
            values = predicted[name, target][: rows.stop - rows.start]
            nothing = np.full(len(values), np.nan)
            lower, upper = intervals.get((name, target), (nothing, nothing))
            parts.append(
                pd.DataFrame(
                    {
                        data.series: name,
                        data.time: times.iloc[rows].to_numpy(),
                        "target": target,
                        "horizon": np.arange(1, len(values) + 1),
                        "predicted": values,
                        "lower": lower[: len(values)],
                        "upper": upper[: len(values)],
                    }
                )
            )
    columns = [data.series, data.time, "target", "horizon", "predicted", "lower", "upper"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
