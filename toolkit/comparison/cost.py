"""What each arm costs, shown beside the gain and never mixed into its probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["cost_table"]

COLUMNS = ("fit_seconds", "predict_ms_per_1000_rows", "parameters", "explainability")


def cost_table(costs: Mapping[str, Mapping[str, Any]], arms: tuple[str, str]) -> pd.DataFrame:
    """Costs of both arms and their ratio.

    Parameters
    ----------
    costs : mapping
        Arm -> {fit_seconds (of one fit), predict_seconds and predicted_rows, parameters, explainability (words)};
        what is not known may be left out.
    arms : pair of str

    Returns
    -------
    DataFrame
        One row per arm; `ratio` rows are left to the reader's eye except for `fit_ratio`: times the first arm's fit.
    """
    rows = []
    for arm in arms:
        known = dict(costs.get(arm, {}))
        seconds, predicted = known.get("predict_seconds"), known.get("predicted_rows")
        known["predict_ms_per_1000_rows"] = 1e6 * seconds / predicted if seconds is not None and predicted else None
        rows.append({"arm": arm, **{column: known.get(column) for column in COLUMNS}})
    table = pd.DataFrame(rows)
    first = rows[0]["fit_seconds"]
    table["fit_ratio"] = [
        row["fit_seconds"] / first if first and row["fit_seconds"] is not None else None for row in rows
    ]
    return table
