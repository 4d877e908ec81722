"""Where the two sides disagree: mean observed and predicted values by bin of the named terms, for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.record import GapEntry
from toolkit.comparison.rows import PairedRows

__all__ = ["disagreement"]

MOST_TERMS = 6
MOST_LEVELS = 24  # of one axis; a number with more values is cut into BINS
BINS = 10


def disagreement(paired: PairedRows, X: pd.DataFrame, entries: tuple[GapEntry, ...]) -> list[dict[str, Any]]:
    """Means by bin of the largest named terms.

    Returns
    -------
    list of dict
        term, variables, axes (labels of each variable in order), cells: at (one position per axis), n, observed,
        first and second (mean predictions of the start and of the net).
    """
    named = sorted((e for e in entries if e.details.get("variables")), key=lambda e: -e.share)[:MOST_TERMS]
    made = []
    for one in named:
        axes = [_binned(X[name].iloc[paired.row]) for name in one.details["variables"] if name in X]
        if len(axes) != len(one.details["variables"]) or any(axis is None for axis in axes):
            continue  # a part of a date has no column of its own
        frame = pd.DataFrame({k: codes for k, (codes, _) in enumerate(axes)})  # type: ignore[misc]
        keys = list(frame.columns)
        frame = frame.assign(observed=paired.observed, first=paired.predicted[:, 0], second=paired.predicted[:, 1])
        cells = frame[(frame[keys] >= 0).all(axis=1)].groupby(keys)[["observed", "first", "second"]]
        means = cells.mean().assign(n=cells.size()).reset_index()
        rows = [
            {"at": [int(row[k]) for k in keys], **{name: row[name] for name in ("n", "observed", "first", "second")}}
            for row in means.to_dict("records")
        ]
        labels = [axis[1] for axis in axes]  # type: ignore[index]
        made.append({"term": one.term, "variables": one.details["variables"], "axes": labels, "cells": rows})
    return made


def _binned(values: pd.Series) -> tuple[np.ndarray, list[str]] | None:
    """Position of each row on an axis of at most MOST_LEVELS labels, -1 for a missing value; None for a date."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return None
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if number and values.nunique() > MOST_LEVELS:
        cut = pd.qcut(values, BINS, duplicates="drop")
        return cut.cat.codes.to_numpy(), [
            f"{max(i.left, values.min()):.3g} to {i.right:.3g}" for i in cut.cat.categories
        ]
    if number:
        codes, levels = pd.factorize(values, sort=True)
        return codes, [f"{level:g}" for level in levels]
    text = values.astype(object).where(values.notna(), None)
    often = list(text.value_counts().index[:MOST_LEVELS])
    order = {level: k for k, level in enumerate(sorted(often, key=str))}
    return text.map(order).fillna(-1).to_numpy(dtype=int), [str(level) for level in order]
