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
    sizes : {"even", "uneven"}
        Fold sizes; rows (or whole groups) fall into folds at random.
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
    fold = _folds(rng, n, sizes, groups)
    if family == "random nets":
        return _nets(rng, np.column_stack([first[:, :2], second[:, :1]]), error, fold, groups)
    if family == "noise":
        truth = rng.normal(size=(n, 2))
        y = truth.sum(axis=1) + error
        arms = [np.column_stack([truth, first]), np.column_stack([truth, second])]
    else:
        y = 0.3 * first.sum(axis=1) + (0.3 + tilt) * second.sum(axis=1) + error
        arms = [first, second]
    predicted = np.column_stack([_least_squares(arm, y, fold, 1e-9) for arm in arms])
    paired, design = pair_arrays(y, predicted, fold, groups)
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


def _folds(rng: np.random.Generator, n: int, sizes: str, groups: np.ndarray | None) -> np.ndarray:
    units = n if groups is None else int(groups[-1]) + 1
    edges = np.cumsum(UNEVEN) if sizes == "uneven" else np.arange(1, FOLDS + 1) / FOLDS
    fold = np.searchsorted(edges, (rng.permutation(units) + 0.5) / units)
    return fold if groups is None else fold[groups]


def _least_squares(X: np.ndarray, y: np.ndarray, fold: np.ndarray, penalty: float) -> np.ndarray:
    """Out-of-fold predictions [n] of a ridge regression with intercept."""
    X = np.column_stack([np.ones(len(X)), X])
    grams = np.array([X[fold == j].T @ X[fold == j] for j in range(FOLDS)])
    moments = np.array([X[fold == j].T @ y[fold == j] for j in range(FOLDS)])
    ridge = penalty * np.eye(X.shape[1])
    ridge[0, 0] = 0.0
    coefficients = np.linalg.solve(grams.sum(axis=0) - grams + ridge, (moments.sum(axis=0) - moments)[:, :, None])[
        :, :, 0
    ]
    return np.einsum("ij,ij->i", X, coefficients[fold])


def _nets(
    rng: np.random.Generator, truth: np.ndarray, error: np.ndarray, fold: np.ndarray, groups: np.ndarray | None
) -> Simulated:
    y = np.sin(truth).sum(axis=1) + error
    members = np.empty((2, MEMBERS, len(y)))
    for side in range(2):
        for member in range(MEMBERS):
            hidden = truth @ rng.normal(size=(truth.shape[1], WIDTH)) + rng.normal(size=WIDTH)
            members[side, member] = _least_squares(np.maximum(hidden, 0.0), y, fold, 1.0)
    paired, design = pair_arrays(y, members.mean(axis=1).T, fold, groups)
    return Simulated(paired, design, sum(member_variance(paired, members[side], side) for side in range(2)))


def pair_arrays(
    y: np.ndarray, predicted: np.ndarray, fold: np.ndarray, groups: np.ndarray | None = None
) -> tuple[PairedRows, Design]:
    """What `pair_rows` and `make_design` make of one repeat of folds and one target, without the table."""
    n, sizes = len(y), np.bincount(fold)
    (first, row_first, _), (second, row_second, _) = (
        score_rows(RMSE, y, predicted[:, side], fold, len(sizes)) for side in (0, 1)
    )
    zeros = np.zeros(n, dtype=int)
    paired = PairedRows(
        arms=("regression", "neural"),
        metric=RMSE,
        metric_name="rmse",
        observed=y,
        predicted=predicted,
        gain=row_first - row_second,
        weight=1 / (len(sizes) * sizes[fold]),
        repeat=zeros,
        fold_label=fold,
        fold=fold,
        cell=fold,
        row=np.arange(n),
        target=zeros,
        frame=None,  # type: ignore[arg-type]  # no series, time or group column is asked for here
        repeat_of_fold=np.zeros(len(sizes), dtype=int),
        target_of_cell=np.zeros(len(sizes), dtype=int),
        cell_scores=np.column_stack([first, second]),
        fold_gain=first - second,
        n_judge=sizes.astype(float),
        n_train=(n - sizes).astype(float),
    )
    units = np.arange(n) if groups is None else groups
    unit = "rows" if groups is None else "groups"
    return paired, Design("folds", unit, units, inflation=training_inflation(paired))
