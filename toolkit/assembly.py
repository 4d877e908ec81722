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
