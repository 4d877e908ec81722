"""Series on a regular grid: what is observed up to an origin, and what is known ahead of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.calendar import HOLIDAY, holiday_names
from toolkit.data.dataset import Dataset
from toolkit.data.grid import parse_time, regular_grid, seasonal_periods, step_of
from toolkit.errors import InputError, unknown

__all__ = ["STEP", "SeriesData", "add_steps"]

STEP = "step"  # frequency of series whose time is a plain integer


@dataclass(frozen=True)
class SeriesData:
    """One or many series, each on a regular grid without gaps or repeats.

    Attributes
    ----------
    frame : DataFrame
        Sorted by series and time, with a fresh RangeIndex; columns: series, time, targets, known_ahead, past_only,
        static and, when there is one, `split`. A target that was not observed is NaN.
    series, time : str
        Names of the two key columns. A single series has a constant series column.
    targets, known_ahead, past_only, static : tuple of str
        Roles; no column has two. `known_ahead` is given for the rows that are to be forecast, `past_only` is not.
    freq : str
        pandas offset alias, or "step" when time is an integer.
    periods : tuple of int
        Seasonal periods in steps, ascending; empty when there is no season.
    horizon : int
        Steps ahead.
    country : str or None
        Whose public holidays stand in the column `public_holiday`, e.g. "US" or "AU-VIC".
    findings : tuple of dict
        What was found in the data and which rule treated it: finding, column, rule, count, message.
    """

    frame: pd.DataFrame = field(repr=False)
    series: str
    time: str
    targets: tuple[str, ...]
    known_ahead: tuple[str, ...]
    past_only: tuple[str, ...]
    static: tuple[str, ...]
    freq: str
    periods: tuple[int, ...]
    horizon: int
    country: str | None = None
    split: str | None = None
    findings: tuple[dict[str, Any], ...] = ()
    name: str = "data"
    scale_period: int = 1  # steps of the seasonal naive forecast whose in-sample error scales MASE and RMSSE

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        horizon: int,
        freq: str | None = None,
        periods: tuple[int, ...] | list[int] | None = None,
        country: str | None = None,
    ) -> SeriesData:
        """Put the rows of a dataset on a regular grid.

        Parameters
        ----------
        dataset : Dataset
            With `time`; `series` for a panel. Features without a role count as `past_only`.
        horizon : int
            Steps ahead, at least 1.
        freq : str, optional
            pandas offset alias; found from the stamps when left out.
        periods : sequence of int, optional
            Seasonal periods in steps; from the data's card or the frequency when left out.
        country : str, optional
            Country, or country and subdivision ("AU-VIC"), of the `holidays` package.

        Raises
        ------
        InputError
            No time column, unreadable stamps, no frequency, a role given twice, a static column that varies.
        """
        roles = _roles(dataset)
        if dataset.time is None:
            raise InputError("series need a time column: name it with  time: COLUMN")
        if not isinstance(horizon, (int, np.integer)) or horizon < 1:
            raise InputError(f"horizon must be a whole number of steps, at least 1; got {horizon!r}")
        split = _split_column(dataset)
        series = dataset.series or "series"
        keep = [dataset.time, *roles["targets"], *roles["known_ahead"], *roles["past_only"], *roles["static"]]
        keep += [c for c in (dataset.series, split) if c is not None and c not in keep]
        frame = dataset.frame[keep].copy()
        if dataset.series is None:
            frame[series] = dataset.name
        findings: list[dict[str, Any]] = list(roles["findings"])
        frame[dataset.time] = parse_time(frame[dataset.time], dataset.time, findings)
        freq = step_of(frame, series, dataset.time, freq)
        frame = regular_grid(frame, series, dataset.time, freq, roles, split, findings)
        _check_static(frame, series, roles["static"])
        known_ahead = roles["known_ahead"]
        if country is not None:
            frame[HOLIDAY] = holiday_names(frame[dataset.time], country)
            known_ahead = (*known_ahead, HOLIDAY)
        order = [series, dataset.time, *roles["targets"], *known_ahead, *roles["past_only"], *roles["static"]]
        frame = frame[[*order, *([split] if split else [])]]
        longest = int(frame.groupby(series, sort=False).size().max())
        given = tuple(periods) if periods is not None else None
        found = seasonal_periods(freq, dataset.card, longest, given, findings)
        card_time = dataset.card.get("time")
        named = card_time.get("m_used_for_mase") if isinstance(card_time, dict) and periods is None else None
        scale_period = int(named) if named else (found[0] if found else 1)
        return cls(
            frame, series, dataset.time, tuple(roles["targets"]), tuple(known_ahead), tuple(roles["past_only"]),
            tuple(roles["static"]), freq, found, int(horizon), country, split, tuple(findings), dataset.name,
            scale_period,
        )  # fmt: skip

    @property
    def period(self) -> int:
        """The first seasonal period, 1 without a season."""
        return self.periods[0] if self.periods else 1

    @property
    def names(self) -> list[Any]:
        """The series in their order in the frame."""
        return list(dict.fromkeys(self.frame[self.series]))

    @property
    def sha256(self) -> str:
        """Hash of the values on the grid and of their roles."""
        return self.as_dataset().sha256

    def as_dataset(self) -> Dataset:
        """The gridded rows as a `Dataset`, so that row positions of predictions can be looked up."""
        features = (*self.known_ahead, *self.past_only, *self.static)
        kinds = {c: "number" if pd.api.types.is_numeric_dtype(self.frame[c]) else "category" for c in features}
        return Dataset(
            self.frame, self.targets, features, kinds, "real", self.name, self.time, self.series,
            known_ahead=self.known_ahead, past_only=self.past_only, static=self.static,
        )  # fmt: skip

    def take(self, rows: np.ndarray) -> SeriesData:
        """The same record with some of the rows, in their order, renumbered."""
        return replace(self, frame=self.frame.iloc[np.sort(np.asarray(rows))].reset_index(drop=True))

    def only(self, names: list[Any]) -> SeriesData:
        """The same record with some of the series."""
        return self.take(np.flatnonzero(self.frame[self.series].isin(names)))

    def ends(self) -> pd.Series:
        """Time of the last row of each series, in the order of the frame."""
        return self.frame.groupby(self.series, sort=False)[self.time].last()

    def until(self, origin: Any) -> SeriesData:
        """Everything that is known at the origin: rows up to and with it.

        Parameters
        ----------
        origin : stamp, or mapping of series -> stamp
            Time of the last observed row.
        """
        return self.take(np.flatnonzero((self.frame[self.time] <= self._origins(origin)).to_numpy()))

    def future(self, origin: Any, horizon: int | None = None) -> pd.DataFrame:
        """The rows to be forecast from an origin: series, time, known_ahead and static columns, nothing else.

        Stamps beyond the end of a series are made; columns that are known ahead must then be the holidays alone.

        Raises
        ------
        InputError
            When a `known_ahead` column has no value for a row that is to be forecast.
        """
        horizon = horizon or self.horizon
        last = self._origins(origin).groupby(self.frame[self.series], sort=False).first()
        stamps = pd.DataFrame(
            [(name, stamp) for name, at in last.items() for stamp in add_steps(at, horizon, self.freq)],
            columns=[self.series, self.time],
        )
        stamps[self.time] = stamps[self.time].astype(self.frame[self.time].dtype)
        columns = [self.series, self.time, *self.known_ahead]
        future = stamps.merge(self.frame[columns], on=[self.series, self.time], how="left")
        if self.static:
            fixed = self.frame.groupby(self.series, sort=False)[list(self.static)].first().reset_index()
            future = future.merge(fixed, on=self.series, how="left")
        if self.country is not None:
            future[HOLIDAY] = holiday_names(future[self.time], self.country)
        return self.checked_future(future)

    def future_of(self, rows: np.ndarray) -> pd.DataFrame:
        """The rows at these positions as a forecaster may see them."""
        columns = [self.series, self.time, *self.known_ahead, *self.static]
        return self.checked_future(self.frame.iloc[np.sort(rows)][columns].reset_index(drop=True))

    def checked_future(self, future: pd.DataFrame) -> pd.DataFrame:
        """Stop when a column that was said to be known ahead is not."""
        leaking = [c for c in (*self.targets, *self.past_only) if c in future]
        if leaking:
            raise InputError(f"future rows hold '{leaking[0]}', which is not known ahead: leave it out")
        for column in self.known_ahead:
            if column not in future:
                raise InputError(f"future rows lack '{column}', which is named in known_ahead")
            missing = future[column].isna().to_numpy()
            if missing.any():
                row = future.iloc[int(np.argmax(missing))]
                raise InputError(
                    f"'{column}' is named in known_ahead but has no value at {row[self.time]} of series "
                    f"'{row[self.series]}' ({int(missing.sum())} rows): give it, or name it in past_only"
                )
        return future

    def _origins(self, origin: Any) -> pd.Series:
        """Origin of each row of the frame."""
        if isinstance(origin, (Mapping, pd.Series)):
            return self.frame[self.series].map(origin)
        return pd.Series(origin, index=self.frame.index)


def add_steps(stamp: Any, count: int, freq: str) -> list[Any]:
    """The `count` stamps that follow one."""
    if freq == STEP:
        return [int(stamp) + step for step in range(1, count + 1)]
    return list(pd.date_range(stamp, periods=count + 1, freq=freq)[1:])


def _roles(dataset: Dataset) -> dict[str, Any]:
    """Columns by role; a feature without one is only known up to the origin, the safe reading."""
    seen: dict[str, str] = {}
    for role in ("targets", "known_ahead", "past_only", "static"):
        for column in getattr(dataset, role):
            if column in seen:
                raise InputError(f"'{column}' is named in {seen[column]} and in {role}: keep one of them")
            if column not in dataset.frame:
                raise unknown(f"column in {role}", column, dataset.frame.columns)
            seen[column] = role
    keys = {dataset.time, dataset.series, _split_column(dataset)}
    rest = tuple(c for c in dataset.features if c not in seen and c not in keys)
    findings = []
    if rest:
        message = f"{', '.join(rest)}: no role named, so known only up to the origin (past_only)"
        findings.append({"finding": "role", "column": ", ".join(rest), "rule": "past_only", "count": len(rest),
                         "message": message})  # fmt: skip
    return {
        "targets": dataset.targets,
        "known_ahead": dataset.known_ahead,
        "past_only": (*dataset.past_only, *rest),
        "static": dataset.static,
        "findings": findings,
    }


def _split_column(dataset: Dataset) -> str | None:
    """The column that says which rows are the official test part, when the data set has one."""
    named = (dataset.card.get("splits") or {}) if isinstance(dataset.card.get("splits"), dict) else {}
    column = named.get("column", "split")
    return column if column in dataset.frame and column not in dataset.targets else None


def _check_static(frame: pd.DataFrame, series: str, static: tuple[str, ...]) -> None:
    for column in static:
        varies = frame.groupby(series, sort=False)[column].nunique() > 1
        if varies.any():
            raise InputError(f"'{column}' is named in static but varies within series '{varies.idxmax()}'")
