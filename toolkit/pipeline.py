"""One comparison from a question to a verdict: the whole story, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator

from toolkit import stages
from toolkit.analysis import Analysis
from toolkit.assembly import record
from toolkit.comparison.verdict import compare_arms
from toolkit.data.dataset import Dataset
from toolkit.data.findings import find
from toolkit.data.series import SeriesData
from toolkit.data.splits import Splits
from toolkit.diagnostics.battery import run_checks
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import Cache, check_engine
from toolkit.evaluation.partial import partial_effects
from toolkit.explaining import coefficient, explain, what_to_explain
from toolkit.further import look_further
from toolkit.loading import ROLES, find_pipeline, load, shrink
from toolkit.reporter import Reporter, Silent
from toolkit.reporting.outputs import write_outputs
from toolkit.settings import Pipeline, read_pipeline, validate
from toolkit.treatment import carry_out_remedies

__all__ = ["Plan", "carry_out", "compare", "plan", "run"]


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the first fit: what `toolkit check` shows and `carry_out` does."""

    settings: Pipeline
    dataset: Dataset
    findings: tuple[dict[str, Any], ...]
    series: SeriesData | None  # the same rows on a regular grid, where forecasts are compared
    splits: Splits
    metric: str
    arms: dict[str, BaseEstimator]
    pair: tuple[str, str]
    ledger: str | None = None  # the arm that the gap ledger starts from
    quick: bool = False


def run(
    pipeline: str | Path,
    *,
    changes: Sequence[str] = (),
    quick: bool = False,
    out: str | Path | None = None,
    tracking_uri: str | None = None,
    engine: str = "loky",
    reporter: Reporter | None = None,
) -> Analysis:
    """Carry out the comparison that a pipeline file describes.

    Parameters
    ----------
    pipeline : path
        A YAML file, or the name of a bundled pipeline.
    changes : sequence of str
        `key=value` with a dotted key, as `--set` of the command.
    quick : bool
        Shrink the work: fewer rows, folds and epochs. Every output says that it is not the full answer.
    out : path, optional
        Folder of the results; `reports/<name>` by default.
    tracking_uri : str, optional
        Where MLflow logs; `sqlite:///mlflow.db` by default, `none` for no tracking.
    engine : {"loky", "threading", "dask", "ray"}
        joblib backend that runs the fits.

    Raises
    ------
    InputError
        One line for every mistake in the file, the data or the settings.
    """
    reporter = reporter or Silent()
    settings = read_pipeline(find_pipeline(pipeline), changes)
    if tracking_uri is not None:
        settings = settings.model_copy(update={"tracking": settings.tracking.model_copy(update={"uri": tracking_uri})})
    todo = plan(settings, quick=quick, base=Path(pipeline).parent)
    return carry_out(todo, out=out, engine=engine, reporter=reporter)


def compare(
    data: Dataset | pd.DataFrame,
    target: str | Sequence[str] | None = None,
    *,
    arms: Sequence[str] | Mapping[str, Any] | None = None,
    metric: str | None = None,
    margin: str | float = "1%",
    compare: Sequence[str] | None = None,
    gap: bool | str | None = None,
    effect: str | None = None,
    question: str = "",
    splits: Mapping[str, Any] | None = None,
    remedy: bool = False,
    quick: bool = False,
    out: str | Path | None = None,
    tracking_uri: str | None = "none",
    reporter: Reporter | None = None,
    **roles: Any,
) -> Analysis:
    """Compare arms on a frame or a dataset, from a script or a notebook.

    Parameters
    ----------
    data : Dataset or DataFrame
    target : str or sequence of str
        Needed with a DataFrame.
    arms : sequence of str, or mapping
        Names of arms; or name -> settings; or name -> a scikit-learn estimator of your own.
    metric, margin, compare, gap, effect, question, splits, remedy
        As in a pipeline file.
    out : path, optional
        Folder for the report and the tables; nothing is written without it.
    tracking_uri : str
        `none` by default: `Analysis.log()` logs later.
    **roles
        Roles of columns, as in `Dataset.from_frame`.

    Returns
    -------
    Analysis
    """
    if not isinstance(data, Dataset):
        if target is None:
            raise InputError("target: name the column to predict")
        for role in roles:
            if role not in (allowed := [*ROLES, "target_kind", "name"]):
                raise unknown("role", role, allowed)
        data = Dataset.from_frame(data, target, **roles)
    requested = stages.name_arms(arms)
    content: dict[str, Any] = {
        "name": data.name,
        "question": question,
        "data": {"dataset": data.name, "target": list(data.targets)},
        "splits": dict(splits or {}),
        "metric": metric,
        "margin": margin,
        "compare": None if compare is None else list(compare),
        "gap": gap,
        "effect": effect,
        "remedy": remedy,
        "tracking": {"uri": tracking_uri},
    }
    if named := {name: value for name, value in requested.items() if isinstance(value, dict)}:
        content["arms"] = named  # estimators of the user's own cannot stand in a file
    todo = plan(validate(content, "compare"), quick=quick, dataset=data, own=requested)
    return carry_out(todo, out=out, write=out is not None, reporter=reporter or Silent())


def plan(
    settings: Pipeline,
    *,
    quick: bool = False,
    base: Path | None = None,
    dataset: Dataset | None = None,
    own: Mapping[str, Any] | None = None,
) -> Plan:
    """Data, folds, metric and arms, checked and ready; nothing is fitted."""
    if dataset is None:
        dataset = load(settings, base)
    whole = dataset
    if quick:
        dataset, settings = shrink(dataset, settings)
    series = stages.as_series(settings, dataset)
    findings = tuple(find(whole)) if series is None else (*dataset.notes, *series.findings)
    dataset = dataset if series is None else series.as_dataset()
    splits = stages.who_judges(settings, dataset, series, base)
    metric = stages.primary_metric(settings, dataset)
    arms = stages.make_arms(settings, own, dataset, metric, quick, series.horizon if series else 0)
    pair = stages.who_is_compared(settings, list(arms))
    ledger = what_to_explain(settings, dataset, pair, arms)
    return Plan(settings, dataset, findings, series, splits, metric, arms, pair, ledger, quick)


def carry_out(
    todo: Plan,
    *,
    out: str | Path | None = None,
    write: bool = True,
    engine: str = "loky",
    reporter: Reporter | None = None,
) -> Analysis:
    """Fit, judge, check, test, explain, write and log."""
    reporter, begin = reporter or Silent(), time.perf_counter()
    folder = Path(out) if out is not None else Path("reports") / todo.settings.name
    check_engine(engine)
    if write:
        stages.make_sure_writable(folder)
    tracking = stages.open_tracking(todo.settings)
    reporter.planned(todo)  # only now: a mistake is one line and nothing else

    cache = Cache(folder / ".unfinished" if write else None)
    evaluation = stages.evaluate_arms(todo, cache, engine, reporter)
    reporter.stage("tests and checks")
    tests, verdict = compare_arms(**stages.evidence(todo, evaluation))
    more, verdict = look_further(todo, evaluation, verdict, cache, engine, reporter)
    checks = run_checks(**stages.check_inputs(todo, evaluation, verdict))
    gap, verdict = explain(todo, evaluation, verdict, checks, cache, engine, reporter)
    todo, evaluation, checks, remedy = carry_out_remedies(todo, evaluation, checks, verdict, cache, engine, reporter)
    scores, effects = stages.score(todo, evaluation), pd.DataFrame()
    if todo.series is None:
        models = {arm: evaluation.models[arm] for arm in todo.pair if arm in evaluation.models}
        effects = partial_effects(models, todo.dataset, evaluation.predictions, todo.splits.seed)

    analysis = Analysis(
        **record(todo, evaluation, scores),
        tests=(*tests, *more),
        verdict=verdict,
        checks_found=checks,
        gap_ledger=gap,
        coefficient=coefficient(todo, cache, engine, reporter),
        remedy=remedy,
        effects=effects,
        seconds=time.perf_counter() - begin,
        models=stages.usable_models(todo, evaluation),
        data=todo.dataset,
    )
    if write:
        reporter.stage("report")
        write_outputs(analysis, folder, todo.dataset)
    if tracking is not None:
        reporter.stage("MLflow")
        logged = stages.log(analysis, tracking, folder if write else None, reporter)
        analysis = replace(analysis, mlflow=logged, seconds=time.perf_counter() - begin)
        if write:
            write_outputs(analysis, folder, todo.dataset, only_contract=True)
    cache.clear()
    reporter.finished(analysis, folder if write else None)
    return analysis
