"""The family is settled in full where the main effects do not decide, and predictions stay near what was seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.models.regression import SpecifiedRegression


def test_additive_dollars_are_not_taken_for_logarithms() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1, 3, size=(1500, 3)), columns=list("abc"))
    y = 5 + X.a * X.b + X.c**2 + rng.normal(size=1500)
    model = SpecifiedRegression(target_kind="positive").fit(X[y > 0], y[y > 0])
    assert model.family_ == "gaussian"


def test_products_in_dollars_get_a_log_link() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(1500, 3)), columns=list("abc"))
    y = np.exp(2 + X.a + 0.7 * X.b - 0.5 * X.c) + rng.normal(size=1500)
    kept = y > 0
    model = SpecifiedRegression(target_kind="positive").fit(X[kept], y[kept])
    assert model.family_ == "gaussian_log"
    lower, upper = model.predict_cdf(X[kept], y[kept])
    assert (lower == upper).all() and abs(lower.mean() - 0.5) < 0.03
    assert [score.family for score in model.family_scores_ if score.chosen] == ["gaussian_log"]


def test_no_prediction_lies_above_a_cap_or_far_beyond_the_targets() -> None:
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(600, 2)), columns=list("ab"))
    y = np.exp(1 + X.a + 0.1 * rng.normal(size=600))
    far = X * 10
    free = SpecifiedRegression(family="lognormal").fit(X, y).predict(far)
    assert y.max() < free.max() <= y.max() + 0.1 * (y.max() - y.min()) + 1e-9
    capped = np.minimum(y, 8.0)
    assert SpecifiedRegression(family="lognormal").fit(X, capped).predict(far).max() <= 8.0


def test_the_median_is_not_the_mean_where_errors_are_skewed() -> None:
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"a": rng.normal(size=2000)})
    y = X.a + rng.exponential(size=2000)  # mean of the errors 1, median log 2
    models = [SpecifiedRegression(family="gaussian", metric=metric).fit(X, y) for metric in ("rmse", "mae")]
    mean, median = (model.predict(X).mean() for model in models)
    assert abs(mean - 1) < 0.1 and abs(median - np.log(2)) < 0.1
