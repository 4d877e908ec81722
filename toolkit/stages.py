"""The stages of a comparison, each a function: what `pipeline.py` calls one after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toolkit._version import __version__
from toolkit.comparison.record import ArmResult
from toolkit.data.catalog import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.data.places import bundled
from toolkit.data.readers import read_sql, read_table
from toolkit.data.splits import Splits, choose_splits
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import Cache
from toolkit.evaluation.evaluate import Evaluation, evaluate
from toolkit.evaluation.scores import default_metric, get_metric, metrics_for, score_table
from toolkit.models.arms import ArmContext, arm_kind
from toolkit.reporter import Reporter
from toolkit.settings import DEFAULT_ARMS, Pipeline

if TYPE_CHECKING:
    from toolkit.analysis import Analysis
    from toolkit.pipeline import Plan

QUICK_ROWS = 4_000
QUICK_FOLDS = 3
ROLES = (
    *("features", "drop", "kinds", "time", "series", "groups", "weights"),
    *("known_ahead", "past_only", "static"),
)
LIBRARIES = ("pandas", "numpy", "scikit-learn", "statsmodels", "torch", "pytorch-lightning", "mlflow")


def find_pipeline(named: str | Path) -> Path:
    """The file itself, or a bundled pipeline of that name."""
    path = Path(named)
    if path.is_file():
        return path
    folder = bundled("pipelines")
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if path.suffix in ("", ".yaml", ".yml") and path.stem in known and (path.parent.name in ("", "pipelines")):
        return known[path.stem]
    if path.is_dir():
        raise InputError(f"{path}: a folder; a pipeline is a YAML file")
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"{path}: no such file. Bundled pipelines: {', '.join(known)}")
    raise unknown("pipeline", named, known)


def load(settings: Pipeline, base: Path | None) -> Dataset:
    """The dataset that the pipeline names, with the roles that it gives."""
    data = settings.data
    roles = {
        key: getattr(data, key)
        for key in (
            "features",
            "drop",
            "kinds",
            "time",
            "series",
            "groups",
            "weights",
            "known_ahead",
            "past_only",
            "static",
        )
        if getattr(data, key)
    }
    if data.target_kind != "auto":
        roles["target_kind"] = data.target_kind
    if data.dataset is not None:
        return load_dataset(data.dataset, **({"target": data.target} if data.target else {}), **roles)
    if data.target is None:
        raise InputError("data.target: name the column to predict")
    if data.sql is not None:
        return Dataset.from_frame(read_sql(data.sql.url, data.sql.query), data.target, name=settings.name, **roles)
    path = Path(str(data.file))
    if not path.is_absolute() and not path.exists() and base is not None and (base / path).exists():
        path = base / path
    return Dataset.from_frame(read_table(path), data.target, name=path.name.split(".")[0], **roles)


def shrink(dataset: Dataset, settings: Pipeline) -> tuple[Dataset, Pipeline]:
    """Fewer rows, folds and repeats for a quick run; series keep their rows and lose origins."""
    splits = settings.splits
    if settings.face == "series":
        splits = splits.model_copy(update={"origins": min(splits.origins or 3, 3)})
        return dataset, settings.model_copy(update={"splits": splits})
    rows = np.arange(len(dataset.frame))
    if len(rows) > QUICK_ROWS and splits.scheme != "table":
        rows = np.sort(np.random.default_rng(splits.seed).choice(rows, QUICK_ROWS, replace=False))
        dataset = dataset.take(rows)
    changes: dict[str, Any] = {"repeats": 1}
    if splits.scheme in ("auto", "kfold", "group", "time"):
        changes["folds"] = min(splits.folds or QUICK_FOLDS, QUICK_FOLDS)
    return dataset, settings.model_copy(update={"splits": splits.model_copy(update=changes)})


def who_judges(settings: Pipeline, dataset: Dataset) -> Splits:
    """The folds, chosen from the data where the pipeline names none."""
    chosen = settings.splits.model_dump(exclude_none=True)
    return choose_splits(dataset, **chosen)


def primary_metric(settings: Pipeline, dataset: Dataset) -> str:
    """The metric of the verdict."""
    name = settings.metric or default_metric(dataset.target_kind)
    return get_metric(name, dataset.target_kind).name


def context(settings: Pipeline, dataset: Dataset, metric: str, quick: bool) -> ArmContext:
    """What every arm is told."""
    return ArmContext(
        kinds=dict(dataset.kinds),
        target_kind=dataset.target_kind,
        metric=metric,
        random_state=settings.splits.seed,
        horizon=settings.splits.horizon or 0,
        quick=quick,
    )


def name_arms(arms: Sequence[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Arms as name -> settings or estimator."""
    if arms is None:
        arms = DEFAULT_ARMS
    if isinstance(arms, Mapping):
        return {name: {} if settings is None else settings for name, settings in arms.items()}
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
    uri = settings.tracking.uri
    if uri == "none":
        return None
    from toolkit.tracking import DEFAULT_URI, check_server

    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    check_server(uri)
    return {"tracking_uri": uri, "experiment": settings.tracking.experiment or settings.name}


def evaluate_arms(todo: Plan, cache: Cache, engine: str, reporter: Reporter) -> Evaluation:
    """Fit every arm on every fold; the two arms of the verdict once more on all rows."""
    reporter.stage("fits")
    return evaluate(
        todo.dataset,
        todo.splits,
        todo.arms,
        todo.metric,
        refit=todo.pair,
        cache=cache,
        progress=reporter.fitted,
        backend=engine,
    )


def score(todo: Plan, evaluation: Evaluation) -> pd.DataFrame:
    """Scores of every arm by all metrics of the target's kind, the primary one first."""
    return score_table(evaluation.predictions, metrics_for(todo.dataset.target_kind, todo.metric))


def evidence(todo: Plan, evaluation: Evaluation) -> dict[str, Any]:
    """What the tests see: predictions of the pair, members of the net, groups and features by row."""
    frame, groups = todo.dataset.frame, todo.dataset.groups
    return {
        "predictions": evaluation.predictions,
        "arms": todo.pair,
        "scheme": todo.splits.scheme,
        "members": evaluation.members,
        "groups": frame[groups].to_numpy() if groups else None,
        "features": todo.dataset.X,
        "costs": costs(evaluation),
        "seed": todo.splits.seed,
    }


def costs(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Seconds and parameters of each arm."""
    rows = evaluation.predictions.groupby("arm").size()
    found: dict[str, dict[str, float]] = {}
    for arm, (fit, predict) in evaluation.seconds.items():
        facts = evaluation.facts.get(arm) or ({},)
        found[arm] = {
            "fit_seconds": fit,
            "predict_seconds": predict,
            "predict_ms_per_1000": 1e6 * predict / max(int(rows.get(arm, 0)), 1),
            "parameters": facts[0].get("parameters"),
        }
    return found


def check_inputs(todo: Plan, evaluation: Evaluation) -> dict[str, Any]:
    """What the diagnostics see."""
    return {
        "predictions": evaluation.predictions,
        "arms_info": evaluation.facts,
        "arms": todo.pair,
        "dataset": todo.dataset,
        "metric": todo.metric,
        "models": evaluation.models,
        "members": evaluation.members,
        "train_scores": evaluation.train_scores,
        "coverage": todo.settings.coverage,
    }


def record(todo: Plan, evaluation: Evaluation, scores: pd.DataFrame) -> dict[str, Any]:
    """The plain-data part of a comparison."""
    dataset, splits, settings = todo.dataset, todo.splits, todo.settings
    return {
        "name": settings.name,
        "question": settings.question or _question(dataset, todo.pair),
        "metric": todo.metric,
        "margin": settings.margin_record,
        "dataset": {
            "name": dataset.name,
            "rows": len(dataset.frame),
            "features": list(dataset.features),
            "target": list(dataset.targets) if len(dataset.targets) > 1 else dataset.targets[0],
            "sha256": dataset.sha256,
            "target_kind": dataset.target_kind,
            "dropped_rows": dict(dataset.dropped),
        },
        "splits": {
            "scheme": splits.scheme,
            "folds": len({fold.fold for fold in splits.folds}),
            "repeats": splits.repeats,
            "sha256": splits.sha256,
            "seed": splits.seed,
            "reason": splits.reason,
        },
        "arms": {name: _arm_result(todo, evaluation, scores, name) for name in todo.arms},
        "predictions": evaluation.predictions,
        "members": evaluation.members,
        "findings": tuple(todo.findings),
        "quick": todo.quick,
        "settings": settings.model_dump(exclude_defaults=True) | {"name": settings.name},
        "versions": versions(),
    }


def _arm_result(todo: Plan, evaluation: Evaluation, scores: pd.DataFrame, name: str) -> ArmResult:
    facts = evaluation.facts.get(name, ())
    model = evaluation.models.get(name)
    whole = getattr(model, "fit_info_", None) or (facts[-1] if facts else {})
    mine = scores[scores["arm"] == name]
    fit, predict = evaluation.seconds[name]
    return ArmResult(
        name=name,
        kind=arm_kind(todo.settings.face, name),
        scores={
            row.metric: {
                "mean": row.mean,
                "se": row.se,
                "lower": row.lower,
                "upper": row.upper,
                "per_fold": row.per_fold,
            }
            for row in mine.itertuples()
        },
        fit_seconds=fit,
        predict_seconds=predict,
        formula=whole.get("formula"),
        members=whole.get("members"),
        failures=evaluation.failures.get(name, ()),
        facts=facts,
    )


def log(analysis: Analysis, tracking: Mapping[str, str], folder: Path | None, reporter: Reporter) -> dict[str, Any]:
    """Log to MLflow; a store that went away in the meantime costs the log, not the results."""
    from toolkit.tracking import log_comparison

    try:
        return log_comparison(analysis, models=analysis.models, dataset=analysis.data, out_folder=folder, **tracking)
    except Exception as error:  # MLflow's stores raise whatever their backends raise
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        reporter.warn(f"not logged to {tracking['tracking_uri']}: {cause}. The report and the files are written.")
        return {"tracking_uri": tracking["tracking_uri"], "error": cause}


def versions() -> dict[str, str]:
    """Versions of the toolkit, Python and the libraries that compute."""
    found = {"toolkit": __version__, "python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _question(dataset: Dataset, pair: tuple[str, str]) -> str:
    return f"Does {pair[1]} predict {' and '.join(dataset.targets)} better than {pair[0]}?"
