"""Forecasts of every member of a net beside what was observed."""

from __future__ import annotations

import pandas as pd

from toolkit.data.series import SeriesData
from toolkit.data.splits import Fold

__all__ = ["member_rows"]


def member_rows(data: SeriesData, arm: str, fold: Fold, out: pd.DataFrame) -> pd.DataFrame:
    """Rows of the members table, from the frame of `forecast` with a column `member`."""
    keys = [data.series, data.time]
    rows = data.frame.iloc[fold.judge][[*keys, *data.targets]].assign(row=fold.judge)
    rows = rows.melt([*keys, "row"], var_name="target", value_name="observed").dropna(subset="observed")
    merged = out.merge(rows, on=[*keys, "target"], how="inner")
    return pd.DataFrame(
        {
            "arm": arm,
            "repeat": fold.repeat,
            "fold": fold.fold,
            "row": merged["row"],
            "target": merged["target"],
            "member": merged["member"],
            "observed": merged["observed"],
            "predicted": merged["predicted"],
        }
    )
