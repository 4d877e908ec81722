"""Who trains, who judges."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

from toolkit.data.dataset import Dataset
from toolkit.data.identical import identical_x_groups, repeated_x
from toolkit.data.roles import known, parse_time
from toolkit.data.split_tables import read_split_table
from toolkit.errors import InputError, unknown

__all__ = ["IDENTICAL_ROWS", "Fold", "Splits", "choose_splits"]

# Name of a `group` that means: rows whose features are all equal stay together.
IDENTICAL_ROWS = "identical_rows"
# From this share of rows with repeated features on, random folds judge rows that were trained on.
REPEATED_SHARE = 0.05
# Up to this many rows two repeats are cheap and steady the mean over folds.
ROWS_WITH_TWO_REPEATS = 20_000
SERIES_SCHEMES = ("rolling_origin", "official")


@dataclass(frozen=True)
class Fold:
    """One pair of disjoint row sets."""

    repeat: int
    fold: int
    train: np.ndarray  # [n_train], positions in Dataset.frame
    judge: np.ndarray  # [n_judge]


@dataclass(frozen=True)
class Splits:
    """All folds of a comparison, the same for every arm."""

    scheme: str  # kfold, group, time, holdout, table, rolling_origin, official
    folds: tuple[Fold, ...]
    seed: int
    reason: str  # why this scheme, in words, with its numbers

    @property
    def repeats(self) -> int:
        return len({fold.repeat for fold in self.folds})

    @property
    def sha256(self) -> str:
        """Hash of the row positions of every fold."""
        digest = hashlib.sha256()
        for fold in self.folds:
            for part in (fold.train, fold.judge):
                digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes() + b"|")
        return digest.hexdigest()


@dataclass(frozen=True)
class _Request:
    """What the user asked for; None where nothing was said."""

    folds: int
    repeats: int | None
    seed: int
    group: str | None
    time: str | None
    table: str | Path | None
    test_size: float


def choose_splits(
    dataset: Dataset,
    scheme: str | None = None,
    *,
    folds: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    table: str | Path | None = None,
    test_size: float | None = None,
    **series_settings: Any,
) -> Splits:
    """Folds by the named scheme, or by the scheme that the roles and the rows ask for.

    Parameters
    ----------
    dataset : Dataset
    scheme : {"auto", "kfold", "group", "time", "holdout", "table"}, optional
        - kfold: shuffled, stratified for a binary target; each row is judged once in a repeat.
        - group: as kfold, with whole groups instead of rows.
        - time: contiguous blocks of time; fold k trains on everything before block k + 1 and judges that block. Training rows
          never lie after the judged ones, as it will be when the model is used; so the first block is never judged.
        - holdout: one random share (of groups where there are groups, the last rows where there is a time).
        - table: published row sets, from a file with the columns split and test_row or from a column of the frame.

        Forecasts have schemes of their own, in `toolkit.data.origins`.
    folds : int
        5 by default.
    repeats : int, optional
        Of kfold, group and holdout: other shuffles. By default 2 up to 20,000 rows, else 1; 1 for a holdout.
    seed : int
        Everything random comes from it.
    group : str, optional
        A column, or `identical_rows`: rows with equal features stay together. By default the role of the dataset.
    time : str, optional
        A column; by default the role of the dataset.
    table : path or str, optional
        A file, or a column of the frame: train and test (validation rows train), or the number of the fold that judges.
    test_size : float
        Share that a holdout judges, 0.2 by default.

    Raises
    ------
    InputError
        Fewer rows, groups or times than folds; unknown scheme or column.
    """
    scheme = scheme or "auto"
    if scheme in SERIES_SCHEMES:
        raise InputError(f"splits.scheme {scheme} judges forecasts of series: it needs data.time and series arms")
    if scheme not in ("auto", *SCHEMES):
        raise unknown("split scheme", scheme, ("auto", *SCHEMES, *SERIES_SCHEMES))
    if series_settings:
        raise InputError(
            f"splits.{next(iter(series_settings))} belongs to rolling_origin, not to the scheme '{scheme}'"
        )
    request = _Request(folds or 5, repeats, seed, group, time, table, test_size or 0.2)
    _check_request(dataset, request)
    chosen, why = (scheme, "") if scheme != "auto" else _choose(dataset, request)
    if scheme == "auto" and chosen == "group" and request.group is None and dataset.groups is None:
        request = _Request(request.folds, repeats, seed, IDENTICAL_ROWS, time, table, request.test_size)
    made, what = SCHEMES[chosen](dataset, request)
    return Splits(chosen, tuple(made), seed, f"{why}: {what}" if why else f"as named: {what}")


def _check_request(dataset: Dataset, request: _Request) -> None:
    if request.folds < 2:
        raise InputError(f"splits.folds is {request.folds}; at least 2 were expected")
    if request.repeats is not None and request.repeats < 1:
        raise InputError(f"splits.repeats is {request.repeats}; at least 1 was expected")
    if not 0 < request.test_size < 1:
        raise InputError(f"splits.test_size is {request.test_size}; a share between 0 and 1 was expected")
    if len(dataset.frame) < request.folds:
        raise InputError(f"{len(dataset.frame)} rows are fewer than the {request.folds} folds asked for")
    if request.group not in (None, IDENTICAL_ROWS):
        known("splits.group", [request.group], dataset.frame.columns)
    if request.time is not None:
        known("splits.time", [request.time], dataset.frame.columns)


def _choose(dataset: Dataset, request: _Request) -> tuple[str, str]:
    """Scheme and reason, from what was named, then from the roles, then from the rows."""
    if request.table is not None:
        return "table", "a split table is named"
    if request.group is not None:
        return "group", f"groups are named ('{request.group}')"
    if request.time is not None:
        return "time", f"a time column is named ('{request.time}')"
    if dataset.groups is not None:
        return "group", f"rows of the same '{dataset.groups}' belong together"
    if dataset.time is not None:
        return "time", f"the rows are ordered by '{dataset.time}', and a model is used on rows that come later"
    share, _ = repeated_x(dataset)
    if share >= REPEATED_SHARE:
        return "group", f"repeated X found in {share:.0%} of rows, so folds keep identical rows together"
    return (
        "kfold",
        f"no groups, no time, and only {share:.1%} of rows repeat the X of another, so rows are dealt at random",
    )


def _repeats(dataset: Dataset, request: _Request) -> int:
    return request.repeats or (2 if len(dataset.frame) <= ROWS_WITH_TWO_REPEATS else 1)


def _seed(request: _Request, repeat: int) -> int:
    """A seed of its own for every repeat; neighbouring seeds share none."""
    return int(np.random.SeedSequence([request.seed, repeat]).generate_state(1)[0])


def _kfold(dataset: Dataset, request: _Request) -> tuple[list[Fold], str]:
    rows, made = np.arange(len(dataset.frame)), []
    stratified = dataset.target_kind == "binary"
    if stratified:
        _check_rarer_level(dataset, request.folds, f"the {request.folds} folds asked for")
    for repeat in range(_repeats(dataset, request)):
        kind = StratifiedKFold if stratified else KFold
        splitter = kind(request.folds, shuffle=True, random_state=_seed(request, repeat))
        pairs = splitter.split(rows, dataset.y if stratified else None)
        made += [Fold(repeat, fold, train, judge) for fold, (train, judge) in enumerate(pairs)]
    how = "shuffled with equal shares of both levels" if stratified else "shuffled"
    return made, f"{_times(dataset, request)} of {len(rows):,} rows, {how}, each row judged once in a repeat"


def _check_rarer_level(dataset: Dataset, needed: int, what: str) -> None:
    counts = dataset.y.value_counts()
    if counts.min() < needed:
        level = dataset.levels[int(counts.idxmin())] if dataset.levels else counts.idxmin()
        raise InputError(
            f"target '{dataset.targets[0]}' has only {counts.min()} rows of the level '{level}', fewer than {what}"
        )


def _times(dataset: Dataset, request: _Request) -> str:
    repeats = _repeats(dataset, request)
    return f"{request.folds} folds x {repeats} repeat{'s' if repeats > 1 else ''}"


def _group_codes(dataset: Dataset, request: _Request) -> tuple[np.ndarray, str]:
    """Group number of every row, [n], and what the groups are."""
    column = request.group or dataset.groups
    if column is None or column == IDENTICAL_ROWS:
        return identical_x_groups(dataset), "sets of identical rows"
    codes, _ = pd.factorize(dataset.frame[column], use_na_sentinel=False)
    return codes, f"groups of '{column}'"


def _group(dataset: Dataset, request: _Request) -> tuple[list[Fold], str]:
    codes, what = _group_codes(dataset, request)
    sizes = np.bincount(codes)
    if len(sizes) < request.folds:
        raise InputError(f"{len(sizes)} {what} are fewer than the {request.folds} folds asked for")
    made = []
    for repeat in range(_repeats(dataset, request)):
        fold_of_row = _deal_groups(sizes, request.folds, _seed(request, repeat))[codes]
        made += [
            Fold(repeat, fold, np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold))
            for fold in range(request.folds)
        ]
    return made, f"{_times(dataset, request)} of {len(sizes):,} {what} in {len(codes):,} rows, no group on both sides"


def _deal_groups(sizes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold of every group, [groups]: in random order, each to the fold that has the fewest rows so far."""
    heap = [(0, fold) for fold in range(folds)]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        rows, fold = heap[0]
        fold_of_group[group] = fold
        heapq.heapreplace(heap, (rows + int(sizes[group]), fold))
    return fold_of_group


def _time_ranks(dataset: Dataset, request: _Request) -> tuple[np.ndarray, str]:
    """Rank of the time of every row, [n]; equal times share a rank."""
    column = request.time or dataset.time
    if column is None:
        raise InputError("splits.scheme is time, but no time column is named: set data.time")
    times = dataset.frame[column]
    if column != dataset.time:
        times = parse_time(times)
    if times.isna().any():
        raise InputError(f"time column '{column}' is missing in {int(times.isna().sum())} rows")
    return np.unique(times.to_numpy(), return_inverse=True)[1], column


def _time(dataset: Dataset, request: _Request) -> tuple[list[Fold], str]:
    ranks, column = _time_ranks(dataset, request)
    blocks = request.folds + 1
    if ranks.max() + 1 < blocks:
        raise InputError(
            f"time column '{column}' has {ranks.max() + 1} different times, fewer than the {blocks} blocks "
            f"that {request.folds} folds need"
        )
    if request.repeats not in (None, 1):
        raise InputError("splits.repeats does not apply to the scheme time: the blocks of time are fixed")
    block = _blocks(ranks, blocks)
    made = [Fold(0, k, np.flatnonzero(block <= k), np.flatnonzero(block == k + 1)) for k in range(request.folds)]
    return made, (
        f"{blocks} blocks of time by '{column}'; each of the last {request.folds} is judged by models "
        "that saw only the rows before it"
    )


def _blocks(ranks: np.ndarray, blocks: int) -> np.ndarray:
    """Block of every row, [n]: contiguous in time, about equally many rows, equal times together, none empty."""
    rows_until = np.cumsum(np.bincount(ranks))  # [times]
    wanted = np.arange(1, blocks) * len(ranks) / blocks
    ends = np.searchsorted(rows_until, wanted) + 1  # first time of the next block
    times = len(rows_until)
    for k in range(blocks - 1):  # no block without a time, from the left ...
        ends[k] = max(ends[k], (ends[k - 1] if k else 0) + 1)
    for k in reversed(range(blocks - 1)):  # ... and from the right
        ends[k] = min(ends[k], (ends[k + 1] if k < blocks - 2 else times) - 1)
    return np.searchsorted(ends, ranks, side="right")


def _holdout(dataset: Dataset, request: _Request) -> tuple[list[Fold], str]:
    n, share, repeats = len(dataset.frame), request.test_size, request.repeats or 1
    count = max(1, round(share * n))
    if n - count < 1:
        raise InputError(f"a holdout of {share:.0%} leaves none of the {n} rows to train on")
    if request.group or dataset.groups:
        codes, what = _group_codes(dataset, request)
        if codes.max() < 1:
            raise InputError(f"only one group in {what}: a holdout needs two")
        whole = [_share_of_groups(codes, count, _seed(request, repeat)) for repeat in range(repeats)]
        made = [Fold(r, 0, np.flatnonzero(~judged), np.flatnonzero(judged)) for r, judged in enumerate(whole)]
        return made, f"{share:.0%} of the rows in whole {what} are held out"
    if request.time or dataset.time:
        ranks, column = _time_ranks(dataset, request)
        late = _blocks_from_share(ranks, share, column)
        return [
            Fold(0, 0, np.flatnonzero(~late), np.flatnonzero(late))
        ], f"the last {late.mean():.0%} of the rows by '{column}' are held out"
    stratified = dataset.target_kind == "binary"
    if stratified:
        _check_rarer_level(dataset, 2, "the two that a holdout needs")
    made = []
    for repeat in range(repeats):
        kind = StratifiedShuffleSplit if stratified else ShuffleSplit
        splitter = kind(1, test_size=count, random_state=_seed(request, repeat))
        train, judge = next(splitter.split(np.zeros(n), dataset.y if stratified else None))
        made.append(Fold(repeat, 0, np.sort(train), np.sort(judge)))
    return made, f"a random {share:.0%} of {n:,} rows is held out"


def _share_of_groups(codes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows held out, [n] bool: whole groups in random order until `count` rows are reached; one group always trains."""
    order = np.random.default_rng(seed).permutation(codes.max() + 1)
    reached = np.searchsorted(np.cumsum(np.bincount(codes)[order]), count) + 1
    return np.isin(codes, order[: min(reached, len(order) - 1)])


def _blocks_from_share(ranks: np.ndarray, share: float, column: str) -> np.ndarray:
    """Rows in the last share of time, [n] bool; at least one time on either side."""
    if ranks.max() < 1:
        raise InputError(f"time column '{column}' holds one time only: a holdout needs two")
    rows_until = np.cumsum(np.bincount(ranks))
    first = np.searchsorted(rows_until, (1 - share) * len(ranks)) + 1
    return ranks >= min(max(first, 1), ranks.max())


def _table(dataset: Dataset, request: _Request) -> tuple[list[Fold], str]:
    if request.table is None:
        raise InputError("splits.scheme is table, but no table is named: set splits.table to a file or a column")
    judged, what = read_split_table(dataset, request.table)
    everyone = np.arange(len(dataset.frame))
    disjoint = sum(map(len, judged)) == len(np.unique(np.concatenate(judged)))
    made = [
        Fold(0 if disjoint else k, k if disjoint else 0, np.setdiff1d(everyone, rows), rows)
        for k, rows in enumerate(judged)
    ]
    return made, f"{len(made)} published split{'s' if len(made) > 1 else ''} from {what}"


SCHEMES: dict[str, Callable[[Dataset, _Request], tuple[list[Fold], str]]] = {
    "kfold": _kfold,
    "group": _group,
    "time": _time,
    "holdout": _holdout,
    "table": _table,
}
