"""Wide and long tables of forecasts -> one column for each model."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from toolkit.errors import InputError, unknown

__all__ = ["finding", "long_table", "numbers", "wide_table"]


def finding(name: str, column: str | None, message: str, advice: str, count: int = 0) -> dict[str, Any]:
    return {"finding": name, "column": column, "message": message, "advice": advice, "count": int(count)}


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    values = frame[column]
    if pd.api.types.is_bool_dtype(values):
        return values.to_numpy(dtype=float)
    numbers = pd.to_numeric(values, errors="coerce")
    bad = numbers.isna() & values.notna()
    if bad.any():
        raise InputError(
            f"column '{column}' holds {values[bad].iloc[0]!r} in row {int(np.flatnonzero(bad)[0]) + 1}; "
            "expected numbers"
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def _at_least_two(models: Sequence[str]) -> None:
    if isinstance(models, str) or len(models) < 2:
        raise InputError(
            f"models: expected two or more to compare, got {models if isinstance(models, str) else list(models)}"
        )
    repeated = [m for m in models if list(models).count(m) > 1]
    if repeated:
        raise InputError(f"models: '{repeated[0]}' is named twice")


def wide_table(
    frame: pd.DataFrame, table: pd.DataFrame, models: Sequence[str], findings: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[str]]:
    """One column per model, or a mean of columns: `name=a+b`, `a*`."""
    _at_least_two(models)
    arms = []
    for model in models:
        name, columns = _columns_of(str(model), list(map(str, frame.columns)))
        table["forecast " + name] = np.mean([numbers(frame, column) for column in columns], axis=0)
        arms.append(name)
        if len(columns) > 1:
            findings.append(
                finding("mean of columns", name, f"{name} is the mean of {', '.join(columns)}", "", len(columns))
            )
    if len(set(arms)) < len(arms):
        raise InputError(f"models: two of them are called '{max(arms, key=arms.count)}'; name them as in 'name=column'")
    return table, arms


def _columns_of(model: str, columns: list[str]) -> tuple[str, list[str]]:
    if model in columns:
        return model, [model]
    name, _, formula = model.rpartition("=")
    found: list[str] = []
    for part in formula.split("+"):
        part = part.strip()
        matching = [c for c in columns if fnmatchcase(c, part)] if "*" in part else [c for c in columns if c == part]
        if not matching:
            raise unknown("column", part, columns)
        found += matching
    return name.strip() or model.strip("*").rstrip("_- ."), list(dict.fromkeys(found))


def long_table(
    table: pd.DataFrame, model: pd.Series, models: Sequence[str], findings: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[str]]:
    """One row per model and key -> one row per key."""
    known = [str(m) for m in pd.unique(model.dropna())]
    arms = list(models) if models is not None and len(models) else known
    _at_least_two(arms)
    for arm in arms:
        if arm not in known:
            raise unknown("model", arm, known)
    keys = [c for c in table.columns if c not in ("observed", "predicted")]
    parts = {arm: table[(model.astype(str) == arm).to_numpy()].reset_index(drop=True) for arm in arms}
    if not keys:
        sizes = {arm: len(part) for arm, part in parts.items()}
        same = len(set(sizes.values())) == 1 and all(
            np.array_equal(part["observed"], parts[arms[0]]["observed"], equal_nan=True) for part in parts.values()
        )
        if not same:
            listed = ", ".join(f"{arm} {n}" for arm, n in sizes.items())
            raise InputError(
                f"the rows of the models cannot be matched ({listed} rows); name a column of time or series"
            )
        wide = parts[arms[0]][["observed"]].copy()
        for arm, part in parts.items():
            wide["forecast " + arm] = part["predicted"]
        return wide, arms
    wide = None
    for arm, part in parts.items():
        _once(part, keys, f"model '{arm}'")
        part = part.rename(columns={"predicted": "forecast " + arm})
        wide = (
            part
            if wide is None
            else wide.merge(part.drop(columns="observed"), on=keys, how="inner", validate="one_to_one")
        )
    if not len(wide):
        raise InputError(f"models {', '.join(arms)} have no {' and '.join(keys)} in common")
    for arm, part in parts.items():
        lost = len(part) - len(wide)
        if lost:
            findings.append(
                finding(
                    "unpaired rows",
                    arm,
                    f"{lost} of {len(part)} forecasts of {arm} were left out: another model has none there",
                    "compare models on the same rows",
                    lost,
                )
            )
    return wide, arms


def _once(part: pd.DataFrame, keys: list[str], who: str) -> None:
    repeated = part.duplicated(keys)
    if repeated.any():
        where = ", ".join(f"{k} {part.loc[repeated.idxmax(), k]}" for k in keys)
        raise InputError(
            f"{who}: {int(repeated.sum())} keys are repeated, the first is {where}; expected one row for each"
        )
