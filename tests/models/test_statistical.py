"""Exponential smoothing, ARIMA and theta: what they say of themselves, and series of several seasons."""

import warnings

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.origins import rolling_origin
from toolkit.data.series import SeriesData
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.models import statistical
from toolkit.models.statistical import Arima, Classical


def series_of(values, freq, horizon, periods=None):
    frames = [
        pd.DataFrame({"t": pd.date_range("2020-01-01", periods=len(y), freq=freq), "s": name, "y": y})
        for name, y in values.items()
    ]
    data = Dataset.from_frame(pd.concat(frames, ignore_index=True), "y", time="t", series="s")
    return SeriesData.from_dataset(data, horizon, **({"periods": periods} if periods else {}))


def walks(count=3, n=40):
    rng = np.random.default_rng(0)
    return {f"s{k}": 100 + np.cumsum(rng.normal(size=n)) + 5 * np.sin(np.pi * np.arange(n) / 2) for k in range(count)}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_search_of_arima_is_silent_in_worker_processes_too(workers, capfd):
    data = series_of(walks(), "QS", 4)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        Arima(4, n_jobs=workers).fit(data).fitted_one_step(data)
        future = data.take(np.arange(36))
        Arima(4, n_jobs=workers).fit(future).forecast(future, data.frame.iloc[36:40])
    assert not [one for one in heard if "convergence" in str(one.message)]
    assert "convergence" not in capfd.readouterr().err


def test_without_the_filter_the_search_would_speak():
    y = walks(1)["s0"]
    with pytest.warns(UserWarning, match="possible convergence problem"):
        statistical._model("arima", (4,), len(y), many=True).fit(y)


def test_series_on_which_arima_used_up_its_iterations_are_counted(monkeypatch):
    data = series_of(walks(), "QS", 4)
    arms = {"arima": Arima(4)}
    splits = rolling_origin(data, 1)
    (facts,) = evaluate_forecasts(data, splits, arms, workers=1, backend="threading").facts["arima"]
    assert not facts["forecast_notes"]
    # An optimiser that gives up at once: no search is needed to tell how it is counted.
    fitted, seen = statistical._fit, []

    def given_up(member, periods, y, many=False):
        model = fitted(member, periods, y, many)
        seen.append(member)
        if len(seen) > 1:
            model.model_["code"] = statistical.OUT_OF_ITERATIONS
        return model

    monkeypatch.setattr(statistical, "_fit", given_up)
    (facts,) = evaluate_forecasts(data, splits, arms, workers=1, backend="threading").facts["arima"]
    assert facts["forecast_notes"] == ["origin 0: AutoARIMA did not fully converge on 2 of 3 series"]


def test_seasons_of_a_day_and_a_week_are_taken_out_before_the_members():
    n, horizon = 24 * 7 * 6, 48
    hour = np.arange(n)
    season = 10 * np.sin(2 * np.pi * hour / 24) + 6 * np.sin(2 * np.pi * hour / 168)
    y = 100 + season + np.random.default_rng(1).normal(0, 0.5, n)
    for member in statistical.MEMBERS:
        model = statistical._fit(member, (24, 168), y[:-horizon])
        inner = model.trend_forecaster.model_
        assert list(model.season_length) == [24, 168]
        # None of them looks for a season in what has none left.
        if member == "ets":
            assert inner["components"][2] == "N"
        if member == "ces":
            assert inner["seasontype"] == "N"
        if member == "arima":
            assert list(inner["arma"][2:5]) == [0, 0, 1]
    data = series_of({"a": y}, "h", horizon, (24, 168))
    past, future = data.take(np.arange(n - horizon)), data.frame.iloc[n - horizon :].drop(columns="y")
    out = Classical(horizon).fit(past).forecast(past, future)
    assert np.abs(out["predicted"].to_numpy() - y[-horizon:]).mean() < 1.0  # the seasons are 10 and 6 high
