"""The false-alarm benchmark: its rows have the common form, and a few draws of it hold."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.benchmarks.checks import CASES, FAULTS, run, simulate
from toolkit.errors import InputError


def test_rows_of_a_right_model():
    rows = run(["gaussian n=200"], arms=["durbin_watson", "white"], progress=lambda text: None, draws=3)
    assert {(row["arm"], row["metric"]) for row in rows} == {
        (check, f"share {verdict}") for check in ("durbin_watson", "white") for verdict in ("poor", "notice")
    }
    assert all(row["holds"] == (row["value"] <= row["bar"]) for row in rows)


def test_rows_of_a_fault():
    rows = run(["leverage 0.5 n=2000"], progress=lambda text: None, draws=2)
    assert rows[-1]["arm"] == "any of them" and rows[-1]["value"] == 1.0 and rows[-1]["holds"]


def test_unknown_case():
    with pytest.raises(InputError, match="did you mean"):
        run(["gausian n=200"])


def test_faults_are_what_they_say():
    assert {fault for *_, fault in CASES.values() if fault} == set(FAULTS)
    table, dataset, _ = simulate("gaussian", 2_000, 0, "leverage 0.5")
    x = dataset.frame["x1"] - dataset.frame["x1"].mean()
    assert x[0] ** 2 / np.sum(x**2) + 1 / 2_000 == pytest.approx(0.5, abs=0.01)
    table, *_ = simulate("poisson", 20_000, 0, "overdispersion 2")
    ratio = np.mean((table["observed"] - table["predicted"]) ** 2 / table["predicted"])
    assert ratio == pytest.approx(2, abs=0.15)
