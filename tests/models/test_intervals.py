"""Conformal intervals: ranks by hand, coverage by simulation, the same method for any estimator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from toolkit.errors import InputError
from toolkit.models.intervals import ConformalRegressor, conformal_radius, cqr_margin, cross_conformal, split_conformal


def test_radius_is_a_rank():
    scores = np.arange(1.0, 20.0)  # m = 19: ceil(20 * .9) = 18
    assert conformal_radius(scores, 0.9) == 18
    assert conformal_radius(scores, 0.95) == 19
    assert conformal_radius(scores, 0.96) == np.inf  # 19 rows cannot promise more than 19 / 20


def test_split_conformal_is_symmetric_around_the_prediction():
    lower, upper = split_conformal(np.array([-3.0, 1.0, 2.0, -1.0]), np.array([10.0, 20.0]), 0.6)
    np.testing.assert_allclose([lower, upper], [[8, 18], [12, 22]])  # ceil(5 * .6) = 3rd of 1, 1, 2, 3


def test_cross_conformal_against_a_loop():
    rng = np.random.default_rng(0)
    residuals, folds, predicted = rng.normal(size=37), rng.integers(0, 4, 37), rng.normal(size=(4, 6))
    lower, upper = cross_conformal(residuals, folds, predicted, 0.8)
    for j in range(6):
        low = sorted(predicted[f, j] - abs(r) for f, r in zip(folds, residuals, strict=True))
        high = sorted(predicted[f, j] + abs(r) for f, r in zip(folds, residuals, strict=True))
        assert lower[j] == low[7 - 1]  # floor(.2 * 38) = 7
        assert upper[j] == high[31 - 1]  # ceil(.8 * 38) = 31


def test_cross_conformal_with_one_model_is_split_conformal():
    rng = np.random.default_rng(0)
    residuals, predicted = rng.normal(size=99), rng.normal(size=5)
    both = cross_conformal(residuals, np.zeros(99, int), predicted[None])
    np.testing.assert_allclose(both, split_conformal(residuals, predicted))


def test_cqr_margin_shrinks_intervals_that_are_too_wide():
    observed = np.linspace(0, 1, 199)
    assert cqr_margin(observed, np.full(199, -1.0), np.full(199, 2.0)) < 0
    assert cqr_margin(observed, np.full(199, 0.4), np.full(199, 0.6)) == pytest.approx(0.35, abs=0.01)


@pytest.mark.parametrize("method", ["cross", "split"])
def test_coverage_of_a_correct_and_of_a_wrong_model(method):
    """The promise does not depend on the model: a straight line through a parabola is covered as well."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(40):
        x = rng.normal(size=(400, 1))
        y = x[:, 0] ** 2 + rng.standard_t(3, size=400)
        wrapped = ConformalRegressor(LinearRegression(), method).fit(x[:200], y[:200])
        lower, upper = wrapped.predict_interval(x[200:])
        covered.append(np.mean((lower <= y[200:]) & (y[200:] <= upper)))
    assert 0.88 < np.mean(covered) < 0.92


def test_groups_stay_together_and_frames_work():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    X = pd.DataFrame({"x": rng.normal(size=100)})
    y = X["x"] + np.repeat(rng.normal(size=20), 5)  # a shift of every group
    grouped = ConformalRegressor(LinearRegression()).fit(X, y, groups=groups)
    widths = [np.subtract(*w.predict_interval(X)[::-1]).mean() for w in (grouped, clone(grouped).fit(X, y))]
    assert all(np.isfinite(widths))
    np.testing.assert_allclose(grouped.predict(X), LinearRegression().fit(X, y).predict(X))


def test_conformalised_quantiles_of_the_net_follow_the_noise():
    from toolkit.models.neural.regression import NeuralRegression

    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (900, 1))
    y = x[:, 0] + rng.normal(size=900) * (0.05 + x[:, 0])
    net = NeuralRegression(preset="quick", members=2, epochs=30, width=32, batch_size=64)
    wrapped = ConformalRegressor(net, "cqr").fit(x[:600], y[:600])
    lower, upper = wrapped.predict_interval(x[600:])
    assert 0.84 < np.mean((lower <= y[600:]) & (y[600:] <= upper)) < 0.96
    width, quiet = upper - lower, x[600:, 0] < 0.3
    assert width[~quiet].mean() > 1.5 * width[quiet].mean()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"method": "bootstrap"}, "unknown interval method"),
        ({"coverage": 1.0}, "coverage must lie between 0 and 1"),
        ({"folds": 1}, "2 to 30 folds"),
        ({"method": "split", "share": 0.0}, "share must lie"),
        ({"method": "cqr"}, "learns quantiles"),
    ],
)
def test_settings_that_cannot_be_are_one_line(settings, line):
    x = np.arange(30.0)[:, None]
    with pytest.raises(InputError, match=line):
        ConformalRegressor(LinearRegression(), **settings).fit(x, x[:, 0])
