"""The closed form that a forecasting net starts from: an average over lookbacks, chosen with caution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.neural_series import make, seasonal
from toolkit.models.neural.forecasting_linear import apply_linear, moments, solve_linear
from toolkit.models.neural.forecasting_losses import forecast_loss
from toolkit.models.neural.forecasting_plan import lookback_candidates, make_plan
from toolkit.models.neural.forecasting_start import Judgement, Part, solve_start
from toolkit.models.neural.windows import gather


def plan_of(series, horizon=4, metric="rmse", lookback=None, periods=(4,)):
    data = make(series, horizon=horizon, periods=periods)
    return make_plan(data, horizon, metric, forecast_loss(metric), lookback, "cpu")


def test_a_start_of_two_lookbacks_forecasts_the_mean_of_both():
    plan = plan_of({"a": {"y": seasonal(150)}, "b": {"y": seasonal(140, 1)}}, lookback=12)
    layout = plan.start.layout
    sums = moments(plan.panel, plan.inner, layout, True, 10_000)
    parts = [Part(12, 0.01, 100.0), Part(5, 0.1, None)]
    batch = gather(plan.panel, plan.validation, torch.arange(plan.validation.count), layout)
    both = apply_linear(solve_start(sums, parts, 12), batch)
    long = apply_linear(solve_linear(sums, 0.01, 100.0), batch)
    short = batch.inputs[:, 7:] @ solve_linear(sums.drop_lags(7), 0.1, None).common
    assert both.numpy() == pytest.approx(((long + short) / 2).numpy(), abs=1e-5)


def test_a_lookback_that_cannot_see_the_pattern_is_left_out():
    rng = np.random.default_rng(0)
    pattern = np.tile(rng.normal(size=24), 30) + 0.1 * rng.normal(size=720)  # no short lookback can tell where it is
    plan = plan_of({"a": {"y": pattern}}, horizon=12, periods=(2, 24))
    assert 4 in lookback_candidates((2, 24), 12, torch.tensor([600]))
    assert min(part.lookback for part in plan.start.parts) >= 24


def test_lookbacks_that_do_equally_well_all_stay():
    walk = np.random.default_rng(1).normal(size=600).cumsum()
    plan = plan_of({"a": {"y": walk}})
    assert len(plan.start.parts) >= 3


def test_the_error_of_a_difference_is_that_of_paired_means_where_stretches_are_equally_long():
    rng = np.random.default_rng(2)
    one, other = rng.gamma(2.0, size=(2, 12))
    seen = torch.full((12,), 5.0, dtype=torch.float64)
    gap, error = Judgement(torch.tensor(one), seen).behind(Judgement(torch.tensor(other), seen))
    difference = (one - other) / 5
    assert gap == pytest.approx(difference.mean())
    assert error == pytest.approx(difference.std(ddof=1) / np.sqrt(12))


def test_a_loss_without_bounds_is_worse_than_any_other():
    seen = torch.full((4,), 5.0, dtype=torch.float64)
    fine, broken = Judgement(torch.arange(4.0).double(), seen), Judgement(torch.full((4,), torch.inf).double(), seen)
    assert broken.worse(fine, 2.0)
    assert not fine.worse(broken, 2.0) and not broken.worse(broken, 2.0) and not fine.worse(fine, 0.0)


def test_series_without_changing_spread_seldom_move_to_the_scale_of_their_windows():
    walks = [np.random.default_rng(seed).normal(size=400).cumsum() for seed in range(30)]
    moved = sum(plan_of({"a": {"y": walk}}).start.layout.local_scale for walk in walks)
    assert moved <= 8  # one standard error: about one of six, where an equal loss would tip half of them


def test_a_spread_that_grows_exponentially_moves_to_the_scale_of_its_windows():
    grows = np.random.default_rng(4).normal(size=600) * np.exp(np.arange(600) / 100)
    assert plan_of({"a": {"y": grows}}, metric="mae").start.layout.local_scale
