"""The regression arm for series and its rivals: recovery, no leak, bad input."""

import numpy as np
import pandas as pd
import pytest
import yaml

from toolkit.data.dataset import Dataset
from toolkit.data.origins import rolling_origin
from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.series_scores import series_score
from toolkit.models.classical import Drift, Naive, SeasonalNaive
from toolkit.models.forecast_frames import fill_missing
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.forecasting_channels import BoxCox
from toolkit.models.statistical import Classical, Ets


def panel(n=240, series=("a",), horizon=12, targets=("y",), make=None, **roles):
    rng = np.random.default_rng(0)
    t = pd.date_range("2000-01-01", periods=n, freq="MS")
    season = np.sin(2 * np.pi * np.arange(n) / 12)
    parts = []
    for k, name in enumerate(series):
        columns = {target: 50 + 10 * season * (k + 1) + rng.normal(0, 1, n) for target in targets}
        parts.append(pd.DataFrame({"s": name, "t": t, **columns}))
    frame = pd.concat(parts, ignore_index=True)
    if make is not None:
        frame = make(frame, rng)
    return SeriesData.from_dataset(Dataset(frame, targets, (), {}, "real", time="t", series="s", **roles), horizon)


def forecast(model, data, cut=12):
    ends = data.frame.groupby("s")["t"].transform("max")
    origin = ends.max() - pd.DateOffset(months=cut)
    past = data.until(origin)
    return model.fit(past).forecast(past, data.future(origin))


def test_baselines_by_hand():
    data = panel(26, make=lambda f, _: f.assign(y=np.arange(26.0)))
    assert forecast(Naive(12), data)["predicted"].tolist() == [13.0] * 12
    assert forecast(SeasonalNaive(12), data)["predicted"].tolist() == [float(v) for v in range(2, 14)]
    assert forecast(Drift(12), data)["predicted"].tolist() == [float(v) for v in range(14, 26)]


def test_regression_finds_a_season():
    data = panel()
    out = forecast(SeriesRegression(12), data)
    season = 50 + 10 * np.sin(2 * np.pi * np.arange(228, 240) / 12)
    assert np.sqrt(np.mean((season - out["predicted"]) ** 2)) < 1  # the standard deviation of the noise
    assert ((out["lower"] < out["predicted"]) & (out["predicted"] < out["upper"])).all()


def test_regression_uses_a_covariate_that_is_known_ahead():
    def make(frame, rng):
        frame["x"] = rng.normal(0, 3, len(frame))
        return frame.assign(y=frame["y"] + 5 * frame["x"])

    data = panel(make=make, known_ahead=("x",))
    out = forecast(SeriesRegression(12), data)
    assert np.sqrt(np.mean((data.frame["y"].to_numpy()[-12:] - out["predicted"]) ** 2)) < 3  # 15 without x


@pytest.mark.parametrize("model", [SeriesRegression(12), SeasonalNaive(12), Ets(12)])
def test_changing_the_future_changes_no_forecast(model):
    data = panel(120)
    before = forecast(model, data)["predicted"].to_numpy()
    changed = data.frame.copy()
    changed.loc[changed.index[-12:], "y"] = 1e6
    object.__setattr__(data, "frame", changed)
    assert np.array_equal(before, forecast(model, data)["predicted"].to_numpy())


def test_many_origins_at_once_equal_one_by_one():
    data = panel(150)
    model = SeriesRegression(12).fit(data.take(np.arange(120)))
    together = model.forecast_origins(data, {"a": np.array([120, 130])})["a", "y"]
    for row, known in enumerate((120, 130)):
        past = data.take(np.arange(known))
        single = model.forecast(past, data.future(past.ends()))
        np.testing.assert_allclose(together[row], single["predicted"], rtol=1e-9)


def test_a_frozen_form_gives_the_same_forecast_without_a_search():
    data = panel(150)
    searched = SeriesRegression(12)
    expected = forecast(searched, data)
    frozen = yaml.safe_load(yaml.safe_dump(searched.fit_info_["frozen"]))  # as it would stand in a pipeline file
    again = SeriesRegression(12, **frozen)
    out = forecast(again, data)
    np.testing.assert_allclose(out["predicted"], expected["predicted"], rtol=1e-6)
    np.testing.assert_allclose(out["upper"], expected["upper"], rtol=1e-6)
    assert len(again.fit_info_["candidates"]) == len(frozen["form"])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ([{"steps": "direct", "lookbak": 3}], "unknown key in form 'lookbak', did you mean 'lookback'"),
        ([{"steps": "directly"}], "unknown steps in form 'directly'"),
        ([{"steps": "direct", "lookback": "many"}], "expected numbers"),
        (["direct"], "expected settings such as"),
        ([], "expected a list"),
        ([{"steps": "clock"}], "cannot be fitted"),
    ],
)
def test_a_wrong_form_is_one_line(form, message):
    with pytest.raises(InputError, match=message):
        SeriesRegression(12, form=form).fit(panel(120))


def test_a_trend_in_logs_is_found_and_refused_where_it_has_no_meaning():
    data = panel(120, make=lambda f, rng: f.assign(y=np.exp(0.05 * np.arange(120) + rng.normal(0, 0.02, 120))))
    model = SeriesRegression(12, transform="log")
    out = forecast(model, data)
    assert np.mean(np.abs(out["predicted"] / data.frame["y"].to_numpy()[-12:] - 1)) < 0.15
    with pytest.raises(InputError, match="needs values above 0; series 'a'"):
        forecast(model, panel(120, make=lambda f, _: f.assign(y=f["y"] - 50)))


def test_box_cox_back_transform_is_unbiased():
    z = np.random.default_rng(1).normal(2, 0.3, 200_000)
    for power in (0.0, 0.5):
        transform = BoxCox(power)
        assert transform.back(transform(np.array([3.0])))[0] == pytest.approx(3.0)
        y = transform.back(z)
        assert transform.back(np.array([2.0]), 0.09)[0] == pytest.approx(y.mean(), rel=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda f, _: f.assign(y=5.0),
        lambda f, _: f.assign(y=0.0),
        lambda f, rng: f.assign(y=rng.poisson(0.2, len(f)).astype(float)),
        lambda f, _: f.assign(y=f["y"] - 1000),
        lambda f, _: f.assign(y=f["y"].where(np.arange(len(f)) % 17 != 3)),
    ],
    ids=["constant", "zeros", "intermittent", "negative", "missing"],
)
def test_awkward_series_are_forecast(make):
    data = panel(96, make=make)
    for model in (SeriesRegression(12), SeasonalNaive(12)):
        assert np.isfinite(forecast(model, data)["predicted"]).all()


def test_short_histories():
    out = forecast(SeriesRegression(3), panel(11, horizon=3), cut=3)  # shorter than a season
    assert np.isfinite(out["predicted"]).all()
    with pytest.raises(InputError, match="horizon 12 is as long as the history"):
        forecast(SeriesRegression(12), panel(20))


def test_one_series_with_missing_values_is_treated_and_the_rest_finish():
    def make(frame, _):
        return frame.assign(y=frame["y"].where(~((frame["s"] == "b") & (frame.index % 3 == 0))))

    data = panel(80, series=("a", "b", "c", "d"), make=make)
    done = evaluate_forecasts(data, rolling_origin(data, 1), {"r": SeriesRegression(12), "n": SeasonalNaive(12)})
    assert not done.failures and set(done.predictions["series"]) == {"a", "b", "c", "d"}
    assert done.predictions["observed"].notna().all()
    scores = {arm: series_score("mase", part) for arm, part in done.predictions.groupby("arm")}
    assert scores["r"] < scores["n"]


def test_a_failing_series_is_named_and_left_out_for_all():
    data = panel(60, series=("a", "b"))
    arms = {"classical": Classical(12, members=("theta",), budget=0.0), "naive": Naive(12)}
    done = evaluate_forecasts(data, rolling_origin(data, 1), arms)
    assert "series a: not begun: the time budget of 0 s" in done.failures["classical"][0]


def test_holes_are_filled_from_the_season_before():
    y = np.array([1.0, 2.0, 3.0, 4.0, np.nan, np.nan, np.nan, np.nan, 5.0])
    assert fill_missing(y, 4).tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert fill_missing(np.array([1.0, np.nan, 3.0]), 4).tolist() == [1, 2, 3]
