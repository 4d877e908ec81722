"""Parts of the regression for series: seasonal differences, holidays, plain covariates, holes at the end, progress."""

import time

import numpy as np
import pandas as pd
import pytest

from toolkit.data.calendar import HOLIDAY
from toolkit.data.dataset import Dataset
from toolkit.data.series import SeriesData
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.forecasting_channels import BoxCox, channels_of
from toolkit.models.forecasting_clock import ClockRegression, only_first_step
from toolkit.models.forecasting_design import Design
from toolkit.models.forecasting_inner import Inner
from toolkit.models.forecasting_ridge import LagRegression, solve_by_step
from toolkit.models.ticker import listening, ticking


def single(y, freq="MS", horizon=12, country=None, periods=None, **columns):
    frame = pd.DataFrame({"t": pd.date_range("2010-01-01", periods=len(y), freq=freq), "y": y, **columns})
    data = Dataset(frame, ("y",), (), {}, "real", time="t", known_ahead=tuple(columns))
    return SeriesData.from_dataset(data, horizon, country=country, periods=periods)


def parts(data, ahead=12):
    cut = len(data.frame) - ahead
    return data.take(np.arange(cut)), data.future_of(np.arange(cut, len(data.frame)))


@pytest.mark.parametrize("recursive", [False, True])
def test_an_infinite_penalty_on_seasonal_differences_repeats_the_season_and_its_last_change(recursive):
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=120))
    (channel,) = channels_of(single(y))
    model = LagRegression(15, 6, 12, own=np.inf, ridge=1e15, difference=12, recursive=recursive).fit([channel])
    change = y[-1] - y[-13]
    expected = np.r_[y[-12:] + change, y[-12:-9] + 2 * change]
    np.testing.assert_allclose(model.predict(channel), expected, atol=1e-6)


def test_seasonal_differences_from_many_origins_equal_one_by_one():
    y = np.cumsum(np.random.default_rng(1).normal(size=150))
    (channel,) = channels_of(single(y))
    model = LagRegression(12, 6, 12, ridge=0.01, difference=12).fit([channel.until(120)])
    together = model.predict(channel, np.array([120, 131]))
    np.testing.assert_allclose(together[0], model.predict(channel.until(120)), rtol=1e-9)
    np.testing.assert_allclose(together[1], model.predict(channel.until(131)), rtol=1e-9)


def test_each_holiday_has_an_effect_of_its_own():
    rng, n = np.random.default_rng(2), 6 * 365
    data = single(rng.normal(0, 1, n), freq="D", horizon=7, country="US")
    frame = data.frame
    frame.loc[frame[HOLIDAY] == "Christmas Day", "y"] -= 40
    frame.loc[frame[HOLIDAY] == "Independence Day", "y"] += 20
    cut = int(np.flatnonzero(frame[HOLIDAY] == "Christmas Day")[-1]) - 3
    past, future = data.take(np.arange(cut)), data.future_of(np.arange(cut, cut + 7))
    model = SeriesRegression(7, mean="additive").fit(past)
    out = model.forecast(past, future).set_index("t")["predicted"]
    christmas = pd.Timestamp(f"{out.index[0].year}-12-25")
    assert out[christmas] < -25  # one effect for all holidays would be near zero
    assert np.abs(out.drop(christmas)).max() < 15
    assert any(term["term"] == "C(holiday)" for term in model.fit_info_["terms"])


def test_covariates_as_they_are_are_found_in_a_short_series():
    rng = np.random.default_rng(3)
    columns = {f"x{k}": rng.normal(size=72) for k in range(8)}
    y = 100 + 3 * columns["x0"] - 2 * columns["x5"] + rng.normal(0, 0.3, 72)
    past, future = parts(single(y, periods=(), **columns))
    model = SeriesRegression(12).fit(past)
    assert {form["mean"] for form in model.fit_info_["frozen"]["form"]} & {"linear", "additive"}
    error = model.forecast(past, future)["predicted"].to_numpy() - y[-12:]
    assert np.sqrt(np.mean(error**2)) < 1.5  # 3.6 without the covariates
    design = Design((), linear=True).fit(list(channels_of(past)))
    assert [name for name, _ in design.terms_] == list(columns) and design.width == 8


def test_a_hole_at_the_end_does_not_silence_a_series():
    y = 50 + 10 * np.sin(2 * np.pi * np.arange(120) / 12) + np.random.default_rng(4).normal(0, 1, 120)
    truth = y[-12:].copy()
    y[70:108] = np.nan
    past, future = parts(single(y))
    out = SeriesRegression(12, lookback=12, average=False).fit(past).forecast(past, future)
    assert np.abs(out["predicted"].to_numpy() - truth).mean() < 5  # 6.4 for the mean of the series


def test_a_loop_over_series_says_how_far_it_is():
    heard = []

    def slow():
        for k in range(3):
            time.sleep(1.05)
            yield k

    with listening(lambda words, left: heard.append((words, left))):
        assert list(ticking(slow(), 3)) == [0, 1, 2]
    assert [words.split(",")[0] for words, _ in heard] == ["1 of 3 series", "2 of 3 series"]
    assert "series/s" in heard[0][0] and heard[0][1] > heard[1][1] > 0
    assert list(ticking(range(3), 3)) == [0, 1, 2]  # nobody listens


def test_few_stretches_widen_intervals_as_students_t():
    # 48 values, horizon 12: inner origins over two stretches; t of 2 degrees is 2.92 at 95 %, the normal 1.645
    channels = list(channels_of(single(np.random.default_rng(5).normal(size=48))))
    inner = Inner.of(channels, 12, 12, 1)
    assert inner.blocks == 2
    widths = inner.half_widths(np.zeros(inner.observed.size), 12, 0.9)
    inner.blocks = 100_000
    assert widths / inner.half_widths(np.zeros(inner.observed.size), 12, 0.9) == pytest.approx(2.920 / 1.645, rel=1e-3)


def test_each_step_has_the_penalty_of_its_residual_variance():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    y = np.column_stack([x @ rng.normal(size=5) + spread * rng.normal(size=200) for spread in (0.2, 1.0, 3.0)])
    gram, cross, squares = x.T @ x / 200, x.T @ y / 200, (y**2).sum(axis=0) / 200
    penalty, unit = 0.3 * np.trace(gram) / 5, np.eye(5)
    first = np.linalg.solve(gram + penalty * unit, cross)
    left = ((y - x @ first) ** 2).mean(axis=0)
    wanted = [np.linalg.solve(gram + penalty * s * unit, c) for s, c in zip(left / left.mean(), cross.T, strict=True)]
    assert solve_by_step(gram, cross, squares, 0.3) == pytest.approx(np.array(wanted).T, rel=1e-8)


def test_the_next_value_is_hardly_shrunk_where_it_is_nearly_known():
    walk = np.random.default_rng(7).normal(size=600).cumsum()
    model = LagRegression(24, 48, 24, centre=24, own=np.inf, ridge=1.0)
    channel = next(iter(channels_of(single(walk))))
    errors = model.fit([channel.until(400)]).predict(channel, np.arange(400, 576))[:, 0] - walk[400:576]
    # The last value has 1.00; with one penalty for all steps it is 1.66.
    assert np.sqrt(np.mean(errors**2)) < 1.25 * np.std(np.diff(walk))


def test_times_of_day_alone_give_the_first_step_of_the_whole_regression():
    rng = np.random.default_rng(8)
    heat = rng.normal(size=24 * 100).cumsum() / 10
    y = 50 + 10 * np.sin(np.pi * np.arange(2400) / 12) + np.abs(heat) + rng.normal(size=2400)
    channel = next(iter(channels_of(single(y, freq="h", horizon=24, periods=(24,), heat=heat))))
    design = Design((24,), clock=True).fit([channel])
    whole = ClockRegression(24, 24, BoxCox(1.0), 3.0, design).fit([channel.until(2304)])
    shares = next(iter(whole.shares_.values()))
    assert shares.mean() == pytest.approx(1) and shares[0] < shares[12]
    origins = np.array([2304, 2328])
    first = whole.predict(channel, origins)[:, :1]
    assert only_first_step(whole).predict(channel, origins) == pytest.approx(first)


@pytest.mark.parametrize(("n", "block"), [(48, 24), (120, 36), (1000, 200)])
def test_three_horizons_decide_where_half_of_the_history_allows(n, block):
    inner = Inner.of(list(channels_of(single(np.random.default_rng(9).normal(size=n)))), 12, 12, 1)
    assert inner.fit_until == [n - block]
