"""How stable a search is: how often each term was chosen over the folds of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

__all__ = ["term_stability", "with_stability"]

CARRIES = 0.1  # effective degrees of freedom from which a term is written into the formula and counts as chosen
MEANS = ("edf", "partial_r2")
KEYS = ("target", "part", "term", "kind")


def term_stability(facts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per term that any fold chose.

    Parameters
    ----------
    facts : sequence of mapping
        Per fold, what the fit said of itself; `terms` is a list of rows with term, kind, edf and partial_r2.

    Returns
    -------
    DataFrame
        term, kind (target, part of a hurdle model where there are several), chosen (number of folds), folds, share,
        edf and partial_r2 (means over the folds that chose it), most often chosen first; empty without terms.
    """
    rows = [
        {**row, "fold": fold}
        for fold, fact in enumerate(facts)
        for row in fact.get("terms") or ()
        if row.get("edf") is None or row["edf"] >= CARRIES
    ]
    if not rows:
        return pd.DataFrame(columns=["term", "kind", "chosen", "folds", "share", *MEANS])
    table = pd.DataFrame([dict.fromkeys(MEANS) | row for row in rows]).astype(dict.fromkeys(MEANS, float))
    keys = [key for key in KEYS if key in table]
    grouped = table.groupby(keys, sort=False, dropna=False)
    found = grouped.agg(chosen=("fold", "nunique"), **{name: (name, "mean") for name in MEANS}).reset_index()
    folds = sum(bool(fact.get("terms")) for fact in facts)
    found.insert(len(keys) + 1, "folds", folds)
    found.insert(len(keys) + 2, "share", found["chosen"] / folds)
    return found.sort_values(["chosen", "partial_r2"], ascending=False, kind="stable").reset_index(drop=True)


def with_stability(table: pd.DataFrame, facts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of terms with a column that says how many folds chose each: "4 of 5"; unchanged for a single fold."""
    often = term_stability(facts)
    if table.empty or often.empty or len(facts) < 2:
        return table
    keys = [key for key in KEYS if key in table and key in often]
    words = often["chosen"].astype(str) + " of " + often["folds"].astype(str)
    joined = table.merge(often[keys].assign(**{"chosen in folds": words}), on=keys, how="left")
    return joined.fillna({"chosen in folds": f"0 of {often['folds'].iloc[0]}"})
