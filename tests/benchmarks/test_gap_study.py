"""The study of the ledger: draws of a known truth, each kept as soon as it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.benchmarks import gap
from toolkit.benchmarks._kept import Kept


def test_draws_are_kept_and_a_longer_study_goes_on_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {row["metric"]: row for row in gap.simulated("simulated", 1, Kept("gap", tmp_path))}
    assert first["right terms first"]["value"] == 1 and first["right terms first"]["note"].startswith("1 draws")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "gap").iterdir()}
    assert len(files) == 1

    kept = Kept("gap", tmp_path)
    monkeypatch.setattr(gap, "available_cores", lambda: 1)
    longer = {row["metric"]: row for row in gap.simulated("simulated", 2, kept)}
    assert longer["right terms first"]["value"] == 1 and longer["largest mean error of shares, points"]["value"] < 25
    assert all(path.stat().st_mtime_ns == when for path, when in files.items())
    assert len(list((tmp_path / "gap").iterdir())) == 2
    kept.forget()
    assert not (tmp_path / "gap").exists()


def test_a_straight_truth_gives_one_row(tmp_path: Path) -> None:
    (row,) = gap.simulated("linear_truth", 1, Kept("gap", tmp_path))
    assert row["metric"] == "no term proposed" and row["holds"]
