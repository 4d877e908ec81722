"""Forecasts of an official test part by an arm, shared by the competition benchmarks."""

from __future__ import annotations

import pandas as pd

from toolkit.data.catalog import load_dataset
from toolkit.data.origins import official
from toolkit.data.series import SeriesData
from toolkit.evaluation.engine import available_cores
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.models.arms import ArmContext, build_arms

__all__ = ["forecast_official"]


def forecast_official(dataset: str, arm: str, horizon: int, metric: str) -> pd.DataFrame:
    """The predictions table of one arm with its default settings, fitted on the official training part.

    Raises
    ------
    RuntimeError
        With the cause, when the arm failed or could not forecast some of the series.
    """
    data = SeriesData.from_dataset(load_dataset(dataset), horizon)
    context = ArmContext(kinds=None, target_kind="real", metric=metric, random_state=0, horizon=horizon)
    made = build_arms("series", {arm: {}}, context)
    if "n_jobs" in made[arm].get_params(deep=False):
        made[arm].set_params(n_jobs=available_cores())
    done = evaluate_forecasts(data, official(data), made)
    if done.failures:
        raise RuntimeError(f"{dataset}, {arm}: {done.failures[arm][0]} ({len(done.failures[arm])} failures)")
    return done.predictions
