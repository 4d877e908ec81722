"""Beyond the verdict: which of all arms may be the best; where asked for, learning curves and stress splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toolkit.comparison.confidence_set import confidence_set
from toolkit.comparison.learning_curve import learning_curve
from toolkit.comparison.record import Test, Verdict
from toolkit.comparison.stress import StressResult, not_possible, stress
from toolkit.data.splits import Splits
from toolkit.errors import InputError
from toolkit.evaluation.engine import Cache
from toolkit.evaluation.evaluate import Evaluation, evaluate
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.units import in_metric_units, in_same_units, on_common_folds
from toolkit.reporter import Reporter

if TYPE_CHECKING:
    from toolkit.pipeline import Plan

__all__ = ["look_further"]

STRAWMAN = (
    "The opponent is a raw linear fit that nobody specified: a win against it says nothing about regression. "
    "Compare with the arm 'regression' or a formula of your own."
)
NO_STRESS = "stress splits are for tables: forecasts from an origin are judged beyond their training rows anyway"
# (dataset, splits, arms) -> predictions of both, and of the members of nets
Predict = Callable[[Any, Splits, Mapping[str, Any]], tuple[pd.DataFrame, pd.DataFrame | None]]


def look_further(
    todo: Plan, evaluation: Evaluation, verdict: Verdict, cache: Cache, engine: str, reporter: Reporter
) -> tuple[tuple[Test, ...], Verdict]:
    """Further tests, and the verdict with what they and the further fits say among its reasons and details.

    A further look that cannot be taken costs its words, not the verdict: the cause is a reason and a warning.
    """
    settings, reasons, details = todo.settings, list(verdict.reasons), dict(verdict.details)
    if todo.pair[0] == "linear":
        reasons.append(STRAWMAN)
    best = _best_arms(todo, evaluation)
    if best:
        kept = ", ".join(str(test.details["arm"]) for test in best if test.details["included"])
        reasons.append(f"of all {len(best)} arms these may be the best (model confidence set of 95 %): {kept}")

    def predict(dataset: Any, splits: Splits, arms: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        common = {"cache": cache, "progress": reporter.fitted, "backend": engine}
        if todo.series is not None:
            done = evaluate_forecasts(todo.series, splits, arms, every=settings.splits.refit or 1, **common)
        else:
            done = evaluate(dataset, splits, arms, todo.metric, **common)
        return _in_units(todo, done)

    sentence = verdict.sentence
    for asked, name, look in (
        (settings.learning_curve, "learning curve", _curve),
        (settings.stress, "stress splits", _stress),
    ):
        if not asked:
            continue
        reporter.stage(name)
        try:
            said, found, words = look(todo, evaluation, verdict, predict)
        except InputError as error:
            said, found, words = [f"no {name}: {error}"], {}, ""
        for line in said:
            if line.startswith("no "):
                reporter.warn(line)
        reasons += said
        details |= found
        sentence = f"{sentence} {words}".rstrip()
    return tuple(best), replace(verdict, sentence=sentence, reasons=tuple(reasons), details=details)


def _in_units(todo: Plan, done: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Predictions of the pair and of its members, in the units of the tests."""
    predictions, members = _of_both(done, todo.pair), None if done.members.empty else done.members
    if todo.series is not None:
        predictions, _ = in_metric_units(predictions, todo.metric)
        members = None if members is None else in_same_units(members, predictions, todo.metric)
    return predictions, members


def _of_both(done: Evaluation, pair: tuple[str, str]) -> pd.DataFrame:
    """Predictions on the folds that both arms finished; without any, the first cause."""
    predictions = on_common_folds(done.predictions, pair)
    if predictions.empty:
        causes = [f"{arm} failed, {done.failures[arm][0]}" for arm in pair if done.failures.get(arm)]
        raise InputError("; ".join(causes) or f"{pair[0]} and {pair[1]} predicted no fold in common")
    return predictions


def _best_arms(todo: Plan, evaluation: Evaluation) -> list[Test]:
    """The model confidence set over every arm that predicted something; needs three."""
    predicted = set(evaluation.predictions["arm"])
    arms = [*todo.pair, *(arm for arm in todo.arms if arm in predicted and arm not in todo.pair)]
    if len(arms) < 3:
        return []
    predictions, metric = on_common_folds(evaluation.predictions, arms), todo.metric
    if todo.series is not None:
        predictions, metric = in_metric_units(predictions, todo.metric)
    return confidence_set(predictions, metric, arms, todo.splits.scheme, _groups(todo), seed=todo.splits.seed)


def _groups(todo: Plan) -> np.ndarray | None:
    return todo.dataset.frame[todo.dataset.groups].to_numpy() if todo.dataset.groups else None


def _curve(
    todo: Plan, evaluation: Evaluation, verdict: Verdict, predict: Predict
) -> tuple[list[str], dict[str, Any], str]:
    """Both arms at growing numbers of training rows; in time order, the most recent ones."""
    dataset, splits, metric = todo.dataset, todo.splits, todo.metric
    once = replace(splits, folds=tuple(fold for fold in splits.folds if fold.repeat == 0))
    ordered = todo.series is not None or splits.scheme == "time"
    when = dataset.frame[dataset.time].to_numpy() if ordered else None
    if todo.series is not None:
        metric = in_metric_units(evaluation.predictions, todo.metric)[1]
    pair = {name: todo.arms[name] for name in todo.pair}

    def at_size(dataset: Any, smaller: Splits, arms: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        if any(len(a.train) < len(b.train) for a, b in zip(smaller.folds, once.folds, strict=True)):
            return predict(dataset, smaller, arms)
        predictions, members = _in_units(todo, evaluation)  # every training row: the fits of the comparison
        members = None if members is None else members[members["repeat"] == 0]
        return predictions[predictions["repeat"] == 0], members

    curve = learning_curve(dataset, once, pair, metric, at_size, time=when, groups=_groups(todo), seed=splits.seed)
    found = {
        "sentence": curve.sentence,
        "scores": curve.scores.to_dict("records"),
        "gains": curve.gains.to_dict("records"),
        "crossing": curve.crossing,
    }
    return [curve.sentence], {"learning_curve": found}, ""


def _stress(
    todo: Plan, evaluation: Evaluation, verdict: Verdict, predict: Predict
) -> tuple[list[str], dict[str, Any], str]:
    """The verdict beyond the rows of the comparison; what the data do not allow is said."""
    if todo.series is not None:
        raise InputError(NO_STRESS)
    settings, splits = todo.settings, todo.splits
    pair = {name: todo.arms[name] for name in todo.pair}
    said = [f"no stress '{kind}': {why}" for kind, why in not_possible(todo.dataset, settings.stress).items()]
    found = stress(
        *(todo.dataset, splits, pair, todo.metric, settings.margin_record, predict, verdict),
        kinds=settings.stress,
        seed=splits.seed,
    )
    rows = [
        {
            "kind": one.kind,
            "words": one.words,
            "decision": one.verdict.decision,
            "winner": one.verdict.winner,
            "vanishes": one.vanishes,
            "estimate": one.verdict.estimate,
            "lower": one.verdict.lower,
            "upper": one.verdict.upper,
        }
        for one in found
    ]
    gone = [one.words for one in found if one.vanishes]
    words = f"The win of {verdict.winner} is not there {', nor '.join(gone)}." if gone else ""
    return [*said, *(_in_words(one, verdict) for one in found)], {"stress": rows}, words


def _in_words(one: StressResult, main: Verdict) -> str:
    """A stress in one sentence: the decision there, the gain, and whether the main one is gone."""
    gain = one.verdict
    numbers = f"gain {gain.estimate:.4g}, 95 % interval {gain.lower:.4g} to {gain.upper:.4g}"
    gone = f"; the win of {main.winner} is not there" if one.vanishes else ""
    if main.winner not in (None, gain.winner) and not one.vanishes:
        gone = f"; {main.winner} is ahead there too, but not surely"
    return f"{one.words} the verdict is {gain.winner or gain.decision} ({numbers}){gone}"
