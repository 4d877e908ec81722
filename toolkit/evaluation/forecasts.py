"""Arms x origins -> predictions: every forecaster sees the same past, the same future and the same origins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from toolkit.data.origins import past_rows
from toolkit.data.series import SeriesData
from toolkit.data.splits import Fold, Splits
from toolkit.evaluation.engine import Cache, Heard, Progress, available_cores, content_hash, plan_workers, run_cells
from toolkit.evaluation.evaluate import COLUMNS, Evaluation
from toolkit.evaluation.forecast_members import member_rows
from toolkit.evaluation.innovations import Watch, one_step_errors, watch
from toolkit.evaluation.provenance import code_of, toolkit_code
from toolkit.evaluation.series_scales import seasonal_errors
from toolkit.models.ticker import listening

__all__ = ["ForecastCell", "ForecastResult", "evaluate_forecasts", "fit_forecast_cell", "forecast_cells"]

PANEL = 50  # series from which an arm can keep all cores busy at a single origin


@dataclass(frozen=True)
class ForecastCell:
    """One fit and the origins that are forecast with it."""

    arm: str
    estimator: BaseEstimator = field(repr=False)
    folds: tuple[Fold, ...] = field(repr=False)  # the first one's training rows are fitted on
    key: str = ""
    keep_model: bool = False
    watch: Watch | None = field(default=None, repr=False)  # rows whose one-step errors are wanted

    @property
    def label(self) -> str:
        if self.keep_model:
            return f"{self.arm}, all rows"
        first, last = self.folds[0].fold, self.folds[-1].fold
        return f"{self.arm}, origin {first}" + (f" to {last}" if last > first else "")


@dataclass(frozen=True)
class ForecastResult:
    """What came out of one cell; `error` is the cause when the arm failed there."""

    arm: str
    folds: tuple[int, ...]
    predictions: pd.DataFrame | None = None
    members: pd.DataFrame | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    model: Any = None
    error: str | None = None
    notes: tuple[str, ...] = ()  # series that this arm could not forecast, each with its cause
    innovations: pd.DataFrame | None = None


def evaluate_forecasts(
    data: SeriesData,
    splits: Splits,
    arms: Mapping[str, BaseEstimator],
    *,
    every: int = 1,
    refit: tuple[str, ...] = (),
    innovations: tuple[str, ...] = (),
    workers: int | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    backend: str = "loky",
) -> Evaluation:
    """Fit every arm and forecast from every origin.

    Parameters
    ----------
    data : SeriesData
    splits : Splits
        From `toolkit.data.origins`; row positions in `data.frame`.
    arms : mapping of str to forecaster
        Unfitted: `fit(history)`, `forecast(past, future)`; each cell fits a clone.
    every : int
        Fit anew at every k-th origin; the origins between are forecast with the model fitted last and the newest past.
    refit : tuple of str
        Arms that are fitted once more, on all rows, and returned as models for use.
    innovations : tuple of str
        Arms whose one-step errors are wanted as well.
    workers : int, optional
        Processes; chosen from the work to be done when left out. A panel at a single origin gives its cores to the arm.

    Returns
    -------
    Evaluation
        `predictions` has, beside the columns of every predictions table, `scale` and `root_scale`: the mean absolute
        and the root mean squared in-sample error of the seasonal naive forecast, for each series and origin.
        Rows whose target was not observed are left out, and rows of a series that some arm failed on, for all arms.
    """
    cells = forecast_cells(data, splits, arms, every, refit, innovations)
    panel = len(splits.folds) == 1 and len(data.names) >= PANEL  # each arm works on many series at once
    plan = plan_workers(len(cells), len(data.frame), 1 if panel and workers is None else workers)
    threads = available_cores() if panel else plan.threads
    heard = Heard(progress, len(cells))
    with listening(heard.within):
        results = run_cells(cells, partial(fit_forecast_cell, data=data, threads=threads), plan, cache, heard, backend)
    return _collect(data, list(arms), cells, results)


def forecast_cells(
    data: SeriesData, splits: Splits, arms: Mapping[str, BaseEstimator], every: int = 1, refit: tuple[str, ...] = (),
    innovations: tuple[str, ...] = (),
) -> list[ForecastCell]:  # fmt: skip
    """Arm x block of origins; block by block, so that every arm has finished a block before the next one begins."""
    common = (toolkit_code(), data.sha256, data.freq, data.periods, data.horizon, data.scale_period)
    look = watch(data, splits.folds, splits.folds[::every][-1].fold) if innovations else None
    cells = []
    for start in range(0, len(splits.folds), every):
        block = splits.folds[start : start + every]
        rows = [(fold.train, fold.judge) for fold in block]
        for name, estimator in arms.items():
            mine = look if name in innovations else None
            seen = [] if mine is None else [mine.rows, mine.newest]
            key = content_hash(common, name, estimator, code_of(estimator), rows, *seen)
            cells.append(ForecastCell(name, estimator, block, key, watch=mine))
    for name in refit:
        key = content_hash(common, name, arms[name], code_of(arms[name]), "all rows")
        cells.append(ForecastCell(name, arms[name], (), key, keep_model=True))
    return cells


def fit_forecast_cell(cell: ForecastCell, data: SeriesData, threads: int = 1) -> ForecastResult:
    """Fit one clone at the first origin, forecast from all; a failure becomes a named outcome."""
    numbers = tuple(fold.fold for fold in cell.folds)
    try:
        estimator = clone(cell.estimator)
        for limit in ("threads", "n_jobs"):
            if limit in estimator.get_params(deep=False):
                estimator.set_params(**{limit: threads})
        history = data if cell.keep_model else data.take(cell.folds[0].train)
        begin = time.perf_counter()
        estimator.fit(history)
        fitted = time.perf_counter()
        facts = dict(getattr(estimator, "fit_info_", {}))
        if cell.keep_model:
            return ForecastResult(cell.arm, numbers, facts=facts, fit_seconds=fitted - begin, model=estimator)
        parts, members = [], []
        for fold in cell.folds:
            past, future = data.take(past_rows(data, fold.judge)), data.future_of(fold.judge)
            out = estimator.forecast(past, future)
            given = set(out[data.series])
            absent = {name: "no forecast was given" for name in future[data.series].unique() if name not in given}
            facts["failed_series"] = {
                **facts.get("failed_series", {}), **absent, **getattr(estimator, "failed_series_", {}),
            }  # fmt: skip
            parts.append(_rows(data, cell, fold, past, out, facts["failed_series"]))
            told = [f"origin {fold.fold}: {note}" for note in getattr(estimator, "notes_", ())]
            facts["forecast_notes"] = [*facts.get("forecast_notes", ()), *told]
            if hasattr(estimator, "forecast_members"):
                members.append(member_rows(data, cell.arm, fold, estimator.forecast_members(past, future)))
        predictions, forecast = pd.concat(parts, ignore_index=True), time.perf_counter()
        return ForecastResult(
            cell.arm,
            numbers,
            predictions,
            pd.concat(members, ignore_index=True) if members else None,
            facts,
            fitted - begin,
            forecast - fitted,
            innovations=_innovations(estimator, data, cell, facts),
            notes=tuple(f"{name}: {cause}" for name, cause in facts.get("failed_series", {}).items()),
        )
    except Exception as error:  # one arm's failure must not stop the others; its cause is reported
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        return ForecastResult(cell.arm, numbers, error=cause)


def _innovations(
    estimator: BaseEstimator, data: SeriesData, cell: ForecastCell, facts: dict[str, Any]
) -> pd.DataFrame | None:
    """One-step errors of the fit; an arm that cannot make them still has its forecasts, and the cause in its facts."""
    if cell.watch is None:
        return None
    try:
        return one_step_errors(estimator, data, cell.watch, cell.arm, cell.folds[0])
    except Exception as error:
        facts["innovations"] = f"one-step innovations: {type(error).__name__}: {error}".splitlines()[0][:300]
        return None


def _rows(
    data: SeriesData, cell: ForecastCell, fold: Fold, past: SeriesData, out: pd.DataFrame, failed: Mapping[Any, str]
) -> pd.DataFrame:
    """Forecasts beside what was observed, as rows of the predictions table.

    Raises
    ------
    ValueError
        When a forecast is not a finite number, or a row that was asked for is absent.
    """
    keys = [data.series, data.time]
    judge = np.sort(fold.judge)
    asked = data.frame.iloc[judge][[*keys, *data.targets]].assign(row=judge)
    asked = asked.melt([*keys, "row"], var_name="target", value_name="observed")
    merged = asked.merge(out, on=[*keys, "target"], how="left", validate="one_to_one")
    merged = merged[merged["observed"].notna()]
    merged = merged[~merged[data.series].isin(list(failed))]
    bad = ~np.isfinite(merged["predicted"].to_numpy(dtype=float))
    if bad.any():
        where = merged.loc[bad, data.series].iloc[0]
        raise ValueError(f"{int(bad.sum())} of {len(bad)} forecasts are not finite numbers, first in series '{where}'")
    scales = seasonal_errors(past).reset_index()
    merged = merged.merge(scales, on=[data.series, "target"], how="left")
    n_train = data.frame.iloc[fold.train].groupby(data.series, sort=False).size()
    return pd.DataFrame(
        {
            "arm": cell.arm,
            "repeat": fold.repeat,
            "fold": fold.fold,
            "row": merged["row"],
            "series": merged[data.series],
            "time": merged[data.time],
            "origin": merged["last"],
            "horizon": merged["horizon"].astype(int),
            "target": merged["target"],
            "observed": merged["observed"],
            "predicted": merged["predicted"].astype(float),
            "lower": merged["lower"].astype(float),
            "upper": merged["upper"].astype(float),
            "n_train": int(n_train.sum()),
            "group": None,
            "scale": merged["scale"],
            "root_scale": merged["root_scale"],
        }
    )


def _collect(data: SeriesData, arms: list[str], cells: list[ForecastCell], results: list[ForecastResult]) -> Evaluation:
    judged = [r for c, r in zip(cells, results, strict=True) if not c.keep_model]
    tables = [r.predictions for r in judged if r.predictions is not None]
    predictions = _common_rows(pd.concat(tables, ignore_index=True)) if tables else pd.DataFrame(columns=list(COLUMNS))
    members = [r.members for r in judged if r.members is not None]
    watched = [r.innovations for r in judged if r.innovations is not None and len(r.innovations)]
    by_arm = {arm: [r for r in judged if r.arm == arm] for arm in arms}
    failures = {
        arm: tuple(
            line
            for r in of_arm
            for line in ([f"origin {_span(r.folds)}: {r.error}"] if r.error else [])
            + [f"origin {_span(r.folds)}, series {note}" for note in r.notes]
        )
        for arm, of_arm in by_arm.items()
    }
    return Evaluation(
        predictions,
        pd.concat(members, ignore_index=True) if members else pd.DataFrame(),
        pd.DataFrame(columns=["arm", "repeat", "fold", "metric", "value"]),
        {arm: tuple(r.facts for r in of_arm if r.error is None) for arm, of_arm in by_arm.items()},
        {
            arm: (sum(r.fit_seconds for r in of_arm), sum(r.predict_seconds for r in of_arm))
            for arm, of_arm in by_arm.items()
        },
        {arm: lines for arm, lines in failures.items() if lines},
        {r.arm: r.model for r in results if r.model is not None},
        pd.concat(watched, ignore_index=True) if watched else None,
    )


def _common_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows that every arm has forecast, arm failures of whole origins aside: a score compares like with like."""
    if predictions["arm"].nunique() == 1:
        return predictions
    keys = ["repeat", "fold", "row", "target"]
    able = predictions.groupby("fold")["arm"].transform("nunique")
    count = predictions.groupby(keys)["arm"].transform("size")
    return predictions[count == able].reset_index(drop=True)


def _span(folds: tuple[int, ...]) -> str:
    return f"{folds[0]}" if len(folds) == 1 else f"{folds[0]}-{folds[-1]}"
