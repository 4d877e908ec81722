"""Do the coefficients learned at the first origin still serve at the last one?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.check import Check

__all__ = ["check_origin_stability"]

FEWEST_STEPS = 8  # steps after the last origin


def check_origin_stability(arm: str, info: Mapping[str, Any], table: pd.DataFrame) -> Check:
    """One-step forecasts of the rows after the last origin, by the first and by the last fit.

    Coefficients of nets and of regressions whose terms change cannot be laid side by side; what they forecast can. Both
    fits know the same past of each row and neither was fitted on it.
    """
    entry = CATALOGUE["origin_stability"]
    later = table[~table["in_sample"].astype(bool)]
    if later.empty:
        return entry.not_applicable(arm, "no coefficients are kept: the model is estimated anew for every forecast")
    first, last = int(later["fold"].min()), int(later["fold"].max())
    if first == last:
        return entry.not_applicable(arm, "there is a single fit")
    keys = ["series", "step"]
    pair = later[(later["fold"] == last) & later["unseen"].astype(bool)].merge(
        later.loc[later["fold"] == first, [*keys, "predicted"]], on=keys, suffixes=("", "_first")
    )
    pair = pair[np.isfinite(pair[["observed", "predicted", "predicted_first"]].astype(float)).all(axis=1)]
    steps = pair["step"].nunique()
    if steps < FEWEST_STEPS:
        return entry.not_applicable(arm, f"{steps} steps after the last origin, needs {FEWEST_STEPS}")
    of_first = later[later["fold"] == first]
    spread = (of_first["observed"] - of_first["predicted"]).groupby(of_first["series"]).std()
    unit = pair["series"].map(spread).to_numpy(dtype=float)
    fine = unit > 0
    if not fine.any():
        return entry.not_applicable(arm, "the innovations do not vary")
    pair, unit = pair[fine], unit[fine]
    old, new = ((pair["observed"] - pair[name]).to_numpy(float) / unit for name in ("predicted_first", "predicted"))
    change = float(np.sqrt(np.mean((old - new) ** 2)))
    worse = pd.Series(old**2 - new**2).groupby(pair["step"].to_numpy()).mean().to_numpy()
    statistic, p_value = _paired(worse)
    rise = float(np.mean(old**2) / np.mean(new**2) - 1) if np.mean(new**2) > 0 else 0.0
    formulas = list(dict.fromkeys(str(f["formula"]) for f in info.get("facts") or () if f.get("formula")))
    also = f"; {len(formulas)} different specifications over the origins" if len(formulas) > 1 else ""
    said = (
        f"one-step forecasts by the first and the last fit differ by {change:.2f} standard deviations, the squared "
        f"error of the first is {rise:+.0%} against the last{also}"
    )
    details = {"rise": rise, "steps": steps, "fits": int(later["fold"].nunique()), "specifications": len(formulas)}
    return entry.answer(arm, said, effect=change, statistic=statistic, p_value=p_value, details=details)


def _paired(difference: np.ndarray) -> tuple[float, float]:
    """t statistic and two-sided p-value of a mean difference of losses one step ahead, uncorrelated over time."""
    n, spread = len(difference), float(difference.std(ddof=1))
    if spread == 0:
        return 0.0, 1.0
    statistic = float(difference.mean() / spread * np.sqrt(n))
    return statistic, float(2 * stats.t.sf(abs(statistic), n - 1))
