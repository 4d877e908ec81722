"""Errors of several steps ahead overlap: what many rows of few origins can and cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from toolkit.diagnostics import generalization
from toolkit.diagnostics.catalogue import CATALOGUE, judge
from toolkit.diagnostics.check import Check

__all__ = ["across_origins", "fold_spread", "one_per_origin", "steps", "too_few_apart"]

FEWEST_APART = 3  # rows that have a spread of their own
RANK = ("not applicable", "good", "notice", "poor")


def steps(predictions: pd.DataFrame) -> int:
    """Most steps ahead of a predictions table; 0 where rows are not forecasts."""
    if "horizon" not in predictions or predictions["horizon"].isna().all():
        return 0
    return int(predictions["horizon"].max())


def one_per_origin(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row of every origin and series, at a horizon drawn at random: errors that do not overlap."""
    drawn = np.random.default_rng(seed).random(len(table))
    order = pd.Series(drawn, index=table.index)
    named = [name for name in ("fold", "origin", "series") if name in table and table[name].notna().all()]
    keys = [table[name] for name in named]
    return table[order == order.groupby(keys).transform("min")]


def too_few_apart(checks: list[Check], arm: str, rows: int) -> list[Check]:
    """The same checks as not applicable where the rows that do not overlap have no spread of their own, else none."""
    if rows >= FEWEST_APART:
        return []
    why = f"{rows} rows whose errors do not overlap"
    return [CATALOGUE[check.check].not_applicable(arm, why) for check in checks]


def across_origins(whole: Check, independent: Check) -> Check:
    """The effect seen in all rows, with the evidence of rows that do not overlap.

    The errors of the best possible forecasts several steps ahead move together along a path, so that a p-value over all
    rows calls chance a fault.
    """
    if whole.verdict == "not applicable" or whole.p_value is None:
        return whole
    entry = CATALOGUE[whole.check]
    said = whole.reason.split("; ")[0]
    if independent.p_value is None:
        return entry.not_applicable(whole.arm, f"{said}, which one row per origin is too few to tell from chance")
    verdict = judge(whole.effect or 0.0, independent.p_value, entry.notice, entry.poor)
    verdict = min(verdict, whole.verdict, key=RANK.index)
    calmer = verdict == "good" and whole.verdict != "good"
    return replace(
        whole, statistic=independent.statistic, p_value=independent.p_value, verdict=verdict,
        reason=f"{said}, as errors that overlap may do by chance" if calmer else whole.reason,
        details={**(whole.details or {}), "p_value_of": "one row per origin", "p_value_all_rows": whole.p_value},
    )  # fmt: skip


def fold_spread(arm: str, table: pd.DataFrame, metric: str) -> Check:
    """The spread over folds; origins of several steps ahead differ whatever the arm does."""
    if steps(table) > 1:
        why = "the errors of an origin move together; the tests of the verdict compare origins"
        return CATALOGUE["fold_spread"].not_applicable(arm, why)
    return generalization.check_fold_spread(arm, table, metric)
