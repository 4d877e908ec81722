"""Weights from a predicted spread: near the efficient estimate where the spread moves, harmless where it does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import clone

from toolkit.models.formula import FormulaRegression
from toolkit.models.reweighted import WIDEST, Reweighted


def draw(seed: int, spread: float, n: int = 400) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    sd = np.exp(spread * x)
    return pd.DataFrame({"x": x, "level": rng.choice(["a", "b"], n)}), pd.Series(1 + x + sd * rng.normal(size=n)), sd


def slopes(spread: float) -> np.ndarray:
    """Slope of x with equal, predicted and known weights, [draws, 3]."""
    plain, found = FormulaRegression("x"), []
    for seed in range(60):
        X, y, sd = draw(seed, spread)
        arms = (clone(plain).fit(X, y), Reweighted(plain).fit(X, y), clone(plain).fit(X, y, sample_weight=sd**-2.0))
        found.append([arm.coefficients_.set_index("column").loc["x", "estimate"] for arm in arms])
    return np.array(found)


def test_nearly_as_good_as_the_known_weights():
    equal, predicted, known = slopes(1.0).std(axis=0)
    assert predicted < 0.6 * equal
    assert predicted < 1.5 * known


def test_little_is_lost_where_the_spread_is_constant():
    equal, predicted, _ = slopes(0.0).std(axis=0)
    assert predicted < 1.1 * equal


def test_weights_are_bounded_and_told():
    X, y, _ = draw(0, 3.0)
    arm = Reweighted(FormulaRegression("x")).fit(X, y)
    weight = arm.weights(X)
    assert weight.mean() == 1.0 or abs(weight.mean() - 1) < 1e-12
    assert weight.max() / weight.min() <= WIDEST**2 * (1 + 1e-9)
    assert "rows weigh by their predicted spread" in arm.fit_info_["notes"][-1]
    assert arm.fit_info_["formula"] == "x" and len(arm.predict(X)) == len(X)


def test_a_perfect_fit_has_weights():
    X, *_ = draw(0, 1.0)
    arm = Reweighted(FormulaRegression("x")).fit(X, 2 * X["x"])
    np.testing.assert_allclose(arm.predict(X), 2 * X["x"], atol=1e-9)
