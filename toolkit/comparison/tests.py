"""Tests between two arms on tables: cross-validated folds, rows of all folds, rows of one holdout."""

from __future__ import annotations

import numpy as np

from toolkit.comparison.design import Design, cosine_terms, sum_covariance, unit_sums
from toolkit.comparison.estimate import Estimate
from toolkit.comparison.rows import PairedRows
from toolkit.errors import InputError

__all__ = ["clustered_clt", "corrected_t", "judge_to_train", "paired_bootstrap"]

BOOTSTRAP_DRAWS = 1999
BOOTSTRAP_UNITS = 10_000  # with more units skewness no longer matters and the t interval is used
CHUNK = 4_000_000  # numbers drawn at once


def judge_to_train(paired: PairedRows) -> float:
    """n_judge / n_train, averaged over folds; from the folds themselves when the table does not say."""
    if paired.n_train is not None and np.isfinite(paired.n_train).all():
        return float(np.mean(paired.n_judge / paired.n_train))
    whole = np.bincount(paired.repeat_of_fold, paired.n_judge)[paired.repeat_of_fold]
    if not (whole > paired.n_judge).all():
        raise InputError("the corrected t test needs the number of training rows of each fold (column 'n_train')")
    return float(np.mean(paired.n_judge / (whole - paired.n_judge)))


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


def clustered_clt(paired: PairedRows, design: Design) -> Estimate:
    """Row-level central limit theorem for cross-validation, clustered.

    Row gains of all folds and repeats are averaged over the row (or its group) first, so that a row counts once.
    Bayle, Bayle, Janson and Mackey, NeurIPS 33 (2020), arXiv 2007.12671, with the variance around the overall mean
    and the delta method for scores that are not plain averages.

    Under time order the variance is the fixed-smoothing one of the design and the test is that of Diebold and Mariano.
    """
    gain = paired.estimate
    variance, df, how = sum_covariance(paired.weight * (paired.gain - gain), design)
    name = "clustered_clt"
    if design.ordered:
        name = "diebold_mariano_fixed_b"
    details = {"unit": design.unit, "covariance": how}
    if design.ordered:
        details |= {"terms": cosine_terms(design.n, design.overlap), "overlap": design.overlap}
    return Estimate(
        name,
        gain,
        float(np.sqrt(max(variance[0, 0], 0.0))),
        df,
        design.n,
        "the arms have the same expected score",
        details=details,
    )


def paired_bootstrap(paired: PairedRows, design: Design, seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> Estimate:
    """Studentised bootstrap of paired gains on one set of judging rows, by cluster.

    The standardised error (m* - m) / se* is bootstrapped, which follows the skewness of loss differences: Davison and
    Hinkley, Bootstrap Methods and their Application (1997), section 5.2. Above 10,000 clusters the t interval is used.
    """
    base = clustered_clt(paired, design)
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
