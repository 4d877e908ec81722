"""The ladder of forecasts: which steps a start is offered, known causes, adding up, refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.models.neural_series import make
from toolkit.comparison.gap_follow import respecified_settings
from toolkit.comparison.gap_series import DYNAMICS, explain_forecasts, rungs_of
from toolkit.data.origins import rolling_origin
from toolkit.errors import InputError
from toolkit.evaluation.forecasts import evaluate_forecasts
from toolkit.models.classical import Naive
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.forecasting_trees import NonlinearSeriesRegression


def world(n: int = 420):
    """A square of a covariate and a weekly season; the naive forecast, and the truth with noise in the net's place."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=n), np.arange(n)
    mean = 20 + 1.5 * x**2 + np.array([0, 1, 2, 1, 0, -2, -2.0])[t % 7]
    data = make({"a": {"y": mean + 0.5 * rng.normal(size=n), "x": x}}, {"known_ahead": ["x"]}, 7, (7,))
    splits = rolling_origin(data, 24, 7)
    start = {"plain": SeriesRegression(7, "rmse", mean="none", steps="direct", average=False)}
    found = evaluate_forecasts(data, splits, start).predictions
    net = found.assign(arm="neural", predicted=mean[found["row"]] + 0.05 * rng.normal(size=len(found)))
    return data, splits, pd.concat([found, net], ignore_index=True), start


def plain(predictions, metric):
    return predictions, metric


@pytest.fixture(scope="module")
def ledger():
    data, splits, predictions, start = world()
    return explain_forecasts(
        data, splits, predictions, ("plain", "neural"), "rmse", estimators=start, in_units=plain, every=24
    )


def test_each_step_is_named_and_the_largest_is_the_cause(ledger):
    assert [e.term for e in ledger.entries[:2]] == ["seasonal terms", "covariates with bends"]
    shares = {e.term: e.share for e in ledger.entries}
    assert max(shares, key=shares.get) == "covariates with bends"
    assert ledger.entries[1].lower > 0
    assert sum(shares.values()) == pytest.approx(ledger.total, rel=1e-9)
    assert abs(ledger.entries[-1].share) < 0.15 * ledger.total
    assert "covariates with bends" in ledger.sentence


def test_the_repair_is_a_regression_with_these_steps_open(ledger):
    assert ledger.respecified["gain"] < 0.15 * ledger.total
    made = respecified_settings({"arms": {"plain": {}, "neural": {}}, "splits": {"horizon": 7}}, ledger)
    assert made["compare"] == ["regression", "neural"]
    opened = made["arms"]["regression"]
    assert (opened["mean"], opened["steps"], opened["average"]) == ("additive", "direct", False)
    assert "horizon" not in opened and "lookback" not in opened  # the pipeline's own, and left to the search


def test_a_start_is_offered_what_it_lacks():
    data, _, _, _ = world(240)
    assert [r.term for r in rungs_of(SeriesRegression(7), data, "mase")] == [DYNAMICS]
    closed = rungs_of(SeriesRegression(7, lookback=2, mean="none", transform="none"), data, "mase")
    assert [r.term for r in closed] == [
        "lags",
        "seasonal terms",
        "covariates with bends",
        "coefficients by step and time of day",
        DYNAMICS,
    ]
    assert all(r.estimator.get_params()["transform"] == "none" for r in closed)
    frame = pd.concat([data.frame, data.frame.assign(id="b")], ignore_index=True)
    assert "pooling over series" in [r.term for r in rungs_of(Naive(7), replace(data, frame=frame), "mase")]


def test_trees_find_a_bend_of_the_dynamics_and_leave_a_line_alone():
    def path(n, bent):
        rng, y = np.random.default_rng(3), np.full(n, 0.3)
        for t in range(1, n):
            step = 3.8 * y[t - 1] * (1 - y[t - 1]) if bent else 0.15 + 0.7 * y[t - 1]  # the logistic map (May 1976)
            y[t] = np.clip(step + 0.02 * rng.normal(), 0.01, 0.99)
        return make({"a": {"y": y}}, horizon=1, periods=())

    for bent in (True, False):
        data = path(900, bent)
        splits = rolling_origin(data, 200, 1)
        arms = {"line": SeriesRegression(1, "rmse"), "trees": NonlinearSeriesRegression(1, "rmse")}
        table = evaluate_forecasts(data, splits, arms, every=200).predictions
        loss = (table["observed"] - table["predicted"]).pow(2).groupby(table["arm"]).mean()
        assert loss["trees"] < (0.3 if bent else 1.03) * loss["line"]


def test_refusals():
    data, splits, predictions, start = world(240)
    how = {"estimators": start, "in_units": plain}
    worse = predictions.assign(predicted=np.where(predictions["arm"] == "neural", 0.0, predictions["predicted"]))
    gap = explain_forecasts(data, splits, worse, ("plain", "neural"), "rmse", **how)
    assert "no gap" in gap.reason and not gap.entries
    missing = predictions[predictions["arm"] == "plain"]
    assert "no predictions" in explain_forecasts(data, splits, missing, ("plain", "neural"), "rmse", **how).reason
    with pytest.raises(InputError, match="plain"):
        explain_forecasts(data, splits, predictions, ("plain", "neural"), "rmse", estimators={}, in_units=plain)
