"""Predictions of two arms over published splits -> one verdict row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.benchmarks.uci import verdict_row

ROWS, SPLITS = 400, 20


def table(arm: str, noise: float, seed: int, members: int = 0) -> pd.DataFrame:
    """Predictions with errors of one size; an arm errs on a row alike in every split, members scatter around it."""
    rng, y = np.random.default_rng(seed), np.random.default_rng(7).normal(size=ROWS)
    error = noise * rng.normal(size=ROWS)
    parts = []
    for fold in range(SPLITS):
        row = np.sort(np.random.default_rng([8, fold]).permutation(ROWS)[: ROWS // 10])
        predicted = y[row] + error[row]
        more = {f"member_{k}": predicted + 0.2 * rng.normal() for k in range(members)}
        parts.append(
            pd.DataFrame({"arm": arm, "fold": fold, "row": row, "observed": y[row], "predicted": predicted, **more})
        )
    return pd.concat(parts, ignore_index=True)


def test_a_clear_win_and_its_bar():
    row = verdict_row("concrete", ROWS, table("regression", 1.0, 1), table("neural", 0.5, 2))
    assert row["verdict"] == "neural" and row["holds"] and row["bar"] == "neural"
    assert "corrected_row_test" in row["note"] and "20 splits" in row["note"]


def test_overlapping_splits_are_no_independent_samples():
    """The standard error is that of the rows with the factor for training rows, far from s / sqrt(20)."""
    first, second = table("regression", 1.0, 1), table("neural", 1.0, 2)
    row = verdict_row("energy", ROWS, first, second)
    scores = [
        np.sqrt(((t["observed"] - t["predicted"]) ** 2).groupby(t["fold"]).mean().to_numpy()) for t in (first, second)
    ]
    naive = np.std(scores[0] - scores[1], ddof=1) / np.sqrt(SPLITS)
    assert row["se"] > 1.2 * naive
    assert row["verdict"] == "undecided" and row["holds"]  # "not regression" is the bar


def test_members_bring_the_luck_of_the_seeds():
    first = table("regression", 1.0, 1)
    with_members = verdict_row("energy", ROWS, first, table("neural", 0.9, 2, members=3))
    without = verdict_row("energy", ROWS, first, table("neural", 0.9, 2, members=0))
    assert with_members["se"] > without["se"]
    assert with_members["value"] == pytest.approx(without["value"])
