"""The gap ledger: why the net is better than a regression, and which named terms close the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.gap_ladder import FoldLadder, chosen_form, climb_fold, common_order, judge_rungs
from toolkit.comparison.gap_respecify import respecify
from toolkit.comparison.gap_shares import shares
from toolkit.comparison.record import Gap, GapEntry, Verdict
from toolkit.comparison.rows import PairedRows, pair_rows
from toolkit.data.dataset import Dataset
from toolkit.data.splits import Splits
from toolkit.diagnostics.check import Check
from toolkit.errors import InputError, unknown

__all__ = ["explain_gap", "respecified_settings", "specification_gate"]

LEAST_ROWS = 200
FORM_CHECKS = ("reset", "learnability", "rainbow")
REMAINDER = "high-order remainder"


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
    progress: Callable[[str], None] | None = None,
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
        Arm -> unfitted estimator; the start is fitted once more on every fold, the net is not.
    members : DataFrame, optional
        Predictions of the members of the net, for the luck of seeds.
    margin : mapping, optional
        Of the re-test after the repair.

    Returns
    -------
    Gap
        Shares in units of the metric that add up to `total`; without entries and with a `reason` where nothing can be
        explained. With several targets every entry belongs to one target and `details["by_target"]` holds the ledgers.
    """
    start = arms[0]
    for arm in arms:
        if arm not in set(predictions["arm"]):
            return _refused(f"arm '{arm}' has no predictions: it failed or was not run")
    if start not in estimators:
        raise unknown("estimator of arm", start, estimators)
    if dataset.time is not None and splits.scheme in ("rolling_origin", "official"):
        return _refused("there is no ladder for forecasts yet: lookback, seasonal terms and pooling are not separated")
    if len(dataset.frame) < LEAST_ROWS:
        return _refused(f"{len(dataset.frame)} rows; at least {LEAST_ROWS} are needed to name terms and judge them")
    ledgers = {}
    for target in dataset.targets:
        part = predictions[predictions["arm"].isin(arms) & (predictions["target"] == target)]
        own = None if members is None else members[members["target"] == target]
        say = progress or (lambda message: None)
        ledgers[target] = _explain_one(
            dataset, splits, part, arms, metric, estimators[start], own, margin, seed, say, target
        )
    if len(ledgers) == 1:
        return next(iter(ledgers.values()))
    return _together(ledgers)


def _explain_one(
    dataset: Dataset, splits: Splits, predictions: pd.DataFrame, arms: tuple[str, str], metric: str, estimator: Any,
    members: pd.DataFrame | None, margin: Any, seed: int, say: Callable[[str], None], target: str,
) -> Gap:  # fmt: skip
    try:
        paired = pair_rows(predictions, metric, arms)
    except InputError as error:
        return _refused(str(error))
    reason = _nothing_to_explain(paired)
    if reason:
        return replace(_refused(reason), total=paired.estimate)
    X, y, kinds = dataset.X, dataset.frame[target], dict(dataset.kinds)
    folds = [f for f in splits.folds if ((paired.repeat == f.repeat) & (paired.fold_label == f.fold)).any()]
    ladders: list[FoldLadder] = []
    for one in folds:
        say(f"ledger: terms in the training rows of repeat {one.repeat}, fold {one.fold}")
        hint = _both(paired, one.repeat, len(X))
        hint = None if hint is None else hint[:, one.train]
        ladders.append(climb_fold(estimator, X.iloc[one.train], y.iloc[one.train], metric, kinds, hint, seed))
    order = common_order(ladders)
    changed = ladders[0].ready.start.changed
    rungs = np.repeat(paired.predicted[:, :1], len(order) + bool(changed), axis=1)
    for one, ladder in zip(folds, ladders, strict=True):
        here = np.flatnonzero((paired.repeat == one.repeat) & (paired.fold_label == one.fold))
        for k, rung in enumerate(judge_rungs(ladder, order, X.iloc[paired.row[here]], metric)):
            if rung is not None:
                rungs[here, k] = rung
    table, (lower, upper) = shares(paired, rungs, splits.scheme, members)
    entries = _entries(table, ladders, order, changed)
    details = {
        "metric": metric, "start": arms[0], "net": arms[1], "folds": len(folds),
        "duplicates": sorted({name for ladder in ladders for name in ladder.facts["duplicates"]}),
        "notes": _notes(ladders, arms[0], metric),
        "rungs": ["start", *([f"{changed} scale"] if changed else []), *(":".join(key) for key in order), "net"],
        "scores": _scores(paired, rungs),
    }  # fmt: skip
    details["disagreement"] = _disagreement(paired, X, entries)
    last = rungs[:, -1] if rungs.shape[1] else paired.predicted[:, 0]
    repaired = respecify(ladders, order, entries, paired, last, predictions, arms, metric, margin, splits, X, y, seed)
    return Gap(paired.estimate, lower, upper, entries, repaired, "", details)


def _refused(reason: str) -> Gap:
    return Gap(0.0, 0.0, 0.0, (), {}, reason)


def _nothing_to_explain(paired: PairedRows) -> str:
    if np.ptp(paired.predicted[:, 1]) == 0:
        return f"arm '{paired.arms[1]}' predicts one constant: there is nothing to learn from it"
    if paired.identical:
        return "both arms make the same predictions"
    if paired.estimate <= 0:
        return f"'{paired.arms[0]}' is as good as '{paired.arms[1]}' or better: there is no gap to explain"
    return ""


def _both(paired: PairedRows, repeat: int, n: int) -> np.ndarray | None:
    """Out-of-fold predictions of start and net by row, [2, n], NaN where a row was not judged in this repeat."""
    mine = paired.repeat == repeat
    full = np.full((2, n), np.nan)
    full[:, paired.row[mine]] = paired.predicted[mine].T
    return full if np.isfinite(full).any() else None


def _entries(
    table: pd.DataFrame, ladders: list[FoldLadder], order: list[tuple[str, ...]], changed: str
) -> tuple[GapEntry, ...]:
    rows, entries = table.to_dict("records"), []

    def entry(term: str, kind: str, row: dict[str, float], **more: Any) -> GapEntry:
        facts = {"fraction": row["fraction"], "p_value": row["p_value"], **more}
        return GapEntry(term, kind, row["share"], row["lower"], row["upper"], facts)

    if changed:
        entries.append(entry(f"{changed} scale", "response scale", rows.pop(0)))
    for key in order:
        candidate, count = chosen_form(ladders, key)
        name = candidate.form.name if candidate.kind == "threshold" and candidate.form else ":".join(key)
        more = {"variables": list(key), "chosen": count, "folds": len(ladders), "form": name}
        entries.append(entry(name, candidate.kind, rows.pop(0), **more))
    entries.append(entry(REMAINDER, "remainder", rows.pop(0)))
    return tuple(entries)


def _scores(paired: PairedRows, rungs: np.ndarray) -> list[float]:
    """Mean row loss at every rung, as a score."""
    loss = paired.metric.row_loss
    if loss is None:
        return []
    columns = np.column_stack([paired.predicted[:, 0], rungs, paired.predicted[:, 1]])
    return [float(paired.metric.finish(float(paired.weight @ loss(paired.observed, one)))) for one in columns.T]


def _notes(ladders: list[FoldLadder], start: str, metric: str) -> list[str]:
    notes = ["a share is the step's part of the difference in mean row loss, in units of the metric"]
    screened = max(ladder.facts["screened"] for ladder in ladders)
    if screened:
        notes.append(f"{screened} columns: only pairs of the 40 that trees use most were screened")
    if ladders[0].ready.start.changed:
        notes.append(f"{metric} rewards another scale than '{start}' has: the ladder changes it first")
    return notes


def _disagreement(paired: PairedRows, X: pd.DataFrame, entries: tuple[GapEntry, ...]) -> list[dict[str, Any]]:
    """Mean observed and predicted values by bin of the first named main effects and pairs, for pictures."""
    made = []
    for one in [e for e in entries if e.details.get("variables")][:6]:
        codes = []
        for name in one.details["variables"]:
            column = X.get(name)
            if column is None:
                break
            values = column.iloc[paired.row]
            many = pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > 24
            codes.append(pd.qcut(values, 10, duplicates="drop").astype(str) if many else values.astype(str))
        if len(codes) != len(one.details["variables"]):
            continue
        frame = pd.DataFrame({f"bin{k}": code.to_numpy() for k, code in enumerate(codes)})
        keys = list(frame.columns)
        frame = frame.assign(observed=paired.observed, first=paired.predicted[:, 0], second=paired.predicted[:, 1])
        cells = frame.groupby(keys, sort=False).agg(
            n=("observed", "size"), observed=("observed", "mean"), first=("first", "mean"), second=("second", "mean")
        )
        made.append(
            {"term": one.term, "variables": one.details["variables"], "cells": cells.reset_index().to_dict("records")}
        )
    return made


def _together(ledgers: dict[str, Gap]) -> Gap:
    """Several targets: the mean of their gains, with every entry under the name of its target."""
    count = len(ledgers)
    used = {target: gap for target, gap in ledgers.items() if gap.entries}
    if not used:
        return _refused("; ".join(f"{target}: {gap.reason}" for target, gap in ledgers.items()))
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
    repaired = {"by_target": {target: gap.respecified for target, gap in used.items()}}
    return Gap(total, total - half, total + half, tuple(entries), repaired, "", {"by_target": by_target})


def respecified_settings(settings: Mapping[str, Any], gap: Gap) -> dict[str, Any]:
    """The pipeline that runs the proposed formula against the net on fresh folds.

    Raises
    ------
    InputError
        When the ledger proposed nothing.
    """
    formula = gap.respecified.get("formula") if gap.respecified else None
    if not formula:
        raise InputError(f"nothing to respecify: {gap.reason or 'the ledger proposed no term'}")
    made = deepcopy(dict(settings))
    net = str(gap.details.get("net", "neural"))
    arms = made.get("arms") or {}
    own = gap.respecified.get("family")
    made["name"] = f"{made.get('name', 'comparison')}_respecified"
    made["arms"] = {
        **{name: value for name, value in arms.items() if name != "formula"},
        "formula": {"formula": formula, **({"family": own} if own else {})},
    }
    made["arms"].setdefault(net, {})
    made["compare"] = ["formula", net]
    splits = dict(made.get("splits") or {})
    splits["seed"] = int(splits.get("seed") or 0) + 1  # fresh folds
    made["splits"] = splits
    return made


def specification_gate(verdict: Verdict, checks: tuple[Check, ...], gap: Gap | None) -> Verdict:
    """Hold a `neural` verdict as provisional while its regression is known to be misspecified and can be repaired."""
    if verdict.decision != "neural" or gap is None or not gap.entries:
        return verdict
    failing = [c.check for c in checks if c.arm == verdict.arms[0] and c.check in FORM_CHECKS and c.verdict == "poor"]
    closing = [e for e in gap.entries if e.kind not in ("remainder", "response scale") and e.lower > 0]
    if not failing or not closing:
        return verdict
    names = ", ".join(e.term for e in closing[:3])
    said = (
        f"provisional: '{verdict.arms[0]}' fails {', '.join(failing)}, and {names} would surely close a part of the gap"
    )
    repaired = gap.respecified
    if repaired.get("gain") is not None:
        said += (
            f"; after the repair the gain is {repaired['gain']:.4g} ({repaired['decision']}) instead of {gap.total:.4g}"
        )
    sentence = f"{verdict.sentence} Provisional{said[len('provisional') :]}."
    return replace(verdict, provisional=True, sentence=sentence, reasons=(*verdict.reasons, said))
