"""Two arms side by side: the same rows, and for each row its gain on the scale of the metric.

Every test stands on `PairedRows.gain`. For a metric that averages row losses it is the plain loss difference; for one
that bends the average (RMSE) or is no average at all (R², area under the curve) it is the first-order term of the score
in the row's loss (delta method), so that its weighted mean is exactly the difference of the scores in the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from toolkit.comparison.row_scores import gain_of, resolve_metric, score_rows
from toolkit.errors import InputError, unknown
from toolkit.evaluation.scores import Metric

__all__ = ["PairedRows", "pair_rows"]

KEYS = ("repeat", "fold", "row", "target", "series", "origin", "horizon")
IDENTICAL = 1e-9  # predictions closer than this share of the target's spread are the same number up to rounding


@dataclass(frozen=True)
class PairedRows:
    """Everything that the tests need of two arms, sorted by repeat, fold and row."""

    arms: tuple[str, str]
    metric: Metric
    metric_name: str
    observed: np.ndarray = field(repr=False)  # [n]
    predicted: np.ndarray = field(repr=False)  # [n, 2]
    gain: np.ndarray = field(repr=False)  # [n], > 0: the second arm is better
    weight: np.ndarray = field(repr=False)  # [n], sums to 1; every fold and target counts the same
    repeat: np.ndarray = field(repr=False)  # [n], as in the table
    fold_label: np.ndarray = field(repr=False)  # [n], as in the table
    fold: np.ndarray = field(repr=False)  # [n], 0..J-1 over repeats and folds
    cell: np.ndarray = field(repr=False)  # [n], 0..C-1 over folds and targets
    row: np.ndarray = field(repr=False)  # [n]
    target: np.ndarray = field(repr=False)  # [n]
    frame: pd.DataFrame = field(repr=False)  # series, time, origin, horizon, group of each row
    repeat_of_fold: np.ndarray = field(repr=False)  # [J]
    target_of_cell: np.ndarray = field(repr=False)  # [C]
    cell_scores: np.ndarray = field(repr=False)  # [C, 2]
    fold_gain: np.ndarray = field(repr=False)  # [J]
    n_judge: np.ndarray = field(repr=False)  # [J], rows
    n_train: np.ndarray | None = field(repr=False)  # [J]
    scale: np.ndarray | None = field(default=None, repr=False)  # [n], by which a scaled metric divided both sides
    row_level: bool = True  # False: the metric is only known for whole folds
    left_out: int = 0  # rows that only one of the arms predicted

    @property
    def scores(self) -> tuple[float, float]:
        """Average over folds and targets, as in the table of scores."""
        return float(self.cell_scores[:, 0].mean()), float(self.cell_scores[:, 1].mean())

    @property
    def estimate(self) -> float:
        """Gain of the second arm, in units of the metric."""
        return float(self.fold_gain.mean())

    @property
    def rows(self) -> int:
        """Distinct rows of the data set."""
        return len(pd.unique(self.row))

    @property
    def identical(self) -> bool:
        """Both arms predict the same numbers up to rounding."""
        spread = float(np.std(self.observed)) + IDENTICAL * float(np.abs(self.observed).max(initial=0.0))
        difference = float(np.abs(self.predicted[:, 0] - self.predicted[:, 1]).max(initial=0.0))
        return difference <= IDENTICAL * max(spread, np.finfo(float).tiny)


def pair_rows(
    predictions: pd.DataFrame,
    metric: str | Metric,
    arms: tuple[str, str],
    n_train: int | dict[object, int] | None = None,
) -> PairedRows:
    """Line two arms of the predictions table up.

    Parameters
    ----------
    predictions : DataFrame
        The predictions table.
    metric : str or Metric
        `mase` and `rmsse` divide by the column `scale`, the in-sample scale of the series.
    arms : pair of str
    n_train : int or dict, optional
        Training rows of each fold, by fold or (repeat, fold); read from the column `n_train` when left out.

    Raises
    ------
    InputError
        For an arm that is not in the table, repeated keys, no row in common, or forecasts that are not finite.
    """
    known = list(pd.unique(predictions["arm"]))
    for arm in arms:
        if arm not in known:
            raise unknown("arm", arm, known)
    resolved, name, scaled = resolve_metric(metric)
    used = [c for c in (*KEYS, "time", "group", "observed", "predicted", "n_train", "scale") if c in predictions]
    named = predictions["arm"].to_numpy()
    sides = [np.flatnonzero(named == arm) for arm in arms]
    at_first, at_second = _common(predictions, sides, arms)
    left_out = len(sides[0]) + len(sides[1]) - 2 * len(at_first)
    a, b = predictions[used].iloc[at_first], predictions[["predicted"]].iloc[at_second]
    observed = a["observed"].to_numpy(dtype=float)
    predicted = np.column_stack([a["predicted"].to_numpy(dtype=float), b["predicted"].to_numpy(dtype=float)])
    _finite(observed, predicted, arms)
    scale = None
    if scaled:
        if "scale" not in a:
            raise InputError(
                f"metric '{name}' needs the column 'scale' (in-sample scale of the series) in the predictions"
            )
        scale = a["scale"].to_numpy(dtype=float)
        observed, predicted = observed / scale, predicted / scale[:, None]
    return _assemble(a, observed, predicted, arms, resolved, name, scale, n_train, left_out)


def _assemble(
    a: pd.DataFrame,
    observed: np.ndarray,
    predicted: np.ndarray,
    arms: tuple[str, str],
    metric: Metric,
    name: str,
    scale: np.ndarray | None,
    n_train: int | dict[object, int] | None,
    left_out: int,
) -> PairedRows:
    fold, folds = _codes(a, ["repeat", "fold"])
    cell, cells = _codes(a, ["repeat", "fold", "target"])
    count = len(cells)
    scored = [score_rows(metric, observed, predicted[:, k], cell, count) for k in (0, 1)]
    cell_scores = np.column_stack([scored[0][0], scored[1][0]])
    if not np.isfinite(cell_scores).all():
        raise InputError(
            f"metric '{name}' has no value in {int((~np.isfinite(cell_scores)).any(axis=1).sum())} of {count} folds "
            "(one class only, or a constant target); use fewer folds or another metric"
        )
    fold_of_cell = np.zeros(count, dtype=int)
    fold_of_cell[cell] = fold
    targets = np.bincount(fold_of_cell, minlength=len(folds))
    cell_gain = gain_of(metric, cell_scores[:, 0], cell_scores[:, 1])
    sizes = np.bincount(cell, minlength=count)
    return PairedRows(
        arms=tuple(arms),
        metric=metric,
        metric_name=name,
        observed=observed,
        predicted=predicted,
        gain=np.asarray(gain_of(metric, scored[0][1], scored[1][1])),
        weight=1 / (len(folds) * targets[fold] * sizes[cell]),
        repeat=a["repeat"].to_numpy(),
        fold_label=a["fold"].to_numpy(),
        fold=fold,
        cell=cell,
        row=a["row"].to_numpy(),
        target=a["target"].to_numpy(),
        frame=a[[c for c in ("series", "time", "origin", "horizon", "group") if c in a]].reset_index(drop=True),
        repeat_of_fold=folds["repeat"].to_numpy(),
        target_of_cell=cells["target"].to_numpy(),
        cell_scores=cell_scores,
        fold_gain=np.bincount(fold_of_cell, np.asarray(cell_gain), len(folds)) / targets,
        n_judge=np.bincount(fold, minlength=len(folds)) / targets,
        n_train=_training_rows(a, folds, n_train),
        scale=scale,
        row_level=scored[0][2],
        left_out=left_out,
    )


def _codes(frame: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the distinct combinations in sorted order, and list them."""
    codes, values = pd.factorize(_key(frame, columns), sort=True)
    first = np.empty(len(values), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, frame[columns].iloc[first].reset_index(drop=True)


def _key(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """One integer per row that sorts like the columns, [n]."""
    key, span = np.zeros(len(frame), dtype=np.int64), 1
    for column in columns:
        values = frame[column]
        if pd.api.types.is_integer_dtype(values) and not values.isna().any():
            codes = values.to_numpy(dtype=np.int64)
            codes = codes - codes.min(initial=0)
        else:
            codes = pd.factorize(values, sort=True)[0] + 1
        size = int(codes.max(initial=0)) + 1
        if span * size > 2**62:  # the mixed number would overflow: close its gaps first
            key = pd.factorize(key, sort=True)[0].astype(np.int64)
            span = int(key.max(initial=0)) + 1
        key, span = key * size + codes, span * size
    return key


def _common(predictions: pd.DataFrame, sides: list[np.ndarray], arms: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the table of the rows that both arms predicted, in one order: [n], [n]."""
    columns = [c for c in KEYS if c in predictions and not predictions[c].isna().all()]
    keys = _key(predictions, columns)
    left, right = keys[sides[0]], keys[sides[1]]
    orders = []
    for arm, key in zip(arms, (left, right), strict=True):
        order = np.arange(len(key)) if (np.diff(key) > 0).all() else np.argsort(key, kind="stable")
        repeated = int((np.diff(key[order]) == 0).sum())
        if repeated:
            raise InputError(f"arm '{arm}': {repeated} rows are predicted more than once in the same fold")
        orders.append(order)
    left, right = left[orders[0]], right[orders[1]]
    if not np.array_equal(left, right):
        _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
        if not len(at_left):
            raise InputError(f"arms '{arms[0]}' and '{arms[1]}' have no predicted row in common")
        orders = [orders[0][at_left], orders[1][at_right]]
    return sides[0][orders[0]], sides[1][orders[1]]


def _finite(observed: np.ndarray, predicted: np.ndarray, arms: tuple[str, str]) -> None:
    for name, values in (("observed", observed), (arms[0], predicted[:, 0]), (arms[1], predicted[:, 1])):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InputError(
                f"'{name}': {bad} of {len(values)} values are missing or infinite; expected finite numbers"
            )


def _training_rows(a: pd.DataFrame, folds: pd.DataFrame, given: int | dict[object, int] | None) -> np.ndarray | None:
    if given is None:
        if "n_train" not in a or a["n_train"].isna().any():
            return None
        return a.groupby(["repeat", "fold"], sort=True)["n_train"].first().to_numpy(dtype=float)
    if isinstance(given, dict):
        keys = list(folds.itertuples(index=False, name=None))
        return np.array([given.get(key, given.get(key[1], np.nan)) for key in keys], dtype=float)
    return np.full(len(folds), float(given))
