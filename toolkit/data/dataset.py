"""A dataset: a frame plus the roles of its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.kinds import KINDS, TARGET_KINDS, apply_kind, infer_kind, plain
from toolkit.data.roles import (
    as_names,
    check_table,
    check_weights,
    clean_target,
    join_columns,
    known,
    parse_time,
    zone_of,
)
from toolkit.errors import InputError, unknown

__all__ = ["KINDS", "TARGET_KINDS", "Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A table and what its columns are for.

    Attributes
    ----------
    frame : DataFrame, [n, columns]
        Every usable row, in the order of the source, with a fresh RangeIndex: row i of the predictions table is
        row i here.
    targets : tuple of str
        One column, or several numeric ones. A binary target is stored as 0.0 / 1.0; `levels` keeps its labels.
    features : tuple of str
        The columns that every arm sees, in this order.
    kinds : dict
        Column -> one of `KINDS`, for every feature.
    target_kind : {"real", "positive", "count", "binary"}
    """

    frame: pd.DataFrame = field(repr=False)
    targets: tuple[str, ...]
    features: tuple[str, ...]
    kinds: dict[str, str]
    target_kind: str
    name: str = "data"
    time: str | None = None
    series: str | None = None
    groups: str | None = None
    weights: str | None = None
    known_ahead: tuple[str, ...] = ()
    past_only: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    levels: tuple[Any, ...] = ()  # labels of a binary target: (zero, one)
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> number of rows left out at load
    card: dict[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[dict[str, Any], ...] = ()  # findings made while loading, in the form of `toolkit.data.findings.find`

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        kinds: Mapping[str, Any] | None = None,
        time: str | None = None,
        series: str | Sequence[str] | None = None,
        groups: str | Sequence[str] | None = None,
        weights: str | None = None,
        known_ahead: Sequence[str] = (),
        past_only: Sequence[str] = (),
        static: Sequence[str] = (),
        target_kind: str = "auto",
        name: str = "data",
        card: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Check the roles, infer what was not said, and leave out the rows that cannot be used.

        Parameters
        ----------
        frame : DataFrame, [n, columns]
            Not changed.
        target : str or sequence of str
            The column, or several numeric columns, to predict.
        features : sequence of str, optional
            What the arms see; by default every column without another role.
        drop : sequence of str
            Columns that are not features. They stay in the frame and can still name groups or a split.
        kinds : mapping, optional
            Column -> one of `KINDS`, or the levels of an ordinal column from low to high; inferred for the others.
        time : str, optional
            Dates or step numbers. A feature only when `features` lists it.
        series, groups : str or sequence of str, optional
            Columns that tell series, or rows that belong together, apart. Several are joined into a new column.
        weights : str, optional
            Numbers >= 0.
        known_ahead, past_only, static : sequence of str
            For forecasts: columns known beyond the origin, only up to it, and constant over time.
        target_kind : {"auto", "real", "positive", "count", "binary"}

        Raises
        ------
        InputError
            One line for each mistake.
        """
        table = check_table(frame)
        targets = as_names(target)
        _check_names(table, targets, features, drop, known_ahead, past_only, static, kinds or {})
        for role, column in (("time", time), ("weights", weights)):
            known(role, as_names(column), table.columns)
        original = list(table.columns)
        table, series = join_columns(table, "series", series)
        table, groups = join_columns(table, "groups", groups)
        said: list[dict[str, Any]] = []
        if time is not None:
            if (zone := zone_of(table[time])) is not None:
                said.append(_note("time_zone", time, f"'{time}' is read as wall clock time of {zone}"))
            table[time] = parse_time(table[time])
        if weights is not None:
            check_weights(table[weights])
        table, target_kind, levels = _targets(table, targets, target_kind)
        names = table[series].unique() if series is not None else ()
        table, dropped = _usable_rows(table, targets, time)
        if len(lost := [str(name) for name in names if name not in set(table[series])]):
            shown = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
            said.append(_note("empty_series", series, f"{len(lost)} series without any value are left out: {shown}"))
        not_features = {*targets, *drop, time, series, groups, weights}
        chosen = [c for c in original if c not in not_features] if features is None else list(as_names(features))
        chosen = [c for c in chosen if c not in drop]
        if not chosen and time is None:
            raise InputError(
                "no column is left to predict from: every column is a target, dropped or has another role; "
                "forecasts of series need a time column"
            )
        table, kinds, notes = _features(table, chosen, dict(kinds or {}))
        return cls(
            table, targets, tuple(chosen), kinds, target_kind, name, time, series, groups, weights,
            as_names(known_ahead), as_names(past_only), as_names(static), levels, dropped, dict(card or {}),
            (*said, *notes),
        )  # fmt: skip

    @property
    def X(self) -> pd.DataFrame:
        """Features, [n, p], raw: missing values and text levels as they came."""
        return self.frame[list(self.features)]

    @property
    def y(self) -> pd.Series | pd.DataFrame:
        """Target, [n], or targets, [n, k]."""
        return self.frame[self.targets[0]] if len(self.targets) == 1 else self.frame[list(self.targets)]

    @property
    def sha256(self) -> str:
        """Hash of the values, names and order of every column that an arm can see."""
        columns = list(dict.fromkeys([*self.targets, *self.features, *self._role_columns()]))
        digest = hashlib.sha256(repr(columns).encode())
        for column in columns:
            digest.update(np.ascontiguousarray(pd.util.hash_pandas_object(self.frame[column], index=False)))
        return digest.hexdigest()

    def take(self, rows: Sequence[int] | np.ndarray) -> Dataset:
        """The dataset of some rows (positions), with the same roles."""
        return replace(self, frame=self.frame.iloc[np.asarray(rows)].reset_index(drop=True))

    def _role_columns(self) -> list[str]:
        roles = (self.time, self.series, self.groups, self.weights)
        return [*(c for c in roles if c is not None), *self.known_ahead, *self.past_only, *self.static]


def _note(finding: str, column: str | None, message: str) -> dict[str, Any]:
    return {"finding": finding, "column": column, "message": message}


def _check_names(
    table: pd.DataFrame,
    targets: tuple[str, ...],
    features: Any,
    drop: Any,
    known_ahead: Any,
    past_only: Any,
    static: Any,
    kinds: Mapping[str, Any],
) -> None:
    """Every name stands for a column, and no column plays two parts that exclude each other."""
    if not targets:
        raise InputError("name at least one target column")
    for target in targets:
        if target not in table.columns:
            raise unknown("target column", target, table.columns)
    if len(set(targets)) < len(targets):
        raise InputError(f"a target is named twice: {', '.join(targets)}")
    roles = {"features": features, "drop": drop, "known_ahead": known_ahead, "past_only": past_only, "static": static}
    for role, names in roles.items():
        known(role, as_names(names), table.columns)
        both = [name for name in as_names(names) if name in targets]
        if both:
            raise InputError(f"column '{both[0]}' is the target and cannot be in {role} too")
    known("kinds", kinds, table.columns)


def _targets(table: pd.DataFrame, targets: tuple[str, ...], kind: str) -> tuple[pd.DataFrame, str, tuple[Any, ...]]:
    if kind != "auto" and kind not in TARGET_KINDS:
        raise unknown("target_kind", kind, (*TARGET_KINDS, "auto"))
    cleaned = [clean_target(table[target], kind, alone=len(targets) == 1) for target in targets]
    table = table.assign(**{target: column for target, (column, _, _) in zip(targets, cleaned, strict=True)})
    found = {kind for _, kind, _ in cleaned}
    common = (
        found.pop()
        if len(found) == 1
        else "positive"
        if found <= {"positive", "count"} and _all_positive(cleaned)
        else "real"
    )
    return table, common, cleaned[0][2]


def _all_positive(cleaned: list[tuple[pd.Series, str, tuple]]) -> bool:
    return all(column.min() > 0 for column, _, _ in cleaned)


def _usable_rows(
    table: pd.DataFrame, targets: tuple[str, ...], time: str | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out rows without a finite target or a time, and count them."""
    keep, dropped = np.ones(len(table), dtype=bool), {}
    reasons = {}
    for target in targets:
        values = table[target].to_numpy(dtype=float)
        reasons[f"target '{target}' is missing"] = np.isnan(values)
        reasons[f"target '{target}' is infinite"] = np.isinf(values)
    if time is not None:
        reasons[f"time '{time}' is missing"] = table[time].isna().to_numpy()
    for reason, bad in reasons.items():
        count = int((bad & keep).sum())
        if count:
            dropped[reason] = count
            keep &= ~bad
    if not keep.any():
        raise InputError(f"no row is left: {'; '.join(f'{reason} in {count}' for reason, count in dropped.items())}")
    for target in targets:
        if table[target].to_numpy()[keep].min() == table[target].to_numpy()[keep].max():
            raise InputError(f"target '{target}' is constant in the rows that can be used")
    return (table if keep.all() else table[keep].reset_index(drop=True)), dropped


def _features(
    table: pd.DataFrame, features: list[str], named: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, str], tuple[dict[str, Any], ...]]:
    """Kinds of the features; object columns of numbers become numbers, infinite values become missing."""
    kinds: dict[str, str] = {}
    notes: list[dict[str, Any]] = []
    changed: dict[str, pd.Series] = {}
    for column in features:
        values = plain(table[column])
        if column in named:
            values, kinds[column] = apply_kind(values, named[column])
        else:
            kinds[column] = infer_kind(values)
        if pd.api.types.is_float_dtype(values.dtype):
            infinite = np.isinf(values.to_numpy(dtype=float, na_value=np.nan))
            if infinite.any():
                values = values.mask(infinite)
                notes.append({
                    "finding": "infinite_values", "column": column,
                    "message": f"{int(infinite.sum())} infinite values in '{column}' are treated as missing",
                    "advice": "mend them in the source if they stand for something else",
                })  # fmt: skip
        if values is not table[column]:
            changed[column] = values
    return (table.assign(**changed) if changed else table), kinds, tuple(notes)
