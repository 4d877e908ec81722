"""The steps that turn a user's table into a `Dataset`: each checks one role and hands the column back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.kinds import check_target_kind, infer_target_kind, is_text
from toolkit.errors import InputError, unknown

__all__ = ["as_names", "check_table", "check_weights", "clean_target", "join_columns", "known", "parse_time", "zone_of"]

OFFSET = r"(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(?:Z|[+-]\d\d:?\d\d)$"  # behind a time of day


def as_names(names: Any) -> tuple[str, ...]:
    """One name or several as a tuple; None is none."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)


def known(role: str, names: Iterable[str], columns: Iterable[str]) -> None:
    """Raise InputError for the first name that is not a column."""
    columns = list(columns)
    for name in names:
        if name not in columns:
            raise unknown(f"column in {role}", name, columns)


def check_table(frame: Any) -> pd.DataFrame:
    """A shallow copy with text column names; the user's frame stays as it is."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"a table was expected (a pandas DataFrame), got {type(frame).__name__}")
    if frame.columns.nlevels > 1:
        raise InputError("the table has several header rows; one name for each column was expected")
    table = frame.copy(deep=False)
    table.columns = [str(column) for column in table.columns]
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise InputError(f"two columns are called '{twice}'; every column needs a name of its own")
    if not len(table.columns) or not len(table):
        raise InputError(f"the table is empty ({len(table)} rows, {len(table.columns)} columns)")
    for column in table.columns:
        if pd.api.types.is_object_dtype(table[column].dtype):
            _check_cells(table[column])
    return table.reset_index(drop=True)


def _check_cells(column: pd.Series) -> None:
    """Cells are single values, not lists or tables."""
    if pd.api.types.infer_dtype(column, skipna=True) == "mixed":
        strange = next((v for v in column if isinstance(v, (list, dict, set, tuple, np.ndarray, pd.Series))), None)
        if strange is not None:
            raise InputError(
                f"column '{column.name}' holds {type(strange).__name__} values such as {str(strange)[:40]}; "
                "single values were expected"
            )


def join_columns(table: pd.DataFrame, role: str, names: Any) -> tuple[pd.DataFrame, str | None]:
    """The column of a role; several columns are joined into a new one, called `first..last` after them."""
    names = as_names(names)
    known(role, names, table.columns)
    if len(names) < 2:
        return table, (names[0] if names else None)
    joined = f"{names[0]}..{names[-1]}"
    while joined in table.columns:
        joined += "_"
    parts = [table[name].astype(str) for name in names]
    return table.assign(**{joined: parts[0].str.cat(parts[1:], sep=" / ")}), joined


def zone_of(column: pd.Series) -> str | None:
    """The time zone that stamps carry, None without one; texts carry offsets such as +01:00."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        zone = getattr(column.dtype, "tz", None)
        return None if zone is None else str(zone)
    if is_text(column) and (_without_offset(column) != column.astype(str)).any():
        return "the offsets that they carry"
    return None


def _without_offset(column: pd.Series) -> pd.Series:
    return column.astype(str).str.replace(OFFSET, r"\1", regex=True)


def parse_time(column: pd.Series) -> pd.Series:
    """Dates and times as datetime64 without a zone; whole numbers stay step numbers.

    Stamps with a zone become the wall clock time of that zone, because people and their seasons follow the clock; the
    hour that autumn repeats and the one that spring leaves out are then treated like any repeat or gap.
    """
    if pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_float_dtype(column.dtype):
        return column
    expected = "a date or time such as 2024-01-31 13:00 was expected"
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if not (is_text(column) or pd.api.types.is_datetime64_any_dtype(column.dtype)):
        raise InputError(f"time column '{column.name}' holds {column.dtype} values; {expected}")
    if zone_of(column) is not None and is_text(column):
        column = column.where(column.isna(), _without_offset(column))
    elif zone_of(column) is not None:
        return column.dt.tz_localize(None)
    parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    dots = column.astype(str).str.match(r"\d{1,2}\.").any()  # 31.01.2024 names the day first, 01/31/2024 the month
    for day_first in (dots, not dots):
        if parsed.isna().sum() == column.isna().sum():
            break
        with warnings.catch_warnings():  # not ISO: one other format, read off the first value
            warnings.simplefilter("ignore", UserWarning)
            texts = column.astype(str).where(column.notna())
            parsed = pd.to_datetime(texts, errors="coerce", utc=True, dayfirst=bool(day_first))
    wrong = column[parsed.isna() & column.notna()]
    if len(wrong):
        raise InputError(
            f"time column '{column.name}' does not parse: row {wrong.index[0]} holds {wrong.iloc[0]!r}; {expected}"
        )
    return parsed.dt.tz_localize(None)


def clean_target(column: pd.Series, kind: str, *, alone: bool) -> tuple[pd.Series, str, tuple[Any, ...]]:
    """A target as floats, [n], missing and infinite values kept, its kind, and the labels of a binary one.

    A target with two levels becomes 0.0 / 1.0 in the order of its sorted labels.
    """
    name, present = column.name, column.dropna()
    if present.empty:
        raise InputError(f"target '{name}' is missing in every row")
    if pd.api.types.is_complex_dtype(column.dtype):
        raise InputError(f"target '{name}' holds complex numbers; real numbers were expected")
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if not numeric:
        numbers = pd.to_numeric(present.astype(str), errors="coerce")
        levels = sorted(present.unique(), key=str)
        if numbers.notna().all() and not pd.api.types.is_bool_dtype(column.dtype):
            column = numbers.astype(float).reindex(column.index)
        elif len(levels) == 2 and alone:
            codes = column.map({levels[0]: 0.0, levels[1]: 1.0}).astype(float)
            if kind not in ("auto", "binary"):
                raise InputError(
                    f"target '{name}' is named {kind}, but it holds the labels '{levels[0]}' and '{levels[1]}'"
                )
            return codes, "binary", tuple(levels)
        elif len(levels) == 1:
            raise InputError(f"target '{name}' is constant: every row holds '{levels[0]}'")
        else:
            example = present[numbers.isna()].iloc[0] if numbers.isna().any() else levels[0]
            raise InputError(
                f"target '{name}' holds {len(levels)} values that are no numbers, such as '{str(example)[:60]}'; "
                "numbers or exactly two levels were expected" + ("" if alone else ", and numbers for several targets")
            )
    column = column.astype(float)
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        raise InputError(f"target '{name}' is missing or infinite in every row")
    if values.min() == values.max():
        raise InputError(f"target '{name}' is constant: every row holds {values[0]:g}")
    if kind == "auto":
        kind = infer_target_kind(values)
    else:
        check_target_kind(name, values, kind)
    if kind != "binary":
        return column, kind, ()
    if not alone:
        return column, "real", ()
    low, high = np.unique(values)
    shown = tuple(int(value) if float(value).is_integer() else float(value) for value in (low, high))
    return column.map({low: 0.0, high: 1.0, np.inf: np.inf, -np.inf: -np.inf}), "binary", shown


def check_weights(column: pd.Series) -> None:
    """Weights are finite, not negative and not all zero."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise InputError(f"weights column '{column.name}' holds {column.dtype} values; numbers were expected")
    values = column.to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(bad):
        raise InputError(
            f"weights column '{column.name}': row {bad[0]} holds {values[bad[0]]}; a number >= 0 was expected"
        )
    if not values.any():
        raise InputError(f"weights column '{column.name}' is zero in every row")
