"""The table of costs: its rows have the common form, and what cannot be had is said."""

from __future__ import annotations

import pytest

from toolkit.benchmarks import _postgres, dashboard
from toolkit.errors import InputError


def quiet(_text: str) -> None:
    """Progress that nobody reads."""


def test_rows_of_a_case(monkeypatch):
    monkeypatch.setattr(dashboard, "CHECK_ROWS", 300)
    monkeypatch.setattr(dashboard, "CHECK_COLUMNS", 4)
    rows = {row["metric"]: row for row in dashboard.run(["checks"], progress=quiet)}
    assert set(rows) == {"seconds", "CPU seconds"}
    judged = rows["CPU seconds"]
    assert judged["holds"] == (judged["value"] <= judged["bar"]) and "bar" not in rows["seconds"]
    assert "300 rows x 4 columns" in judged["note"]


def test_what_cannot_be_had_is_said(monkeypatch):
    monkeypatch.setattr(_postgres, "PLACES", ())
    (row,) = dashboard.run(["log postgres"], progress=quiet)
    assert (row["metric"], row["value"], row["note"]) == (
        "not measured",
        None,
        "needs PostgreSQL: apt-get install postgresql",
    )
    with pytest.raises(InputError, match="did you mean"):
        dashboard.run(["log sqlit"])
