"""One-step errors of the arms: they are what forecasting row by row gives, and see nothing that comes later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.dataset import Dataset
from toolkit.data.origins import rolling_origin
from toolkit.data.series import SeriesData
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.evaluation.innovations import COLUMNS, one_step_errors, watch
from toolkit.models.classical import Drift, SeasonalNaive
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.neural.forecasting import NeuralForecaster
from toolkit.models.state_space import Sarimax, Structural
from toolkit.models.statistical import Arima, Classical
from toolkit.models.systems import VectorAutoregression

H, N = 4, 96


def panel(names=("a", "b"), n=N, shift=0.0):
    rng, parts = np.random.default_rng(0), []
    for k, name in enumerate(names):
        t = np.arange(n)
        y = 50 + 5 * np.sin(np.pi * t / 2) * (k + 1) + np.cumsum(rng.normal(size=n))
        parts.append(pd.DataFrame({"s": name, "t": t, "y": y + shift * (t > 84)}))
    source = Dataset(pd.concat(parts, ignore_index=True), ("y",), (), {}, "real", time="t", series="s")
    return SeriesData.from_dataset(source, H, periods=[4])


def arms():
    return {
        "regression": SeriesRegression(H, lookback=8, steps="direct", transform="none", mean="none", average=False),
        "neural": NeuralForecaster(H, preset="quick", epochs=0, members=1, width=8, lookback=8, random_state=1),
        "seasonal_naive": SeasonalNaive(H, period=4),
        "drift": Drift(H),
    }


@pytest.fixture(scope="module")
def found():
    data = panel()
    splits = rolling_origin(data, origins=3)
    done = evaluate_forecasts(data, splits, arms(), innovations=tuple(arms()), workers=1)
    assert not done.failures
    return data, splits, done


def test_the_table_says_which_rows_a_fit_has_seen(found):
    table = found[2].innovations
    assert tuple(table.columns) == COLUMNS
    later = table[table["arm"] == "regression"]
    # 3 origins, 4 steps apart: 12 rows of each series come after the first one, so few that it is looked further back
    assert later.groupby(["fold", "series"]).size().eq(N - 1).all() and later["step"].min() == 1
    assert later.groupby("fold")["unseen"].sum().to_dict() == {0: 24, 1: 16, 2: 8}
    inside = table[table["arm"] == "seasonal_naive"]
    assert inside["fold"].unique().tolist() == [2] and inside["in_sample"].all()
    assert len(inside) == 2 * (N - 4) and inside["step"].max() == N - 5  # nothing after the last origin
    assert inside["predicted"].isna().sum() == 2 * 4


@pytest.mark.parametrize("arm", ["regression", "neural"])
def test_an_error_is_that_of_forecasting_from_the_row_before(found, arm):
    data, splits, done = found
    model = arms()[arm].fit(data.take(splits.folds[0].train))
    table = done.innovations.query("arm == @arm and fold == 0 and series == 'b'").set_index("step")
    rows = data.frame[data.series] == "b"
    for step in (N - 12, N - 7, N - 4):
        past = data.take(np.flatnonzero(rows & (data.frame[data.time] < step)))
        future = data.frame.loc[rows & data.frame[data.time].between(step, step + H - 1), ["s", "t"]]
        path = model.forecast(past, future.reset_index(drop=True))["predicted"]
        assert table.loc[step, "predicted"] == pytest.approx(path.iloc[0], rel=1e-5)
    assert table.loc[N - 1, "observed"] == data.frame.loc[rows, "y"].iloc[-1]


@pytest.mark.parametrize("arm", ["regression", "neural"])
def test_what_comes_later_changes_nothing_before(found, arm):
    data, splits, done = found
    model = arms()[arm].fit(data.take(splits.folds[0].train))
    look = watch(data, splits.folds, 2)
    changed = one_step_errors(model, panel(shift=100.0), look, arm, splits.folds[0])
    before = done.innovations.query("arm == @arm and fold == 0")
    early = (changed["step"] <= 85).to_numpy()  # row 85 is the first that is shifted, row 86 the first to know of it
    assert early.sum() == 2 * 85
    np.testing.assert_allclose(changed["predicted"][early], before["predicted"][early], rtol=1e-6)
    assert (np.abs(changed["predicted"][~early].to_numpy() - before["predicted"][~early].to_numpy()) > 1).all()


def test_rules_without_coefficients_by_hand(found):
    data, _, done = found
    y = data.frame.loc[data.frame["s"] == "a", "y"].to_numpy()
    inside = done.innovations.query("in_sample and series == 'a'")
    mine = inside.set_index(["arm", "step"])["predicted"]
    assert mine["seasonal_naive", 50] == y[46]
    assert mine["drift", 50] == pytest.approx(y[49] + (y[49] - y[0]) / 49)


def test_a_classical_model_counts_its_dynamic_coefficients():
    rng = np.random.default_rng(3)
    y = np.zeros(150)
    for t in range(1, 150):
        y[t] = 0.7 * y[t - 1] + rng.normal()
    frame = pd.DataFrame({"t": np.arange(150), "y": y + 20})
    data = SeriesData.from_dataset(Dataset(frame, ("y",), (), {}, "real", "y", time="t"), 3, periods=[])
    ((fitted, model_df),) = Arima(3).fit(data).fitted_one_step(data).values()
    assert len(fitted) == 150 and 1 <= model_df <= 4
    assert np.std(frame["y"] - fitted) == pytest.approx(1.0, abs=0.15)  # the noise
    ((both, larger),) = Classical(3, members=("arima", "theta")).fit(data).fitted_one_step(data).values()
    assert larger >= model_df and not np.array_equal(both, fitted)


@pytest.mark.parametrize("model", [Sarimax(3, order=[1, 0, 1], transform="none"), Structural(3, level="local level")])
def test_state_space_models_are_those_of_statsmodels(model):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"t": np.arange(120), "y": np.cumsum(rng.normal(size=120)) * 0.3 + rng.normal(size=120) + 50})
    data = SeriesData.from_dataset(Dataset(frame, ("y",), (), {}, "real", "y", time="t"), 3, periods=[])
    model = model.fit(data.take(np.arange(100)))
    ((fitted, model_df),) = model.fitted_one_step(data.take(np.arange(100))).values()
    burn = model.result_.loglikelihood_burn
    np.testing.assert_allclose((frame["y"][:100] - fitted)[burn + 1 :], model.result_.resid[burn + 1 :], rtol=1e-8)
    assert model_df == (2 if isinstance(model, Sarimax) else len(model.result_.params) - 1)
    (later,) = model.forecast_one_step(data, {data.names[0]: 20}).values()
    for step in (100, 110):
        out = model.forecast(data.take(np.arange(step)), data.future_of(np.arange(step, step + 1)))
        assert later[step - 100] == pytest.approx(out["predicted"].iloc[0])


@pytest.mark.parametrize("form", ["levels", "differences", "vecm"])
def test_a_system_forecasts_one_step_as_it_forecasts_several(form):
    rng = np.random.default_rng(5)
    shared = np.cumsum(rng.normal(size=140))
    frame = pd.DataFrame({"t": np.arange(140), "a": shared + rng.normal(size=140), "b": shared + rng.normal(size=140)})
    data = SeriesData.from_dataset(Dataset(frame, ("a", "b"), (), {}, "real", "y", time="t"), 2, periods=[])
    model = VectorAutoregression(2, form=form, most_lags=3).fit(data.take(np.arange(120)))
    later, inside = model.forecast_one_step(data, {data.names[0]: 20}), model.fitted_one_step(data)
    for step in (120, 133):
        out = model.forecast(data.take(np.arange(step)), data.future_of(np.arange(step, step + 2)))
        first = out[out["horizon"] == 1].set_index("target")["predicted"]
        assert [later[data.names[0], k][step - 120] for k in "ab"] == pytest.approx([first["a"], first["b"]])
    assert inside[data.names[0], "a"][1] == model.fits_[data.names[0]]["order"]


class Odd(SeasonalNaive):
    """Forecasts, but its one-step errors fail."""

    def fitted_one_step(self, past):
        raise ValueError("no luck")


def test_an_arm_whose_innovations_fail_keeps_its_forecasts():
    data = panel(("a",))
    done = evaluate_forecasts(data, rolling_origin(data, 2), {"odd": Odd(H)}, innovations=("odd",), workers=1)
    assert not done.failures and len(done.predictions) == 8 and done.innovations is None
    told = [fact.get("innovations") for fact in done.facts["odd"]]
    assert told == [None, "one-step innovations: ValueError: no luck"]
