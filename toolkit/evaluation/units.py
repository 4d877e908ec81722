"""Predictions in the units that the tests of the verdict need, on the folds that every arm finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from toolkit.evaluation.scores import METRICS, Metric
from toolkit.evaluation.series_scores import SERIES_METRICS, relative

__all__ = ["in_metric_units", "in_same_units", "on_common_folds"]


def in_metric_units(predictions: pd.DataFrame, name: str) -> tuple[pd.DataFrame, Metric]:
    """Predictions and a metric of single rows, for a metric of forecasts: MASE is the MAE of scaled errors."""
    scaled, plain = relative(predictions, name)
    if plain in METRICS:
        return scaled, replace(METRICS[plain], name=name, label=SERIES_METRICS[name].label)
    of = SERIES_METRICS[name]

    def row_loss(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return of.row_loss(pd.DataFrame({"observed": observed, "predicted": predicted}))

    return scaled, Metric(name, of.label, row_loss, of.finish)


def in_same_units(members: pd.DataFrame, scaled: pd.DataFrame, name: str) -> pd.DataFrame:
    """Predictions of members divided by the scale of their rows, as `in_metric_units` does with those of the arms."""
    column = {"mase": "scale", "rmsse": "root_scale"}.get(name)
    if column is None:
        return members
    keys = ["arm", "repeat", "fold", "row", "target"]
    bare = members.drop(columns=[c for c in (column,) if c in members])
    joined = bare.merge(scaled[[*keys, column]].drop_duplicates(keys), on=keys, how="inner")
    return joined.assign(predicted=joined["predicted"] / joined[column])


def on_common_folds(predictions: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Rows of these arms, on the folds that each of them finished."""
    mine = predictions[predictions["arm"].isin(arms)]
    finished = mine.groupby(["repeat", "fold"])["arm"].transform("nunique")
    return mine[finished == len(set(arms))]
