"""The ladder of forecasts: lags, seasons, covariates, times of day, pooling, nonlinear dynamics; then the net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.comparison.gap_respecify import refusal
from toolkit.comparison.gap_shares import shares
from toolkit.comparison.gap_words import gap_sentence
from toolkit.comparison.record import Gap, GapEntry
from toolkit.comparison.rows import pair_rows
from toolkit.comparison.verdict import compare_arms
from toolkit.data.series import SeriesData
from toolkit.data.splits import Splits
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import Cache, Progress
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.scores import Metric
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.forecasting_trees import NonlinearSeriesRegression

__all__ = ["Rung", "explain_forecasts", "rungs_of"]

OWN = 1e-3  # penalty on a series' difference to the shared coefficients that leaves it its own
REMAINDER = "what no step names"
DYNAMICS = "nonlinear dynamics"
KEPT = ("horizon", "metric", "random_state", "coverage", "n_jobs")


@dataclass(frozen=True)
class Rung:
    """One step: everything of the step before, and one thing more."""

    term: str
    estimator: BaseEstimator = field(repr=False)
    hides: tuple[str, ...] = ()  # roles of columns that it does not see yet
    settings: dict[str, Any] = field(default_factory=dict)  # of the arm `regression` that this rung is


def rungs_of(start: BaseEstimator, data: SeriesData, metric: str) -> list[Rung]:
    """The steps that the start does not have already.

    A series regression has what its settings leave to its search; where they fix lags, mean function or sharing, the
    steps open them one after the other. Any other start (a naive forecast, ARIMA, ...) gets the whole ladder, from
    lags alone.
    """
    several = data.frame[data.series].nunique() > 1
    outside = bool(data.known_ahead or data.past_only or data.static)
    if isinstance(start, SeriesRegression):
        given = start.get_params(deep=False)
        fixed = {key: given[key] for key in ("lookback", "mean", "steps", "sharing") if given[key] != "auto"}
    else:
        given = {"horizon": data.horizon, "metric": metric}
        fixed = {"lookback": 1, "mean": "none", "steps": "direct"} | ({"sharing": OWN} if several else {})
    common = {key: value for key, value in given.items() if key not in ("lookback", "mean", "steps", "sharing")}
    rungs: list[Rung] = []

    def add(term: str, hides: tuple[str, ...] = (), **change: Any) -> None:
        for key, value in change.items():
            fixed.pop(key, None)
            if value != "auto":
                fixed[key] = value
        told = {**common, **fixed}.items()
        settings = {key: value for key, value in told if key not in KEPT and value not in (None, "auto")}
        rungs.append(Rung(term, SeriesRegression(**common, **fixed), hides, settings))

    hidden = ("known_ahead", "static") + (() if isinstance(start, SeriesRegression) else ("past_only",))
    if "lookback" in fixed:
        add("lags", hidden, lookback="auto")
    if fixed.get("mean") == "none":
        if data.periods:
            add("seasonal terms", hidden, mean="additive")
        if outside:
            add("covariates with bends", mean="additive")
    if "mean" in fixed or "steps" in fixed:
        add("coefficients by step and time of day", mean="auto", steps="auto")
    if "sharing" in fixed:
        add("pooling over series", sharing="auto")
    rungs.append(Rung(DYNAMICS, NonlinearSeriesRegression(**common)))
    return rungs


def explain_forecasts(
    data: SeriesData, splits: Splits, predictions: pd.DataFrame, arms: tuple[str, str], metric: str, *,
    estimators: Mapping[str, Any], in_units: Callable[[pd.DataFrame, str], tuple[pd.DataFrame, str | Metric]],
    members: pd.DataFrame | None = None, margin: Mapping[str, Any] | None = None, every: int = 1, seed: int = 0,
    cache: Cache | None = None, progress: Progress | None = None, backend: str = "loky",
) -> Gap:  # fmt: skip
    """What each step from a regression of series towards the net is worth, at the origins of the comparison.

    Parameters
    ----------
    data, splits, predictions, arms, metric, estimators, margin, every
        As in the comparison; `arms` is (start, net).
    in_units : callable
        (predictions, metric) -> predictions and a metric of single rows, as the tests take them.
    members : DataFrame, optional
        Predictions of the net's members, in these units.

    Returns
    -------
    Gap
        As `explain_gap`; a step's share may be negative, the last entry is what no step names.
    """
    for arm in arms:
        if arm not in set(predictions["arm"]):
            return Gap(0.0, 0.0, 0.0, (), {}, f"arm '{arm}' has no predictions: it failed or was not run", *arms)
    if arms[0] not in estimators:
        raise unknown("estimator of arm", arms[0], estimators)
    own = predictions[predictions["arm"].isin(arms)]
    try:
        units, of = in_units(own, metric)
        first = pair_rows(units, of, arms)
    except InputError as error:
        return Gap(0.0, 0.0, 0.0, (), {}, str(error), *arms)
    if first.estimate <= 0 or first.identical:
        reason = f"'{arms[0]}' is as good as '{arms[1]}' or better: there is no gap to explain"
        return Gap(first.estimate, 0.0, 0.0, (), {}, reason, *arms, f"No ledger: {reason}.")
    rungs = rungs_of(estimators[arms[0]], data, metric)
    how = {"every": every, "cache": cache, "progress": progress, "backend": backend}
    made, failed = _forecast(data, splits, rungs, how)
    rungs = [rung for rung in rungs if rung.term not in failed]
    units, of = in_units(_on_common_rows(pd.concat([own, made], ignore_index=True)), metric)
    paired = pair_rows(units, of, arms)
    steps = [pair_rows(units, of, (arms[0], rung.term)).predicted[:, 1] for rung in rungs]
    table, (lower, upper) = shares(paired, np.column_stack(steps), splits.scheme, members)
    entries = tuple(
        GapEntry(term, kind, row["share"], row["lower"], row["upper"],
                 {"fraction": row["fraction"], "p_value": row["p_value"], "words": words})
        for (term, kind, words), row in zip(_named(rungs), table.to_dict("records"), strict=True)
    )  # fmt: skip
    details = {
        "metric": metric, "start_score": paired.scores[0], "net_score": paired.scores[1],
        "notes": ["a share may be negative: the step costs more than it brings at these origins", *failed.values()],
    }  # fmt: skip
    repaired = _repaired(rungs, entries, units, of, arms, margin, splits.scheme, members, seed)
    gap = Gap(paired.estimate, lower, upper, entries, repaired, "", *arms, details=details)
    return replace(gap, sentence=gap_sentence(gap))


def _named(rungs: list[Rung]) -> list[tuple[str, str, str]]:
    """(term, kind, words) of every step and of the remainder."""
    kinds = {DYNAMICS: "dynamics", "lags": "lookback", "seasonal terms": "season", "pooling over series": "pooling"}
    return [(rung.term, kinds.get(rung.term, "covariates"), rung.term) for rung in rungs] + [
        (REMAINDER, "remainder", "unexplained")
    ]


def _forecast(
    data: SeriesData, splits: Splits, rungs: list[Rung], how: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Forecasts of every rung, and the causes of those that failed."""
    tables, failed = [], {}
    for hides in dict.fromkeys(rung.hides for rung in rungs):
        some = {rung.term: rung.estimator for rung in rungs if rung.hides == hides}
        done = evaluate_forecasts(replace(data, **dict.fromkeys(hides, ())), splits, some, **how)
        tables.append(done.predictions)
        failed |= {term: f"{term}: left out, {causes[0]}" for term, causes in done.failures.items()}
    made = pd.concat(tables, ignore_index=True)
    return made[~made["arm"].isin(failed)], failed


def _on_common_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows that the start, the net and every rung have forecast."""
    count = predictions.groupby(["repeat", "fold", "row", "target"])["arm"].transform("size")
    return predictions[count == predictions["arm"].nunique()].reset_index(drop=True)


def _repaired(
    rungs: list[Rung], entries: tuple[GapEntry, ...], units: pd.DataFrame, of: str | Metric, arms: tuple[str, str],
    margin: Any, scheme: str, members: pd.DataFrame | None, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The last step up to which the regression is surely worth taking, as settings, against the net."""
    linear = [k for k, rung in enumerate(rungs) if rung.term != DYNAMICS]
    sure = [k for k in linear if entries[k].lower > 0]
    if not sure:
        return {}
    last = rungs[max(sure)]
    _, verdict = compare_arms(units, of, (last.term, arms[1]), margin, scheme, members, seed=seed, reference=last.term)
    terms = [{"term": entries[k].term, "kind": entries[k].kind, "p_value": entries[k].details["p_value"]} for k in sure]
    refused = refusal(units, of, (arms[0], last.term), margin, scheme, seed)
    if refused:
        score = verdict.details["scores"][last.term]
        return {"formula": "", "score": score, "terms": terms, "fit": "series regression", **refused}
    return {
        "formula": "", "settings": last.settings, "score": verdict.details["scores"][last.term],
        "decision": verdict.decision, "gain": verdict.estimate, "lower": verdict.lower, "upper": verdict.upper,
        "terms": terms, "sentence": verdict.sentence, "fit": "series regression",
    }  # fmt: skip
