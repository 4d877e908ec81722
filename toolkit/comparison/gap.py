"""The gap ledger: why the net is better than a regression, and which named terms close the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.gap_disagreement import disagreement
from toolkit.comparison.gap_ladder import FoldLadder, chosen_form, climb, common_order, judge_rungs
from toolkit.comparison.gap_respecify import respecify
from toolkit.comparison.gap_shares import shares
from toolkit.comparison.gap_words import HIGH_ORDER, gap_sentence, said_of
from toolkit.comparison.record import Gap, GapEntry
from toolkit.comparison.rows import PairedRows, pair_rows
from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits
from toolkit.errors import InputError, unknown
from toolkit.evaluation.engine import Cache, Progress

__all__ = ["explain_gap"]

LEAST_ROWS = 200
REFIT = "same columns, fitted again"
LEAST_REFIT = 0.01  # share of the gap from which on a refit of the start is a step of its own


def explain_gap(
    dataset: Dataset,
    splits: Splits,
    predictions: pd.DataFrame,
    arms: tuple[str, str],
    metric: str,
    *,
    estimators: Mapping[str, Any],
    members: pd.DataFrame | None = None,
    margin: Mapping[str, Any] | None = None,
    seed: int = 0,
    held: Mapping[tuple[int, int], Any] | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    backend: str = "loky",
) -> Gap:
    """A nested ladder from a regression to the net, on the folds of the comparison.

    Parameters
    ----------
    dataset, splits
        As in the comparison.
    predictions : DataFrame
        The predictions table; it holds both arms.
    arms : (start, net)
        The raw linear fit, a formula or the specified regression; and the net.
    metric : str
    estimators : mapping
        Arm -> unfitted estimator; the net is never fitted again.
    members : DataFrame, optional
        Predictions of the members of the net, for the luck of seeds.
    margin : mapping, optional
        Of the re-test after the repair.
    held : mapping, optional
        (repeat, fold) -> the start as it was fitted there; it is fitted once more on the folds that are not there.
    cache, progress, workers, backend
        As in `evaluate`.

    Returns
    -------
    Gap
        Shares in units of the metric that add up to `total`; without entries and with a `reason` where nothing can be
        explained. With several targets every entry belongs to one target and `details["by_target"]` holds the ledgers.
    """
    start = arms[0]
    for arm in arms:
        if arm not in set(predictions["arm"]):
            return _refused(f"arm '{arm}' has no predictions: it failed or was not run", arms)
    if start not in estimators:
        raise unknown("estimator of arm", start, estimators)
    if len(dataset.frame) < LEAST_ROWS:
        few = f"{len(dataset.frame)} rows; at least {LEAST_ROWS} are needed to name terms and judge them"
        return _refused(few, arms)
    ledgers = {}
    several = len(dataset.targets) > 1  # then the models on the folds hold all targets at once
    how = {"seed": seed, "cache": cache, "progress": progress, "workers": workers, "backend": backend}
    for target in dataset.targets:
        part = predictions[predictions["arm"].isin(arms) & (predictions["target"] == target)]
        own = None if members is None else members[members["target"] == target]
        models = {} if several or held is None else held
        ledgers[target] = _explain_one(
            dataset, splits, part, arms, metric, estimators[start], models, own, margin, target, how
        )
    return next(iter(ledgers.values())) if len(ledgers) == 1 else _together(ledgers, arms)


def _explain_one(
    dataset: Dataset, splits: Splits, predictions: pd.DataFrame, arms: tuple[str, str], metric: str, estimator: Any,
    held: Mapping[tuple[int, int], Any], members: pd.DataFrame | None, margin: Any, target: str, how: dict[str, Any],
) -> Gap:  # fmt: skip
    try:
        paired = pair_rows(predictions, metric, arms)
    except InputError as error:
        return _refused(str(error), arms)
    reason = _nothing_to_explain(paired)
    if reason:
        return replace(_refused(reason, arms), total=paired.estimate)
    X, y, seed = dataset.X, dataset.frame[target], how["seed"]
    folds = [f for f in splits.folds if ((paired.repeat == f.repeat) & (paired.fold_label == f.fold)).any()]
    ladders = climb(dataset, target, folds, paired, estimator, held, metric, **how)
    order = common_order(ladders)
    changed = next((ladder.ready.start.changed for ladder in ladders if ladder.ready.start.changed), "")
    rungs = np.repeat(paired.predicted[:, :1], len(order) + 1, axis=1)
    for one, ladder in zip(folds, ladders, strict=True):
        here = np.flatnonzero((paired.repeat == one.repeat) & (paired.fold_label == one.fold))
        for k, rung in enumerate(judge_rungs(ladder, order, X.iloc[paired.row[here]], metric)):
            if rung is not None:
                rungs[here, k] = rung
    table, (lower, upper) = shares(paired, rungs, splits.scheme, members)
    first = changed
    if not changed and abs(table["fraction"].iloc[0]) < LEAST_REFIT:  # the same fit twice: no step of its own
        rungs = rungs[:, 1:]
        table, (lower, upper) = shares(paired, rungs, splits.scheme, members)
    elif not changed:
        first = REFIT
    entries = _entries(table, ladders, order, first)
    details = {
        "metric": metric, "folds": len(folds), "start_score": paired.scores[0], "net_score": paired.scores[1],
        "duplicates": sorted({name for ladder in ladders for name in ladder.facts["duplicates"]}),
        "notes": _notes(ladders, arms[0], metric, dataset.weights is not None),
        "rungs": ["start", *([first] if first else []), *(":".join(key) for key in order), "net"],
        "scores": _scores(paired, rungs),
    }  # fmt: skip
    details["disagreement"] = disagreement(paired, X, entries)
    last = rungs[:, -1] if rungs.shape[1] else paired.predicted[:, 0]
    repaired = respecify(
        ladders, order, entries, paired, last, predictions, arms, metric, margin, splits, X, y, seed, members
    )
    gap = Gap(paired.estimate, lower, upper, entries, repaired, "", *arms, details=details)
    return replace(gap, sentence=gap_sentence(gap))


def _refused(reason: str, arms: tuple[str, str]) -> Gap:
    return Gap(0.0, 0.0, 0.0, (), {}, reason, *arms, f"No ledger: {reason}.")


def _nothing_to_explain(paired: PairedRows) -> str:
    if np.ptp(paired.predicted[:, 1]) == 0:
        return f"arm '{paired.arms[1]}' predicts one constant: there is nothing to learn from it"
    if paired.identical:
        return "both arms make the same predictions"
    if paired.estimate <= 0:
        return f"'{paired.arms[0]}' is as good as '{paired.arms[1]}' or better: there is no gap to explain"
    return ""


def _entries(
    table: pd.DataFrame, ladders: list[FoldLadder], order: list[tuple[str, ...]], first: str
) -> tuple[GapEntry, ...]:
    rows, entries = table.to_dict("records"), []

    def entry(term: str, kind: str, row: dict[str, float], **more: Any) -> GapEntry:
        facts = {"fraction": row["fraction"], "p_value": row["p_value"], **more}
        return GapEntry(term, kind, row["share"], row["lower"], row["upper"], facts)

    if first == REFIT:
        entries.append(entry(REFIT, "refit", rows.pop(0), words="fitting the same columns again"))
    elif first:
        entries.append(entry(f"{first} scale", "response scale", rows.pop(0), words=f"the {first} scale of the target"))
    for key in order:
        candidate, count = chosen_form(ladders, key)
        name = candidate.form.name if candidate.kind == "threshold" and candidate.form else ":".join(key)
        more = {"variables": list(key), "chosen": count, "folds": len(ladders), "form": name}
        more["words"] = said_of(candidate, ladders[0].ready.marginals)
        entries.append(entry(name, candidate.kind, rows.pop(0), **more))
    entries.append(entry(HIGH_ORDER, "remainder", rows.pop(0), words="unexplained"))
    return tuple(entries)


def _scores(paired: PairedRows, rungs: np.ndarray) -> list[float]:
    """Mean row loss at every rung, as a score."""
    loss = paired.metric.row_loss
    if loss is None:
        return []
    columns = np.column_stack([paired.predicted[:, 0], rungs, paired.predicted[:, 1]])
    return [float(paired.metric.finish(float(paired.weight @ loss(paired.observed, one)))) for one in columns.T]


def _notes(ladders: list[FoldLadder], start: str, metric: str, weighted: bool) -> list[str]:
    notes = ["a share is the step's part of the difference in mean row loss, in units of the metric"]
    screened = max(ladder.facts["screened"] for ladder in ladders)
    if screened:
        notes.append(f"{screened} columns: only pairs of the 40 that trees use most were screened")
    if weighted:
        notes.append("the ladder gives every row the same weight, the column of weights is not used")
    moved = sum(bool(ladder.ready.start.changed) for ladder in ladders)
    if moved:
        notes.append(f"another scale of the target than that of '{start}' serves {metric} better in {moved} folds")
    return notes


def _together(ledgers: dict[str, Gap], arms: tuple[str, str]) -> Gap:
    """Several targets: the mean of their gains, with every entry under the name of its target."""
    count = len(ledgers)
    used = {target: gap for target, gap in ledgers.items() if gap.entries}
    if not used:
        return _refused("; ".join(f"{target}: {gap.reason}" for target, gap in ledgers.items()), arms)
    entries = []
    for target, gap in ledgers.items():
        own = gap.entries or (GapEntry("regression as good or better", "remainder", gap.total, gap.total, gap.total),)
        entries += [
            replace(e, term=f"{target}: {e.term}", share=e.share / count, lower=e.lower / count, upper=e.upper / count)
            for e in own
        ]
    half = float(np.sqrt(sum(((g.upper - g.lower) / 2) ** 2 for g in used.values()))) / count
    total = sum(gap.total for gap in ledgers.values()) / count
    by_target = {
        t: {"total": g.total, "lower": g.lower, "upper": g.upper, "reason": g.reason} for t, g in ledgers.items()
    }
    repaired = {"formula": "", "score": None, "by_target": {target: gap.respecified for target, gap in used.items()}}
    sentence = " ".join(f"{target}: {gap.sentence}" for target, gap in ledgers.items())
    details = {"by_target": by_target}
    return Gap(total, total - half, total + half, tuple(entries), repaired, "", *arms, sentence, details)
