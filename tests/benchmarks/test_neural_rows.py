"""Rows of the neural benchmark: what a part of the splits may say, the peer that is not there, cases of one's own."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from toolkit.benchmarks import _neural_cost, neural
from toolkit.benchmarks._neural_cases import CASES
from toolkit.benchmarks._neural_cost import _ratio_row
from toolkit.benchmarks._neural_peer import pytabkit
from toolkit.errors import InputError


def results(*scores: float) -> list[dict[str, float]]:
    return [{"score": score, "seconds": 2.0, "cpu_seconds": 3.0} for score in scores]


def test_a_part_of_the_splits_decides_nothing():
    case = CASES["insurance"]
    part = neural.summary_row(case, "standard", results(4000.0, 4200.0))
    assert "holds" not in part
    assert part["splits"] == "2 of 3"
    whole = neural.summary_row(case, "standard", results(4000.0, 4200.0, 4500.0))
    assert whole["holds"] is True
    assert whole["value"] == pytest.approx(12700 / 3)
    assert whole["se"] == pytest.approx(np.std([4000, 4200, 4500], ddof=1) / 3**0.5)
    assert "bar" not in neural.summary_row(case, "quick", results(1.0, 1.0, 1.0))


def test_the_peer_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytabkit", None)
    (row,) = pytabkit(print)
    assert row["value"] is None
    assert "pip install pytabkit" in row["note"]


def test_a_ratio_is_the_median_of_its_repeats():
    row = _ratio_row("stack_of_three", "neural", np.array([[1.0, 1.9], [9.0, 2.1], [1.5, 1.0]]), 2.0)
    assert row["value"] == 1.9
    assert row["holds"]
    assert "wall 1.50" in row["note"]


def test_a_stack_is_timed_on_one_thread_and_on_all_cores(monkeypatch):
    used = []
    monkeypatch.setattr(_neural_cost, "_fit", lambda members, threads: used.append((members, threads)))
    monkeypatch.setattr(_neural_cost, "train_stack", lambda *_: None)
    monkeypatch.setattr(_neural_cost, "available_cores", lambda: 4)
    monkeypatch.setattr(_neural_cost, "_seconds", lambda work: (work(), np.array([used[-1][0], 3.0]))[1])
    one, all_cores = _neural_cost.stack_of_three(lambda _: None)
    assert set(used) == {(1, 1), (3, 1), (1, 4), (3, 4)}
    assert (one["value"], one["holds"]) == (1.0, True)  # CPU seconds
    assert (all_cores["value"], all_cores["holds"]) == (3.0, False)  # wall seconds


def test_cases_of_a_folder_and_names_that_are_not_there(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    frame.assign(y=frame["a"] + 1).to_csv(tmp_path / "own.csv.gz", index=False)
    splits = pd.DataFrame({"split": np.repeat([0, 1], 6), "test_row": [*range(6), *range(6, 12)]})
    splits.to_csv(tmp_path / "own.splits.csv.gz", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(neural, "available_cores", lambda: 1)
    said: list[str] = []
    (row,) = neural.run(["own"], ["quick"], tmp_path, said.append)
    assert row["splits"] == "2 of 2"
    assert row["value"] < 1.0  # the spread of the target
    assert said
    with pytest.raises(InputError, match="own"):
        neural.run(["onw"], None, tmp_path, said.append)
