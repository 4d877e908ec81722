"""One-step errors of forecasters with their coefficients held fixed: what the innovation checks ask their questions of.

A forecaster hands them over by one or both of two methods; one with neither is said to have none.

    fitted_one_step(past) -> {(series, target): (fitted [n], model_df)}
        In-sample, NaN where there is none; `model_df` counts the dynamic coefficients estimated on these rows. For
        models with few of them (ARIMA, exponential smoothing, vector autoregression, baselines).
    forecast_one_step(data, rows) -> {(series, target): predicted [rows[series]]}
        The latest rows of each series, each from everything before it, with the coefficients as they are. For
        regressions on many lags and for nets, whose in-sample residuals are white by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.origins import past_rows
from toolkit.data.series import SeriesData
from toolkit.data.splits import Fold
from toolkit.models.forecasting_channels import TRANSFORMS

__all__ = ["COLUMNS", "Watch", "one_step_errors", "watch"]

COLUMNS = ("arm", "fold", "series", "target", "step", "observed", "predicted", "in_sample", "unseen", "model_df",
           "power")  # fmt: skip
MOST_ROWS = 2_000  # of a series, the latest: enough for every test
LEAST_ROWS = 120  # of a series, reaching back before the first origin where fewer come after it
MOST_SERIES = 30  # of a panel, evenly spread


@dataclass(frozen=True)
class Watch:
    """Which rows are looked at.

    Attributes
    ----------
    rows : ndarray of int
        Positions in the data of the chosen series, up to the last judged row of each.
    counts : dict
        Series -> its latest rows that are looked at: those after the first origin, and some before if these are few.
    past : ndarray of int
        The part of `rows` that is known at the last origin.
    newest : int
        The fold whose fit has seen most.
    """

    rows: np.ndarray
    counts: dict[Any, int]
    past: np.ndarray
    newest: int


def watch(data: SeriesData, folds: Sequence[Fold], newest: int) -> Watch:
    """The rows around and after the first origin, of at most `MOST_SERIES` series that are judged from it.

    Parameters
    ----------
    folds : sequence of Fold
        In the order of time.
    newest : int
        Number of the last fold that is fitted on.
    """
    first, last = folds[0].judge, folds[-1].judge
    keys = data.frame[data.series]
    names = list(dict.fromkeys(keys.iloc[np.sort(first)]))
    names = names[:: -(-len(names) // MOST_SERIES)]
    stop = keys.iloc[last].reset_index().groupby(data.series)["index"].max()
    position = pd.Series(np.arange(len(keys)))
    chosen = (keys.isin(names) & keys.isin(stop.index)).to_numpy()
    rows = np.flatnonzero(chosen & (position <= keys.map(stop).fillna(-1)).to_numpy())
    before = np.intersect1d(rows, past_rows(data, first))
    later, length = keys.iloc[np.setdiff1d(rows, before)].value_counts(), keys.iloc[rows].value_counts()
    counts = {
        name: int(np.clip(later.get(name, 0), min(LEAST_ROWS, length.get(name, 1) - 1), MOST_ROWS)) for name in names
    }
    return Watch(rows, counts, np.intersect1d(rows, past_rows(data, last)), newest)


def one_step_errors(estimator: Any, data: SeriesData, look: Watch, arm: str, fold: Fold) -> pd.DataFrame:
    """Rows of one fit: in-sample ones of the newest fit, later ones of every fit."""
    parts = []
    if hasattr(estimator, "fitted_one_step") and fold.fold == look.newest:
        known = data.take(look.past)
        made = estimator.fitted_one_step(known)
        parts += [_rows(known, key, fitted, model_df, True) for key, (fitted, model_df) in made.items()]
    if hasattr(estimator, "forecast_one_step"):
        whole = data.take(look.rows)
        seen = np.isin(look.rows, fold.train)
        counts = {name: count for name, count in look.counts.items() if count > 0}
        made = estimator.forecast_one_step(whole.only(list(counts)), counts) if counts else {}
        parts += [_rows(whole, key, later, 0, False, seen) for key, later in made.items()]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS[2:]))
    return table.assign(arm=arm, fold=fold.fold, power=_power(getattr(estimator, "fit_info_", {})))[list(COLUMNS)]


def _power(facts: Mapping[str, Any]) -> float:
    """Box-Cox power of the scale that the model works on: its innovations are what the tests are meant for."""
    named = (facts.get("frozen") or {}).get("transform", "log" if facts.get("family") == "log" else "none")
    return float(TRANSFORMS.get(named, named))


def _rows(
    data: SeriesData, key: tuple[Any, str], values: np.ndarray, model_df: int, in_sample: bool,
    seen: np.ndarray | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The latest rows of one channel beside their one-step forecasts; `seen` says which rows were trained on."""
    name, target = key
    mine = np.flatnonzero((data.frame[data.series] == name).to_numpy())
    step = np.arange(len(mine))[-len(values) :][-MOST_ROWS:]
    rows = mine[-len(values) :][-MOST_ROWS:]
    return pd.DataFrame(
        {
            "series": name,
            "target": target,
            "step": step,
            "observed": data.frame[target].to_numpy(dtype=float)[rows],
            "predicted": np.asarray(values, dtype=float)[-MOST_ROWS:],
            "in_sample": in_sample,
            "unseen": False if seen is None else ~seen[rows],
            "model_df": model_df,
        }
    )
