"""How regular a time column is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["TimeSteps", "gaps_and_repeats"]

# A step longer than this many usual steps is a gap; months and quarters vary by less.
GAP = 1.5
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class TimeSteps:
    """The usual step of a time column and where it is broken."""

    step: str  # the most frequent step, in words
    gaps: int
    absent: int  # steps that the gaps leave out
    longest: str
    longest_after: str
    repeats: int  # rows with the time of an earlier row (of the same series)


def gaps_and_repeats(frame: pd.DataFrame, time: str, series: str | None = None) -> TimeSteps:
    """Compare every step with the most frequent one, within each series; days without any weekend are business days."""
    codes = pd.factorize(frame[series])[0] if series else np.zeros(len(frame), dtype=int)
    stamps = frame[time].to_numpy()
    order = np.lexsort((stamps, codes))
    stamps, codes = stamps[order], codes[order]
    within = codes[1:] == codes[:-1]
    steps, before, after = (stamps[1:] - stamps[:-1])[within], stamps[:-1][within], stamps[1:][within]
    moved = steps > np.zeros(1, steps.dtype)[0]
    repeats = int((~moved).sum())
    steps, before, after = steps[moved], before[moved], after[moved]
    if not len(steps):
        return TimeSteps("none", 0, 0, "", "", repeats)
    values, counts = np.unique(steps, return_counts=True)
    usual = values[counts.argmax()]
    missing = np.round(steps / usual).astype(int) - 1
    missing[steps <= GAP * usual if not np.issubdtype(steps.dtype, np.timedelta64) else steps / usual <= GAP] = 0
    if np.issubdtype(stamps.dtype, np.datetime64) and usual / DAY == 1 and np.is_busday(stamps.astype("M8[D]")).all():
        missing = np.busday_count(before.astype("M8[D]"), after.astype("M8[D]")) - 1
    gaps = missing > 0
    if not gaps.any():
        return TimeSteps(_words(usual), 0, 0, "", "", repeats)
    longest = int(np.where(gaps, steps.astype("int64") if steps.dtype.kind == "m" else steps, 0).argmax())
    return TimeSteps(
        _words(usual),
        int(gaps.sum()),
        int(missing[gaps].sum()),
        _words(steps[longest]),
        _words(before[longest]),
        repeats,
    )


def _words(value: np.generic) -> str:
    """A step or a time in words."""
    if isinstance(value, np.timedelta64):
        delta = pd.Timedelta(value)
        for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
            seconds = delta.total_seconds()
            if seconds >= size:
                count = seconds / size
                return f"{count:g} {unit}{'' if count == 1 else 's'}"
        return str(delta)
    return str(pd.Timestamp(value)) if isinstance(value, np.datetime64) else f"{value:g}"
