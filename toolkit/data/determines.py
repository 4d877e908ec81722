"""Columns that determine the target: copies, one-to-one maps, sums and products.

Everything is sought in a sample of rows and confirmed on other rows, so that a million rows by two hundred columns take
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset

__all__ = ["determining_columns"]

SAMPLE_ROWS = 20_000
# A relation holds when it reproduces the target to this share of its standard deviation (files round their figures) ...
EXACT = 1e-4
# ... in at least this share of the rows: a few mistakes in the file do not hide it.
HOLDS = 0.95
# A sum of more columns than this is reported as the whole set of columns.
LARGEST_SUM = 12
MOST_MISSING = 0.2


def determining_columns(dataset: Dataset, target: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Columns that determine `target`, alone or in a sum or product, and how.

    Yields
    ------
    (columns, how)
        Single columns first; a sum or a product is sought among the columns that do not determine the target alone.
    """
    rows = _sample(len(dataset.frame))
    sample = dataset.frame.iloc[rows]
    y = sample[target].to_numpy(dtype=float)
    if np.ptp(y) == 0 or len(y) < 10:
        return
    alone = set()
    for column in dataset.features:
        how = _alone(sample[column], y)
        if how:
            alone.add(column)
            yield (column,), how
    numbers = _numbers(sample, [c for c in dataset.features if c not in alone])
    columns = _in_sum(numbers, y)
    if columns:
        yield columns, _in_words("sum", columns)
        return
    positive = numbers.loc[:, (numbers > 0).all()]
    if (y > 0).all() and positive.shape[1]:
        columns = _in_sum(np.log(positive), np.log(y))
        if columns:
            yield columns, _in_words("product", columns)


def _in_words(form: str, columns: tuple[str, ...]) -> str:
    if len(columns) == 1:
        return f"{'a multiple' if form == 'sum' else 'a power'} of it gives the target in nearly all rows"
    parts = "weighted sum" if form == "sum" else "product or ratio"
    return f"a {parts} of them gives the target in nearly all rows"


def _sample(n: int) -> np.ndarray:
    """Positions of up to `SAMPLE_ROWS` rows in random order; the draw is fixed, so findings are too."""
    return np.random.default_rng(0).permutation(n)[:SAMPLE_ROWS]


def _alone(column: pd.Series, y: np.ndarray) -> str | None:
    """How one column determines the target, or None."""
    present = column.notna().to_numpy()
    if present.sum() < max(10, (1 - MOST_MISSING) * len(y)):
        return None
    values, y = column[present], y[present]
    if np.ptp(y) == 0:
        return None
    codes, levels = pd.factorize(values)
    if len(levels) < 2:
        return None
    numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if numeric:
        x = values.to_numpy(dtype=float)
        if abs(np.corrcoef(x, y)[0, 1]) > 1 - 1e-9:
            return "it is a copy up to scale and shift"
        if len(levels) > 2 and _one_to_one(x, y):
            return "each grows or falls with the other, one value for one value"
    if len(levels) <= len(y) / 2 and _one_target_per_level(codes, y):
        return f"each of its {len(levels)} values goes with one value of the target"
    return None


def _one_to_one(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether sorting by x sorts y too, strictly, up or down, and equal x have equal y."""
    if len(np.unique(x)) != len(np.unique(y)):
        return False
    order = np.argsort(x, kind="stable")
    dx, dy = np.diff(x[order]), np.diff(y[order])
    return bool(
        (np.array_equal(dx > 0, dy > 0) and (dy >= 0).all()) or (np.array_equal(dx > 0, dy < 0) and (dy <= 0).all())
    )


def _one_target_per_level(codes: np.ndarray, y: np.ndarray) -> bool:
    """Whether the target never varies within a level; needs levels that are seen more than once."""
    by_level = pd.Series(y).groupby(codes)
    return bool((by_level.max() == by_level.min()).all())


def _numbers(sample: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Numeric columns that vary and are mostly there, complete rows only."""
    kept = {}
    for column in columns:
        values = sample[column]
        if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype):
            values = values.astype(float)
            if values.isna().mean() <= MOST_MISSING and values.nunique() > 1:
                kept[column] = values.reset_index(drop=True)
    return pd.DataFrame(kept, index=range(len(sample))).dropna()


def _in_sum(numbers: pd.DataFrame, y: np.ndarray) -> tuple[str, ...]:
    """Columns of a weighted sum that reproduces y, or none.

    Least squares on half of the rows, refitted to those that it meets best (a trimmed fit, so that wrong rows do not
    hide the rule), judged on the other half. Then the columns that it needs are found by adding them one by one.
    """
    Z, y = numbers.to_numpy(), y[numbers.index.to_numpy()]
    n, p = Z.shape
    if p < 1 or n < 2 * p + 30 or np.ptp(y) == 0:
        return ()
    Z, y = (Z - Z.mean(axis=0)) / Z.std(axis=0), (y - y.mean()) / y.std()
    fit = slice(0, min(n // 2, max(2_000, 10 * p)))
    judge = slice(n // 2, n)
    trimmed = _trimmed_rows(Z[fit], y[fit])
    if trimmed is None or not _holds(Z, y, list(range(p)), fit, judge, trimmed):
        return ()
    chosen = _few(Z[fit][trimmed], y[fit][trimmed])
    if not chosen or not _holds(Z, y, chosen, fit, judge, trimmed):
        chosen = list(range(p))
    return tuple(numbers.columns[j] for j in chosen)


def _coefficients(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(np.column_stack([np.ones(len(y)), Z]), y, rcond=1e-10)[0]


def _residuals(Z: np.ndarray, y: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return y - coefficients[0] - Z @ coefficients[1:]


def _trimmed_rows(Z: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Rows (mask) that a sum fits best, or None when no sum comes near."""
    best = np.ones(len(y), dtype=bool)
    for step in range(4):
        residuals = np.abs(_residuals(Z, y, _coefficients(Z[best], y[best])))
        if step == 0 and np.sqrt(np.mean(residuals**2)) > 0.5:
            return None  # R2 below 0.75: too far from any rule
        if np.mean(residuals < EXACT) >= HOLDS:
            return residuals < EXACT
        best = residuals <= np.quantile(residuals, 0.75)
    return None


def _holds(Z: np.ndarray, y: np.ndarray, chosen: list[int], fit: slice, judge: slice, rows: np.ndarray) -> bool:
    """Whether the sum of the chosen columns, fitted on some rows, meets the target on others."""
    coefficients = _coefficients(Z[fit][rows][:, chosen], y[fit][rows])
    return bool(np.mean(np.abs(_residuals(Z[judge][:, chosen], y[judge], coefficients)) < EXACT) >= HOLDS)


def _few(Z: np.ndarray, y: np.ndarray) -> list[int]:
    """The few columns of an exact sum: orthogonal matching pursuit, then what is not needed is left out."""
    chosen: list[int] = []
    residuals = y - y.mean()
    while np.sqrt(np.mean(residuals**2)) >= EXACT:
        if len(chosen) == LARGEST_SUM:
            return []
        gain = np.abs(Z.T @ residuals)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        residuals = _residuals(Z[:, chosen], y, _coefficients(Z[:, chosen], y))
    for column in list(chosen):
        rest = [j for j in chosen if j != column]
        if rest and np.sqrt(np.mean(_residuals(Z[:, rest], y, _coefficients(Z[:, rest], y)) ** 2)) < EXACT:
            chosen = rest
    return sorted(chosen)
