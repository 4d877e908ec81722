"""Transform, differences and seasons of a series: answers of R, and properties."""

import numpy as np
import pytest
from statsforecast.utils import AirPassengers

from toolkit.specification.series import examine, guerrero, seasonal_strengths, unit_root, useful_power


def test_guerrero_as_in_r():
    # forecast::BoxCox.lambda(AirPassengers, method = "guerrero", lower = -1, upper = 2): -0.2947156
    assert guerrero(AirPassengers, 12) == pytest.approx(-0.2947156, abs=1e-4)


@pytest.mark.parametrize(
    ("y", "period"), [(np.array([1.0, -1.0, 2.0, 3.0]), 2), (np.ones(40), 4), (np.arange(1.0, 4.0), 4)]
)
def test_no_power_without_positive_varying_seasons(y, period):
    assert np.isnan(guerrero(y, period))
    assert useful_power(y, period) == 1.0


def test_a_power_is_taken_where_the_level_changes():
    assert useful_power(AirPassengers, 12) == 0.0  # the clipped -0.29
    rng = np.random.default_rng(3)
    assert useful_power(100 + rng.normal(0, 3, 240), 12) == 1.0  # Guerrero finds some power, but for nothing
    level = np.repeat(np.linspace(10, 1000, 40), 12)
    assert useful_power(level + np.sqrt(level) * rng.normal(size=480), 12) == pytest.approx(0.5, abs=0.15)
    assert useful_power(level * np.exp(0.1 * rng.normal(size=480)), 12) == pytest.approx(0.0, abs=0.15)


def test_strength_tells_a_season_from_noise():
    rng, t = np.random.default_rng(0), np.arange(480)
    noise, wave = rng.normal(size=480), 3 * np.sin(2 * np.pi * t / 24)
    strong, _ = seasonal_strengths(wave + noise, [24])
    weak, _ = seasonal_strengths(noise, [24])
    assert strong[24] == pytest.approx(4.5 / 5.5, abs=0.1)  # variance of the wave 4.5, of the noise 1
    assert weak[24] < 0.5  # STL finds some season in noise: the bar for a difference is .64
    both, trend = seasonal_strengths(wave + 2 * np.sin(2 * np.pi * t / 96) + 0.1 * t + noise, [24, 96])
    assert both[24] > 0.6 and both[96] > 0.5 and trend > 0.95
    assert seasonal_strengths(noise, [300])[0] == {}


def test_the_strength_of_a_year_of_hours():
    t = np.arange(3 * 8766)
    day = np.sin(2 * np.pi * t / 24)
    noise = np.random.default_rng(4).normal(0, 0.5, len(t))
    year = np.sqrt(2 * 0.25 / 24) * np.sin(2 * np.pi * t / 8766)  # variance of the daily mean of the noise, .25 / 24
    strengths, _ = seasonal_strengths(day + year + noise, [24, 168, 8766])
    assert strengths[8766] == pytest.approx(0.5, abs=0.05)
    assert strengths[24] > 0.6 and seasonal_strengths(day + noise, [24, 8766])[0][8766] < 0.05


def test_unit_roots():
    rng = np.random.default_rng(1)
    steps = rng.normal(size=400)
    assert unit_root(np.cumsum(steps))["unit_root"] and not unit_root(steps)["unit_root"]
    assert not unit_root(np.ones(50))["unit_root"] and np.isnan(unit_root(np.ones(50))["adf_p_value"])


def test_differences_come_from_the_tests():
    rng, t = np.random.default_rng(2), np.arange(240)
    walk = examine(np.cumsum(np.random.default_rng(1).normal(size=400)), [12])
    assert walk.differences == 1 and walk.seasonal_difference == 0
    season = examine(10 * np.sin(2 * np.pi * t / 12) + rng.normal(size=240), [12])
    assert season.differences == 0 and season.seasonal_difference == 12
    assert examine(np.log(AirPassengers), [12]).seasonal_difference == 12
    short = examine(np.array([1.0, 2.0, 3.0]), [12])
    assert short.differences == 0 and short.strengths == {} and np.isnan(short.adf_p_value)
