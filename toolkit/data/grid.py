"""Stamps as they come put on a regular grid; each treatment has a name and leaves a finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import InputError

__all__ = ["parse_time", "regular_grid", "seasonal_periods", "step_of"]

STEP = "step"
# Seasonal periods by pandas frequency, in steps: the textbook ones (Hyndman and Athanasopoulos, FPP3, 2.1).
YEAR, WEEK, DAY = 365.25 * 86400, 7 * 86400, 86400
BY_FREQ = {"MS": (12,), "ME": (12,), "M": (12,), "BMS": (12,), "QS": (4,), "QE": (4,), "YS": (), "YE": (), "B": (5,)}


def _finding(finding: str, column: str, rule: str, count: int, message: str) -> dict[str, Any]:
    return {"finding": finding, "column": column, "rule": rule, "count": int(count), "message": message}


def parse_time(values: pd.Series, column: str, findings: list[dict[str, Any]]) -> pd.Series:
    """Dates, or whole numbers that count steps.

    A stamp with a time zone becomes the wall clock time of that zone, because people and their seasons follow the
    clock; the hour that autumn repeats and the one that spring leaves out are then treated like any repeat or gap.
    """
    if pd.api.types.is_bool_dtype(values):
        raise InputError(f"time column '{column}' holds true/false; expected dates or whole numbers")
    if pd.api.types.is_integer_dtype(values) or (
        pd.api.types.is_float_dtype(values) and values.notna().all() and np.all(values == np.round(values))
    ):
        return values.astype(np.int64)
    if isinstance(values.dtype, pd.PeriodDtype):
        return values.dt.to_timestamp()
    if values.isna().any():
        raise InputError(f"time column '{column}' has {int(values.isna().sum())} empty cells")
    if not pd.api.types.is_datetime64_any_dtype(values):
        try:
            values = pd.to_datetime(values, format="ISO8601")
        except (ValueError, TypeError):
            try:  # offsets differ between rows where daylight saving changes
                values = pd.to_datetime(values, utc=True, format="mixed")
            except (ValueError, TypeError):
                bad = values[pd.to_datetime(values, errors="coerce", format="mixed", utc=True).isna()]
                raise InputError(f"time column '{column}' holds {bad.iloc[0]!r}; expected dates") from None
        if values.dtype == object:
            values = pd.to_datetime(values, utc=True)
    if getattr(values.dtype, "tz", None) is not None:
        zone = values.dtype.tz
        findings.append(
            _finding("time zone", column, "wall clock", len(values), f"{column}: read as wall clock time of {zone}")
        )
        values = values.dt.tz_localize(None)
    return values.astype("datetime64[ns]")


def step_of(frame: pd.DataFrame, series: str, time: str, freq: str | None) -> str:
    """The frequency: the given one, or what most steps of all series agree on.

    Raises
    ------
    InputError
        For an alias that pandas does not know, or stamps without a common step.
    """
    if pd.api.types.is_integer_dtype(frame[time]):
        if freq not in (None, STEP):
            raise InputError(f"freq {freq!r} needs dates in '{time}', which holds whole numbers: leave freq out")
        return STEP
    if freq is not None:
        try:
            return pd.tseries.frequencies.to_offset(freq).freqstr
        except ValueError:
            raise InputError(f"freq {freq!r} is not a pandas frequency such as h, 30min, D, W-SUN, MS, QS") from None
    longest = frame.groupby(series, sort=False)[time].nunique().idxmax()
    stamps = pd.DatetimeIndex(frame.loc[frame[series] == longest, time].unique()).sort_values()
    if len(stamps) < 3:
        raise InputError(f"'{time}' has {len(stamps)} different stamps in its longest series: name freq")
    found = pd.infer_freq(stamps)
    if found is not None:
        return pd.tseries.frequencies.to_offset(found).freqstr
    steps = pd.Series(np.diff(stamps))
    step, share = steps.mode().iloc[0], float((steps == steps.mode().iloc[0]).mean())
    days = step / pd.Timedelta(days=1)
    for low, high, alias, same in ((28, 31, "MS", 12), (90, 92, "QS", 4), (365, 366, "YS", 1)):
        between = steps.between(pd.Timedelta(days=low), pd.Timedelta(days=high)).mean()
        if low <= days <= high and between > 0.5 and stamps.day.nunique() == 1 and stamps[0].day == 1 and same:
            return pd.tseries.frequencies.to_offset(f"{alias}-{stamps[0]:%b}".upper() if same < 12 else alias).freqstr
    if share < 0.5:
        raise InputError(f"'{time}' has no common step (the commonest, {step}, is {share:.0%} of all): name freq")
    if step == pd.Timedelta(days=7):
        return f"W-{stamps[-1]:%a}".upper()
    if step == pd.Timedelta(days=1) and stamps.dayofweek.max() < 5:
        return "B"
    return pd.tseries.frequencies.to_offset(step).freqstr


def regular_grid(
    frame: pd.DataFrame,
    series: str,
    time: str,
    freq: str,
    roles: dict[str, Any],
    split: str | None,
    findings: list[dict[str, Any]],
) -> pd.DataFrame:
    """Every series on its grid from first to last stamp.

    Rules: "average repeats" (mean of numbers, first of texts), "insert missing" (a target stays missing, is never
    scored and is filled by each model from its own past), "between neighbours" (a number known ahead, linear),
    "carry forward" (every other covariate), "nearest stamp" (a stamp off the grid), "left out" (an empty series).
    """
    targets, known, past = roles["targets"], roles["known_ahead"], roles["past_only"]
    for target in targets:
        if not pd.api.types.is_numeric_dtype(frame[target]):
            raise InputError(f"target '{target}' holds text; expected numbers")
        infinite = int(np.isinf(frame[target].to_numpy(dtype=float)).sum())
        if infinite:
            raise InputError(f"target '{target}' holds {infinite} infinite values")
    empty = frame.groupby(series, sort=False)[list(targets)].count().sum(axis=1)
    empty = empty.index[empty == 0]
    if len(empty):
        if len(empty) == frame[series].nunique():
            raise InputError(f"target '{targets[0]}' has no value at all")
        message = f"series without any value are left out: {', '.join(map(str, empty[:5]))}"
        findings.append(_finding("empty series", series, "left out", len(empty), message))
        frame = frame[~frame[series].isin(empty)]
    frame = _average_repeats(frame, series, time, findings)
    frame = frame.assign(**{t: frame[t].astype(float) for t in targets})
    parts = [_on_grid(part, series, time, freq, findings) for _, part in frame.groupby(series, sort=True)]
    grid = pd.concat(parts, ignore_index=True)
    _say_missing(grid, series, time, targets, len(grid) - len(frame), findings)
    _fill_covariates(grid, series, (*known, *past), known, findings)
    if roles["static"] or split:
        for column in (*roles["static"], *([split] if split else [])):
            grid[column] = grid.groupby(series, sort=False)[column].transform(lambda part: part.ffill().bfill())
    return grid


def _average_repeats(frame: pd.DataFrame, series: str, time: str, findings: list[dict[str, Any]]) -> pd.DataFrame:
    keys = [series, time]
    repeats = int(frame.duplicated(keys).sum())
    if not repeats:
        return frame.sort_values(keys, kind="stable")
    rules = {c: "mean" if _is_number(frame[c]) else "first" for c in frame.columns if c not in keys}
    message = f"{repeats} rows repeat a stamp of their series: numbers averaged, of texts the first kept"
    findings.append(_finding("repeated stamps", time, "average repeats", repeats, message))
    return frame.groupby(keys, sort=True, as_index=False, observed=True).agg(rules)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _on_grid(part: pd.DataFrame, series: str, time: str, freq: str, findings: list[dict[str, Any]]) -> pd.DataFrame:
    first, last = part[time].iloc[0], part[time].iloc[-1]
    if freq == STEP:
        steps = np.diff(part[time].to_numpy())
        size = int(np.gcd.reduce(steps)) if len(steps) else 1
        if len(steps) == 0 or (steps == 1).all():
            return part
        grid: pd.Index = pd.Index(range(int(first), int(last) + 1, 1 if size == 1 else size))
        if size > 1:
            raise InputError(f"time '{time}' of series '{part[series].iloc[0]}' counts in steps of {size}; expected 1")
    else:
        grid = pd.date_range(first, last, freq=freq).astype(part[time].dtype)
        off = ~part[time].isin(grid)
        if off.mean() > 0.5:
            raise InputError(
                f"{off.mean():.0%} of the stamps of series '{part[series].iloc[0]}' are off the grid of freq {freq}, "
                f"e.g. {part.loc[off, time].iloc[0]}"
            )
        if off.any():
            message = f"series {part[series].iloc[0]}: {int(off.sum())} stamps off the grid moved to the nearest one"
            findings.append(_finding("stamps off the grid", time, "nearest stamp", off.sum(), message))
            near = grid[np.clip(grid.get_indexer(part[time], method="nearest"), 0, None)]
            part = part.assign(**{time: near}).drop_duplicates(time)
        if len(grid) == len(part):
            return part
    name = part[series].iloc[0]
    out = part.set_index(time).reindex(grid).rename_axis(time).reset_index()
    out[series] = name
    return out[list(part.columns)]


def _say_missing(
    grid: pd.DataFrame, series: str, time: str, targets: tuple[str, ...], inserted: int, findings: list[dict[str, Any]]
) -> None:
    if inserted:
        message = f"{inserted} of {len(grid)} stamps are absent: inserted with a missing target, never scored"
        findings.append(_finding("gaps", time, "insert missing", inserted, message))
    for target in targets:
        missing = grid[target].isna()
        count = int(missing.sum()) - inserted
        if count > 0:
            names = grid.loc[missing, series].unique()
            where = "" if grid[series].nunique() == 1 else f" in {len(names)} series ({', '.join(map(str, names[:5]))})"
            message = f"{target}: {count} values are missing{where}; never scored, filled by each model from its past"
            findings.append(_finding("missing values", target, "insert missing", count, message))
        flat = grid.groupby(series, sort=False)[target].agg(["nunique", "max"])
        constant = flat.index[flat["nunique"] <= 1]
        if len(constant):
            message = f"{target}: constant in {len(constant)} series ({', '.join(map(str, constant[:5]))})"
            findings.append(_finding("constant series", target, "kept", len(constant), message))


def _fill_covariates(
    grid: pd.DataFrame, series: str, columns: tuple[str, ...], known: tuple[str, ...], findings: list[dict[str, Any]]
) -> None:
    filled_alike: dict[tuple[str, int, int], list[str]] = {}  # rule, missing, left -> columns
    for column in columns:
        missing = int(grid[column].isna().sum())
        if not missing:
            continue
        by_series = grid.groupby(series, sort=False)[column]
        if column in known and _is_number(grid[column]):
            # `inside`: what is missing after the last known value stays missing, so that a forecast asks for it.
            grid[column] = by_series.transform(lambda part: part.interpolate(limit_area="inside"))
            rule = "between neighbours"
        else:
            flag = not _is_number(grid[column]) and grid[column].dropna().isin([True, False]).all()
            if flag:  # inserted rows made it object
                by_series = grid.assign(**{column: grid[column].astype("boolean")}).groupby(series, sort=False)[column]
            filled = by_series.transform(lambda part: part.ffill())
            if flag:
                filled = filled.astype(bool if filled.notna().all() else object)
            grid[column] = filled  # a number stays one: as text, each of its values would be a level in the models
            rule = "carry forward"
        filled_alike.setdefault((rule, missing, int(grid[column].isna().sum())), []).append(column)
    for (rule, missing, left), alike in filled_alike.items():
        names = ", ".join(alike[:3]) + (f" and {len(alike) - 3} more" if len(alike) > 3 else "")
        each = " each" if len(alike) > 1 else ""
        rest = f", {left} left" if left else ""
        message = f"{names}: {missing - left} missing values{each} filled ({rule}){rest}"
        findings.append(_finding("missing covariate", ", ".join(alike), rule, missing, message))


def seasonal_periods(
    freq: str, card: dict[str, Any], longest: int, given: tuple[int, ...] | None, findings: list[dict[str, Any]]
) -> tuple[int, ...]:
    """Seasonal periods in steps, ascending: the given ones, the card's, or those of the frequency.

    A period of which the longest series does not hold two is dropped, and said.

    Raises
    ------
    InputError
        For a given period that is not a whole number above 1.
    """
    if given is not None:
        for period in given:
            if not isinstance(period, (int, np.integer)) or period < 1:
                raise InputError(f"periods must be whole numbers of steps above 1; got {period!r}")
    known = card.get("time")
    listed = known.get("seasonal_periods") if isinstance(known, dict) else None
    periods = given if given is not None else tuple(listed) if listed and freq == STEP else _periods_of(freq)
    periods = tuple(sorted({int(p) for p in periods if p > 1}))
    kept = tuple(p for p in periods if 2 * p <= longest)
    for period in periods:
        if period not in kept:
            message = f"seasonal period {period} left out: the longest series, {longest} values, holds less than two"
            findings.append(_finding("short series", "periods", "left out", 1, message))
    return kept


def _periods_of(freq: str) -> tuple[int, ...]:
    if freq == STEP:
        return ()
    offset = pd.tseries.frequencies.to_offset(freq)
    base = freq.split("-")[0]
    if base in BY_FREQ:
        return BY_FREQ[base]
    if base.startswith("W"):
        return (52,)
    try:
        seconds = pd.Timedelta(offset).total_seconds()
    except ValueError:
        return ()
    per = [span / seconds for span in (DAY, WEEK, YEAR)]
    return tuple(round(steps) for steps in per if steps >= 2 and (abs(steps - round(steps)) < 1e-9 or steps > 300))
