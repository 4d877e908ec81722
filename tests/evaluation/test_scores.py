"""Scores against scikit-learn and against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from toolkit.errors import InputError
from toolkit.evaluation.scores import METRICS, get_metric, metrics_for, score, score_table

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(4.0, 200).astype(float) + 1
MEANS = np.exp(RNG.normal(1.3, 0.4, 200))
BINARY = RNG.integers(0, 2, 200).astype(float)
CHANCES = np.round(RNG.uniform(0.01, 0.99, 200), 2)  # rounded: ties for the area under the curve

ORACLES = {
    "rmse": (oracle.root_mean_squared_error, COUNTS, MEANS),
    "mse": (oracle.mean_squared_error, COUNTS, MEANS),
    "mae": (oracle.mean_absolute_error, COUNTS, MEANS),
    "r2": (oracle.r2_score, COUNTS, MEANS),
    "rmsle": (oracle.root_mean_squared_log_error, COUNTS, MEANS),
    "poisson_deviance": (oracle.mean_poisson_deviance, COUNTS, MEANS),
    "gamma_deviance": (oracle.mean_gamma_deviance, COUNTS, MEANS),
    "log_loss": (oracle.log_loss, BINARY, CHANCES),
    "brier": (oracle.brier_score_loss, BINARY, CHANCES),
    "auc": (oracle.roc_auc_score, BINARY, CHANCES),
}


def test_every_metric_has_an_oracle() -> None:
    assert set(ORACLES) == set(METRICS)


@pytest.mark.parametrize("name", ORACLES)
def test_score_equals_scikit_learn(name: str) -> None:
    function, observed, predicted = ORACLES[name]
    assert score(name, observed, predicted) == pytest.approx(function(observed, predicted), rel=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.row_loss is not None])
def test_score_is_the_finished_mean_of_row_losses(name: str) -> None:
    _, observed, predicted = ORACLES[name]
    metric = METRICS[name]
    rows = [float(metric.row_loss(np.array([o]), np.array([p]))[0]) for o, p in zip(observed, predicted, strict=True)]
    assert score(name, observed, predicted) == pytest.approx(metric.finish(sum(rows) / len(rows)), rel=1e-12)


def test_a_certain_and_wrong_forecast_has_a_finite_loss() -> None:
    assert np.isfinite(score("log_loss", np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    assert np.isfinite(score("poisson_deviance", np.array([3.0, 0.0]), np.array([-1.0, 0.0])))


def test_one_class_has_no_area_under_the_curve() -> None:
    assert np.isnan(score("auc", np.ones(5), np.linspace(0, 1, 5)))


def test_unknown_and_unfit_metrics_are_named() -> None:
    with pytest.raises(InputError, match="did you mean 'rmse'"):
        get_metric("rsme")
    with pytest.raises(InputError, match="no meaning for a binary target"):
        get_metric("rmsle", "binary")
    assert get_metric("deviance", "count").name == "poisson_deviance"


def test_the_primary_metric_comes_first() -> None:
    assert metrics_for("count", "rmsle")[0] == "rmsle"
    assert sorted(metrics_for("count", "rmsle")) == sorted(metrics_for("count"))


def test_score_table_by_hand() -> None:
    """Two folds with errors (1, 1) and (3, 3): RMSE 1 and 3, sd sqrt 2, factor 1/2 + 2/4."""
    rows = [
        {"arm": "a", "repeat": 0, "fold": fold, "target": "y", "observed": 0.0, "predicted": error, "n_train": 4}
        for fold, error in ((0, 1.0), (0, -1.0), (1, 3.0), (1, 3.0))
    ]
    table = score_table(pd.DataFrame(rows), ("rmse",))
    assert table.loc[0, "per_fold"] == [1.0, 3.0]
    assert table.loc[0, "mean"] == 2.0
    assert table.loc[0, "se"] == pytest.approx(np.sqrt(2.0) * np.sqrt(0.5 + 0.5))
    assert table.loc[0, "lower"] < 2.0 < table.loc[0, "upper"]


def test_several_targets_are_averaged_within_a_fold() -> None:
    rows = [
        {"arm": "a", "repeat": 0, "fold": f, "target": t, "observed": 0.0, "predicted": e, "n_train": 4}
        for f in (0, 1)
        for t, e in (("u", 1.0), ("v", 3.0))
    ]
    assert score_table(pd.DataFrame(rows), ("rmse",)).loc[0, "per_fold"] == [2.0, 2.0]


def test_an_interval_ends_where_the_score_does() -> None:
    """Two folds that differ a lot: a t interval would reach below an error of 0 and above an R² of 1."""
    rows = pd.DataFrame({"arm": "a", "repeat": 0, "fold": [0] * 3 + [1] * 3, "target": "y", "n_train": 3})
    rows["observed"] = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    rows["predicted"] = rows["observed"] + [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    table = score_table(rows, ("rmse", "r2")).set_index("metric")
    assert table.loc["rmse", "lower"] == 0 and table.loc["rmse", "upper"] > 5
    assert table.loc["r2", "upper"] == 1 and table.loc["r2", "lower"] < 0
    one = score_table(rows[rows["fold"] == 0], ("rmse",)).iloc[0]
    assert np.isnan(one["lower"]) and np.isnan(one["upper"])
