"""Awkward series through the whole comparison: a named treatment, or one clear line."""

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.origins import rolling_origin
from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.models.classical import SeasonalNaive
from toolkit.pipeline import compare

SPLITS = {"scheme": "rolling_origin", "horizon": 6, "origins": 2}


def panel(names=("a", "b", "c"), n=72, seed=0):
    rng, t = np.random.default_rng(seed), pd.date_range("2015-01-01", periods=n, freq="MS")
    season = np.sin(2 * np.pi * np.arange(n) / 12)
    return pd.concat(
        [pd.DataFrame({"s": s, "t": t, "y": 50 + 10 * season + rng.normal(0, 2, n)}) for s in names], ignore_index=True
    )


def run(frame, arms=("seasonal_naive", "regression"), splits=SPLITS, **roles):
    roles = {"time": "t", "series": "s", **roles}
    return compare(frame, "y", arms=arms, splits=splits, quick=True, **roles)


def judged(analysis):
    return set(analysis.predictions["series"])


def said(analysis):
    return " | ".join(finding["message"] for finding in analysis.findings)


def where(frame, series):
    return frame["s"] == series


def test_a_series_without_any_value_is_named_and_the_rest_finish():
    frame = panel()
    frame.loc[where(frame, "b"), "y"] = np.nan
    done = run(frame)
    assert judged(done) == {"a", "c"}
    assert "1 series without any value are left out: b" in said(done)


def test_a_constant_and_an_empty_shop_are_forecast_but_not_scaled():
    frame = panel(("a", "b", "c", "d"))
    frame.loc[where(frame, "b"), "y"] = 5.0
    frame.loc[where(frame, "d"), "y"] = 0.0
    done = run(frame)
    rows = done.predictions[done.predictions["series"].isin(["b", "d"])]
    assert rows["scale"].isna().all() and np.isfinite(rows["predicted"]).all()
    assert "constant in 2 series (b, d)" in said(done)
    assert np.isfinite(done.arms["regression"].scores["mase"]["mean"])


def test_intermittent_demand_is_forecast():
    frame = panel()
    frame["y"] = np.random.default_rng(1).poisson(0.3, len(frame)).astype(float)
    assert np.isfinite(run(frame).arms["regression"].scores["mase"]["mean"])


def test_series_of_unequal_length_and_end_are_judged_on_what_they_have():
    frame = panel()
    frame = frame[~(where(frame, "b") & (frame["t"] < "2020-03-01"))]  # younger than the horizon at the first origin
    frame = frame[~(where(frame, "c") & (frame["t"] > "2020-09-01"))]
    done = run(frame)
    counts = done.predictions[done.predictions["arm"] == "regression"].groupby(["series", "fold"]).size()
    assert counts["a", 1] == 6 and counts["c", 1] == 3
    assert {"a", "c"} <= judged(done)
    assert np.isfinite(done.arms["regression"].scores["mase"]["mean"])


def test_gaps_and_repeats_are_treated_by_a_named_rule():
    frame = panel(("a",)).drop(index=[20, 21, 40])
    frame = pd.concat([frame, frame.iloc[[5]]], ignore_index=True)
    done = run(frame)
    rules = {finding.get("rule") for finding in done.findings}
    assert {"insert missing", "average repeats"} <= rules


def test_a_changing_clock_is_wall_clock_time():
    t = pd.date_range("2024-10-20", periods=24 * 14, freq="h", tz="Europe/Berlin")
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"t": t, "s": "a", "y": 10 + np.sin(2 * np.pi * t.hour / 24) + rng.normal(0, 0.1, len(t))})
    done = run(frame, splits={"scheme": "rolling_origin", "horizon": 24, "origins": 2})
    assert "wall clock time of Europe/Berlin" in said(done)
    assert "1 rows repeat a stamp" in said(done)  # 27 October, 2 o'clock
    assert len(done.predictions) == 2 * 2 * 24


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda f: f.assign(y=5.0), {}, "target 'y' is constant"),
        (lambda f: f.head(20), {"splits": {**SPLITS, "horizon": 30}}, "the longest series has 20: take fewer origins"),
        (lambda f: f.assign(y=f["y"] - 60), {"arms": {"seasonal_naive": {}, "regression": {"transform": "log"}}},
         "transform 'log' needs values above 0; series 'a'"),
        (lambda f: f.assign(x=np.where(f["t"] > "2020-10-01", np.nan, 1.0)), {"known_ahead": ["x"]},
         "'x' is named in known_ahead but has no value at 2020-11-01"),
        (lambda f: f, {"arms": {"seasonal_naive": {}, "regression": {"form": [{"steps": "direkt"}]}}},
         "arms.regression: unknown steps in form 'direkt'"),
        (lambda f: f.assign(t="yesterday"), {}, "time column 't' does not parse"),
        (lambda f: f.drop(columns="t"), {"time": None}, "forecasts of series need a time column"),
    ],
    ids=["constant", "horizon", "log", "covariate", "form", "stamps", "no time"],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(change, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        run(change(panel()), **settings)
    assert "\n" not in str(caught.value)


def test_an_arm_that_fails_on_one_series_names_it_and_the_rest_finish():
    frame = panel()
    frame = frame[~(where(frame, "b") & (frame["t"] < "2020-05-01"))]  # two values before the first origin
    done = run(frame, arms={"seasonal_naive": {}, "theta": {}, "regression": {}})
    assert any("series b" in line and "too few" in line for line in done.arms["theta"].failures)
    assert {"a", "c"} <= judged(done)


def test_a_long_hole_before_the_origin_is_filled_and_the_series_forecast():
    frame = panel()
    frame.loc[where(frame, "b") & frame["t"].between("2016-01-01", "2019-12-01"), "y"] = np.nan
    done = run(frame)
    assert judged(done) == {"a", "b", "c"} and not done.arms["regression"].failures


class Forgetful(SeasonalNaive):
    def forecast(self, past, future):
        out = super().forecast(past, future)
        return out[out["s"] != "b"]


def test_a_silent_arm_is_named_with_its_series():
    frame = panel()
    data = SeriesData.from_dataset(Dataset.from_frame(frame, "y", time="t", series="s"), 6)
    done = evaluate_forecasts(data, rolling_origin(data, 1), {"f": Forgetful(6), "n": SeasonalNaive(6)}, workers=1)
    assert done.failures["f"] == ("origin 0, series b: no forecast was given",)
    assert set(done.predictions["series"]) == {"a", "c"}
