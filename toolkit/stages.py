"""The stages of a comparison, each a function: what `pipeline.py` calls one after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.assembly import costs
from toolkit.comparison.design import TIME_SCHEMES
from toolkit.comparison.record import Verdict
from toolkit.data.dataset import Dataset
from toolkit.data.origins import official, rolling_origin
from toolkit.data.roles import as_names
from toolkit.data.series import SeriesData
from toolkit.data.splits import Splits, choose_splits
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import Cache
from toolkit.evaluation.evaluate import Evaluation, evaluate
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.intervals import add_intervals, calibrate
from toolkit.evaluation.scores import default_metric, get_metric, metrics_for, score_table
from toolkit.evaluation.series_intervals import conformal_over_origins, interval_score_table
from toolkit.evaluation.series_scores import SERIES_METRICS, series_score_table
from toolkit.evaluation.units import in_metric_units, in_same_units, on_common_folds
from toolkit.loading import beside
from toolkit.models.arms import ArmContext, arm_kind, build_arms
from toolkit.reporter import Reporter
from toolkit.settings import DEFAULT_ARMS, Pipeline
from toolkit.tracking_server import store_uri

DESIGN_CELLS = 5e7  # numbers of a design matrix that the checks look at: 400 MB

if TYPE_CHECKING:
    from toolkit.analysis import Analysis
    from toolkit.pipeline import Plan

NESTED = ["regression", "neural"]  # in one pipeline the net sees every input of the regression


def as_series(settings: Pipeline, dataset: Dataset) -> SeriesData | None:
    """The rows on a regular grid where forecasts are compared; None for a table."""
    if settings.face == "table":
        return None
    data, horizon = settings.data, settings.splits.horizon
    if horizon is None:
        raise InputError("splits.horizon: name the number of steps to forecast, such as 24")
    if dataset.weights is not None:
        raise InputError(f"data.weights: forecasts of series take no weights ('{dataset.weights}')")
    return SeriesData.from_dataset(dataset, horizon, data.freq, data.periods, data.country)


def who_judges(settings: Pipeline, dataset: Dataset, series: SeriesData | None, base: Path | None) -> Splits:
    """The folds, chosen from the data where the pipeline names none."""
    chosen = settings.splits
    if series is not None:
        if chosen.scheme == "official":
            return official(series)
        return rolling_origin(series, chosen.origins, chosen.step, chosen.window)
    named = chosen.model_dump(exclude_none=True)
    if chosen.table is not None:
        named["table"] = beside(chosen.table, base)
    return choose_splits(dataset, **named)


def primary_metric(settings: Pipeline, dataset: Dataset) -> str:
    """The metric of the verdict."""
    if settings.face == "series":
        name = settings.metric or "mase"
        if name not in SERIES_METRICS:
            raise unknown("metric", name, SERIES_METRICS)
        return name
    return get_metric(settings.metric or default_metric(dataset.target_kind), dataset.target_kind).name


def make_arms(
    settings: Pipeline, own: Mapping[str, Any] | None, dataset: Dataset, metric: str, quick: bool, horizon: int
) -> dict[str, BaseEstimator]:
    """Unfitted estimators, told what the pipeline knows, that have looked at the columns they will get."""
    context = ArmContext(
        kinds=dict(dataset.kinds),
        target_kind=dataset.target_kind,
        metric=metric,
        random_state=settings.splits.seed,
        horizon=horizon,
        quick=quick,
        coverage=settings.coverage,
    )
    arms = build_arms(settings.face, own or settings.arms, context)
    for name, arm in arms.items():
        if hasattr(arm, "check_columns"):
            try:
                arm.check_columns(dataset)
            except InputError as error:
                raise InputError(f"arms.{name}: {error}") from None
    return arms


def name_arms(arms: Sequence[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Arms as name -> settings or estimator."""
    if arms is None:
        arms = DEFAULT_ARMS
    if isinstance(arms, Mapping):
        return {name: {} if settings is None else settings for name, settings in arms.items()}
    for name in (arms := as_names(arms)):
        if not isinstance(name, str):
            raise InputError(f"arms: give {name!r} a name, as in arms={{'linear': {{}}, 'mine': {name!r}}}")
    return {name: {} for name in arms}


def who_is_compared(settings: Pipeline, arms: Sequence[str]) -> tuple[str, str]:
    """The pair of the verdict: the best-specified regression against the net, unless the user names two arms."""
    if settings.compare is not None:
        for name in settings.compare:
            if name not in arms:
                raise unknown("arm in compare", name, arms)
        if settings.compare[0] == settings.compare[1]:
            raise InputError(f"compare: name two different arms, got '{settings.compare[0]}' twice")
        return settings.compare[0], settings.compare[1]
    if len(arms) < 2:
        raise InputError(f"arms: a comparison needs at least two, got {', '.join(arms) or 'none'}")
    first = next((a for a in ("regression", "formula", "linear", "seasonal_naive", "naive") if a in arms), arms[0])
    others = [a for a in arms if a != first]
    second = next((a for a in ("neural", "boosting") if a in others), others[-1])
    return first, second


def make_sure_writable(folder: Path) -> None:
    """Stop before the first fit when the results could not be written."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(
            f"{folder}: cannot write there ({place} is not a writable folder); name another one with --out"
        )


def open_tracking(settings: Pipeline) -> dict[str, str] | None:
    """Where to log, checked before the first fit; None when tracking is off."""
    return open_tracking_at(settings.tracking.uri, settings.tracking.experiment or settings.name)


def open_tracking_at(uri: str | None, experiment: str) -> dict[str, str] | None:
    """The same for an address; without one the environment or the default decides."""
    if uri == "none":
        return None
    from toolkit.tracking import check_server

    uri = store_uri(uri)
    check_server(uri)
    return {"tracking_uri": uri, "experiment": experiment}


def evaluate_arms(todo: Plan, cache: Cache, engine: str, reporter: Reporter) -> Evaluation:
    """Fit every arm on every fold; the two arms of the verdict once more on all rows."""
    reporter.stage("fits")
    done = fit_arms(todo, todo.arms, todo.pair, cache, engine, reporter)
    failed = [arm for arm in todo.pair if not (done.predictions["arm"] == arm).any()]
    if failed:
        causes = "; ".join(f"{arm}: {done.failures[arm][0]}" for arm in failed)
        raise InputError(f"no verdict, because an arm of the pair failed on every fold. {causes}")
    return done


def fit_arms(
    todo: Plan, arms: Mapping[str, BaseEstimator], refit: tuple[str, ...], cache: Cache, engine: str, reporter: Reporter
) -> Evaluation:
    """Fits and predictions of these arms on the folds of the plan, with intervals."""
    common = {"refit": refit, "cache": cache, "progress": reporter.fitted, "backend": engine}
    with without_autolog():
        if todo.series is not None:
            common |= {"every": todo.settings.splits.refit or 1, "innovations": refit}
            done = evaluate_forecasts(todo.series, todo.splits, arms, **common)
            return replace(done, predictions=conformal_over_origins(done.predictions, todo.settings.coverage))
        done = evaluate(todo.dataset, todo.splits, arms, todo.metric, hold=todo.ledger, **common)
    if todo.dataset.target_kind != "binary":
        with_limits = add_intervals(done.predictions, todo.settings.coverage, todo.metric == "rmsle")
        done = replace(done, predictions=with_limits)
    return done


def without_autolog() -> AbstractContextManager[None]:
    """MLflow's automatic logging off during fits, where somebody has loaded MLflow."""
    if "mlflow" not in sys.modules:
        return nullcontext()
    from toolkit.tracking import autolog_off

    return autolog_off()


def usable_models(todo: Plan, evaluation: Evaluation) -> dict[str, Any]:
    """The models of the pair, refitted on all rows, with intervals by the same method for both."""
    if todo.series is not None or todo.dataset.target_kind == "binary":
        return evaluation.models
    return calibrate(evaluation.models, evaluation.predictions, todo.metric == "rmsle")


def score(todo: Plan, evaluation: Evaluation) -> pd.DataFrame:
    """Scores of every arm by all metrics that fit, the primary one first."""
    if todo.series is not None:
        names = dict.fromkeys((todo.metric, "mase", "rmsse", "mae", "rmse", "smape"))
        usable = [name for name in names if name == todo.metric or evaluation.predictions["scale"].notna().any()]
        intervals = interval_score_table(evaluation.predictions, todo.settings.coverage)
        return pd.concat([series_score_table(evaluation.predictions, tuple(usable)), intervals], ignore_index=True)
    return score_table(evaluation.predictions, metrics_for(todo.dataset.target_kind, todo.metric))


def evidence(todo: Plan, evaluation: Evaluation) -> dict[str, Any]:
    """What the tests see: the pair's predictions on the folds that both finished, members, groups, features."""
    groups = todo.dataset.groups
    predictions = on_common_folds(evaluation.predictions, todo.pair)
    kinds = [arm_kind(todo.settings.face, arm) for arm in todo.pair]
    metric: Any = todo.metric
    members = None if evaluation.members.empty else evaluation.members
    if todo.series is not None:
        predictions, metric = in_metric_units(predictions, todo.metric)
        members = None if members is None else in_same_units(members, predictions, todo.metric)
    return {
        "predictions": predictions,
        "metric": metric,
        "arms": todo.pair,
        "margin": todo.settings.margin_record,
        "scheme": todo.splits.scheme,
        "members": members,
        "groups": todo.dataset.frame[groups].to_numpy() if groups else None,
        "features": todo.dataset.X if len(todo.dataset.features) else None,
        "costs": costs(evaluation),
        "seed": todo.splits.seed,
        "reference": todo.pair[kinds.index("regression")] if kinds.count("regression") == 1 else None,
        "nested": (todo.series is not None or todo.splits.scheme in TIME_SCHEMES) and kinds == NESTED,
        "quick": todo.quick,
    }


def check_inputs(todo: Plan, evaluation: Evaluation, verdict: Verdict) -> dict[str, Any]:
    """What the diagnostics see: the pair, and the raw linear fit where there is one."""
    asked = [*todo.pair, *(["linear"] if "linear" in todo.arms and "linear" not in todo.pair else [])]
    info = {
        arm: {
            "kind": arm_kind(todo.settings.face, arm),
            "facts": evaluation.facts.get(arm, ()),
            "failures": evaluation.failures.get(arm, ()),
        }
        for arm in asked
    }
    design = {
        arm: model.design_matrix(todo.dataset.X)
        for arm, model in evaluation.models.items()
        if todo.series is None and hasattr(model, "design_matrix") and small_design(model, len(todo.dataset.frame))
    }
    return {
        "predictions": evaluation.predictions,
        "arms_info": info,
        "dataset": todo.series if todo.series is not None else todo.dataset,
        "metric": todo.metric,
        "design": design,
        "members": None if evaluation.members.empty else evaluation.members,
        "train_scores": evaluation.train_scores,
        "learning_curve": (verdict.details.get("learning_curve") or {}).get("scores"),
        "coverage": todo.settings.coverage,
        "splits": todo.splits,
        "innovations": evaluation.innovations,
        "seed": todo.splits.seed,
    }


def small_design(model: Any, n: int) -> bool:
    """Whether the design matrix of all rows fits into memory beside everything else."""
    return n * int(getattr(model, "fit_info_", {}).get("parameters") or 0) <= DESIGN_CELLS


def log(analysis: Analysis, tracking: Mapping[str, str], folder: Path | None, reporter: Reporter) -> dict[str, Any]:
    """Log to MLflow; a store that went away in the meantime costs the log, not the results."""
    from toolkit.tracking import log_comparison

    try:
        return log_comparison(analysis, models=analysis.models, dataset=analysis.data, out_folder=folder, **tracking)
    except Exception as error:  # MLflow's stores raise whatever their backends raise
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        reporter.warn(f"not logged to {tracking['tracking_uri']}: {cause}. The report and the files are written.")
        return {"tracking_uri": tracking["tracking_uri"], "error": cause}
