"""Tables that no check was made for: every one of them still answers, and nothing stops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.diagnostics.battery import run_checks
from toolkit.diagnostics.catalogue import CATALOGUE
from toolkit.diagnostics.view import ROWS

INFO = {"linear": {"kind": "regression", "facts": []}, "neural": {"kind": "neural", "facts": []}}


def made(n=300, names=("a", "b"), seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, len(names))), columns=list(names))
    frame["target"] = frame.iloc[:, 0] + rng.normal(size=n)
    dataset = Dataset(frame, ("target",), tuple(names), dict.fromkeys(names, "number"), "real")
    one = pd.DataFrame({"repeat": 0, "fold": np.arange(n) % 5, "row": np.arange(n), "target": "target"})
    one = one.assign(observed=frame["target"], predicted=frame.iloc[:, 0], lower=np.nan, upper=np.nan)
    return pd.concat([one.assign(arm=arm) for arm in INFO], ignore_index=True), dataset


def answers(table, dataset, metric="rmse", info=INFO, **more):
    checks = run_checks(table, info, dataset=dataset, metric=metric, **more)
    per_arm = {arm: {c.check: c for c in checks if c.arm == arm} for arm in info}
    for found in per_arm.values():
        assert set(found) == set(CATALOGUE), set(CATALOGUE) ^ set(found)
    return per_arm["linear"]


def test_perfect_fit():
    table, dataset = made()
    table["predicted"] = table["observed"]
    found = answers(table, dataset)
    assert found["reset"].verdict == "not applicable" and "perfect fit" in found["reset"].reason


@pytest.mark.parametrize("n", [2, 10, 30])
def test_few_rows(n):
    found = answers(*made(n))
    assert found["learnability"].verdict == "not applicable"


def test_one_distinct_prediction():
    table, dataset = made()
    table["predicted"] = 0.25
    found = answers(table, dataset)
    for name in ("reset", "calibration_line", "residuals_by_fitted"):
        assert "one single value" in found[name].reason
    assert found["learnability"].verdict == "poor"


def test_an_infinite_residual_is_counted_and_left_out():
    table, dataset = made()
    table.loc[7, "predicted"] = np.inf
    found = answers(table, dataset)
    assert found["usable_residuals"].verdict == "poor" and "1 of 300" in found["usable_residuals"].reason
    assert found["reset"].verdict == "good"


def test_more_features_than_rows_allow():
    table, dataset = made(200, tuple(f"f{i}" for i in range(500)))
    found = answers(table[table["arm"] == "linear"], dataset, info={"linear": INFO["linear"]})
    assert "more columns (500) than rows" in found["collinearity"].reason
    assert found["breusch_pagan"].verdict == "not applicable"


def test_odd_names_missing_values_and_levels():
    names = ("<b>bold</b>", 'quote"s', "ü" * 300, "text")
    table, dataset = made(400, names)
    frame = dataset.frame.copy()
    frame.iloc[::3, 0] = np.nan
    frame.iloc[5, 1] = np.inf
    frame["text"] = [f"note {i}" for i in range(400)]
    frame["level"] = pd.Series(["x", "y", None, "rare"]).iloc[np.r_[np.arange(399) % 3, 3]].to_numpy()
    frame["constant"] = 1.0
    kinds = {**dict.fromkeys(names[:3], "number"), "text": "text", "level": "category", "constant": "number"}
    answers(table, Dataset(frame, ("target",), tuple(kinds), kinds, "real"))


def test_data_without_a_feature_table():
    class Series:
        target_kind = "real"

    table, _ = made(200)
    table["time"] = np.tile(pd.date_range("2024-01-01", periods=200), 2)
    found = answers(table.assign(horizon=2), Series(), metric="mase")
    assert "overlap" in found["durbin_watson"].reason
    assert found["learnability"].verdict == "not applicable"


@pytest.mark.parametrize("metric", ["mae", "rmsle", "r2", "gamma_deviance"])
def test_other_metrics(metric):
    table, dataset = made()
    positive = table.assign(observed=np.exp(table["observed"]), predicted=np.exp(table["predicted"]))
    frame = dataset.frame.assign(target=np.exp(dataset.frame["target"]))
    answers(positive, Dataset(frame, ("target",), dataset.features, dataset.kinds, "positive"), metric)


def test_large_tables_are_thinned():
    table, dataset = made(ROWS + 50_000)
    info = {"linear": INFO["linear"]}
    checks = run_checks(table[table["arm"] == "linear"], info, dataset=dataset, metric="rmse", only=["reset"])
    assert {c.check: c.verdict for c in checks}["reset"] == "good"


@pytest.mark.parametrize("family", ["negative_binomial", "truncated_nb", "lognormal"])
def test_a_design_of_a_family_that_has_no_fit_here(family):
    table, dataset = made()
    counts = np.random.default_rng(0).poisson(np.exp(0.3 * dataset.frame["a"])).astype(float)
    table = table.assign(observed=np.tile(counts, 2), predicted=np.exp(0.3 * table["predicted"]))
    design = dataset.frame[["a", "b"]].copy()
    design.attrs["family"] = family
    dataset = Dataset(dataset.frame.assign(target=counts), ("target",), ("a", "b"), dataset.kinds, "count")
    found = answers(table, dataset, "poisson_deviance", design={"linear": design})
    for name in ("cooks_distance", "collinearity", "optimism"):
        assert found[name].verdict == "good", found[name].reason
