"""Tests between two arms on tables: cross-validated folds, rows of all folds, rows of one holdout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.comparison.design import Design, cosine_terms, sum_covariance, training_rows, unit_sums
from toolkit.comparison.estimate import Estimate
from toolkit.comparison.rows import PairedRows

__all__ = ["clustered_clt", "corrected_t", "judge_to_train", "paired_bootstrap", "row_test"]

BOOTSTRAP_DRAWS = 1999
BOOTSTRAP_UNITS = 10_000  # with more units skewness no longer matters and the t interval is used
CHUNK = 4_000_000  # numbers drawn at once


def judge_to_train(paired: PairedRows) -> float:
    """n_judge / n_train, averaged over folds."""
    return float(np.mean(paired.n_judge / training_rows(paired)))


def corrected_t(fold_gain: np.ndarray, ratio: float) -> Estimate:
    """Nadeau-Bengio corrected t for gains of J folds.

    Parameters
    ----------
    fold_gain : ndarray, [J]
    ratio : float
        n_judge / n_train.

    Notes
    -----
    t = mean / sqrt(s² (1/J + ratio)) with J - 1 degrees of freedom: Nadeau and Bengio, Machine Learning 52 (2003),
    239-281. With a flat prior the posterior of Corani and Benavoli, Machine Learning 100 (2015), 285-304, is the same t
    distribution, so its three probabilities follow from this estimate.
    """
    gains = np.asarray(fold_gain, dtype=float)
    count = len(gains)
    se = float(np.std(gains, ddof=1) * np.sqrt(1 / count + ratio))
    return Estimate(
        "corrected_t",
        float(gains.mean()),
        se,
        count - 1,
        count,
        "the arms have the same expected score",
        details={"unit": "folds", "judge_to_train": ratio},
    )


def row_test(paired: PairedRows, design: Design) -> Estimate:
    """Test on rows, clustered; the one that decides over folds and in time order.

    Row gains of all folds and repeats are averaged over the row (or its group) first, so that a row counts once. Over
    folds this is the central limit theorem of `clustered_clt` with the variance factor of Nadeau and Bengio for
    training rows (`design.inflation`): without it the test speaks of the fitted models only, and names winners between
    equal learners in up to 15 % of small samples (calibration benchmark). In time order it is the test of Diebold and
    Mariano with the fixed-smoothing variance of the design.
    """
    gain = paired.estimate
    variance, df, how = sum_covariance(paired.weight * (paired.gain - gain), design)
    details = {"unit": design.unit, "covariance": how, "inflation": design.inflation}
    if design.ordered:
        details |= {"terms": cosine_terms(design.n, design.overlap), "overlap": design.overlap}
    series = design.kind == "panel"  # too few dates: the series carry the test
    return Estimate(
        "diebold_mariano_fixed_b" if design.ordered else "series_test" if series else "corrected_row_test",
        gain,
        float(np.sqrt(max(variance[0, 0], 0.0))),
        df,
        design.n,
        "the arms have the same expected score",
        details=details,
    )


def clustered_clt(paired: PairedRows, design: Design) -> Estimate:
    """Row-level central limit theorem for cross-validation, clustered, about the models as they were fitted.

    Bayle, Bayle, Janson and Mackey, NeurIPS 33 (2020), arXiv 2007.12671, with the variance around the overall mean and
    the delta method for scores that are not plain averages.
    """
    null = "the fitted models have the same expected score"
    return replace(row_test(paired, replace(design, inflation=1.0)), name="clustered_clt", null=null)


def paired_bootstrap(paired: PairedRows, design: Design, seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> Estimate:
    """Studentised bootstrap of paired gains on one set of judging rows, by cluster.

    The standardised error (m* - m) / se* is bootstrapped, which follows the skewness of loss differences: Davison and
    Hinkley, Bootstrap Methods and their Application (1997), section 5.2. Above 10,000 clusters the t interval is used.
    """
    base = row_test(paired, design)
    details = {"unit": design.unit, "draws": draws}
    if design.n < 3 or design.n > BOOTSTRAP_UNITS or not base.se > 0:
        return Estimate("paired_t", base.gain, base.se, base.df, base.n, base.null, details={"unit": design.unit})
    sums = unit_sums((paired.weight * (paired.gain - base.gain))[:, None], design.units, design.n)[:, 0]
    rng = np.random.default_rng(seed)
    count, found = design.n, []
    for size in _chunks(draws, max(1, CHUNK // count)):
        drawn = sums[rng.integers(0, count, size=(size, count))]  # [size, units]
        total = drawn.sum(axis=1)
        spread = np.sqrt(count * drawn.var(axis=1) * count / (count - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(total / spread)
    standardised = np.concatenate(found)
    standardised = np.sort(standardised[np.isfinite(standardised)])
    return Estimate("paired_bootstrap", base.gain, base.se, base.df, base.n, base.null, standardised, details=details)


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
