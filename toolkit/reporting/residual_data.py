"""The judging rows of the compared arms, ready for the residual panels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from toolkit.comparison.record import Comparison
from toolkit.data.dataset import Dataset
from toolkit.reporting.content import side_kinds, sides
from toolkit.reporting.smooth import feature_telling, thin

__all__ = ["MOST_SHOWN", "Side", "drawn_data", "features_shown", "get_sides", "shown_columns"]

RANKING_ROWS = 20_000
MOST_FEATURES_RANKED = 200
MOST_SHOWN = 4  # features that have pictures of their own
NEEDED = ["repeat", "fold", "row", "observed", "predicted"]


@dataclass(frozen=True)
class Side:
    """What one arm predicted for the judging rows of one target."""

    arm: str
    kind: str  # regression or neural: its colour
    target: str
    table: pd.DataFrame  # predictions of this arm and target, finite rows only, in the order row, repeat, fold
    dropped: int  # rows with a missing or infinite value

    @cached_property
    def observed(self) -> np.ndarray:
        return self.table["observed"].to_numpy(float)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.table["predicted"].to_numpy(float)

    @cached_property
    def residual(self) -> np.ndarray:
        """Observed minus predicted, [n]."""
        return self.observed - self.predicted


def get_sides(comparison: Comparison, target: str | None = None) -> list[Side]:
    """The compared arms that have usable predictions, the one that plays the regression first."""
    table, kinds = comparison.predictions, side_kinds(comparison)
    if table.empty:
        return []
    target = str(table["target"].iloc[0]) if target is None else target
    found = []
    columns = [*NEEDED, *(name for name in ("lower", "upper") if name in table)]
    of_target = (table["target"] == target).to_numpy()
    for arm in sides(comparison):
        part = table.loc[of_target & (table["arm"] == arm).to_numpy(), columns]
        values = part[["observed", "predicted"]].to_numpy(float)
        usable = np.isfinite(values).all(axis=1)
        if usable.sum() >= 2:
            kept = part[usable].sort_values(["row", "repeat", "fold"], kind="stable")
            found.append(Side(arm, kinds[arm], target, kept, int((~usable).sum())))
    return found


def feature_values(side: Side, dataset: Dataset, feature: str) -> pd.Series:
    """Values of one column of the data for every row of the side's table, [n]."""
    return dataset.frame[feature].iloc[side.table["row"].to_numpy(int)].reset_index(drop=True)


def features_shown(found: list[Side], dataset: Dataset | None, most: int) -> list[str]:
    """The `most` features that say most about the residuals of either side."""
    if dataset is None or not found:
        return []
    best: dict[str, float] = {}
    for side in found:
        at = thin(len(side.table), RANKING_ROWS)
        rows, residual = side.table["row"].to_numpy(int)[at], side.residual[at]
        for feature in dataset.features[:MOST_FEATURES_RANKED]:
            share = feature_telling(dataset.frame[feature].iloc[rows].reset_index(drop=True), residual)
            best[feature] = max(best.get(feature, -1.0), share)
    best = {feature: share for feature, share in best.items() if dataset.frame[feature].notna().any()}
    return sorted(best, key=lambda feature: -best[feature])[:most]


def shown_columns(comparison: Comparison, dataset: Dataset | None) -> pd.DataFrame:
    """The columns of the data that the pictures use, kept so that a report can be built again without the data."""
    if dataset is None:
        return comparison.shown
    names = features_shown(get_sides(comparison), dataset, MOST_SHOWN)
    return dataset.frame[list(dict.fromkeys([*names, *([dataset.time] if dataset.time else [])]))]


def drawn_data(comparison: Comparison) -> Dataset | None:
    """What `shown_columns` kept, in the place of the data; None where nothing was kept."""
    if comparison.shown.empty:
        return None
    time = comparison.dataset.get("time")
    features = tuple(column for column in comparison.shown if column != time)
    kinds = dict.fromkeys(features, "number")
    return Dataset(comparison.shown, (), features, kinds, "real", time=time, series=comparison.dataset.get("series"))


def as_axis(values: pd.Series) -> np.ndarray | None:
    """Numbers to draw along: numbers as they are, times as nanoseconds; None for levels."""
    if pd.api.types.is_bool_dtype(values):
        return None
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(float, na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.astype("int64").to_numpy(float)
    return None
