"""Who trains, who judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.data.dataset import Dataset
from toolkit.data.folds import Fold, Splits
from toolkit.data.identical import repeated_x
from toolkit.data.roles import known
from toolkit.data.schemes import IDENTICAL_ROWS, SCHEMES, Request
from toolkit.errors import InputError, unknown

__all__ = ["IDENTICAL_ROWS", "Fold", "Splits", "choose_splits"]

# From this share of rows with repeated features on, random folds judge rows that were trained on.
REPEATED_SHARE = 0.05
SERIES_SCHEMES = ("rolling_origin", "official")


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
        - time: contiguous blocks of time; fold k trains on everything before block k + 1 and judges that block.
          Training rows never lie after the judged ones, as it will be when the model is used; so the first block
          is never judged.
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
    request = Request(folds or 5, repeats, seed, group, time, table, test_size or 0.2)
    _check_request(dataset, request)
    chosen, why = (scheme, "") if scheme != "auto" else _choose(dataset, request)
    if scheme == "auto" and chosen == "group" and request.group is None and dataset.groups is None:
        request = replace(request, group=IDENTICAL_ROWS)
    made, what = SCHEMES[chosen](dataset, request)
    return Splits(chosen, tuple(made), seed, f"{why}: {what}" if why else f"as named: {what}")


def _check_request(dataset: Dataset, request: Request) -> None:
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


def _choose(dataset: Dataset, request: Request) -> tuple[str, str]:
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
