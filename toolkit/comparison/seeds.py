"""How much of the uncertainty is the luck of the seeds, the rows, and the splits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.comparison.rows import PairedRows, score_rows

__all__ = ["seed_variance", "variance_shares"]


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
        variance = _jackknife(paired, matrix, side)
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


def _jackknife(paired: PairedRows, members: np.ndarray, side: int) -> float:
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


def variance_shares(paired: PairedRows, rows: float, seeds: float) -> dict[str, float]:
    """Standard errors of the gain by source: rows, splits and seeds.

    Splits are what other training rows would change: between repeats where there are several, else what the folds vary
    beyond rows and seeds. Their variance is floored at 0, since it is a difference of estimates.
    """
    folds = len(paired.fold_gain)
    repeats = np.unique(paired.repeat_of_fold)
    splits = float("nan")
    if len(repeats) > 1:
        means = np.array([paired.fold_gain[paired.repeat_of_fold == r].mean() for r in repeats])
        splits = max(0.0, float(means.var(ddof=1)) / len(repeats) - seeds)
    elif folds > 1:
        splits = max(0.0, float(paired.fold_gain.var(ddof=1)) / folds - rows - seeds)
    known = {"rows": rows, "splits": splits, "seeds": seeds}
    total = float(np.nansum(list(known.values())))
    result = {f"{name}_se": float(np.sqrt(value)) for name, value in known.items()}
    shares = {f"{name}_share": float(value / total) if total > 0 else 0.0 for name, value in known.items()}
    return result | shares
