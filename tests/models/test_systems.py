"""Several targets together: form, order and rank by tests, causality, stability, bad input."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.api import VAR, VECM

from toolkit.data.dataset import Dataset
from toolkit.data.series import SeriesData
from toolkit.errors import InputError
from toolkit.models.systems import VectorAutoregression

TARGETS = ("y", "z")


def system(values, horizon=12, targets=TARGETS):
    t = pd.date_range("1990-01-01", periods=len(values), freq="MS")
    frame = pd.DataFrame(values, columns=list(targets)).assign(s="a", t=t)
    return SeriesData.from_dataset(Dataset(frame, targets, (), {}, "real", time="t", series="s"), horizon, periods=())


def forecast(model, data):
    past = data.take(np.arange(len(data.frame) - 12))
    out = model.fit(past).forecast(past, data.future_of(np.arange(len(past.frame), len(data.frame))))
    return out["predicted"].to_numpy().reshape(len(data.targets), 12).T


def table(model, title):
    return pd.DataFrame(next(t["rows"] for t in model.fit_info_["tables"] if t["title"].startswith(title)))


def walks(seed=3, n=300):
    return np.cumsum(np.random.default_rng(seed).normal(size=(n, 2)), axis=0)


def test_unrelated_walks_are_differenced():
    model = VectorAutoregression(12, form="differences")
    values = walks()
    path = forecast(model, system(values))
    assert table(model, "Unit roots")["unit_root"].any()
    assert "in first differences: y, z" in model.fit_info_["formula"] and model.fit_info_["stable"]
    steps = np.diff(values[:-12], axis=0)
    order = model.fits_["a"]["order"]
    expected = values[-13] + np.cumsum(VAR(steps).fit(order).forecast(steps[-order:], 12), axis=0)
    np.testing.assert_allclose(path, expected, rtol=1e-9)


def test_cointegrated_targets_get_a_vecm_as_statsmodels_estimates_it():
    rng = np.random.default_rng(4)
    walk = np.cumsum(rng.normal(size=300))
    both = np.column_stack([walk + rng.normal(size=300), 2 * walk + rng.normal(size=300)])
    model = VectorAutoregression(12)
    path = forecast(model, system(both))
    fit = model.fits_["a"]
    assert fit["form"] == "vecm" and fit["rank"] == 1 and fit["stable"]
    assert table(model, "Cointegration")["trace"].iloc[0] > table(model, "Cointegration")["critical_5"].iloc[0]
    expected = VECM(both[:-12], k_ar_diff=fit["order"] - 1, coint_rank=1, deterministic="co").fit().predict(12)
    np.testing.assert_allclose(path, expected, rtol=1e-6)


def test_granger_causality_runs_one_way():
    rng = np.random.default_rng(5)
    y = rng.normal(size=400)
    z = np.r_[0.0, 0.8 * y[:-1]] + rng.normal(0, 0.6, 400)
    model = VectorAutoregression(12).fit(system(np.column_stack([y, z])))
    found = table(model, "Granger").set_index(["cause", "effect"])
    assert model.fits_["a"]["form"] == "levels"
    assert found.loc[("y", "z"), "p_value"] < 1e-10 and found.loc[("z", "y"), "p_value"] > 0.01
    # 0.64 of the variance of z comes from y, 0.36 is noise: partial R2 of the one lag is 0.64
    assert found.loc[("y", "z"), "partial_r2"] == pytest.approx(0.64, abs=0.06)
    assert found.loc[("z", "y"), "partial_r2"] < 0.02


def test_logarithms_are_taken_where_the_spread_grows_with_the_level():
    rng = np.random.default_rng(6)
    growth = np.exp(np.cumsum(rng.normal(0.02, 0.03, size=(200, 2)), axis=0))
    model = VectorAutoregression(12).fit(system(growth))
    assert "logarithms" in model.fit_info_["formula"] and model.fit_info_["frozen"]["transform"] == "log"
    again = VectorAutoregression(12, **model.fit_info_["frozen"])
    np.testing.assert_allclose(forecast(again, system(growth)), forecast(VectorAutoregression(12), system(growth)))


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (walks(), {"form": "level"}, "unknown form 'level', did you mean 'levels'"),
        (walks(), {"transform": "log"}, "needs values above 0"),
        (walks(n=11), {}, "11 rows, too few"),
        (np.column_stack([walks()[:, 0], np.ones(300)]), {}, "target 'z' is constant"),
    ],
)
def test_bad_input_is_one_line(values, settings, message):
    with pytest.raises(InputError, match=message):
        VectorAutoregression(2, **settings).fit(system(values, 2))


def test_one_target_is_no_system():
    with pytest.raises(InputError, match="needs several targets"):
        VectorAutoregression(2).fit(system(walks()[:, :1], 2, targets=("y",)))
