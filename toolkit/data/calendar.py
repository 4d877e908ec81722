"""Public holidays of a country and the working days beside them, from the calendar alone."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from toolkit.errors import InputError, unknown

__all__ = ["HOLIDAY", "NONE", "holiday_names", "is_holiday"]

HOLIDAY = "public_holiday"  # column that is made when a country is named
EVE, BRIDGE, BETWEEN, NONE = "day before a holiday", "bridge day", "between holidays", "none"
WORKING = (NONE, EVE, BRIDGE, BETWEEN)  # what the column holds on days that are no holiday
HOLIDAY_SEASON = 7  # days between two holidays up to which the days between them belong together


def holiday_names(times: pd.Series, country: str) -> np.ndarray:
    """Name of the public holiday of each stamp's day, or what kind of day it is beside one.

    Parameters
    ----------
    times : Series of datetime64
    country : str
        Country, or country and subdivision ("AU-VIC"), of the `holidays` package.

    Returns
    -------
    ndarray of str, [n]
        The name on a holiday. Otherwise "bridge day" (a working day between a holiday and a weekend or another
        holiday), "between holidays" (two holidays lie at most seven days apart around it, as from Christmas to New
        Year), "day before a holiday", or "none".

    Raises
    ------
    InputError
        When `holidays` does not know the country, or time is not a date.
    """
    import holidays

    if not pd.api.types.is_datetime64_any_dtype(times):
        raise InputError(f"country {country!r} needs dates in the time column, which holds whole numbers")
    name, _, subdivision = country.partition("-")
    years = range(int(times.dt.year.min()) - 1, int(times.dt.year.max()) + 2)
    try:
        table = holidays.country_holidays(name, subdiv=subdivision or None, years=years)
    except NotImplementedError:
        raise unknown("country", country, holidays.list_supported_countries()) from None
    named = {day: str(text) for day, text in table.items()}
    days = times.dt.date
    kinds = {day: _kind(day, named) for day in days.unique()}
    return days.map(kinds).to_numpy(dtype=object)


def is_holiday(values: pd.Series) -> np.ndarray:
    """Which rows of the column are holidays themselves, [n]."""
    return ~values.isin(WORKING).to_numpy()


def _kind(day: dt.date, named: dict[dt.date, str]) -> str:
    if day in named:
        return named[day]

    def off(steps: int) -> bool:
        other = day + dt.timedelta(days=steps)
        return other in named or other.weekday() >= 5

    def holiday(steps: int) -> bool:
        return day + dt.timedelta(days=steps) in named

    if day.weekday() < 5 and off(-1) and off(1) and (holiday(-1) or holiday(1)):
        return BRIDGE
    before = next((k for k in range(1, HOLIDAY_SEASON) if holiday(-k)), None)
    after = next((k for k in range(1, HOLIDAY_SEASON) if holiday(k)), None)
    if before and after and before + after <= HOLIDAY_SEASON:
        return BETWEEN
    return EVE if day.weekday() < 5 and holiday(1) else NONE
