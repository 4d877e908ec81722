"""What a column is: the kind of a feature and the kind of a target, inferred or taken from the user."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import InputError, unknown

__all__ = [
    "KINDS",
    "TARGET_KINDS",
    "apply_kind",
    "check_target_kind",
    "infer_kind",
    "infer_target_kind",
    "is_text",
    "plain",
]

KINDS = ("number", "category", "ordinal", "cyclic", "date", "text")
TARGET_KINDS = ("real", "positive", "count", "binary")

# A text column is free text, not a category, when most of its rows differ and there are many of them.
TEXT_SHARE, TEXT_LEVELS = 0.5, 50
# Whole numbers that start far from zero are amounts (prices, years), not counts of events.
LARGEST_SMALLEST_COUNT = 10

# Answers of `pandas.api.types.infer_dtype` that mean an object column of numbers only.
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")


def is_text(column: pd.Series) -> bool:
    """Whether the column holds Python strings or objects (not numbers, dates or declared categories)."""
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column.dtype)


def plain(column: pd.Series) -> pd.Series:
    """The column in the types that every arm reads: numpy numbers, booleans, datetimes, categories and objects.

    Objects that are all numbers (decimals, whole numbers beside missing values) become numbers, periods their first
    moment, durations seconds.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if pd.api.types.is_timedelta64_dtype(dtype):
        return column.dt.total_seconds()
    if pd.api.types.is_complex_dtype(dtype):
        raise InputError(f"column '{column.name}' holds complex numbers; real numbers were expected")
    if pd.api.types.is_bool_dtype(dtype) and not isinstance(dtype, np.dtype):
        return column.astype(object).where(column.notna(), None) if column.isna().any() else column.astype(bool)
    if pd.api.types.is_numeric_dtype(dtype) and not isinstance(dtype, np.dtype):
        whole = pd.api.types.is_integer_dtype(dtype) and not column.isna().any()
        return column.astype("int64") if whole else column.astype("float64")
    if is_text(column) and pd.api.types.infer_dtype(column, skipna=True) in NUMBERS:
        return pd.to_numeric(column)
    return column


def infer_kind(column: pd.Series) -> str:
    """Kind of a feature from its values.

    `cyclic` is never inferred, and `ordinal` only from an ordered pandas Categorical: an order or a period is a
    statement about the world that the values do not make.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "ordinal" if dtype.ordered else "category"
    if pd.api.types.is_bool_dtype(dtype):
        return "category"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "date"
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    present = column.dropna()
    levels = present.nunique()
    if levels and _all_iso_dates(present):
        return "date"
    return "text" if levels > TEXT_LEVELS and levels > TEXT_SHARE * len(present) else "category"


def _all_iso_dates(present: pd.Series) -> bool:
    """Whether every text starts like 2024-01-31 and parses; the first 100 are looked at before all of them."""
    for part in (present.iloc[:100], present):
        text = part.astype(str)
        if not text.str.match(r"\d{4}-\d{2}-\d{2}").all():
            return False
        if pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).isna().any():
            return False
    return True


def apply_kind(column: pd.Series, kind: Any) -> tuple[pd.Series, str]:
    """The column made fit for the kind that the user named, and the kind as one of `KINDS`.

    A list instead of a word gives the levels of an ordinal column in ascending order.
    """
    if isinstance(kind, (list, tuple)):
        return _ordered(column, list(kind)), "ordinal"
    if kind not in KINDS:
        raise unknown(f"kind of column '{column.name}'", kind, KINDS)
    if kind in ("number", "cyclic") and not pd.api.types.is_numeric_dtype(column.dtype):
        return _numbers(column, kind), kind
    if kind == "ordinal" and is_text(column):
        raise InputError(
            f"column '{column.name}' is text, so its order is not known: give the levels from low to high, "
            f"as in kinds: {{{column.name}: [low, middle, high]}}"
        )
    if kind == "date" and is_text(column):
        parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
        wrong = column[parsed.isna() & column.notna()]
        if len(wrong):
            raise InputError(
                f"column '{column.name}' is named a date, but row {wrong.index[0]} holds {wrong.iloc[0]!r}; "
                "a date such as 2024-01-31 was expected"
            )
    return column, kind


def _ordered(column: pd.Series, levels: list[Any]) -> pd.Series:
    strange = sorted(set(map(str, column.dropna().unique())) - set(map(str, levels)))
    if strange:
        raise InputError(f"column '{column.name}' holds the level '{strange[0]}', which its ordered list leaves out")
    by_text = {str(level): level for level in levels}
    values = column.map(lambda value: by_text.get(str(value)), na_action="ignore")
    return values.astype(pd.CategoricalDtype(levels, ordered=True))


def _numbers(column: pd.Series, kind: str) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise InputError(
            f"column '{column.name}' is named {kind}, but row {wrong.index[0]} holds {wrong.iloc[0]!r}; "
            "a number was expected"
        )
    return numbers.astype(float)


def infer_target_kind(values: np.ndarray) -> str:
    """Kind of a numeric target, [n] finite floats: binary, count, positive or real."""
    if len(np.unique(values[:10_000])) <= 2 and len(np.unique(values)) == 2:
        return "binary"
    low = values.min()
    if 0 <= low <= LARGEST_SMALLEST_COUNT and np.array_equal(values, np.floor(values)):
        return "count"
    return "positive" if low > 0 else "real"


def check_target_kind(target: str, values: np.ndarray, kind: str) -> None:
    """Raise InputError where the values cannot be of the kind that the user named."""
    if kind not in TARGET_KINDS:
        raise unknown("target_kind", kind, (*TARGET_KINDS, "auto"))
    whole = np.array_equal(values, np.floor(values))
    wrong = {
        "binary": len(np.unique(values)) != 2 and f"it has {len(np.unique(values))} different values",
        "count": not (whole and values.min() >= 0) and "it holds negative or fractional values",
        "positive": values.min() <= 0 and f"its smallest value is {values.min():g}",
    }.get(kind)
    if wrong:
        raise InputError(f"target '{target}' is named {kind}, but {wrong}")
