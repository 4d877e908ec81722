"""Forecasts made anywhere -> the predictions table, with every row that had to be left out named and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.comparison.forecast_formats import finding, long_table, numbers, wide_table
from toolkit.data.grid import parse_time
from toolkit.data.readers import read_table
from toolkit.errors import InputError, unknown

__all__ = ["predictions_from"]

FEWEST_ROWS = 3  # fewer paired rows hold no variance worth a test
FEWEST_ORIGINS = 5  # incomplete origins are left out only while this many complete ones remain


def predictions_from(
    forecasts: pd.DataFrame | str | Path,
    target: str,
    models: Sequence[str],
    roles: Mapping[str, str | None],
    horizon: int | str | None,
    model_column: str | None,
    prediction_column: str | None,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read, check and reshape; see `toolkit.comparison.judge.judge` for the arguments.

    Returns
    -------
    predictions : DataFrame
        The predictions table; every model has the same rows.
    findings : list of dict
        finding, column, message, advice, count.
    """
    frame = read_table(forecasts).reset_index(drop=True)
    findings: list[dict[str, Any]] = []
    named = {role: column for role, column in roles.items() if column is not None}
    if isinstance(horizon, str):
        named["horizon"] = horizon
    elif horizon is not None and (isinstance(horizon, bool) or horizon < 1):
        raise InputError(f"horizon: expected a number of steps from 1 up, or a column, got {horizon}")
    for column in (target, *named.values(), *(c for c in (model_column, prediction_column) if c)):
        if column not in frame.columns:
            raise unknown("column", column, frame.columns)
    if (model_column is None) != (prediction_column is None):
        raise InputError("long format: name both the column of models and the column of predictions")
    keys = {role: frame[column] for role, column in named.items()}
    for role in ("time", "origin"):
        if role in keys:
            keys[role] = parse_time(keys[role], named[role], findings)
    table = pd.DataFrame({**keys, "observed": numbers(frame, target)})
    if model_column is None:
        table, arms = wide_table(frame, table, models, findings)
    else:
        table["predicted"] = numbers(frame, str(prediction_column))
        table, arms = long_table(table, frame[model_column], models, findings)
    table = _finite_rows(table, arms, target, findings)
    if "time" in table:
        table = _in_order(table, named["time"], findings)
    if isinstance(horizon, int):
        table = _blocks(table, horizon, named)
    if {"origin", "horizon"} <= set(table):
        table = _complete_origins(table, horizon, findings)
    _no_repeats(table, named)
    if len(table) < FEWEST_ROWS:
        raise InputError(
            f"only {len(table)} rows have a forecast of every model and an observation; expected {FEWEST_ROWS}"
        )
    return _as_predictions(table, arms, target), findings


def _no_repeats(table: pd.DataFrame, named: Mapping[str, str]) -> None:
    keys = [k for k in ("series", "time", "origin", "horizon", "fold") if k in table]
    if "time" not in keys:
        return
    repeated = table.duplicated(keys)
    if repeated.any():
        first = table[repeated].iloc[0]
        where = ", ".join(f"{named.get(k, k)} {first[k]}" for k in keys)
        missing = " or ".join(r for r in ("series", "origin") if r not in keys)
        hint = f"; name the column of {missing} if there is one" if missing else ""
        raise InputError(f"{int(repeated.sum())} rows are repeated, the first is {where}{hint}")


def _finite_rows(table: pd.DataFrame, arms: list[str], target: str, findings: list[dict[str, Any]]) -> pd.DataFrame:
    """Leave rows out where an observation or any forecast is missing or infinite."""
    fine = np.ones(len(table), dtype=bool)
    for name, column in ((target, "observed"), *((arm, "forecast " + arm) for arm in arms)):
        bad = ~np.isfinite(table[column].to_numpy(dtype=float))
        if bad.all():
            raise InputError(f"'{name}' has no finite value in {len(table)} rows")
        if bad.any():
            what = "observations" if column == "observed" else f"forecasts of {name}"
            findings.append(
                finding(
                    "missing values",
                    name,
                    f"{int(bad.sum())} of {len(table)} {what} are missing or "
                    "infinite; these rows were left out for every model",
                    "fill them at the source",
                    bad.sum(),
                )
            )
        fine &= ~bad
    return table[fine].reset_index(drop=True)


def _in_order(table: pd.DataFrame, column: str, findings: list[dict[str, Any]]) -> pd.DataFrame:
    keys = [k for k in ("series", "origin", "time") if k in table]
    ordered = table.sort_values(keys, kind="stable")
    moved = int((ordered.index.to_numpy() != table.index.to_numpy()).sum())
    grouped = table.groupby([k for k in keys if k != "time"])["time"] if len(keys) > 1 else [(None, table["time"])]
    if any(not part.is_monotonic_increasing for _, part in grouped):
        findings.append(
            finding(
                "time not sorted", column, f"rows were not in order of {column}; {moved} rows were moved", "", moved
            )
        )
    return ordered.reset_index(drop=True)


def _blocks(table: pd.DataFrame, horizon: int, named: Mapping[str, str]) -> pd.DataFrame:
    """Origins from the clock: blocks of `horizon` steps from the first time on; or steps within given origins."""
    if "origin" in table:
        by = [k for k in ("series", "origin") if k in table]
        table["horizon"] = table.groupby(by).cumcount() + 1
        return table
    if "time" not in table:
        raise InputError(f"horizon {horizon}: name the column of time, so that forecasts can be put in order")
    time = table["time"]
    numeric = time.astype("int64")  # nanoseconds, or the steps themselves
    gaps = numeric.groupby(table["series"]).diff() if "series" in table else numeric.diff()
    gaps = gaps[gaps > 0]
    step = int(gaps.median()) if len(gaps) else 1
    since = (numeric - numeric.min()) // step
    start = numeric.min() + (since // horizon) * horizon * step - step
    table["origin"] = pd.to_datetime(start) if pd.api.types.is_datetime64_any_dtype(time) else start
    table["horizon"] = since % horizon + 1
    return table


def _complete_origins(table: pd.DataFrame, horizon: int | str | None, findings: list[dict[str, Any]]) -> pd.DataFrame:
    """Leave origins out that lack steps, as long as enough complete ones remain."""
    by = [k for k in ("series", "origin") if k in table]
    steps = table.groupby(by)["horizon"].transform("nunique")
    expected = horizon if isinstance(horizon, int) else int(table["horizon"].nunique())
    short = steps < expected
    if not short.any():
        return table
    count = int(table.loc[short, by].drop_duplicates().shape[0])
    total = int(table[by].drop_duplicates().shape[0])
    enough = table.loc[~short, "origin"].nunique() >= FEWEST_ORIGINS
    done = (
        f"their {int(short.sum())} rows were left out"
        if enough
        else "they were kept, since too few complete ones remain"
    )
    findings.append(
        finding(
            "incomplete origins",
            named_or(horizon),
            f"{count} of {total} origins lack some of the {expected} steps ahead; {done}",
            "forecast every step from every origin",
            int(short.sum()),
        )
    )
    return table[~short].reset_index(drop=True) if enough else table


def named_or(horizon: int | str | None) -> str | None:
    return horizon if isinstance(horizon, str) else None


def _as_predictions(table: pd.DataFrame, arms: list[str], target: str) -> pd.DataFrame:
    n = len(table)
    base = pd.DataFrame(
        {
            "repeat": 0,
            "fold": pd.factorize(table["fold"], sort=True)[0] if "fold" in table else np.zeros(n, dtype=int),
            "row": np.arange(n),
            "series": table.get("series"),
            "time": table.get("time", pd.NaT),
            "origin": table.get("origin", pd.NaT),
            "horizon": table["horizon"].astype(int) if "horizon" in table else 0,
            "target": target,
            "observed": table["observed"],
        }
    )
    tail = {"lower": np.nan, "upper": np.nan, "n_train": np.nan, "group": table.get("group")}
    parts = [
        pd.concat([pd.Series(arm, index=base.index, name="arm"), base], axis=1).assign(
            predicted=table["forecast " + arm].to_numpy(), **tail
        )
        for arm in arms
    ]
    return pd.concat(parts, ignore_index=True)
