"""Windows are what a loop over rows would cut out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.neural_series import make, seasonal
from toolkit.models.neural.forecasting_frames import SeriesEncoder
from toolkit.models.neural.forecasting_losses import forecast_loss
from toolkit.models.neural.forecasting_networks import averaging, interpolation
from toolkit.models.neural.forecasting_panel import Layout
from toolkit.models.neural.windows import Origins, gather, in_target_units, training_and_validation


def panel_of(data, log=False):
    return SeriesEncoder(data, log, "none").panel(data.frame)[0]


def test_windows_equal_a_loop_over_rows():
    rng = np.random.default_rng(1)
    values = {
        name: {"y": rng.normal(size=n), "x": rng.normal(size=n), "z": rng.normal(size=n)}
        for name, n in (("a", 12), ("b", 9))
    }
    data = make(values, {"known_ahead": ["x"], "past_only": ["z"]}, horizon=2)
    panel, layout = panel_of(data), Layout(lookback=5, horizon=2, covariate_lags=3, scale_lags=5, local_scale=False)
    origins = Origins.of(panel.first + 2, panel.stop - 1, panel.stop, 1, 1)
    batch = gather(panel, origins, torch.arange(origins.count), layout)
    spread = panel.spread.flatten()
    row = 0
    for s, (name, columns) in enumerate(values.items()):
        y = columns["y"]
        x, z = ((columns[c] - data.frame[c].mean()) / data.frame[c].std(ddof=0) for c in ("x", "z"))
        for origin in range(2, len(y) - 1):
            lags = [(y[i] - y[origin - 1]) / float(spread[s]) if i >= 0 else 0.0 for i in range(origin - 5, origin)]
            recent = [[c[i] if i >= 0 else 0.0 for i in range(origin - 3, origin)] for c in (x, z)]
            wanted = [*lags, *recent[0], *x[origin : origin + 2], *recent[1], 1.0]
            assert batch.inputs[row].numpy() == pytest.approx(np.array(wanted), abs=1e-5), (name, origin)
            assert batch.future[row].numpy() == pytest.approx(y[origin : origin + 2], abs=1e-6)
            row += 1
    assert row == origins.count and layout.width(panel) == batch.inputs.shape[-1]


def test_missing_values_count_as_the_last_one_seen():
    y = np.array([1.0, 2.0, np.nan, 4.0, np.nan, 6.0, 7.0])
    panel = panel_of(make({"a": {"y": y}}, horizon=2))
    layout = Layout(4, 2, 1, 4, False)
    origins = Origins.of(torch.tensor([5]), torch.tensor([6]), panel.stop, 1, 1)
    batch = gather(panel, origins, torch.tensor([0]), layout)
    assert float(batch.level) == 4.0
    lags = batch.inputs[0, :4] * panel.spread[0, 0]
    assert lags.numpy() == pytest.approx([-2.0, 0.0, 0.0, 0.0], abs=1e-6)
    assert batch.seen.tolist() == [[True, True]]


def test_training_targets_end_before_validation_and_both_end_before_the_series():
    data = make({"a": {"y": seasonal(40)}, "b": {"y": seasonal(23)}, "c": {"y": seasonal(5)}}, horizon=4)
    panel = panel_of(data)
    block = torch.tensor([8, 5, 0])
    inner, held, every = training_and_validation(panel, 4, 6, block, 1000)
    for origins, limit in ((inner, panel.stop - block), (held, panel.stop), (every, panel.stop)):
        series, origin, _ = origins.locate(torch.arange(origins.count))
        batch = gather(panel, origins, torch.arange(origins.count), Layout(6, 4, 1, 6, False))
        last = origin + batch.seen.sum(-1)
        assert bool((last <= limit[series]).all())
        assert bool((origin > panel.first[series]).all())
    series, origin, _ = held.locate(torch.arange(held.count))
    assert origin[series == 0].tolist() == [32, 33, 34, 35, 36]
    assert 2 not in series.tolist()
    assert 2 in inner.locate(torch.arange(inner.count))[0].tolist()


def test_the_latest_window_is_validated_when_windows_are_thinned_out():
    panel = panel_of(make({"a": {"y": seasonal(400)}}, horizon=4))
    _, held, _ = training_and_validation(panel, 4, 6, torch.tensor([200]), 10)
    _, origin, _ = held.locate(torch.arange(held.count))
    assert held.count <= 10 and int(origin[-1]) == 396


@pytest.mark.parametrize("log", [False, True])
def test_normalising_and_the_way_back_meet(log):
    panel = panel_of(
        make({"a": {"y": np.exp(seasonal(30, level=1) / 5)}, "b": {"y": np.r_[0.0, seasonal(20)]}}, horizon=3), log
    )
    origins = Origins.of(panel.first + 5, panel.stop - 2, panel.stop, 1, 1)
    batch = gather(panel, origins, torch.arange(origins.count), Layout(5, 3, 1, 5, True))
    future = (panel.to_model(batch.future, batch.channel) - batch.level[:, None]) / batch.size[:, None]
    assert torch.allclose(in_target_units(panel, batch, future[..., None])[..., 0], batch.future, rtol=1e-4, atol=1e-4)


def test_losses_against_their_definitions():
    predicted, observed = torch.tensor([[[2.0], [5.0]]]), torch.tensor([[3.0, 1.0]])
    wanted = {"mae": [1.0, 4.0], "rmse": [1.0, 16.0], "smape": [2 / 5, 8 / 6], "mape": [1 / 3, 4.0]}
    for metric, losses in wanted.items():
        assert forecast_loss(metric)(predicted, observed)[0].tolist() == pytest.approx(losses)
    pinball = forecast_loss("pinball")
    three = pinball(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[3.0]]))
    assert float(three) == pytest.approx((0.05 * 2 + 0.5 * 1 + 0.05 * 1) / 3)


def test_pools_average_and_knots_join_by_straight_lines():
    assert (torch.arange(5.0) @ averaging(5, 2)).tolist() == pytest.approx([0.0, 1.5, 3.5])
    assert (torch.tensor([0.0, 4.0]) @ interpolation(2, 5)).tolist() == pytest.approx([0, 1, 2, 3, 4])
    assert torch.equal(interpolation(6, 6), torch.eye(6))
