"""From what the fits and tests gave to the record of a comparison."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pandas as pd

from toolkit._version import __version__
from toolkit.comparison.record import ArmResult
from toolkit.data.dataset import Dataset
from toolkit.evaluation.evaluate import Evaluation
from toolkit.models.arms import arm_kind

if TYPE_CHECKING:
    from toolkit.pipeline import Plan

__all__ = ["costs", "record", "versions"]

OF_THE_FORM = ("formula", "family", "parameters", "terms", "tables", "summary", "frozen", "notes")

LIBRARIES = ("pandas", "numpy", "scikit-learn", "statsmodels", "torch", "pytorch-lightning", "mlflow")


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
            "time": dataset.time,
            "series": dataset.series,
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
    if facts:  # what the arm says of its form is said of the fit on all rows, as its formula is
        first = {**facts[0], **{key: whole[key] for key in OF_THE_FORM if key in whole}}
        if told := [note for one in facts for note in one.get("forecast_notes", ())]:
            first["notes"] = [*first.get("notes", ()), *told]
        facts = (first, *facts[1:])
    mine = scores[scores["arm"] == name]
    told = evaluation.train_scores
    train = told[told["arm"] == name].groupby("metric")["value"].mean().to_dict()
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
                "train": train.get(row.metric),
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


def costs(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """What one fit and the predictions of each arm cost, its parameters, and what it can be explained by."""
    rows = evaluation.predictions.groupby("arm").size()
    fits = evaluation.predictions[["arm", "repeat", "fold"]].drop_duplicates().groupby("arm").size()
    found: dict[str, dict[str, Any]] = {}
    for arm, (fit, predict) in evaluation.seconds.items():
        facts = (evaluation.facts.get(arm) or ({},))[0]
        found[arm] = {
            "fit_seconds": fit / max(int(fits.get(arm, 0)), 1),
            "predict_seconds": predict,
            "predicted_rows": int(rows.get(arm, 0)),
            "parameters": facts.get("parameters"),
            "explainability": _explained(facts),
        }
    return found


def _explained(facts: dict[str, Any]) -> str:
    """How a person can follow the predictions of an arm."""
    if facts.get("formula"):
        return "its formula and coefficients"
    if facts.get("members"):
        return f"its effects only: {facts['members']} nets, averaged"
    return "its effects only" if facts.get("parameters") is None else "its coefficients"


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
