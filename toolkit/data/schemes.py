"""The split schemes: each deals the rows of a dataset into folds and says in words what it did."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

from toolkit.data.dataset import Dataset
from toolkit.data.folds import Fold
from toolkit.data.identical import identical_x_groups
from toolkit.data.roles import parse_time
from toolkit.data.split_tables import read_split_table
from toolkit.errors import InputError

__all__ = ["IDENTICAL_ROWS", "SCHEMES", "Request"]

# Name of a `group` that means: rows whose features are all equal stay together.
IDENTICAL_ROWS = "identical_rows"
# Up to this many rows two repeats are cheap and steady the mean over folds.
ROWS_WITH_TWO_REPEATS = 20_000


@dataclass(frozen=True)
class Request:
    """What the user asked for; None where nothing was said."""

    folds: int
    repeats: int | None
    seed: int
    group: str | None
    time: str | None
    table: str | Path | None
    test_size: float


def _repeats(dataset: Dataset, request: Request) -> int:
    return request.repeats or (2 if len(dataset.frame) <= ROWS_WITH_TWO_REPEATS else 1)


def _seed(request: Request, repeat: int) -> int:
    """A seed of its own for every repeat; neighbouring seeds share none."""
    return int(np.random.SeedSequence([request.seed, repeat]).generate_state(1)[0])


def _kfold(dataset: Dataset, request: Request) -> tuple[list[Fold], str]:
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


def _times(dataset: Dataset, request: Request) -> str:
    repeats = _repeats(dataset, request)
    return f"{request.folds} folds x {repeats} repeat{'s' if repeats > 1 else ''}"


def _group_codes(dataset: Dataset, request: Request) -> tuple[np.ndarray, str]:
    """Group number of every row, [n], and what the groups are."""
    column = request.group or dataset.groups
    if column is None or column == IDENTICAL_ROWS:
        return identical_x_groups(dataset), "sets of identical rows"
    codes, _ = pd.factorize(dataset.frame[column], use_na_sentinel=False)
    return codes, f"groups of '{column}'"


def _group(dataset: Dataset, request: Request) -> tuple[list[Fold], str]:
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


def _time_ranks(dataset: Dataset, request: Request) -> tuple[np.ndarray, str]:
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


def _time(dataset: Dataset, request: Request) -> tuple[list[Fold], str]:
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


def _holdout(dataset: Dataset, request: Request) -> tuple[list[Fold], str]:
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


def _table(dataset: Dataset, request: Request) -> tuple[list[Fold], str]:
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


SCHEMES: dict[str, Callable[[Dataset, Request], tuple[list[Fold], str]]] = {
    "kfold": _kfold,
    "group": _group,
    "time": _time,
    "holdout": _holdout,
    "table": _table,
}
