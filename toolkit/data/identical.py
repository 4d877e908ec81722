"""Rows whose features are all equal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset

__all__ = ["identical_x_groups", "repeated_x", "row_hashes"]


def row_hashes(frame: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash of every row, [n]; equal rows have equal hashes, missing values equal each other."""
    if not frame.shape[1]:
        return np.zeros(len(frame), dtype=np.uint64)
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def identical_x_groups(dataset: Dataset) -> np.ndarray:
    """Group number of every row, [n]: rows with identical features share one. Numbered by first appearance."""
    return pd.factorize(row_hashes(dataset.X))[0]


def repeated_x(dataset: Dataset) -> tuple[float, int]:
    """Share of rows whose features occur in another row too, and how many of these rows sit with a different target.

    Rows at different times, or of different series, are different cases and do not count.
    """
    if not dataset.features:
        return 0.0, 0
    apart = [c for c in (dataset.time, dataset.series) if c is not None and c not in dataset.features]
    groups = pd.factorize(row_hashes(dataset.frame[[*dataset.features, *apart]]))[0]
    sizes = np.bincount(groups)
    repeated = sizes[groups] > 1
    if not repeated.any():
        return 0.0, 0
    targets = dataset.frame.loc[repeated, list(dataset.targets)].groupby(groups[repeated])
    differs = (targets.transform("max") != targets.transform("min")).any(axis=1)
    return float(repeated.mean()), int(differs.sum())
