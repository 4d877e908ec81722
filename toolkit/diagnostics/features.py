"""Features as the checks see them: standardised numbers and indicator columns, the same for every arm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from toolkit.diagnostics.least_squares import basis

__all__ = ["Features", "encode"]

LEVELS = 20  # levels of a category that get an indicator; rarer ones share the baseline


@dataclass(frozen=True)
class Bins:
    """One feature in bins."""

    code: np.ndarray  # [n], -1 where missing or in no bin
    centres: np.ndarray  # [bins], median value of a numeric feature, 0, 1, 2, ... for levels
    labels: tuple[str, ...]
    numeric: bool


@dataclass(frozen=True)
class Features:
    """Columns that auxiliary regressions are made on.

    Attributes
    ----------
    numbers : ndarray, [n, numeric features]
        Standardised, missing values at the mean.
    indicators : ndarray, [n, level columns]
    codes : dict
        Feature -> integer level codes [n], for features that are no numbers; levels by name in `levels`.
    """

    numbers: np.ndarray
    number_names: tuple[str, ...]
    indicators: np.ndarray
    indicator_names: tuple[str, ...]
    codes: dict[str, np.ndarray]
    levels: dict[str, tuple[str, ...]]
    raw: dict[str, np.ndarray]  # numeric feature -> values in its own units, NaN where missing

    @property
    def n(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Features:
        """The same columns at other rows."""
        return Features(
            self.numbers[rows],
            self.number_names,
            self.indicators[rows],
            self.indicator_names,
            {name: codes[rows] for name, codes in self.codes.items()},
            self.levels,
            {name: values[rows] for name, values in self.raw.items()},
        )

    @cached_property
    def bins(self) -> dict[str, Bins]:
        """Every feature cut into bins of similar size (numbers) or levels (the rest)."""
        cut = {name: cut_number(values) for name, values in self.raw.items()}
        cut |= {name: cut_levels(codes, self.levels[name]) for name, codes in self.codes.items()}
        return {name: one for name, one in cut.items() if len(one.labels) > 1}

    @cached_property
    def linear(self) -> np.ndarray:
        """All columns side by side, [n, q], without a constant."""
        return np.column_stack([self.numbers, self.indicators])

    @cached_property
    def fits(self) -> bool:
        """Whether an auxiliary regression on all columns leaves enough degrees of freedom."""
        return self.linear.shape[1] + 10 <= self.n // 3

    @cached_property
    def base(self) -> np.ndarray:
        """Orthonormal basis of constant and linear columns, [n, k]; only the constant when there are too many."""
        one = np.ones((self.n, 1))
        return basis(np.column_stack([one, self.linear]) if self.fits else one)

    @cached_property
    def squares(self) -> np.ndarray:
        """Squares of the standardised numbers, [n, numeric features]."""
        return self.numbers**2

    @cached_property
    def for_trees(self) -> np.ndarray:
        """Numbers and level codes, [n, features]."""
        return np.column_stack([self.numbers, *self.codes.values()]) if self.codes else self.numbers


def encode(X: pd.DataFrame, kinds: dict[str, str]) -> Features:
    """Encode the raw features of the judging rows.

    Parameters
    ----------
    X : DataFrame, [n, p]
    kinds : dict
        Column -> number, ordinal, cyclic, date, category or text. Text columns are left out.
    """
    raw: dict[str, np.ndarray] = {}
    codes: dict[str, np.ndarray] = {}
    levels: dict[str, tuple[str, ...]] = {}
    indicators, indicator_names = [], []
    for column in X.columns:
        values = X[column]
        kind = kinds.get(column) or _guess(values)
        if kind == "text":
            continue
        if kind == "category" or not _numeric(values):
            codes[str(column)], levels[str(column)] = _levels(values)
            for code in range(1, min(len(levels[str(column)]), LEVELS + 1)):
                indicators.append((codes[str(column)] == code).astype(float))
                indicator_names.append(f"{column}={levels[str(column)][code]}")
        else:
            raw[str(column)] = _as_number(values)
    numbers = [_standardise(values) for values in raw.values()]
    n = len(X)
    return Features(
        np.column_stack(numbers) if numbers else np.empty((n, 0)),
        tuple(raw),
        np.column_stack(indicators) if indicators else np.empty((n, 0)),
        tuple(indicator_names),
        codes,
        levels,
        raw,
    )


def cut_number(values: np.ndarray, most: int = 30) -> Bins:
    """Cut at quantiles, so that bins hold 15 rows or more; a number with few values keeps one bin per value."""
    known = np.isfinite(values)
    count = int(max(2, min(most, known.sum() // 15)))
    distinct = np.unique(values[known])
    if len(distinct) <= count:
        edges = distinct[1:]
    else:
        edges = np.unique(np.quantile(values[known], np.arange(1, count) / count))
    code = np.where(known, np.searchsorted(edges, values, side="right"), -1)
    used, code[known] = np.unique(code[known], return_inverse=True)
    order = np.argsort(code[known], kind="stable")
    parts = np.split(values[known][order], np.cumsum(np.bincount(code[known]))[:-1]) if len(used) else []
    centres = np.array([np.median(part) for part in parts])
    labels = tuple(f"{part.min():.4g} to {part.max():.4g}" if part.min() < part.max() else f"{part[0]:.4g}"
                   for part in parts)  # fmt: skip
    return Bins(code, centres, labels, True)


def cut_levels(codes: np.ndarray, names: tuple[str, ...]) -> Bins:
    """The most frequent levels with at least 10 rows; all others share one bin."""
    sizes = np.bincount(codes, minlength=len(names))
    kept = [level for level in range(min(LEVELS, len(names))) if sizes[level] >= 10]
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    code = place[codes]
    labels = [names[level] for level in kept]
    if (rest := int(np.sum(code == len(kept)))) and rest >= 10:
        labels.append("(other levels)")
    elif rest:
        code = np.where(code == len(kept), -1, code)
    return Bins(code, np.arange(len(labels), dtype=float), tuple(labels), False)


def _guess(values: pd.Series) -> str:
    return "number" if _numeric(values) else "category"


def _numeric(values: Any) -> bool:
    return pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)


def _as_number(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(values):
        days = (pd.to_datetime(values, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
        return days.to_numpy(dtype=float)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _standardise(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    centre, spread = values[known].mean(), values[known].std()
    scaled = (values - centre) / spread if spread > 1e-12 * (abs(centre) + 1e-300) else np.zeros(len(values))
    return np.where(known, scaled, 0.0)


def _levels(values: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes by falling frequency (0 is the most frequent) and the names; a missing value is a level."""
    text = values.astype(object).where(values.notna(), "(missing)").astype(str)
    found, names = pd.factorize(text)
    order = np.argsort(-np.bincount(found, minlength=len(names)), kind="stable")
    rank = np.empty(len(names), dtype=int)
    rank[order] = np.arange(len(names))
    return rank[found], tuple(str(names[i]) for i in order)
