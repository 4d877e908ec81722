"""Rows that are equal in some columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset

__all__ = ["equal_rows", "identical_x_groups", "repeated_x"]

# Columns that are hashed together; rows that differ in them are told apart and need no further look.
BLOCK = 8
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing


def equal_rows(frame: pd.DataFrame) -> np.ndarray:
    """Group number of every row, [n]: rows equal in all columns share one, missing values equal each other.

    By 64-bit hashes of a few columns at a time, of the rows that are not yet known to be different; a million rows of
    continuous values are done after the first columns.
    """
    groups = np.zeros(len(frame), dtype=np.int64)
    rows, used = np.arange(len(frame)), 1
    for first in range(0, frame.shape[1], BLOCK):
        part = frame.iloc[:, first : first + BLOCK]
        part = part if len(rows) == len(frame) else part.iloc[rows]
        hashes = pd.util.hash_pandas_object(part, index=False).to_numpy()
        codes = pd.factorize(hashes + MIX * groups[rows].astype(np.uint64))[0]
        groups[rows] = used + codes
        used += int(codes.max()) + 1
        rows = rows[np.bincount(codes)[codes] > 1]
        if not len(rows):
            break
    return pd.factorize(groups)[0]


def identical_x_groups(dataset: Dataset) -> np.ndarray:
    """Group number of every row, [n]: rows with identical features share one. Numbered by first appearance."""
    return equal_rows(dataset.X)


def repeated_x(dataset: Dataset) -> tuple[float, int]:
    """Share of rows whose features occur in another row too, and how many of these rows sit with a different target.

    Rows at different times, or of different series, are different cases and do not count.
    """
    if not dataset.features:
        return 0.0, 0
    groups = equal_rows(dataset.frame[[*dataset.features, *apart(dataset)]])
    sizes = np.bincount(groups)
    repeated = sizes[groups] > 1
    if not repeated.any():
        return 0.0, 0
    targets = dataset.frame.loc[repeated, list(dataset.targets)].groupby(groups[repeated])
    differs = (targets.transform("max") != targets.transform("min")).any(axis=1)
    return float(repeated.mean()), int(differs.sum())


def apart(dataset: Dataset) -> list[str]:
    """Time and series columns that are no features: rows that differ in them are different cases."""
    return [c for c in (dataset.time, dataset.series) if c is not None and c not in dataset.features]
