"""The nested ladder on every fold: terms found in its training rows, fitted there, judged on its judging rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.gap_search import Candidate, Found, Prepared, prepare, search_terms
from toolkit.comparison.gap_start import start_from, to_units
from toolkit.comparison.rows import PairedRows
from toolkit.data.dataset import Dataset
from toolkit.data.splits import Fold
from toolkit.evaluation.engine import Cache, Progress, content_hash, plan_workers, run_cells
from toolkit.specification.likelihood import Rows, fit_family
from toolkit.specification.terms import Design

__all__ = ["FoldLadder", "climb", "climb_fold", "common_order", "judge_rungs"]

MARGIN = 0.1  # linear predictors may leave the range of the fitted ones by this share, as in the regression arm


@dataclass(frozen=True)
class FoldLadder:
    """What one fold's training rows asked for."""

    ready: Prepared = field(repr=False)
    found: tuple[Found, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class LadderCell:
    """The search on the training rows of one fold."""

    train: np.ndarray = field(repr=False)
    hint: np.ndarray = field(repr=False)  # [2, n_train], both arms' predictions where they were judged in this repeat
    fitted: Any = field(repr=False)  # the start on these rows, None when it has to be fitted
    label: str
    key: str
    arm: str = "ledger"


def climb(
    dataset: Dataset, target: str, folds: Sequence[Fold], paired: PairedRows, estimator: Any,
    held: Mapping[tuple[int, int], Any], metric: str, *, seed: int = 0, cache: Cache | None = None,
    progress: Progress | None = None, workers: int | None = None, backend: str = "loky",
) -> list[FoldLadder]:  # fmt: skip
    """The search on every fold, in parallel as the fits of the arms are."""
    X, y, cells = dataset.X, dataset.frame[target], []
    groups = dataset.frame[dataset.groups].to_numpy() if dataset.groups else None
    for one in folds:
        mine = paired.repeat == one.repeat
        # On these training rows both arms were judged by fits of other folds, which saw the rows judged here. So the
        # hint only widens the pool of pairs; what is admitted is decided by the training rows' own targets.
        hint = np.full((2, len(X)), np.nan)
        hint[:, paired.row[mine]] = paired.predicted[mine].T
        hint = hint[:, one.train]
        key = content_hash("ledger", dataset.sha256, dataset.features, target, metric, estimator, one.train, hint, seed)
        label = f"ledger, repeat {one.repeat}, fold {one.fold}"
        cells.append(LadderCell(one.train, hint, held.get((one.repeat, one.fold)), label, key))
    fit = partial(_climb_cell, X=X, y=y, groups=groups, estimator=estimator, metric=metric, kinds=dict(dataset.kinds),
                  seed=seed)  # fmt: skip
    return run_cells(cells, fit, plan_workers(len(cells), len(X), workers), cache, progress, backend)


def _climb_cell(
    cell: LadderCell, X: pd.DataFrame, y: pd.Series, groups: np.ndarray | None, estimator: Any, metric: str,
    kinds: dict[str, str], seed: int,
) -> FoldLadder:  # fmt: skip
    own = None if groups is None else groups[cell.train]
    X, y = X.iloc[cell.train], y.iloc[cell.train]
    return climb_fold(estimator, X, y, metric, kinds, cell.hint, seed, own, cell.fitted)


def climb_fold(
    estimator: Any, X: pd.DataFrame, y: pd.Series, metric: str, kinds: dict[str, str], hint: Any, seed: int,
    groups: np.ndarray | None = None, fitted: Any = None,
) -> FoldLadder:  # fmt: skip
    """Fit the start, unless it is fitted, and search its missing terms in these training rows."""
    start = start_from(estimator, X, y, metric, kinds, fitted)
    ready = prepare(start, X, y.to_numpy(dtype=float), kinds)
    scaled = None
    if hint is not None:
        first, second = hint
        if start.family.is_normal:
            lowest = {"log1p": 0.0, "sqrt": 0.0, "log": float(y.min()) / 2}.get(start.scale, -np.inf)
            first, second = (start.family.forward(np.maximum(v, lowest)) for v in hint)
        scaled = second - first
        scaled = np.where(np.isfinite(scaled), scaled, np.nan)
    found, facts = search_terms(ready, scaled, seed, groups)
    return FoldLadder(ready, tuple(found), facts)


def common_order(ladders: list[FoldLadder]) -> list[tuple[str, ...]]:
    """Keys of all terms: main effects first, then interactions, each by what they closed summed over folds."""
    closed: dict[tuple[str, ...], float] = {}
    for ladder in ladders:
        for one in ladder.found:
            closed[one.candidate.key] = closed.get(one.candidate.key, 0.0) + one.gain
    return sorted(closed, key=lambda key: (len(key) > 1, -closed[key]))


def judge_rungs(ladder: FoldLadder, order: list[tuple[str, ...]], X: pd.DataFrame, metric: str) -> list[np.ndarray]:
    """Predictions of the judging rows [n] at every rung: the start fitted by the ladder, then one term after the other.

    The first rung has the columns of the start alone, on the scale that the ladder chose: what it differs from the
    start by must not be put down to the first term. A fold that did not choose a term keeps the prediction of the rung
    before, so that nothing about its judging rows enters the choice; without any term that is the start itself.
    """
    ready, mine = ladder.ready, {one.candidate.key: one.candidate for one in ladder.found}
    terms: list[Any] = [ready.start.term]
    everything = Design.of([ready.start.term, *(t for key in order if key in mine for t in mine[key].terms)])
    data = ready.encode(X)
    train = Rows(everything, ready.data, len(ready.y))
    judge = Rows(everything, data, len(X))
    previous = _rung(ready, train, judge, 1, metric) if ready.start.changed or mine else None
    predictions: list[np.ndarray] = [previous]  # type: ignore[list-item]  # None: still the start itself
    for key in order:
        if key in mine:
            terms += mine[key].terms
            previous = _rung(ready, train, judge, len(terms), metric)
        predictions.append(previous)  # type: ignore[arg-type]
    return predictions


def _rung(ready: Prepared, train: Rows, judge: Rows, count: int, metric: str) -> np.ndarray:
    """Fit the first `count` terms and predict."""
    design = Design.of(train.design.terms[:count])
    width, family = design.width, ready.start.family
    kept = None if train.kept is None else train.kept[:, :width]
    rows = Rows(design, ready.data, train.n, kept)
    fitted = fit_family(rows, ready.y, family)
    eta = Rows(design, judge.data, judge.n, None if judge.kept is None else judge.kept[:, :width]).predictor(
        fitted.fit.beta
    )
    reach = MARGIN * float(np.ptp(fitted.eta))
    eta = np.clip(eta, fitted.eta.min() - reach, fitted.eta.max() + reach)
    spread = np.zeros(1)
    if family.is_normal:
        spread = np.quantile(family.forward(ready.y) - fitted.eta, (np.arange(200) + 0.5) / 200)
    return to_units(ready.start, eta, spread, metric)


def chosen_form(ladders: list[FoldLadder], key: tuple[str, ...]) -> tuple[Candidate, int]:
    """The candidate of the form that most folds chose for these variables, and in how many folds any was chosen."""
    made = [one.candidate for ladder in ladders for one in ladder.found if one.candidate.key == key]
    label = [(c.kind, "" if c.form is None else "+".join(c.form.shapes)) for c in made]
    common = max(set(label), key=lambda one: (label.count(one), one))
    same = [c for c, one in zip(made, label, strict=True) if one == common]
    if same[0].form is None or same[0].kind != "threshold":
        return same[0], len(made)
    cuts = [c.form.raw_cut for c in same if c.form is not None]
    middle = max(set(cuts), key=lambda cut: (cuts.count(cut), -abs(cut - float(np.median(cuts)))))
    return next(c for c in same if c.form is not None and c.form.raw_cut == middle), len(made)
