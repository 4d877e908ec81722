"""Who trains and who judges when time runs: rolling origins and official test parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.series import STEP, SeriesData, add_steps
from toolkit.data.splits import Fold, Splits
from toolkit.errors import InputError

__all__ = ["official", "past_rows", "rolling_origin"]

TRAINING_WORDS, TEST_WORDS = ("train", "training", "validation", "val"), ("test", "testing", "holdout")

MOST_ORIGINS = 10  # where none are asked for


def rolling_origin(
    data: SeriesData,
    origins: int | None = None,
    step: int | None = None,
    window: int | None = None,
    horizon: int | None = None,
) -> Splits:
    """Forecasts from several origins, each judged on the `horizon` steps that follow it.

    With dates the origins are the same days for all series, so that a model fitted on all of them sees no day twice;
    a series that ends earlier is judged on what it has. With whole numbers they are counted from each series' own end.

    Parameters
    ----------
    data : SeriesData
    origins : int, optional
        Number of origins; the last one leaves exactly `horizon` steps. Fold numbers count them in time order, from 0.
        When left out ten, or as many as leave half of the longest series to the first training.
    step : int, optional
        Steps between origins; the horizon when left out, so that no row is judged twice.
    window : int, optional
        Training rows of each series before the origin (sliding); everything before it when left out (expanding).
    horizon : int, optional

    Raises
    ------
    InputError
        When the history is too short for so many origins, or a column that is named in known_ahead has no value in a
        row that is to be forecast.
    """
    horizon = horizon or data.horizon
    step = step or horizon
    for name, value in (("origins", origins), ("step", step), ("horizon", horizon), ("window", window)):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise InputError(f"splits.{name} must be a whole number, at least 1; got {value!r}")
    behind = _steps_from_end(data)  # [n]: 0 at the end
    rows, longest = np.arange(len(data.frame)), int(behind.max()) + 1
    if origins is None:
        origins = int(np.clip((longest // 2 - horizon) // step + 1, 1, MOST_ORIGINS))
    first_origin = horizon + (origins - 1) * step
    if longest <= first_origin:
        raise InputError(
            f"{origins} origins of horizon {horizon} every {step} steps need more than {first_origin} steps; "
            f"the longest series has {longest}: take fewer origins or a shorter horizon"
        )
    folds = []
    for number in range(origins):
        last = (origins - 1 - number) * step  # steps behind the end that stay unused
        judge = (behind >= last) & (behind < last + horizon)
        train = behind >= last + horizon
        if window is not None:
            train &= behind < last + horizon + window
        # A series that begins after the origin has nothing to learn from and is not judged there.
        started = pd.Series(train).groupby(data.frame[data.series].to_numpy(), sort=False).transform("any").to_numpy()
        folds.append(Fold(0, number, rows[train], rows[judge & started]))
    kind = f"the last {window} steps" if window else "everything before the origin"
    reason = f"{origins} origins {step} steps apart, horizon {horizon}; trained on {kind}"
    data.future_of(np.unique(np.concatenate([fold.judge for fold in folds])))
    return Splits("rolling_origin", tuple(folds), 0, reason)


def official(data: SeriesData, column: str | None = None) -> Splits:
    """The test part that the publishers of the data chose: one origin for each series.

    Raises
    ------
    InputError
        Without such a column, with unknown labels, when a training row comes after a test row, or when a column that is
        named in known_ahead has no value in a test row.
    """
    column = column or data.split
    if column is None or column not in data.frame:
        raise InputError("splits.scheme official needs a column 'split' with the labels train and test; there is none")
    labels = data.frame[column].astype(str).str.lower()
    strange = sorted(set(labels) - {*TRAINING_WORDS, *TEST_WORDS})
    if strange:
        raise InputError(f"column '{column}' holds {strange[0]!r}; expected train or test")
    test = labels.isin(TEST_WORDS).to_numpy()
    if not test.any() or test.all():
        raise InputError(f"column '{column}' needs both train and test rows; it has only {labels.iloc[0]!r}")
    keys = data.frame[data.series].to_numpy()
    back = pd.Series(test).groupby(keys, sort=False).transform("cummax").to_numpy() & ~test
    if back.any():
        row = data.frame.iloc[int(np.argmax(back))]
        raise InputError(f"series '{row[data.series]}' has a training row after its test part, at {row[data.time]}")
    rows, lengths = np.arange(len(test)), pd.Series(test).groupby(keys, sort=False).sum()
    steps = f"{lengths.min()}" if lengths.min() == lengths.max() else f"{lengths.min()} to {lengths.max()}"
    reason = f"the official test part: the last {steps} steps of {len(lengths)} series"
    data.future_of(rows[test])
    return Splits("official", (Fold(0, 0, rows[~test], rows[test]),), 0, reason)


def past_rows(data: SeriesData, judge: np.ndarray) -> np.ndarray:
    """Positions of all rows that are known when the rows `judge` are forecast: those before each series' first one.

    Series that are not judged contribute the rows before the first origin of the others (dates), or none (numbers).
    """
    frame = data.frame
    first = frame.iloc[judge].groupby(data.series, sort=False)[data.time].first()
    start = frame[data.series].map(first)
    if data.freq != STEP:
        start = start.fillna(first.min())
    return np.flatnonzero((frame[data.time] < start).to_numpy())


def _steps_from_end(data: SeriesData) -> np.ndarray:
    """Steps between each row and the last observed one, [n]; negative where only covariates are known.

    The last one of all series with dates, of its own series with whole numbers.
    """
    keys, observed = data.frame[data.series], data.frame[list(data.targets)].notna().any(axis=1).to_numpy()
    if data.freq == STEP:
        behind = data.frame.groupby(keys, sort=False).cumcount(ascending=False)
        return (behind - behind.where(observed).groupby(keys, sort=False).transform("min")).to_numpy(dtype=np.int64)
    stamps = data.frame[data.time]
    first, last = stamps.min(), stamps.max()
    grid = pd.DatetimeIndex([first, *add_steps(first, _count(first, last, data.freq), data.freq)])
    position = grid.get_indexer(stamps, method="nearest")  # series may lie on shifted grids
    return position[observed].max() - position


def _count(first: pd.Timestamp, last: pd.Timestamp, freq: str) -> int:
    return len(pd.date_range(first, last, freq=freq))
