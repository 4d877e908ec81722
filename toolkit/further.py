"""Beyond the verdict, where the pipeline asks for it: learning curves and stress splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from toolkit.comparison.learning_curve import learning_curve
from toolkit.comparison.record import Verdict
from toolkit.comparison.stress import StressResult, stress
from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits
from toolkit.evaluation.evaluate import evaluate
from toolkit.reporter import Reporter

if TYPE_CHECKING:
    from toolkit.pipeline import Plan

__all__ = ["look_further"]

STRAWMAN = (
    "The opponent is a raw linear fit that nobody specified: a win against it says nothing about regression. "
    "Compare with the arm 'regression' or a formula of your own."
)


def look_further(todo: Plan, verdict: Verdict, engine: str, reporter: Reporter) -> Verdict:
    """Learning curve and stress splits, where the pipeline asks for them; their words join the reasons."""
    settings = todo.settings
    if todo.pair[0] == "linear":
        verdict = replace(verdict, reasons=(*verdict.reasons, STRAWMAN))
    if todo.series is not None or not (settings.learning_curve or settings.stress):
        return verdict
    pair = {name: todo.arms[name] for name in todo.pair}
    frame, reasons, details = todo.dataset.frame, list(verdict.reasons), dict(verdict.details)
    groups = frame[todo.dataset.groups].to_numpy() if todo.dataset.groups else None

    def predictions_of(dataset: Dataset, splits: Splits, arms: Mapping[str, Any]) -> pd.DataFrame:
        told = evaluate(dataset, splits, arms, todo.metric, progress=reporter.fitted, backend=engine)
        return told.predictions

    if settings.learning_curve:
        reporter.stage("learning curve")
        once = replace(todo.splits, folds=tuple(fold for fold in todo.splits.folds if fold.repeat == 0))
        when = frame[todo.dataset.time].to_numpy() if todo.splits.scheme == "time" else None
        curve = learning_curve(
            todo.dataset, once, pair, todo.metric, predictions_of, time=when, groups=groups, seed=todo.splits.seed
        )
        reasons.append(curve.sentence)
        details["learning_curve"] = {
            "scores": curve.scores.to_dict("records"),
            "gains": curve.gains.to_dict("records"),
            "crossing": curve.crossing,
        }
    if settings.stress:
        reporter.stage("stress splits")
        found = stress(
            *(todo.dataset, todo.splits, pair, todo.metric, settings.margin_record, predictions_of, verdict),
            kinds=settings.stress,
            seed=todo.splits.seed,
        )
        reasons += [_in_words(one, verdict) for one in found]
        details["stress"] = [
            {
                "kind": one.kind,
                "words": one.words,
                "decision": one.verdict.decision,
                "vanishes": one.vanishes,
                "estimate": one.verdict.estimate,
                "lower": one.verdict.lower,
                "upper": one.verdict.upper,
            }
            for one in found
        ]
    return replace(verdict, reasons=tuple(reasons), details=details)


def _in_words(one: StressResult, main: Verdict) -> str:
    """A stress in one sentence: the decision there, the gain, and whether the main one is gone."""
    gain = one.verdict
    numbers = f"gain {gain.estimate:.4g}, 95 % interval {gain.lower:.4g} to {gain.upper:.4g}"
    gone = f"; the win of {main.winner} is not there" if one.vanishes else ""
    words = one.words[0].upper() + one.words[1:]
    return f"{words} the verdict is {gain.decision} ({numbers}){gone}."
