"""Shares of the gap with intervals: row contributions of every rung, on the pairing of the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import t

from toolkit.comparison.design import make_design, sum_covariance
from toolkit.comparison.row_scores import gain_of, score_rows
from toolkit.comparison.rows import PairedRows
from toolkit.comparison.seeds import seed_variance

__all__ = ["shares"]


def shares(
    paired: PairedRows, rungs: np.ndarray, scheme: str, members: pd.DataFrame | None, confidence: float = 0.95
) -> tuple[pd.DataFrame, tuple[float, float]]:
    """What each step of the ladder is worth.

    Parameters
    ----------
    paired : PairedRows
        The start and the net.
    rungs : ndarray, [n, R]
        Predictions of the rungs between them, in the order of the paired rows.

    Returns
    -------
    table : DataFrame
        One row per step (R + 1): share in units of the metric, lower, upper, fraction, p_value (one-sided).
    total : (lower, upper)

    Notes
    -----
    A share is the step's part of the difference in mean row loss, times the total gain in units of the metric: parts of
    a mean loss add up and do not depend on the bend of a square root. With closed_k the mean loss that step k takes
    away, C their sum and G the gain, share_k = closed_k G / C; the contribution of a row is the differential of all
    three (delta method), so that the contributions of the steps add up to those of the gain. Leaving out that of G / C
    makes the interval of a large share too wide, because rows of large loss move both.

    The variance is that of the contributions by the units of the verdict, without the factor for other training rows: a
    share speaks of the rungs as fitted. The total keeps the factor, as the verdict does. The luck of the net's seeds
    enters the last step and the total.
    """
    predicted = np.column_stack([paired.predicted[:, 0], rungs, paired.predicted[:, 1]])
    metric, cells = paired.metric, len(paired.cell_scores)
    if metric.row_loss is not None:
        losses = np.column_stack([metric.row_loss(paired.observed, one) for one in predicted.T])
    else:
        losses = np.column_stack(
            [score_rows(metric, paired.observed, one, paired.cell, cells)[1] for one in predicted.T]
        )
    steps = np.column_stack([gain_of(metric, losses[:, k], losses[:, k + 1]) for k in range(losses.shape[1] - 1)])
    closed = paired.weight @ steps  # [R + 1], mean row loss
    slope = paired.estimate / closed.sum() if closed.sum() != 0 else 1.0
    design = make_design(paired, scheme)
    bend = (paired.gain - paired.estimate) - slope * (steps - closed).sum(axis=1)  # [n], 0 for a mean of losses
    part = closed / closed.sum() if closed.sum() != 0 else np.zeros_like(closed)
    contributions = paired.weight[:, None] * (slope * (steps - closed) + bend[:, None] * part)
    covariance, df, _ = sum_covariance(contributions, replace(design, inflation=1.0))
    seeds, _, _ = seed_variance(paired, members)
    variance = np.maximum(np.diagonal(covariance), 0.0)
    variance[-1] += seeds
    half = t.ppf(0.5 + confidence / 2, df) * np.sqrt(variance)
    share = closed * slope
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = np.where(variance > 0, t.sf(share / np.sqrt(variance), df), np.where(share > 0, 0.0, 1.0))
    whole = float(t.ppf(0.5 + confidence / 2, df) * np.sqrt(max(design.inflation * covariance.sum() + seeds, 0.0)))
    table = pd.DataFrame(
        {
            "share": share,
            "lower": share - half,
            "upper": share + half,
            "fraction": share / paired.estimate if paired.estimate else np.nan,
            "p_value": p_value,
        }
    )
    return table, (paired.estimate - whole, paired.estimate + whole)
