"""What the errors of a series are measured in: its own seasonal changes before the origin."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.series import SeriesData

__all__ = ["seasonal_errors"]


def seasonal_errors(past: SeriesData) -> pd.DataFrame:
    """Scales of MASE and RMSSE from the past of each series.

    Returns
    -------
    DataFrame, index (series, target)
        scale: mean of |y[t] - y[t-m]|; root_scale: root of the mean of its square; last: time of the last row. NaN
        where the past repeats itself exactly or is shorter than a season, so that a scaled score cannot be computed.
    """
    lag, rows = past.scale_period, []
    for name, part in past.frame.groupby(past.series, sort=False):
        for target in past.targets:
            values = part[target].to_numpy(dtype=float)
            changes = np.abs(values[lag:] - values[:-lag])
            changes = changes[np.isfinite(changes)]
            scale = float(changes.mean()) if len(changes) else 0.0
            root = float(np.sqrt(np.mean(changes**2))) if scale > 0 else np.nan
            rows.append((name, target, scale if scale > 0 else np.nan, root, part[past.time].iloc[-1]))
    table = pd.DataFrame(rows, columns=[past.series, "target", "scale", "root_scale", "last"])
    return table.set_index([past.series, "target"])
