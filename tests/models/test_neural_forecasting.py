"""The neural forecaster: where it starts, what it may see, and what it does with awkward series."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone

from tests.models.neural_series import cut, make, seasonal
from toolkit.errors import InputError
from toolkit.models.neural.forecasting import NeuralForecaster
from toolkit.models.neural.forecasting_losses import forecast_loss
from toolkit.models.neural.forecasting_plan import make_plan
from toolkit.models.neural.forecasting_presets import ForecastRecipe
from toolkit.models.neural.forecasting_training import Windows, train_windows
from toolkit.models.ticker import listening

SMALL = {"members": 2, "epochs": 2, "width": 16, "preset": "quick", "threads": 1}


def forecaster(**settings) -> NeuralForecaster:
    return NeuralForecaster(**{**SMALL, **settings})


def mean_error(forecast, answers, target="y") -> float:
    both = answers.merge(forecast[forecast["target"] == target], on=["id", "t"])
    assert len(both) == len(answers)
    return float((both[target] - both["predicted"]).abs().mean())


@pytest.fixture(scope="module")
def fitted():
    data = make({"a": {"y": seasonal(120)}, "b": {"y": seasonal(80, 1, 500)}, "c": {"y": seasonal(60, 2, 9)}})
    past, future, answers = cut(data)
    return forecaster().fit(past), past, future, answers


def test_with_the_residual_net_at_zero_it_is_ridge_regression_on_the_window():
    y = np.random.default_rng(3).normal(size=300).cumsum()  # below zero: no logarithm
    y += 3 * np.sin(np.pi * np.arange(300) / 2)
    past, future, _ = cut(make({"a": {"y": y}}))
    net = forecaster(epochs=0, lookback=8, metric="rmse").fit(past)
    seen = y[:296]
    size = net.encoder_.scales.spread[0, 0]
    windows, futures = [], []
    for origin in range(8, 293):
        lags = seen[origin - 8 : origin] - seen[origin - 1]
        own = max(np.abs(lags).mean(), 0.1 * size) if net.layout_.local_scale else size
        windows.append(np.r_[lags / own, 1.0])
        futures.append((seen[origin : origin + 4] - seen[origin - 1]) / own)
    x, target = np.array(windows), np.array(futures)
    gram = x.T @ x
    penalty = np.full(9, net.fit_info_["start"]["parts"][0]["ridge"] * np.trace(gram) / 9)
    penalty[-1] = 1e-10
    weights = np.linalg.solve(gram + np.diag(penalty + 1e-9 * gram.diagonal().max()), x.T @ target)
    lags = seen[-8:] - seen[-1]
    own = max(np.abs(lags).mean(), 0.1 * size) if net.layout_.local_scale else size
    wanted = seen[-1] + own * (np.r_[lags / own, 1.0] @ weights)
    assert net.forecast(past, future)["predicted"].to_numpy() == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_a_stack_gives_what_separate_trainings_give():
    data = make({"a": {"y": seasonal(90)}, "b": {"y": seasonal(70, 1)}})
    plan = make_plan(data, 4, "mae", forecast_loss("mae"), 8, "cpu")
    windows = Windows(plan.panel, plan.start.layout, plan.inner, plan.validation)
    recipe = ForecastRecipe(epochs=2, width=16, steps=8, batch_size=32)

    def train(seeds):
        return train_windows(windows, plan.start.linear, seeds, recipe, forecast_loss("mae"), "cpu")

    both, alone = train([5, 6]), [train([5]), train([6])]
    assert both.best_losses == pytest.approx([a.best_losses[0] for a in alone], rel=1e-4)
    for name, p in both.network.named_parameters():
        separate = torch.cat([dict(a.network.named_parameters())[name] for a in alone])
        assert torch.allclose(p, separate, atol=2e-5), name


def test_training_never_ends_above_its_start_on_the_validation_windows(fitted):
    net = fitted[0]
    assert max(net.fit_info_["validation_losses"]) <= net.fit_info_["start"]["validation_loss"] * (1 + 1e-4)
    assert len(net.fit_info_["curves"]) == 4 and len(net.fit_info_["best_epochs"]) == 2


def test_future_targets_never_reach_a_forecast(fitted):
    net, past, future, answers = fitted
    before = net.forecast(past, future)
    after = net.forecast(past, answers.assign(y=1e6))
    assert np.array_equal(before["predicted"], after["predicted"])
    whole = past.frame[past.frame["id"] == "a"]
    short = past.take(whole.index[:-6].to_numpy())
    longer = net.forecast_origins(past.take(whole.index.to_numpy()), start=len(whole) - 6)
    steps = whole.iloc[-6:-2][["id", "t"]]
    assert net.forecast(short, steps)["predicted"].to_numpy() == pytest.approx(longer[0, :, 0], rel=1e-5)


def test_forecasts_are_in_the_agreed_form(fitted):
    net, past, future, answers = fitted
    forecast = net.forecast(past, future)
    assert list(forecast) == ["id", "t", "target", "horizon", "predicted", "lower", "upper"]
    assert forecast["horizon"].tolist() == [1, 2, 3, 4] * 3
    assert (forecast["lower"] <= forecast["predicted"]).all() and (forecast["predicted"] <= forecast["upper"]).all()
    last = past.frame.groupby("id")["y"].last()
    naive = (answers["y"] - answers["id"].map(last)).abs().mean()
    assert mean_error(forecast, answers) < 0.6 * naive


def test_members_average_to_the_forecast_and_name_their_seeds(fitted):
    net, past, future, _ = fitted
    members = net.forecast_members(past, future)
    assert sorted(members["member"].unique()) == [0, 1] and len(members) == 2 * len(future)
    mean = members.groupby(["id", "t"], sort=False)["predicted"].mean().to_numpy()
    assert mean == pytest.approx(net.forecast(past, future)["predicted"].to_numpy(), rel=1e-6)
    facts = net.fit_info_
    assert len(set(facts["seeds"])) == 2 == facts["members"] and facts["restarts"] == []
    kept = [note for note in facts["notes"] if "members end where they start" in note]
    assert bool(kept) == (0 in facts["best_epochs"])


def test_a_training_says_how_far_it_is(fitted):
    words = []
    with listening(lambda said, left: words.append((said, left))):
        forecaster(epochs=3, lookback=8).fit(fitted[1].only(["a"]))
    assert [said for said, _ in words] == ["epoch 1 of 3, 2 nets", "epoch 2 of 3, 2 nets"]
    assert all(left >= 0 for _, left in words)


def test_one_seed_one_forecast(fitted):
    past, future = fitted[1].only(["a"]), fitted[2][fitted[2]["id"] == "a"]
    net = forecaster(architecture="residual", epochs=1, lookback=8)
    first, again, other = (clone(net).set_params(random_state=s).fit(past).forecast(past, future) for s in (0, 0, 1))
    assert np.array_equal(first["predicted"], again["predicted"])
    assert not np.array_equal(first["predicted"], other["predicted"])


def test_pickled_it_forecasts_the_same_without_the_trainer(fitted, tmp_path):
    net, past, future, _ = fitted
    with open(tmp_path / "net.pkl", "wb") as file:
        pickle.dump((net, past, future, net.forecast(past, future)), file)
    code = (
        "import pickle, sys; net, past, future, wanted = pickle.load(open(sys.argv[1], 'rb'));"
        "assert net.forecast(past, future).equals(wanted);"
        "assert 'pytorch_lightning' not in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "net.pkl")], check=True)


def test_awkward_series_are_forecast_beside_the_others():
    values = {
        "long": {"y": seasonal(100)}, "short": {"y": seasonal(7)}, "two": {"y": np.array([3.0, 4.0])},
        "constant": {"y": np.full(50, 8.0)}, "zeros": {"y": np.zeros(50)}, "gaps": {"y": seasonal(60)},
        "unseen": {"y": seasonal(40)},
    }  # fmt: skip
    values["gaps"]["y"][20:25] = np.nan
    data = make(values)
    late = data.frame.groupby("id").cumcount(ascending=False).to_numpy() < 1
    past = data.take(np.flatnonzero(~late))
    net = forecaster().fit(past.only([n for n in values if n != "unseen"]))
    future = past.future(past.ends().to_dict(), 4)
    forecast = net.forecast(past, future)
    assert np.isfinite(forecast["predicted"]).all() and len(forecast) == 28
    by_series = forecast.groupby("id")["predicted"]
    assert by_series.get_group("constant").to_numpy() == pytest.approx(np.full(4, 8.0), abs=1e-2)
    assert by_series.get_group("zeros").to_numpy() == pytest.approx(np.zeros(4), abs=1e-2)
    assert (forecast["predicted"] >= 0).all()


def test_series_too_short_to_hold_anything_back_get_the_closed_form_and_a_finding():
    data = make({"a": {"y": np.array([1.0, 2.0, 3.0])}, "b": {"y": np.array([5.0, 5.5])}})
    net = forecaster().fit(data)
    assert net.fit_info_["findings"][0]["finding"] == "too_short"
    assert np.isfinite(net.forecast(data, data.future(data.ends().to_dict()))["predicted"]).all()


def test_covariates_known_ahead_and_past_ones_are_used():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=400), rng.normal(size=400)
    driven = make({"a": {"y": 4 * x + 0.1 * rng.normal(size=400), "x": x}}, {"known_ahead": ["x"]}, periods=())
    past, future, answers = cut(driven)
    assert mean_error(forecaster().fit(past).forecast(past, future), answers) < 0.5
    led = make({"a": {"y": np.r_[0.0, 4 * z[:-1]] + 0.1 * rng.normal(size=400), "z": z}}, {"past_only": ["z"]}, 1, ())
    past, future, answers = cut(led)
    assert mean_error(forecaster().fit(past).forecast(past, future), answers) < 0.5


def test_static_text_and_missing_covariates_are_read():
    rng = np.random.default_rng(0)
    kind = {"a": "up", "b": "down", "c": "up"}
    values = {
        n: {
            "y": seasonal(60, i),
            "event": rng.choice(["none", "sale"], 60).astype(object),
            "kind": np.full(60, k, object),
        }
        for i, (n, k) in enumerate(kind.items())
    }
    for columns in values.values():
        columns["y"] = columns["y"] + 20 * (columns["event"] == "sale")
    past, future, answers = cut(make(values, {"known_ahead": ["event"], "static": ["kind"]}))
    assert mean_error(forecaster().fit(past).forecast(past, future), answers) < 5
    with pytest.raises(InputError, match="'event'"):
        forecaster().fit(past).forecast(past, future.drop(columns="event"))


def test_one_target_may_lead_another():
    rng = np.random.default_rng(0)
    lead = rng.normal(size=500)
    follow = np.r_[0.0, 3 * lead[:-1]] + 0.1 * rng.normal(size=500)
    past, future, answers = cut(make({"a": {"lead": lead, "follow": follow}}, horizon=1, periods=()))
    net = forecaster(metric="rmse").fit(past)
    forecast = net.forecast(past, future)
    assert net.layout_.cross and sorted(forecast["target"]) == ["follow", "lead"]
    assert mean_error(forecast, answers, "follow") < 0.6


def test_pinball_trains_three_quantiles_that_cover():
    values = {f"s{i}": {"y": 20 + np.random.default_rng(i).normal(size=150)} for i in range(30)}
    past, future, answers = cut(make(values, periods=()))
    for metric in ("pinball", "mae"):
        forecast = forecaster(metric=metric).fit(past).forecast(past, future).merge(answers, on=["id", "t"])
        covered = ((forecast["lower"] <= forecast["y"]) & (forecast["y"] <= forecast["upper"])).mean()
        assert 0.8 <= covered <= 0.98, metric


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"preset": "quik"}, "did you mean 'quick'"),
        ({"architecture": "transformer"}, "unknown architecture 'transformer'"),
        ({"metric": "rmspe"}, "unknown metric"),
        ({"members": 0}, "members must be positive"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"accelerator": "tpu"}, "accelerator must be"),
    ],
)
def test_wrong_settings_stop_with_one_line(settings, words):
    with pytest.raises(InputError, match=words) as error:
        forecaster(**settings).fit(make({"a": {"y": seasonal(30)}}))
    assert "\n" not in str(error.value)


def test_wrong_requests_stop_with_one_line(fitted):
    net, past, future, _ = fitted
    with pytest.raises(InputError, match="5 steps ahead"):
        net.forecast(past, past.future(past.ends().to_dict(), 5))
    with pytest.raises(InputError, match="'b' is to be forecast but has no past"):
        net.forecast(past.only(["a"]), future[future["id"] != "c"])
    with pytest.raises(InputError, match="no observed value"):
        forecaster().fit(make({"a": {"y": np.full(30, np.nan)}}))


def test_the_residual_architecture_learns_without_the_linear_start(fitted):
    past = fitted[1]
    net = forecaster(architecture="residual", epochs=4).fit(past)
    assert net.network_.skip is None
    losses = [row["val_loss"] for row in net.fit_info_["curves"] if row["member"] == 0]
    assert losses[-1] < losses[0]
