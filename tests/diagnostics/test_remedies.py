"""Remedies: only what was called for, only what the arm can do, and the arm then really fits with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from toolkit.diagnostics.check import Check
from toolkit.diagnostics.remedies import WEIGHTS, propose
from toolkit.models.forecasting import SeriesRegression
from toolkit.models.formula import FormulaRegression
from toolkit.models.regression import SpecifiedRegression


def doubt(name, arm="regression", verdict="poor"):
    return Check(name, arm, "assumptions", "", 1.0, 0.0, 1.0, verdict, "")


def changes(names, estimator, family, kind, **more):
    found = propose([doubt(name) for name in names], "regression", estimator, family=family, target_kind=kind, **more)
    return {one.setting: one.value for one in found}


def test_nothing_called_for():
    regression = SpecifiedRegression()
    good = [doubt("durbin_watson", verdict="good"), doubt("dispersion", arm="neural")]
    assert propose(good, "regression", regression, family="poisson", target_kind="count") == ()
    assert changes(["breusch_pagan"], regression, "lognormal", "positive") == {}  # robust covariance is there already


def test_each_doubt_has_its_setting():
    regression = SpecifiedRegression()
    assert changes(["breusch_godfrey"], regression, "gaussian", "real") == {"cov": "HAC"}
    assert changes(["zero_inflation", "dispersion"], regression, "poisson", "count") == {"family": "hurdle"}
    assert changes(["dispersion"], regression, "poisson", "count") == {"family": "negative_binomial"}
    assert changes(["white"], regression, "gaussian", "positive") == {"family": "gamma"}
    assert changes(["white", "jarque_bera"], regression, "gaussian", "positive") == {"family": "lognormal"}
    assert changes(["white"], regression, "gaussian", "count") == {"family": "negative_binomial"}
    assert changes(["log_variance"], regression, "gaussian", "real") == {WEIGHTS: "inverse of the predicted variance"}
    assert changes(["log_variance"], regression, "gaussian", "real", several=True) == {}
    assert changes(["learnability"], SpecifiedRegression(interactions=False), "gaussian", "real") == {
        "interactions": True
    }
    plain = FormulaRegression("x", cov="classical")
    assert changes(["white"], plain, "gaussian", "real") == {"cov": "HC3", WEIGHTS: "inverse of the predicted variance"}
    grouped = FormulaRegression(cov="classical")
    assert changes(["cluster_correlation"], grouped, "gaussian", "real", grouped=True) == {"cov": "cluster"}


def test_a_formula_gets_a_logarithm_on_its_left():
    formula = FormulaRegression("price ~ x + C(z)", cov="HC3")
    found = changes(["anderson_darling", "white"], formula, "gaussian", "positive", target="price")
    assert found == {"formula": "np.log(price) ~ x + C(z)"}
    assert changes(["white"], FormulaRegression("np.log(price) ~ x"), "lognormal", "positive", target="price") == {}
    spaces = changes(["jarque_bera", "white"], FormulaRegression("x"), "gaussian", "positive", target="a price")
    assert spaces == {"family": "gamma"}  # a name that cannot stand in a call


def test_a_series_regression_gets_lags_and_a_logarithm():
    arm, chosen = SeriesRegression(horizon=1), {"steps": "direct", "lookback": 14, "transform": "none", "mean": "none"}
    assert changes(["ljung_box"], arm, "", "positive", found=chosen) == {"lookback": 28}
    assert changes(["innovation_ljung_box", "white"], arm, "", "positive", found=chosen) == {
        "lookback": 28,
        "transform": "log",
    }
    assert changes(["white"], arm, "", "real", found=chosen) == {}
    assert changes(["innovation_season"], arm, "", "real", found=chosen) == {"mean": "additive"}
    assert changes(["ljung_box"], arm, "", "real", found={**chosen, "steps": "clock"}) == {}


def test_rows_without_an_order_get_no_newey_west():
    formula = FormulaRegression("x")
    assert changes(["durbin_watson"], formula, "gaussian", "real", in_order=False) == {}


def test_only_what_the_arm_can_do():
    formula = FormulaRegression("y ~ x")
    assert changes(["zero_inflation"], formula, "poisson", "count") == {
        "family": "negative_binomial"
    }  # it has no hurdle
    assert changes(["learnability"], formula, "gaussian", "real") == {}
    assert changes(["dispersion"], LinearRegression(), "poisson", "count") == {}


def test_the_changed_arm_fits_and_its_standard_errors_move():
    rng = np.random.default_rng(0)
    n = 300
    x = np.cumsum(rng.normal(size=n))
    error = np.zeros(n)
    for i in range(1, n):
        error[i] = 0.8 * error[i - 1] + rng.normal()
    X, y = pd.DataFrame({"x": x}), pd.Series(x + error, name="y")
    before = FormulaRegression("y ~ x")
    remedy = propose([doubt("durbin_watson")], "regression", before, family="gaussian", target_kind="real")[0]
    after = clone(before).set_params(**{remedy.setting: remedy.value})
    se = [arm.fit(X, y).coefficients_.set_index("column").loc["x", "se"] for arm in (before, after)]
    assert se[1] > 1.2 * se[0]
