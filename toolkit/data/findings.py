"""What looks wrong in a dataset, in words, before anything is fitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.dataset import Dataset
from toolkit.data.determines import determining_columns
from toolkit.data.identical import apart, equal_rows, identical_x_groups, repeated_x
from toolkit.data.kinds import is_text
from toolkit.data.time_steps import gaps_and_repeats

__all__ = ["find", "identical_x_groups"]

# An identifier needs enough rows to tell it from a measure that happens to have no ties.
IDENTIFIER_ROWS = 50
IDENTIFIER_NAME = re.compile(r"(id|uuid|guid|key|index|idx|row|record|instant|number|no|nr)$", re.IGNORECASE)
# A text column with at least this share of numbers is a number column with strays.
MOSTLY_NUMBERS = 0.5

Finding = dict[str, Any]


def find(dataset: Dataset) -> list[Finding]:
    """Everything that a reader of the results should know about the rows and columns.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    list of dict
        `finding` (its name), `column` (or None), `message` (what is there, with numbers), `advice` (what to do).
        In order: left_out_column, infinite_values, missing_target, constant_column, identifier_column, date_column,
        determines_target, duplicated_rows, repeated_x, time_gaps, time_repeats, mixed_types, level_seen_once,
        more_columns_than_rows.
    """
    found = [dict(note) for note in dataset.notes]
    for search in SEARCHES:
        found.extend(search(dataset))
    return found


def _finding(name: str, column: str | None, message: str, advice: str) -> Finding:
    return {"finding": name, "column": column, "message": message, "advice": advice}


def _several(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _missing_target(dataset: Dataset) -> Iterator[Finding]:
    total = len(dataset.frame) + sum(dataset.dropped.values())
    for reason, count in dataset.dropped.items():
        if reason.startswith("target"):
            column = next((t for t in dataset.targets if f"'{t}'" in reason), None)
            message = f"{reason} in {count:,} of {total:,} rows; they are left out"
            yield _finding(
                "missing_target", column, message, "ask whether rows without a target differ from the others"
            )


def _constant(dataset: Dataset) -> Iterator[Finding]:
    for column in dataset.features:
        values = dataset.frame[column]
        if values.iloc[:100].nunique() > 1:
            continue  # most columns need no look at all their rows
        if values.isna().all():
            yield _finding("constant_column", column, f"'{column}' is missing in every row", "drop it")
        elif values.notna().all() and (values == values.iloc[0]).all():
            message = f"'{column}' holds {values.iloc[0]} in every row"
            yield _finding("constant_column", column, message, "drop it: it cannot explain anything")


def _identifiers(dataset: Dataset) -> Iterator[Finding]:
    for column in dataset.features:
        values = dataset.frame[column]
        if dataset.kinds[column] == "date":
            yield _finding(
                "date_column", column, f"'{column}' is a date",
                "name it as data.time, or drop it: in random folds a date lets a model look up its neighbours in time",
            )  # fmt: skip
        elif _identifies(values):
            yield _finding(
                "identifier_column", column, f"'{column}' tells nearly every row apart: a row number or a name",
                f"drop it (data.drop: [{column}]) unless its order means something",
            )  # fmt: skip


def _identifies(values: pd.Series) -> bool:
    """Whole numbers or texts that (nearly) never repeat, and run on like a counter or are called like one."""
    head = values.iloc[:1000].dropna()  # most columns need no look at all their rows
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    if head.nunique() < 0.9 * len(head) or (numeric and not (head == np.floor(head.astype(float))).all()):
        return False
    present = values.dropna()
    if len(present) < IDENTIFIER_ROWS:
        return False
    if not numeric:
        return is_text(values) and present.nunique() >= 0.95 * len(present)
    numbers = present.to_numpy(dtype=float)
    if not np.array_equal(numbers, np.floor(numbers)) or present.nunique() < len(present):
        return False
    steps = np.diff(numbers)
    runs_on = bool((steps > 0).all() or (steps < 0).all())
    dense = np.ptp(numbers) + 1 <= 2 * len(numbers)
    return runs_on or bool(dense) or IDENTIFIER_NAME.search(str(values.name)) is not None


def _determines(dataset: Dataset) -> Iterator[Finding]:
    for target in dataset.targets:
        for columns, how in determining_columns(dataset, target):
            names = ", ".join(columns)
            together = "determines" if len(columns) == 1 else "together determine"
            yield _finding(
                "determines_target", columns[0] if len(columns) == 1 else names,
                f"{names} {together} the target '{target}': {how}",
                f"drop what is not known before '{target}' is (data.drop: [{names}])",
            )  # fmt: skip


def _duplicates(dataset: Dataset) -> Iterator[Finding]:
    if not dataset.features:
        return
    both = dataset.frame[[*dataset.features, *apart(dataset), *dataset.targets]]
    copies = len(both) - int(equal_rows(both).max()) - 1
    if copies:
        yield _finding(
            "duplicated_rows", None,
            f"{copies:,} of {len(both):,} rows repeat{'s' * (copies == 1)} an earlier row in features and target",
            "remove them if they are copies; if they are different cases, keep identical rows in one fold "
            "(splits: {scheme: group, group: identical_rows})",
        )  # fmt: skip


def _repeated_x(dataset: Dataset) -> Iterator[Finding]:
    share, differing = repeated_x(dataset)
    if differing:
        shown = f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"
        yield _finding(
            "repeated_x", None,
            f"repeated X found in {shown} of rows: equal features stand with different targets in {differing:,} rows",
            "split by identical X, so that no fold judges rows it was trained on "
            "(splits: {scheme: group, group: identical_rows})",
        )  # fmt: skip


def _time(dataset: Dataset) -> Iterator[Finding]:
    if dataset.time is None:
        return
    steps = gaps_and_repeats(dataset.frame, dataset.time, dataset.series)
    if steps.gaps:
        yield _finding(
            "time_gaps", dataset.time,
            f"{_several(steps.gaps, 'gap')} in '{dataset.time}', {_several(steps.absent, 'step')} of {steps.step} "
            f"absent in all; the longest, of {steps.longest}, begins after {steps.longest_after}",
            "lags and seasonal terms need a full grid: fill the gaps or let the series arms do it",
        )  # fmt: skip
    if steps.repeats:
        of = f" of one '{dataset.series}'" if dataset.series else ""
        yield _finding(
            "time_repeats", dataset.time, f"{steps.repeats:,} rows repeat the '{dataset.time}' of an earlier row{of}",
            "keep one row for each time, or name the column that tells the series apart (data.series)",
        )  # fmt: skip


def _mixed(dataset: Dataset) -> Iterator[Finding]:
    for column in dataset.features:
        values = dataset.frame[column]
        if not is_text(values):
            continue
        inferred = pd.api.types.infer_dtype(values, skipna=True)
        if inferred.startswith("mixed"):
            types = sorted({type(value).__name__ for value in values.dropna()})
            message = f"'{column}' mixes {' and '.join(types)} values"
            yield _finding("mixed_types", column, message, "make them one type in the source; they are read as levels")
            continue
        counts = values.value_counts()
        parsed = pd.to_numeric(pd.Series(counts.index.astype(str)), errors="coerce").notna().to_numpy()
        share = counts.to_numpy()[parsed].sum() / max(counts.sum(), 1)
        if MOSTLY_NUMBERS <= share < 1:
            stray = counts.index[~parsed][0]
            message = f"'{column}' holds numbers in {share:.1%} of its rows and texts such as {stray!r} in the others"
            yield _finding("mixed_types", column, message, "mark these texts as missing when the file is read")


def _rare_levels(dataset: Dataset) -> Iterator[Finding]:
    for column in dataset.features:
        if dataset.kinds[column] not in ("category", "ordinal"):
            continue
        counts = dataset.frame[column].value_counts()
        once = counts.index[counts == 1]
        if len(once) and len(counts) > 2:
            named = ", ".join(str(level) for level in once[:3]) + (", ..." if len(once) > 3 else "")
            yield _finding(
                "level_seen_once", column,
                f"{len(once)} of {len(counts)} levels of '{column}' occur in one row only ({named})",
                "pool them with another level: a fold that judges such a row has never seen its level",
            )  # fmt: skip


def _wide(dataset: Dataset) -> Iterator[Finding]:
    columns, rows = len(dataset.features), len(dataset.frame)
    if columns >= rows:
        yield _finding(
            "more_columns_than_rows", None, f"{columns} columns for {rows} rows",
            "a fit without a penalty is exact and says nothing; choose columns by what is known about them",
        )  # fmt: skip


SEARCHES: tuple[Callable[[Dataset], Iterator[Finding]], ...] = (
    _missing_target,
    _constant,
    _identifiers,
    _determines,
    _duplicates,
    _repeated_x,
    _time,
    _mixed,
    _rare_levels,
    _wide,
)
