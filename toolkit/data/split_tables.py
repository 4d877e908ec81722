"""Published splits: which rows judge, from a file or from a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.data.readers import read_table
from toolkit.errors import InputError

__all__ = ["read_split_table"]

TRAINS = {"train", "training", "valid", "validation", "val", "dev", "false"}
JUDGES = {"test", "testing", "holdout", "judge", "true"}


def read_split_table(dataset: Dataset, table: str | Path) -> tuple[list[np.ndarray], str]:
    """Judging rows of every split, positions in the frame, and where they come from.

    Parameters
    ----------
    table : str or path
        A column of the frame, or a file with the columns `split` and `test_row` (rows of the source, counted from 0;
        every other row trains).
    """
    if str(table) in dataset.frame.columns:
        return _from_column(dataset.frame[str(table)]), f"column '{table}'"
    return _from_file(dataset, Path(table)), f"file '{Path(table).name}'"


def _from_column(column: pd.Series) -> list[np.ndarray]:
    """Train and test in words, or a number or name for the split that judges the row."""
    if column.isna().any():
        raise InputError(f"split column '{column.name}' is missing in {int(column.isna().sum())} rows")
    text = column.astype(str).str.strip().str.lower()
    levels = set(text.unique())
    if levels & JUDGES:
        strange = sorted(levels - JUDGES - TRAINS)
        if strange:
            raise InputError(f"split column '{column.name}' holds '{strange[0]}'; train and test were expected")
        rows = [np.flatnonzero(text.isin(JUDGES))]
    else:
        rows = [np.flatnonzero(column == level) for level in sorted(column.unique())]
        if len(rows) < 2:
            raise InputError(f"split column '{column.name}' holds one value only; train and test were expected")
    if len(rows[0]) == len(column):
        raise InputError(f"split column '{column.name}' leaves no row to train on")
    return rows


def _from_file(dataset: Dataset, path: Path) -> list[np.ndarray]:
    frame = read_table(path)
    if not {"split", "test_row"} <= set(frame.columns):
        raise InputError(
            f"{path.name}: a split table needs the columns split and test_row, "
            f"got {', '.join(map(str, frame.columns[:6]))}"
        )
    if dataset.dropped:
        why, count = next(iter(dataset.dropped.items()))
        raise InputError(f"{path.name} counts the rows of the source, but {count} of them were left out ({why})")
    rows, n = frame["test_row"], len(dataset.frame)
    if not pd.api.types.is_integer_dtype(rows.dtype) or rows.min() < 0 or rows.max() >= n:
        raise InputError(f"{path.name}: test_row must be a row number from 0 to {n - 1}, the last row of the data")
    if frame.duplicated(["split", "test_row"]).any():
        raise InputError(f"{path.name}: a row is named twice in one split")
    splits = [np.sort(part.to_numpy(dtype=np.int64)) for _, part in rows.groupby(frame["split"], sort=True)]
    if any(len(part) == n for part in splits):
        raise InputError(f"{path.name}: a split leaves no row to train on")
    return splits
