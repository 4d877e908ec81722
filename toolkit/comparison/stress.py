"""Does the verdict hold beyond the rows? Extrapolation, unseen groups, noisy inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.record import Test, Verdict
from toolkit.comparison.verdict import compare_arms
from toolkit.data.splits import Fold, Splits
from toolkit.errors import InputError, unknown
from toolkit.evaluation.scores import Metric

__all__ = ["KINDS", "StressResult", "extrapolation_splits", "group_splits", "noisy_copy", "not_possible", "stress"]

KINDS = ("extrapolation", "groups", "noise")
TAIL = 0.10  # the lowest and the highest tenth of the column judge, the middle trains
NOISE = 0.10  # standard deviations of the column, added to numbers of the judging rows
MOST_GROUPS = 20  # more groups are left out together, in this many parts
FEWEST_ROWS = 10
# (dataset, splits, arms) -> predictions, and those of each member of a net (None without any)
Evaluate = Callable[[Any, Splits, Mapping[str, Any]], tuple[pd.DataFrame, pd.DataFrame | None]]


@dataclass(frozen=True)
class StressResult:
    """The verdict under one stress, beside the main one."""

    kind: str
    words: str  # where: "when temp lies outside its middle 80 %"
    verdict: Verdict = field(repr=False)
    tests: tuple[Test, ...] = field(repr=False)
    vanishes: bool  # the main winner is not ahead here, or both are equivalent; ahead but not surely is no vanishing


def extrapolation_splits(values: np.ndarray, seed: int = 0) -> Splits:
    """Train on the middle of a column, judge on both ends.

    Parameters
    ----------
    values : ndarray, [n]
        A numeric feature, or time as a number.
    """
    low, high = np.nanquantile(values, [TAIL, 1 - TAIL])
    outside = (values < low) | (values > high)
    inside = (values >= low) & (values <= high)
    if outside.sum() < FEWEST_ROWS or inside.sum() < FEWEST_ROWS:
        raise InputError("stress: the column has too few distinct values to judge outside its middle")
    fold = Fold(0, 0, np.flatnonzero(inside), np.flatnonzero(outside))
    return Splits("holdout", (fold,), seed, f"trained between {low:.4g} and {high:.4g}, judged outside")


def group_splits(groups: np.ndarray, seed: int = 0) -> Splits:
    """Leave one group out at a time; with many groups, one of 20 sets of groups."""
    codes, names = pd.factorize(groups)
    if len(names) < 2:
        raise InputError("stress: leaving a group out needs two groups or more")
    if len(names) > MOST_GROUPS:
        codes = (np.random.default_rng(seed).permutation(len(names)) % MOST_GROUPS)[codes]
    folds = [Fold(0, k, np.flatnonzero(codes != k), np.flatnonzero(codes == k)) for k in range(codes.max() + 1)]
    return Splits("group", tuple(folds), seed, f"each of {len(folds)} sets of groups judges, the others train")


def noisy_copy(dataset: Any, rows: np.ndarray, seed: int = 0, size: float = NOISE) -> Any:
    """A copy of the data set with normal noise on the numeric features of some rows.

    The noise has `size` standard deviations of the column in the other rows.
    """
    frame = dataset.frame.copy()
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(len(frame)), rows)
    for column in dataset.features:
        if dataset.kinds.get(column) != "number":
            continue
        values = frame[column].to_numpy(dtype=float, na_value=np.nan).copy()
        values[rows] += size * np.nanstd(values[others]) * rng.normal(size=len(rows))
        frame[column] = values
    return replace(dataset, frame=frame)


def not_possible(dataset: Any, kinds: Sequence[str], columns: Sequence[str] = ()) -> dict[str, str]:
    """Stresses that the data do not allow, with the reason."""
    reasons = {}
    if "extrapolation" in kinds and not (columns or _column_to_leave(dataset)):
        reasons["extrapolation"] = "there is no time column and no numeric feature to go beyond"
    if "groups" in kinds and dataset.groups is None:
        reasons["groups"] = "no column of groups is named (data.groups)"
    if "noise" in kinds and "number" not in dataset.kinds.values():
        reasons["noise"] = "there is no numeric feature to add noise to"
    return reasons


def stress(
    dataset: Any,
    splits: Splits,
    arms: Mapping[str, Any],
    metric: str | Metric,
    margin: Mapping[str, Any],
    evaluate: Evaluate,
    main: Verdict,
    kinds: Sequence[str] = KINDS,
    columns: Sequence[str] = (),
    seed: int = 0,
) -> list[StressResult]:
    """The verdict under each stress.

    Parameters
    ----------
    dataset : Dataset
    splits : Splits
        Those of the main verdict; noise is added to their judging rows (first repeat).
    arms : mapping of two arms
        The pair of the main verdict, in its order.
    metric, margin
        As in the main verdict.
    evaluate : callable
        (dataset, splits, arms) -> predictions table and members' predictions (or None): the luck of the seeds enters
        the intervals here as in the main verdict.
    main : Verdict
        Its winner is watched, and its per cents are of the same arm here.
    kinds : sequence of str
        Some of `KINDS`.
    columns : sequence of str
        Columns to extrapolate in; left out: the time column, else the numeric feature with most distinct values.

    Returns
    -------
    list of StressResult
        Stresses that the data do not allow (see `not_possible`) are left out.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("stress", kind, KINDS)
    kinds = [kind for kind in kinds if kind not in not_possible(dataset, kinds, columns)]
    found: list[tuple[str, str, tuple[pd.DataFrame, pd.DataFrame | None], str]] = []
    if "extrapolation" in kinds:
        for column in columns or _column_to_leave(dataset):
            values = _as_numbers(dataset.frame[column])
            tables = evaluate(dataset, extrapolation_splits(values, seed), arms)
            found.append(("extrapolation", f"when {column} lies outside its middle 80 %", tables, "holdout"))
    if "groups" in kinds:
        one = group_splits(dataset.frame[dataset.groups].to_numpy(), seed)
        tables = evaluate(dataset, one, arms)
        found.append(("groups", f"for groups ({dataset.groups}) that were not trained on", tables, "group"))
    if "noise" in kinds:
        words = f"when noise of {NOISE:g} standard deviations is added to the inputs"
        tables = _noisy_predictions(dataset, splits, arms, evaluate, seed)
        found.append(("noise", words, tables, splits.scheme))
    groups = None if dataset.groups is None else dataset.frame[dataset.groups].to_numpy()
    results = []
    for kind, words, (predictions, members), scheme in found:
        tests, verdict = compare_arms(
            *(predictions, metric, tuple(arms), margin, scheme, members),
            groups=groups, seed=seed, reference=main.details.get("reference"),
        )  # fmt: skip
        vanishes = main.winner not in (None, verdict.winner) and not _still_ahead(main, verdict)
        results.append(StressResult(kind, words, verdict, tests, vanishes))
    return results


def _still_ahead(main: Verdict, verdict: Verdict) -> bool:
    """Undecided with the main winner ahead: fewer rows judge here, and a wider interval is no other finding."""
    return verdict.decision == "undecided" and (verdict.estimate or 0.0) * (main.estimate or 0.0) > 0


def _noisy_predictions(
    dataset: Any, splits: Splits, arms: Mapping[str, Any], evaluate: Evaluate, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Noisy copies of the judging rows stand behind the rows of the data, so that one evaluation judges all of them."""
    folds = [one for one in splits.folds if one.repeat == splits.folds[0].repeat]
    copies = [noisy_copy(dataset, one.judge, seed + k).frame.iloc[one.judge] for k, one in enumerate(folds)]
    whole = replace(dataset, frame=pd.concat([dataset.frame, *copies], ignore_index=True))
    row_of = np.concatenate([np.arange(len(dataset.frame)), *(one.judge for one in folds)])
    ends = len(dataset.frame) + np.cumsum([0, *(len(one.judge) for one in folds)])
    moved = [replace(one, judge=np.arange(ends[k], ends[k + 1])) for k, one in enumerate(folds)]
    predictions, members = evaluate(whole, replace(splits, folds=tuple(moved)), arms)
    back = [None if one is None else one.assign(row=row_of[one["row"]]) for one in (predictions, members)]
    return back[0], back[1]


def _column_to_leave(dataset: Any) -> list[str]:
    if dataset.time is not None:
        return [dataset.time]
    numeric = [c for c in dataset.features if dataset.kinds.get(c) == "number"]
    if not numeric:
        return []
    return [max(numeric, key=lambda c: dataset.frame[c].nunique())]


def _as_numbers(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.astype("int64").to_numpy(dtype=float)
    return column.to_numpy(dtype=float, na_value=np.nan)
