"""Simulated comparisons whose truth is known: two learners of equal risk, or one that is better by a known amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.comparison.design import Design, training_inflation
from toolkit.comparison.row_scores import score_rows
from toolkit.comparison.rows import PairedRows
from toolkit.comparison.seeds import member_variance
from toolkit.evaluation.scores import get_metric

__all__ = ["Simulated", "pair_arrays", "simulate"]

FOLDS = 5
UNEVEN = (0.10, 0.15, 0.20, 0.25, 0.30)  # share of the rows in each fold
SPLITS, JUDGED = 20, 0.1  # random splits: how many, and the share of rows that judges in each
GROUP_SIZE = 10
BLOCK = 5  # inputs that each arm sees
WIDTH, MEMBERS = 20, 3  # random features of a net, and nets in an arm
RMSE = get_metric("rmse")


@dataclass(frozen=True)
class Simulated:
    """One simulated comparison, ready for the tests."""

    paired: PairedRows
    design: Design
    seed_variance: float


def simulate(rng: np.random.Generator, n: int, noise: str, sizes: str, family: str, tilt: float = 0.0) -> Simulated:
    """Draw data, fit both arms by folds and pair their predictions.

    Parameters
    ----------
    noise : {"homoskedastic", "heteroskedastic", "grouped"}
    sizes : {"even", "uneven", "random"}
        Fold sizes; rows (or whole groups) fall into folds at random. "random": 20 random splits with a tenth of the
        rows in each, so that a row judges in several splits or in none.
    family : {"blocks", "noise", "random nets"}
        Both arms are the same learner on inputs that are exchangeable, so that their expected risk is equal. blocks:
        least squares on one half of the informative inputs each. noise: least squares on the truth and useless inputs,
        other ones for each arm. random nets: ridge on random features of the truth, other random numbers for each
        arm, mean of three nets.
    tilt : float
        Added to the coefficients that only the second arm sees (blocks): a true gain.
    """
    groups = np.arange(n) // GROUP_SIZE if noise == "grouped" else None
    first, second, left = _inputs(rng, n, groups)
    error = left
    if noise == "heteroskedastic":
        error = error * np.exp(0.7 * first[:, 0] + 0.7 * second[:, 0]) / 1.6
    row, fold = _judges(rng, n, sizes, groups)
    if family == "random nets":
        return _nets(rng, np.column_stack([first[:, :2], second[:, :1]]), error, fold, groups)
    if family == "noise":
        truth = rng.normal(size=(n, 2))
        y = truth.sum(axis=1) + error
        arms = [np.column_stack([truth, first]), np.column_stack([truth, second])]
    else:
        y = 0.3 * first.sum(axis=1) + (0.3 + tilt) * second.sum(axis=1) + error
        arms = [first, second]
    predicted = np.column_stack([_least_squares(arm, y, row, fold, 1e-9) for arm in arms])
    paired, design = pair_arrays(y, predicted, fold, groups, row)
    return Simulated(paired, design, 0.0)


def _inputs(rng: np.random.Generator, n: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two blocks of inputs [n, 5] and an error [n]; with groups, each has a part that the group shares."""
    first, second, error = rng.normal(size=(n, BLOCK)), rng.normal(size=(n, BLOCK)), rng.normal(size=n)
    if groups is None:
        return first, second, error
    count = groups[-1] + 1
    first = 0.6 * first + 0.8 * rng.normal(size=(count, BLOCK))[groups]
    second = 0.6 * second + 0.8 * rng.normal(size=(count, BLOCK))[groups]
    return first, second, error + rng.normal(size=count)[groups]


def _judges(rng: np.random.Generator, n: int, sizes: str, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Which row judges in which fold or split: [m], [m]."""
    units = n if groups is None else int(groups[-1]) + 1
    if sizes == "random":
        count = max(1, round(JUDGED * units))
        drawn = np.argsort(rng.random((SPLITS, units)), axis=1)[:, :count]  # [splits, judging units]
        chosen = np.zeros((SPLITS, units), dtype=bool)
        np.put_along_axis(chosen, drawn, True, axis=1)
        fold, row = np.nonzero(chosen if groups is None else chosen[:, groups])
        return row, fold
    edges = np.cumsum(UNEVEN) if sizes == "uneven" else np.arange(1, FOLDS + 1) / FOLDS
    fold = np.searchsorted(edges, (rng.permutation(units) + 0.5) / units)
    return np.arange(n), fold if groups is None else fold[groups]


def _least_squares(X: np.ndarray, y: np.ndarray, row: np.ndarray, fold: np.ndarray, penalty: float) -> np.ndarray:
    """Predictions [m] of judging rows by ridge regressions with intercept that were fitted on the other rows."""
    X = np.column_stack([np.ones(len(X)), X])
    parts = [row[fold == j] for j in range(fold.max() + 1)]
    grams = np.array([X[part].T @ X[part] for part in parts])
    moments = np.array([X[part].T @ y[part] for part in parts])
    ridge = penalty * np.eye(X.shape[1])
    ridge[0, 0] = 0.0
    coefficients = np.linalg.solve(X.T @ X - grams + ridge, (X.T @ y - moments)[:, :, None])[:, :, 0]
    return np.einsum("ij,ij->i", X[row], coefficients[fold])


def _nets(
    rng: np.random.Generator, truth: np.ndarray, error: np.ndarray, fold: np.ndarray, groups: np.ndarray | None
) -> Simulated:
    y = np.sin(truth).sum(axis=1) + error
    members = np.empty((2, MEMBERS, len(y)))
    for side in range(2):
        for member in range(MEMBERS):
            hidden = truth @ rng.normal(size=(truth.shape[1], WIDTH)) + rng.normal(size=WIDTH)
            members[side, member] = _least_squares(np.maximum(hidden, 0.0), y, np.arange(len(y)), fold, 1.0)
    paired, design = pair_arrays(y, members.mean(axis=1).T, fold, groups)
    return Simulated(paired, design, sum(member_variance(paired, members[side], side) for side in range(2)))


def pair_arrays(
    y: np.ndarray,
    predicted: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None = None,
    row: np.ndarray | None = None,
) -> tuple[PairedRows, Design]:
    """What `pair_rows` and `make_design` make of one repeat of folds and one target, without the table.

    `y` and `groups` are by row [n]; `predicted`, `fold` and `row` by prediction [m], in the order of rows by default.
    """
    n, sizes = len(y), np.bincount(fold)
    row = np.arange(n) if row is None else row
    observed = y[row]
    (first, row_first, _), (second, row_second, _) = (
        score_rows(RMSE, observed, predicted[:, side], fold, len(sizes)) for side in (0, 1)
    )
    zeros = np.zeros(len(row), dtype=int)
    paired = PairedRows(
        arms=("regression", "neural"),
        metric=RMSE,
        metric_name="rmse",
        observed=observed,
        predicted=predicted,
        gain=row_first - row_second,
        weight=1 / (len(sizes) * sizes[fold]),
        repeat=zeros,
        fold_label=fold,
        fold=fold,
        cell=fold,
        row=row,
        target=zeros,
        frame=None,  # type: ignore[arg-type]  # no series, time or group column is asked for here
        repeat_of_fold=np.zeros(len(sizes), dtype=int),
        target_of_cell=np.zeros(len(sizes), dtype=int),
        cell_scores=np.column_stack([first, second]),
        fold_gain=first - second,
        n_judge=sizes.astype(float),
        n_train=(n - sizes).astype(float),
    )
    units = row if groups is None else groups[row]
    unit = "rows" if groups is None else "groups"
    units = np.unique(units, return_inverse=True)[1]  # a row that never judges is no unit
    return paired, Design("folds", unit, units, inflation=training_inflation(paired))
