"""Conformal intervals: coverage by simulation, the quantile by hand, models that carry them."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from toolkit.evaluation.intervals import Calibrated, add_intervals, calibrate


def table(n: int, folds: int = 5, seed: int = 0, skewed: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(2, 20, n)
    noise = rng.normal(size=n)
    observed = np.expm1(np.log1p(predicted) + 0.3 * noise) if skewed else predicted + noise
    return pd.DataFrame(
        {
            **{"arm": "a", "repeat": 0, "fold": np.arange(n) % folds, "target": "y"},
            **{"observed": observed, "predicted": predicted, "lower": np.nan, "upper": np.nan},
        }
    )


@pytest.mark.parametrize("skewed", [False, True])
def test_coverage_is_nominal(skewed: bool) -> None:
    covered = []
    for seed in range(20):
        done = add_intervals(table(1_000, seed=seed, skewed=skewed), 0.9, on_logs=skewed)
        covered.append(np.mean((done["observed"] >= done["lower"]) & (done["observed"] <= done["upper"])))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_the_half_width_by_hand() -> None:
    """Fold 0 is judged with the 40 residuals of fold 1, 1 to 40: the 37th smallest, ceil(41 x 0.9) = 37."""
    size = np.r_[np.zeros(40), np.arange(1.0, 41.0)]
    frame = table(80, folds=2).assign(fold=np.repeat([0, 1], 40), predicted=0.0, observed=size)
    done = add_intervals(frame, 0.9)
    assert (done.loc[done["fold"] == 0, "upper"] == 37.0).all()
    assert (done.loc[done["fold"] == 1, "upper"] == 0.0).all()


def test_limits_that_an_arm_gave_stay() -> None:
    done = add_intervals(table(100).assign(lower=1.0, upper=2.0), 0.9)
    assert (done["lower"] == 1.0).all() and (done["upper"] == 2.0).all()


def test_a_single_fold_has_no_interval() -> None:
    assert add_intervals(table(100, folds=1), 0.9)["lower"].isna().all()


def test_a_calibrated_model_predicts_as_before_and_survives_a_pickle() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    model = LinearRegression().fit(X, X[:, 0])
    carried = calibrate({"a": model}, table(200), on_logs=False)["a"]
    assert isinstance(carried, Calibrated)
    again = pickle.loads(pickle.dumps(carried))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    lower, upper = again.predict_interval(X, coverage=0.9)
    np.testing.assert_allclose(upper - lower, 2 * carried.residuals[0][int(np.ceil(201 * 0.9)) - 1])
    narrow, _ = again.predict_interval(X, coverage=0.5)
    assert (narrow > lower).all()
