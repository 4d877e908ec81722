"""More than two arms: which of them may be the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.design import make_design
from toolkit.comparison.forecast_tests import model_confidence_set, unit_means
from toolkit.comparison.record import Test
from toolkit.comparison.rows import pair_rows
from toolkit.evaluation.scores import Metric

__all__ = ["confidence_set"]

SIZE = 0.05


def confidence_set(
    predictions: pd.DataFrame,
    metric: str | Metric,
    arms: Sequence[str],
    scheme: str = "kfold",
    groups: np.ndarray | None = None,
    n_train: int | Mapping[object, int] | None = None,
    seed: int = 0,
) -> list[Test]:
    """Model confidence set over all arms that predicted the same rows.

    Parameters
    ----------
    predictions : DataFrame
        The predictions table.
    metric : str or Metric
    arms : sequence of str
        Three or more.
    scheme, groups, n_train, seed
        As in `compare_arms`.

    Returns
    -------
    list of Test
        One for each arm: p-value of "this arm is among the best"; `details["included"]`. Units are those of the design;
        losses are gains relative to the first arm, which is all that the set depends on.

    Notes
    -----
    Over folds the set would speak of the fitted models only, since training rows do not enter its bootstrap. Mean
    differences are therefore divided by the root of the design's inflation, which is to widen their standard errors
    by it, as in `row_test`.
    """
    gains: dict[str, np.ndarray] = {}
    design = None
    for arm in arms[1:]:
        paired = pair_rows(predictions, metric, (arms[0], arm), n_train)  # type: ignore[arg-type]
        if design is None:
            design = make_design(paired, scheme, groups)
            size = len(paired.gain)
        if not paired.row_level or len(paired.gain) != size:
            continue
        gains[arm] = unit_means(paired, design)
    if design is None or not gains or design.n < 3:
        return []
    shrink = 1 - 1 / np.sqrt(design.inflation)
    losses = pd.DataFrame(
        {arms[0]: np.zeros(design.n), **{arm: shrink * gain.mean() - gain for arm, gain in gains.items()}}
    )
    found = model_confidence_set(losses, design.overlap, design.ordered, SIZE, seed)
    rows: list[dict[str, Any]] = found.to_dict("records")
    return [
        Test(
            "model_confidence_set",
            (str(arms[0]), row["arm"]),
            f"{row['arm']} is among the best arms",
            None,
            row["p_value"],
            None,
            None,
            None,
            design.n,
            {"arm": row["arm"], "included": row["included"], "size": SIZE, "unit": design.unit},
        )
        for row in rows
    ]
