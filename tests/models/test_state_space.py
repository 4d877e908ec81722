"""State space models of a single series: published answers, missing values, covariates, bad input."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsforecast.utils import AirPassengers

from toolkit.data.dataset import Dataset
from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.models.state_space import Sarimax, Structural
from toolkit.models.statistical import Classical


def single(y, freq="MS", horizon=12, start="1949-01-01", periods=None, **columns):
    frame = pd.DataFrame({"t": pd.date_range(start, periods=len(y), freq=freq), "y": y, **columns})
    data = Dataset(frame, ("y",), (), {}, "real", time="t", known_ahead=tuple(columns))
    return SeriesData.from_dataset(data, horizon, periods=periods)


def parts(data, ahead=12):
    cut = len(data.frame) - ahead
    return data.take(np.arange(cut)), data.future_of(np.arange(cut, len(data.frame)))


def test_the_airline_model_as_published():
    # R: arima(log(AirPassengers), c(0, 1, 1), seasonal = c(0, 1, 1)): ma1 -0.4018, sma1 -0.5569, log likelihood 244.7
    model = Sarimax(12, order=[0, 1, 1], seasonal=[0, 1, 1], transform="log").fit(single(AirPassengers))
    found = pd.DataFrame(model.fit_info_["terms"]).set_index("term")
    assert found.loc["ma.L1", "estimate"] == pytest.approx(-0.4018, abs=5e-4)
    assert found.loc["ma.S.L12", "estimate"] == pytest.approx(-0.5569, abs=5e-4)
    assert model.fit_info_["log_likelihood"] == pytest.approx(244.7, abs=0.05)
    theirs = sm.tsa.SARIMAX(np.log(AirPassengers), order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(disp=False)
    assert model.fit_info_["log_likelihood"] == pytest.approx(theirs.llf, abs=1e-6)
    assert found["estimate"].to_numpy() == pytest.approx(theirs.params, abs=1e-5)
    assert "SARIMAX Results" in model.fit_info_["summary"]
    assert found.loc["sigma2", "p_value"] is None or np.isnan(found.loc["sigma2", "p_value"])


def test_the_search_finds_the_airline_model_and_can_be_frozen():
    past, future = parts(single(AirPassengers))
    model = Sarimax(12).fit(past)
    assert model.fit_info_["frozen"] == {"transform": "log", "order": [0, 1, 1], "seasonal": [0, 1, 1]}
    assert "exploratory" in model.fit_info_["notes"][0]
    out = model.forecast(past, future)
    frozen = Sarimax(12, **model.fit_info_["frozen"]).fit(past).forecast(past, future)
    np.testing.assert_allclose(out["predicted"], frozen["predicted"], rtol=1e-4)
    scale = np.abs(AirPassengers[12:132] - AirPassengers[:120]).mean()
    assert np.abs(out["predicted"].to_numpy() - AirPassengers[132:]).mean() / scale < 0.6
    assert ((out["lower"] < out["predicted"]) & (out["predicted"] < out["upper"])).all()


def test_the_local_level_of_the_nile_as_published():
    # Durbin and Koopman, Time Series Analysis by State Space Methods, 2.10: variances 15099 and 1469.1
    y = sm.datasets.nile.load_pandas().data["volume"].to_numpy()
    settings = {"level": "local level", "autoregressive": 0, "transform": "none"}
    model = Structural(3, **settings).fit(single(y, freq="YS", start="1871-01-01"))
    found = pd.DataFrame(model.fit_info_["terms"]).set_index("term")["estimate"]
    assert found["sigma2.irregular"] == pytest.approx(15099, rel=0.002)
    assert found["sigma2.level"] == pytest.approx(1469.1, rel=0.01)


@pytest.mark.parametrize(
    "model", [Sarimax(12, order=[1, 0, 0], seasonal=[0, 0, 0]), Structural(12, "mase", "local level", 0)]
)
def test_a_covariate_and_missing_values(model):
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    y = 20 + 3 * x + rng.normal(0, 0.5, 120)
    y[[40, 41, 42, 77]] = np.nan
    past, future = parts(single(y, x=x, periods=()))
    out = model.fit(past).forecast(past, future)
    found = pd.DataFrame(model.fit_info_["terms"]).set_index("term")
    assert found.loc["x", "estimate"] == pytest.approx(3, abs=0.2)
    assert found.loc["x", "lower"] < 3 < found.loc["x", "upper"]
    assert np.sqrt(np.mean((out["predicted"].to_numpy() - y[-12:]) ** 2)) < 0.8  # 3 without x


def test_the_mean_lies_above_the_median_under_a_log():
    past, future = parts(single(AirPassengers))
    settings = {"order": [0, 1, 1], "seasonal": [0, 1, 1], "transform": "log"}
    median = Sarimax(12, "mae", **settings).fit(past).forecast(past, future)["predicted"].to_numpy()
    mean = Sarimax(12, "rmse", **settings).fit(past).forecast(past, future)["predicted"].to_numpy()
    assert (mean > median).all() and np.diff(mean / median).min() > 0  # the further ahead, the more


def test_a_long_season_becomes_harmonics():
    t = np.arange(400)
    y = 10 + 2 * np.sin(2 * np.pi * t / 48) + np.random.default_rng(3).normal(0, 0.2, 400)
    past, future = parts(single(y, freq="30min", periods=[48]))
    model = Sarimax(12, order=[1, 0, 0], seasonal=[0, 0, 0]).fit(past)
    assert "fourier(48" in model.fit_info_["formula"]
    truth = 10 + 2 * np.sin(2 * np.pi * t[-12:] / 48)
    assert np.abs(model.forecast(past, future)["predicted"].to_numpy() - truth).max() < 0.3


@pytest.mark.parametrize("made", [Sarimax, Structural])
@pytest.mark.parametrize(
    ("y", "settings", "message"),
    [
        (np.ones(60), {}, "the series is constant"),
        (np.arange(5.0), {}, "needs at least 8 values before the origin; there are 5"),
        (np.arange(60.0) - 5, {"transform": "log"}, "needs values above 0; 'y' has -5"),
        (np.arange(60.0), {"transform": "logs"}, "unknown transform 'logs', did you mean 'log'"),
    ],
)
def test_bad_input_is_one_line(made, y, settings, message):
    with pytest.raises(InputError, match=message):
        made(2, **settings).fit(single(y, horizon=2))


def test_wrong_orders_and_several_series_are_one_line():
    with pytest.raises(InputError, match=r"order: expected auto or three whole numbers such as \[0, 1, 1\]"):
        Sarimax(2, order=[1, 1]).fit(single(AirPassengers))
    with pytest.raises(InputError, match="unknown level 'trend'"):
        Structural(2, level="trend").fit(single(AirPassengers))
    frame = pd.DataFrame({"t": np.tile(np.arange(30), 2), "s": np.repeat(["a", "b"], 30), "y": np.arange(60.0)})
    both = SeriesData.from_dataset(Dataset(frame, ("y",), (), {}, "real", time="t", series="s"), 2)
    with pytest.raises(InputError, match="arm sarimax is for one series with one target; there are 2 series: take"):
        Sarimax(2).fit(both)


def test_the_classical_ensemble_on_the_last_year_of_passengers():
    past, future = parts(single(AirPassengers))
    out = Classical(12).fit(past).forecast(past, future)
    scale = np.abs(AirPassengers[12:132] - AirPassengers[:120]).mean()
    assert np.abs(out["predicted"].to_numpy() - AirPassengers[132:]).mean() / scale <= 0.6
