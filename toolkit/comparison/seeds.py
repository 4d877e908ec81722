"""How much of the uncertainty is the luck of the seeds, the rows, and the splits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.comparison.design import Design
from toolkit.comparison.estimate import Estimate
from toolkit.comparison.row_scores import score_rows
from toolkit.comparison.rows import PairedRows

__all__ = ["member_variance", "seed_variance", "variance_shares"]


def seed_variance(paired: PairedRows, members: pd.DataFrame | None) -> tuple[float, float, dict[str, float]]:
    """Variance of the gain that other seeds of the same nets would cause.

    Parameters
    ----------
    paired : PairedRows
    members : DataFrame or None
        Predictions of each member of the neural arms: arm, repeat, fold, row, target, member, predicted.

    Returns
    -------
    variance : float
        Of the mean of K members, metric units squared, summed over the arms; 0 where no arm has two members.
    df : float
    by_arm : dict
        Standard error of each arm's score over seeds.

    Notes
    -----
    Jackknife over members: with S_k the score of the mean of all members but k, (K - 1) / K sum (S_k - mean)².
    The members of a fold are other draws than those of the next one when the training rows drive the fit, and the same
    draws when the initial weights do; both variances are computed and the larger one is used.
    """
    if members is None or not len(members):
        return 0.0, 1.0, {}
    total, fewest, by_arm = 0.0, np.inf, {}
    for side, arm in enumerate(paired.arms):
        matrix = _aligned(paired, members[members["arm"].to_numpy() == arm])
        if matrix is None:
            continue
        variance = member_variance(paired, matrix, side)
        total, fewest = total + variance, min(fewest, len(matrix) - 1)
        by_arm[arm] = float(np.sqrt(variance))
    return float(total), float(fewest if np.isfinite(fewest) else 1.0), by_arm


def _aligned(paired: PairedRows, part: pd.DataFrame) -> np.ndarray | None:
    """Members' predictions in the order of the paired rows, [K, n]; None with fewer than two members."""
    numbers = pd.unique(part["member"]) if len(part) else []
    if len(numbers) < 2:
        return None
    columns = ["repeat", "fold", "row", "target"]
    if "origin" in part and part["origin"].notna().any():
        columns.append("origin")
    keys = paired_keys(paired, columns)
    joined = []
    for number in numbers:
        one = part[part["member"].to_numpy() == number]
        index = pd.MultiIndex.from_frame(one[columns])
        at = index.get_indexer(keys)
        if (at < 0).any():
            return None
        joined.append(one["predicted"].to_numpy(dtype=float)[at])
    return np.array(joined)


def paired_keys(paired: PairedRows, columns: list[str]) -> pd.MultiIndex:
    """Keys of the paired rows as they stand in the predictions table."""
    known = {"repeat": paired.repeat, "fold": paired.fold_label, "row": paired.row, "target": paired.target}
    return pd.MultiIndex.from_arrays(
        [known[c] if c in known else paired.frame[c].to_numpy() for c in columns], names=columns
    )


def member_variance(paired: PairedRows, members: np.ndarray, side: int) -> float:
    """Variance of the score of the mean of K members, from their predictions [K, n]; see `seed_variance`."""
    count, cells = len(members), len(paired.cell_scores)
    scale = paired.scale if paired.scale is not None else 1.0
    total = members.sum(axis=0)
    without = np.array(
        [
            score_rows(paired.metric, paired.observed, (total - one) / (count - 1) / scale, paired.cell, cells)[0]
            for one in members
        ]
    )  # [K, C]
    factor = (count - 1) / count
    together = factor * float(np.sum((without.mean(axis=1) - without.mean()) ** 2))
    apart = factor * float(np.sum((without - without.mean(axis=0)) ** 2)) / cells**2
    return max(together, apart)


def variance_shares(paired: PairedRows, design: Design, estimate: Estimate, seeds: float) -> dict[str, float]:
    """Standard errors of the gain by source: judging rows, splits (other training rows) and seeds.

    The parts are those of the interval that decides. With several repeats the spread of the gain between repeats is
    shown beside them: it is what another random split of the same rows would change.
    """
    known = {"seeds": seeds}
    if estimate.name == "corrected_t":  # (1/J + n_judge / n_train) s²; the seeds are inside s²
        ratio, count = float(estimate.details["judge_to_train"]), len(paired.fold_gain)
        rows = estimate.se**2 / (1 + count * ratio)
        known |= {"rows": max(0.0, rows - seeds), "splits": estimate.se**2 - rows}
    else:
        without = estimate.se**2 - estimate.seed_variance
        known |= {"rows": without / design.inflation, "splits": without * (1 - 1 / design.inflation)}
    total = sum(known.values())
    result = {f"{name}_se": float(np.sqrt(known[name])) for name in ("rows", "splits", "seeds")}
    result |= {f"{name}_share": known[name] / total if total > 0 else 0.0 for name in ("rows", "splits", "seeds")}
    repeats = np.unique(paired.repeat_of_fold)
    if len(repeats) > 1:
        means = [paired.fold_gain[paired.repeat_of_fold == r].mean() for r in repeats]
        result["between_repeats_sd"] = float(np.std(means, ddof=1))
    return result
