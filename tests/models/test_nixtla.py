"""Nets of the neuralforecast package: what they are given, and one line where they cannot be had."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone

from tests.models.neural_series import cut, make, seasonal
from toolkit.errors import InputError
from toolkit.models.arms import ARMS, ArmContext, build_arms
from toolkit.models.neural.nixtla import NixtlaForecaster


def data():
    columns = {}
    for k, name in enumerate("ab"):
        y = seasonal(90, k)
        y[40] = np.nan
        week = np.tile(["mon", "tue", "wed"], 30)
        columns[name] = {"y": y, "price": np.arange(90.0) % 7, "week": week, "seen": np.cos(np.arange(90.0)),
                         "size": np.full(90, float(k))}  # fmt: skip
    roles = {"known_ahead": ("price", "week"), "past_only": ("seen",), "static": ("size",)}
    return make(columns, roles)


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "neuralforecast", None)
    with pytest.raises(InputError, match=r"pip install 'regression-neural-toolkit\[neuralforecast\]'") as told:
        NixtlaForecaster().check_columns(None)
    assert "\n" not in str(told.value)


def test_it_is_an_arm_that_is_told_the_horizon():
    assert ARMS["series"]["neuralforecast"].kind == "neural"
    context = ArmContext(None, "real", "mase", random_state=3, horizon=7, quick=True)
    made = build_arms("series", {"neuralforecast": {"model": "NBEATS"}}, context)["neuralforecast"]
    assert (made.horizon, made.metric, made.random_state, made.preset) == (7, "mase", 3, "quick")
    assert clone(made).get_params() == made.get_params()


@pytest.fixture(scope="module")
def fitted():
    pytest.importorskip("neuralforecast")
    past, future, answers = cut(data())
    return NixtlaForecaster("NHITS", steps=3, lookback=8).fit(past), past, future, answers


def test_forecasts_are_in_the_agreed_form(fitted):
    net, past, future, _ = fitted
    found = net.forecast(past, future)
    assert list(found) == ["id", "t", "target", "horizon", "predicted", "lower", "upper"]
    assert found["horizon"].tolist() == [1, 2, 3, 4] * 2 and np.isfinite(found["predicted"]).all()
    assert found["lower"].isna().all() and net.fit_info_["curves"] and net.fit_info_["seeds"] == [0]
    assert net.names_ == {
        "known_ahead": [f"known_ahead_{k}" for k in range(4)], "past_only": ["past_only_0"], "static": ["static_0"]
    }  # fmt: skip
    again = pickle.loads(pickle.dumps(net)).forecast(past, future)
    assert np.allclose(again["predicted"], found["predicted"])


def test_later_origins_and_shorter_futures_are_forecast_with_the_same_net(fitted):
    net, past, future, _ = fitted
    first = net.forecast(past, future[future["t"] < 88])
    whole = net.forecast(past, future)
    assert len(first) == 4 and np.allclose(first["predicted"], whole[whole["horizon"] <= 2]["predicted"], rtol=0.05)
    earlier = past.take(np.flatnonzero(past.frame["t"] < 80))
    steps = past.frame.loc[past.frame["t"].between(80, 83), ["id", "t", "price", "week", "size"]].reset_index(drop=True)
    assert net.forecast(earlier, steps)["t"].tolist() == [80, 81, 82, 83] * 2
    with pytest.raises(InputError, match="fitted for 4"):
        net.forecast(earlier, past.frame.loc[past.frame["t"].between(80, 85), list(steps)].reset_index(drop=True))


def test_a_quantile_loss_gives_intervals_and_what_is_not_taken_is_said():
    pytest.importorskip("neuralforecast")
    past, future, _ = cut(data())
    net = NixtlaForecaster("NBEATS", metric="pinball", steps=3, lookback=8).fit(past)
    found = net.forecast(past, future)
    assert (found["lower"] <= found["upper"]).all()
    assert "NBEATS takes no known_ahead columns: fitted without them" in net.fit_info_["notes"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "NHITZ"}, "did you mean 'NHITS'"),
        ({"model": "StemGNN"}, "jointly"),
        ({"settings": {"dropout_prob_teta": 0.1}}, "did you mean 'dropout_prob_theta'"),
        ({"settings": {"max_steps": 5}}, "has no 'max_steps'"),
        ({"preset": "fast"}, "preset"),
        ({"metric": "auc"}, "metric"),
    ],
)
def test_wrong_settings_stop_with_one_line(settings, words):
    pytest.importorskip("neuralforecast")
    with pytest.raises(InputError, match=words):
        NixtlaForecaster(**settings).check_columns(None)
