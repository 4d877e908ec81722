"""From raw columns to what a net reads: scaled numbers, flags and codes, all learned on the training rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import QuantileTransformer

from toolkit.data.kinds import apply_kind, infer_kind, is_text
from toolkit.errors import InputError, unknown
from toolkit.models.neural.networks import Columns

__all__ = ["TableEncoder"]

ONE_HOT_LEVELS = 9  # categories with more levels are embedded
RARE_ROWS = 3  # an embedded level with fewer training rows shares the place of levels never seen
LISTED = 5  # columns named in one finding
MISSING = "missing value"  # stands for an absent level; no label of a user is replaced by it, see _levels


@dataclass
class TableEncoder:
    """Learns how to read a table and turns rows into arrays of float32 and codes of int64.

    Numbers lose their median and are divided by the interquartile range, then x / sqrt(1 + (x / 3)²) keeps outliers
    within 3 (RealMLP, arXiv 2407.04491). Where that range is zero, as in a column of mostly zeros, they are divided by
    the median distance of the other values; half their range, as published, would press all but the largest together.
    `scaling="quantile"` maps numbers to normal scores instead (TabM, arXiv 2410.24210). A missing number becomes the
    median and raises a flag of its own. Categories of at most 9 levels are one-hot (two levels: -1 and 1), larger ones
    get a code to be embedded, where code 0 stands for levels that are rare or new. Columns that are empty or constant
    on the training rows are left out.

    Parameters
    ----------
    kinds : dict or None
        Column -> number, category, ordinal, cyclic, date or text (read as a category); others are inferred.
    scaling : {"robust", "quantile"}
    random_state : int
        Of the noise that separates ties before the quantile map.
    """

    kinds: dict[str, Any] | None = None
    scaling: str = "robust"
    random_state: int = 0
    findings: list[dict] = field(default_factory=list)

    def fit(self, frame: pd.DataFrame) -> TableEncoder:
        """Learn from the training rows."""
        unknown_names = [name for name in self.kinds or {} if name not in frame.columns]
        if unknown_names:
            raise unknown("column in kinds", unknown_names[0], frame.columns)
        self.findings = []
        self.readers_ = {name: self._reader(frame[name]) for name in frame.columns}
        numbers, categories = self._expand(frame)
        self._fit_numbers(numbers)
        self._fit_categories(categories)
        width = len(self.number_names_)
        flags = len(self.binary_names_) + len(self.missing_names_) + len(self.two_levels_)
        flags += sum(len(levels) for levels in self.one_hot_.values())
        self.columns = Columns(width, flags, [max(m.values(), default=0) + 1 for m in self.embedded_.values()])
        if not width and not flags and not self.embedded_:
            raise InputError("no column can be learned from: all are empty or constant on the training rows")
        return self

    def transform(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Inputs [n, numbers + flags] of float32 and codes [n, embedded columns] of int64."""
        numbers, categories = self._expand(frame)
        parts = [self._scaled(numbers[self.number_names_].to_numpy(float))]
        binary = numbers[self.binary_names_].to_numpy(float)
        parts.append(np.nan_to_num(np.clip((binary - self.binary_low_) / self.binary_range_, 0, 1) * 2 - 1, nan=0.0))
        parts.append(numbers[self.missing_names_].isna().to_numpy(float))
        for name, levels in self.two_levels_.items():
            code = _codes(categories[name], levels)
            parts.append(np.where(code >= 0, code * 2.0 - 1, 0.0)[:, None])
        for name, levels in self.one_hot_.items():
            parts.append((_codes(categories[name], levels)[:, None] == np.arange(len(levels))).astype(float))
        inputs = np.concatenate(parts, axis=1).astype(np.float32)
        codes = [np.maximum(_codes(categories[name], levels), 0) for name, levels in self.embedded_.items()]
        return inputs, np.stack(codes, axis=1) if codes else np.zeros((len(frame), 0), dtype=np.int64)

    def _reader(self, column: pd.Series) -> dict[str, Any]:
        """How a column is read: its kind, and for cycles and orders the period and the levels."""
        given = (self.kinds or {}).get(column.name)
        if given is None:
            kind = infer_kind(column)
        else:
            column, kind = apply_kind(column, given)
        reader: dict[str, Any] = {"kind": kind}
        if kind == "cyclic":
            values = column.to_numpy(float)
            low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.0, 1.0)
            whole = bool(np.all(values[np.isfinite(values)] % 1 == 0))
            reader["period"] = float(high - low) + (1.0 if whole else 0.0) or 1.0
        if kind == "ordinal" and isinstance(column.dtype, pd.CategoricalDtype):
            reader["order"] = {str(level): float(i) for i, level in enumerate(column.cat.categories)}
        return reader

    def _expand(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
        """Columns of numbers and columns of categories, before anything is scaled."""
        numbers: dict[str, Any] = {}
        categories: dict[str, pd.Series] = {}
        for name, reader in self.readers_.items():
            column, kind = frame[name], reader["kind"]
            if "order" in reader:
                numbers[f"{name}"] = column.astype(object).map(lambda v, o=reader["order"]: o.get(str(v), np.nan))
                categories[name] = column
            elif kind in ("category", "text"):
                categories[name] = column
            elif kind == "date":
                numbers.update(_date_parts(name, column))
            else:
                values = _float(column)
                numbers[f"{name}"] = values
                if kind == "cyclic":
                    angle = 2 * np.pi * values / reader["period"]
                    numbers[f"{name}:sin"], numbers[f"{name}:cos"] = np.sin(angle), np.cos(angle)
        return pd.DataFrame(numbers, index=frame.index, dtype=float), categories

    def _fit_numbers(self, numbers: pd.DataFrame) -> None:
        values = numbers.to_numpy(float)
        if np.isinf(values).any():
            name = numbers.columns[np.isinf(values).any(axis=0)][0]
            raise InputError(f"column '{name}' contains infinity; a finite number or a missing value was expected")
        empty = np.isnan(values).all(axis=0)
        filled = np.where(empty, 0.0, values)
        low, high = np.nanmin(filled, axis=0), np.nanmax(filled, axis=0)
        constant = ~empty & (low == high)
        binary = ~empty & ~constant & ((values == low) | (values == high) | np.isnan(values)).all(axis=0)
        names = np.asarray(numbers.columns, dtype=object)
        self._report(list(names[empty]), "all_missing", "no value on the training rows")
        self._report(list(names[constant]), "constant", "the same value on all training rows")
        self.binary_names_ = list(names[binary])
        self.binary_low_, self.binary_range_ = low[binary], (high - low)[binary]
        self.missing_names_ = list(names[~empty & np.isnan(values).any(axis=0)])
        kept = ~empty & ~constant & ~binary
        self.number_names_ = list(names[kept])
        self._fit_scale(values[:, kept])

    def _fit_scale(self, values: np.ndarray) -> None:
        if not values.shape[1]:
            return
        self.center_ = np.nanmedian(values, axis=0)
        if self.scaling == "quantile":
            n = len(values)
            self.noise_ = 1e-5 * np.maximum(np.nanstd(values, axis=0), 1e-300)
            noise = np.random.default_rng(self.random_state).normal(size=values.shape) * self.noise_
            quantiles = int(np.clip(n // 30, min(10, n), 1000))
            self.quantiles_ = QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", subsample=None)
            self.quantiles_.fit(np.where(np.isnan(values), self.center_, values) + noise)
            return
        lower, upper = np.nanpercentile(values, [25, 75], axis=0)
        away = np.abs(values - self.center_)
        usual = np.nanmedian(np.where(away > 0, away, np.nan), axis=0)  # of the values that are not the median
        self.scale_ = np.where(upper > lower, upper - lower, usual)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if not values.shape[1]:
            return values
        values = np.where(np.isnan(values), self.center_, values)
        if self.scaling == "quantile":
            return self.quantiles_.transform(values)
        # z / sqrt(1 + (z / 3)²), written so that a value of 1e300 does not overflow
        z = np.clip((values - self.center_) / self.scale_, -1e100, 1e100)
        return z / np.sqrt(1 + (z / 3) ** 2)

    def _fit_categories(self, categories: dict[str, pd.Series]) -> None:
        self.two_levels_: dict[str, dict[Any, int]] = {}  # one column: -1, 1, and 0 for a level never seen
        self.one_hot_: dict[str, dict[Any, int]] = {}
        self.embedded_: dict[str, dict[Any, int]] = {}
        single = []
        for name, column in categories.items():
            counts = _levels(column).value_counts()
            counts = counts.iloc[np.lexsort((counts.index.astype(str), -counts.to_numpy()))]
            if len(counts) == 1:
                single.append(name)
            elif len(counts) == 2:
                self.two_levels_[name] = {level: i for i, level in enumerate(counts.index)}
            elif len(counts) <= ONE_HOT_LEVELS:
                self.one_hot_[name] = {level: i for i, level in enumerate(counts.index)}
            else:
                common = counts.index[counts.to_numpy() >= RARE_ROWS]
                self.embedded_[name] = {level: i + 1 for i, level in enumerate(common)}
        self._report(single, "constant", "the same value on all training rows")

    def _report(self, names: list[str], finding: str, reason: str) -> None:
        names = [name for name in names if name in self.readers_]  # a part of a date is no column of the user's
        if names:
            shown = ", ".join(f"'{n}'" for n in names[:LISTED]) + (", ..." if len(names) > LISTED else "")
            message = f"The net leaves out {len(names)} column(s) with {reason}: {shown}."
            column = names[0] if len(names) == 1 else None
            self.findings.append({"finding": finding, "column": column, "message": message, "advice": ""})


def _levels(column: pd.Series) -> pd.Series:
    """Hashable labels, with one label for everything that is missing."""
    values = column.astype(object)
    return values.where(column.notna(), (MISSING,))


def _codes(column: pd.Series, levels: dict[Any, int]) -> np.ndarray:
    """Position of each label, -1 where it was not seen in training, [n]."""
    return np.fromiter((levels.get(v, -1) for v in _levels(column)), dtype=np.int64, count=len(column))


def _float(column: pd.Series) -> np.ndarray:
    """Numbers as float64, missing as NaN, [n]."""
    if is_text(column) or isinstance(column.dtype, pd.CategoricalDtype):
        column = apply_kind(column, "number")[0]
    return pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)


def _date_parts(name: str, column: pd.Series) -> dict[str, np.ndarray]:
    """Days since 1970, day of the year, weekday and hour, each [n]."""
    when = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601" if is_text(column) else None)
    parts = {
        "days": (when - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1),
        "day_of_year": when.dt.dayofyear,
        "weekday": when.dt.weekday,
        "hour": when.dt.hour + when.dt.minute / 60,
    }
    return {f"{name}:{part}": values.to_numpy(dtype=float, na_value=np.nan) for part, values in parts.items()}
