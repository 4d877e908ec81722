"""Arms x folds -> predictions: every arm sees the same rows, the same columns and the same splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits
from toolkit.evaluation.cells import Cell, CellResult, fit_cell
from toolkit.evaluation.engine import Cache, Plan, Progress, content_hash, plan_workers, run_cells
from toolkit.evaluation.folds import fit_together
from toolkit.evaluation.provenance import code_of, toolkit_code
from toolkit.evaluation.scores import metrics_for

__all__ = ["COLUMNS", "Evaluation", "evaluate", "make_cells"]

COLUMNS = (
    *("arm", "repeat", "fold", "row", "series", "time", "origin", "horizon", "target"),
    *("observed", "predicted", "lower", "upper", "n_train", "group"),
)


@dataclass(frozen=True)
class Evaluation:
    """All predictions of all arms, and what the fits said of themselves."""

    predictions: pd.DataFrame  # the predictions table
    members: pd.DataFrame  # the same for each member of a neural arm
    train_scores: pd.DataFrame  # arm, repeat, fold, metric, value
    facts: dict[str, tuple[dict[str, Any], ...]]  # arm -> per fold
    seconds: dict[str, tuple[float, float]]  # arm -> (fit, predict), summed over folds
    failures: dict[str, tuple[str, ...]]  # arm -> "repeat 0, fold 3: cause"
    models: dict[str, Any] = field(default_factory=dict, repr=False)  # arm -> estimator refitted on all rows
    innovations: pd.DataFrame | None = None  # one-step errors of forecasters, columns of `innovations.COLUMNS`
    held: dict[tuple[int, int], Any] = field(default_factory=dict, repr=False)  # (repeat, fold) -> estimator of `hold`


def evaluate(
    dataset: Dataset,
    splits: Splits,
    arms: Mapping[str, BaseEstimator],
    metric: str,
    *,
    refit: tuple[str, ...] = (),
    hold: str | None = None,
    workers: int | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    backend: str = "loky",
) -> Evaluation:
    """Fit every arm on every fold and predict the judging rows.

    Parameters
    ----------
    dataset : Dataset
    splits : Splits
    arms : mapping of str to estimator
        Unfitted scikit-learn estimators; each cell fits a clone.
    metric : str
        The primary metric; the others of the target's kind are computed beside it.
    refit : tuple of str
        Arms that are fitted once more, on all rows, and returned as models for use.
    hold : str, optional
        Arm whose estimators on the folds are returned as well.
    workers : int, optional
        Processes; chosen from the work to be done when left out. Results do not depend on it.
    """
    cells = make_cells(dataset, splits, arms, metric, refit, hold)
    plan = plan_workers(len(cells), len(dataset.frame), workers)
    cells = fit_together(cells, dataset.X, dataset.y, _roles(dataset), cache)
    fit = partial(fit_cell, X=dataset.X, y=dataset.y, roles=_roles(dataset), **_context(dataset, metric, plan))
    results = run_cells(cells, fit, plan, cache, progress, backend)
    judged = [(cell, result) for cell, result in zip(cells, results, strict=True) if not cell.keep_model]
    models = {r.arm: r.model for c, r in zip(cells, results, strict=True) if c.keep_model and r.model is not None}
    held = {(c.repeat, c.fold): r.model for c, r in judged if r.model is not None}
    return replace(collect(dataset, *map(list, zip(*judged, strict=True))), models=models, held=held)


def make_cells(
    dataset: Dataset, splits: Splits, arms: Mapping[str, BaseEstimator], metric: str, refit: tuple[str, ...] = (),
    hold: str | None = None,
) -> list[Cell]:  # fmt: skip
    """Arm x fold; fold by fold, so that every arm has finished a fold before the next one begins."""
    common = (toolkit_code(), dataset.sha256, dataset.features, dataset.targets, metric)
    code = {name: code_of(estimator) for name, estimator in arms.items()}
    cells = []
    for one in splits.folds:
        for name, estimator in arms.items():
            held = name == hold
            key = content_hash(common, name, estimator, code[name], one.train, one.judge, held)
            cells.append(Cell(name, estimator, one.repeat, one.fold, one.train, one.judge, key, hold_model=held))
    rows = np.arange(len(dataset.frame))
    for name in refit:
        key = content_hash(common, name, arms[name], code[name], "all rows")
        cells.append(Cell(name, arms[name], 0, -1, rows, rows[:0], key, keep_model=True))
    return cells


def collect(dataset: Dataset, cells: list[Cell], results: list[CellResult]) -> Evaluation:
    """Put the results of all cells into tables."""
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    y = dataset.frame[list(dataset.targets)].to_numpy(dtype=float)
    predictions = [
        _long(dataset, y, cell, result.predicted)
        for cell, result in zip(cells, results, strict=True)
        if result.error is None
    ]
    members = [
        _long(dataset, y, cell, one).assign(member=number).drop(columns=["lower", "upper"])
        for cell, result in zip(cells, results, strict=True)
        if result.members is not None
        for number, one in enumerate(result.members)
    ]
    train_scores = [(r.arm, r.repeat, r.fold, name, value) for r in results for name, value in r.train_scores.items()]
    by_arm = {arm: [r for r in results if r.arm == arm] for arm in arms}
    empty = pd.DataFrame(columns=list(COLUMNS))
    return Evaluation(
        pd.concat(predictions, ignore_index=True) if predictions else empty,
        pd.concat(members, ignore_index=True) if members else empty.assign(member=[]),
        pd.DataFrame(train_scores, columns=["arm", "repeat", "fold", "metric", "value"]),
        {arm: tuple(r.facts for r in rs if r.error is None) for arm, rs in by_arm.items()},
        {arm: (sum(r.fit_seconds for r in rs), sum(r.predict_seconds for r in rs)) for arm, rs in by_arm.items()},
        {
            arm: tuple(f"repeat {r.repeat}, fold {r.fold}: {r.error}" for r in rs if r.error)
            for arm, rs in by_arm.items()
        },
    )


def _long(dataset: Dataset, y: np.ndarray, cell: Cell, predicted: np.ndarray) -> pd.DataFrame:
    """One fold of one arm as rows of the predictions table."""
    frame, rows = dataset.frame, cell.judge
    parts = []
    for position, target in enumerate(dataset.targets):
        parts.append(
            pd.DataFrame(
                {
                    "arm": cell.arm,
                    "repeat": cell.repeat,
                    "fold": cell.fold,
                    "row": rows,
                    "series": frame[dataset.series].to_numpy()[rows] if dataset.series else None,
                    "time": frame[dataset.time].to_numpy()[rows] if dataset.time else pd.NaT,
                    "origin": pd.NaT,
                    "horizon": 0,
                    "target": target,
                    "observed": y[rows, position],
                    "predicted": predicted[:, position],
                    "lower": np.nan,
                    "upper": np.nan,
                    "n_train": len(cell.train),
                    "group": frame[dataset.groups].to_numpy()[rows] if dataset.groups else None,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _context(dataset: Dataset, metric: str, plan: Plan) -> dict[str, Any]:
    return {
        "metrics": metrics_for(dataset.target_kind, metric),
        "binary": dataset.target_kind == "binary",
        "threads": plan.threads,
    }


def _roles(dataset: Dataset) -> dict[str, np.ndarray]:
    """Argument of `fit` -> the values of the column with that role, [n]."""
    columns = {"groups": dataset.groups, "sample_weight": dataset.weights}
    return {name: dataset.frame[column].to_numpy() for name, column in columns.items() if column is not None}
