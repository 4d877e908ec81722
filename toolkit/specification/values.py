"""Values of raw columns: as numbers, as text, as parts of dates."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from toolkit.errors import InputError

Finding = dict[str, str]  # finding, column, message, advice
DATE_LIKE = 0.95  # share of texts that must parse before a column of text counts as dates
MISSING, RARE = "(missing)", "(rare)"


def date_part(column: pd.Series, part: str) -> np.ndarray:
    """Part of a date as a number, [n]; NaN where the date is missing or unreadable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unreadable dates become missing, mixed formats are fine
        dates = pd.to_datetime(column, errors="coerce").dt
    if part == "year":
        return (dates.year + (dates.dayofyear - 1 + dates.hour / 24) / 365.25).to_numpy(dtype=float)
    return getattr(dates, part).to_numpy(dtype=float)


def looks_like_dates(column: pd.Series) -> bool:
    """Whether nearly all texts of a column read as dates and at least two differ."""
    texts = column.dropna().astype(str).head(200)
    if len(texts) == 0 or not texts.str.contains(r"\d{1,4}[-/.:]\d{1,2}").mean() > DATE_LIKE:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(pd.to_datetime(texts, errors="coerce").notna().mean() > DATE_LIKE)


def as_text(column: pd.Series, levels: tuple[str, ...] = ()) -> pd.Series:
    """Levels as text, missing ones by name; with `levels`, unseen ones become the rare level where there is one."""
    text = column.astype(object).where(column.notna(), MISSING).astype(str)
    if levels and levels[-1] == RARE:
        text = text.where(text.isin(levels), RARE)
    return text


def to_numbers(column: pd.Series) -> np.ndarray:
    """Column as float64, [n]; text that is no number becomes NaN."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_extension_array_dtype(column):
        return column.to_numpy(dtype=float)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def as_frame(X: object) -> pd.DataFrame:
    """X as a DataFrame with text column names; columns of an array are called x0, x1, ..."""
    if isinstance(X, pd.DataFrame):
        frame = X.rename(columns=str)
        if frame.columns.duplicated().any():
            name = frame.columns[frame.columns.duplicated()][0]
            raise InputError(f"column '{name}' appears twice; column names must differ")
        return frame
    X = np.asarray(X)
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def skew(values: np.ndarray) -> float:
    """Skewness; 0 for a constant."""
    centred = values - values.mean()
    spread = centred.std()
    return float(np.mean((centred / spread) ** 3)) if spread > 0 else 0.0


def quoted(name: str) -> str:
    """A column name as formulas want it: in backticks unless it is an identifier."""
    return name if name.isidentifier() else f"`{name}`"


def finding(what: str, column: str, message: str, advice: str) -> Finding:
    return {"finding": what, "column": column, "message": message, "advice": advice}
